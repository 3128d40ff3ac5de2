use super::*;
use crate::fixture;

const PLAIN: Look = Look {
    width: None,
    colour: false,
};

fn narrow(width: usize) -> Look {
    Look {
        width: Some(width),
        colour: false,
    }
}

#[test]
fn every_metric_of_every_system_is_there() {
    let report = fixture::report(1, false);
    let text = render(&report, PLAIN);
    for definition in catalogue::all() {
        assert!(
            text.lines().any(|it| it.starts_with(definition.id)),
            "{}",
            definition.id
        );
    }
    for system in &report.systems {
        assert!(text.contains(&system.system_name), "{}", system.system_name);
    }
    let launch = text
        .lines()
        .find(|it| it.starts_with("OH-001"))
        .expect("it is there");
    assert_eq!(
        launch.matches('×').count(),
        4,
        "native has no ratio: {launch}"
    );
    assert!(
        launch.contains("Kernel Launch Latency") && launch.contains("µs ↓"),
        "{launch}"
    );
}

#[test]
fn what_has_no_value_says_why() {
    let text = render(&fixture::report(1, false), PLAIN);
    for line in [
        "FAILED ERR-002 (peer <made up>): the tenant was killed by signal 11 & gave no result <nothing>",
        "NOT VALID IS-003, IS-004 (peer <made up>): a quarter of the compute gave 0.997 of the rate",
        "not run LLM-010, NCCL-001, NCCL-002, NCCL-003, NCCL-004 (all systems): needs 2 GPUs",
        "not run IS-001, IS-003, IS-004 (native): native has no limits",
        "LIMITS NOT IN FORCE peer <made up>: a quarter of the compute gives a quarter of the rate, but it gave 0.997",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}");
    }
    assert!(text.contains("Failed and not valid count 0"));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let report = fixture::report(1, true);
    for width in [80, 100, 140, 220] {
        for line in render(&report, narrow(width)).lines() {
            assert!(line.width() <= width, "{} of {width}: {line}", line.width());
        }
    }
}

#[test]
fn a_wide_terminal_shows_intervals_and_a_narrow_one_still_every_system() {
    let report = fixture::report(1, true);
    let wide = render(&report, narrow(220));
    assert!(wide.contains("–"), "an interval");
    let tight = render(&report, narrow(80));
    let titles = tight
        .lines()
        .filter(|it| it.starts_with("OH ") && it.contains("Overhead"));
    let titles: Vec<&str> = titles.collect();
    for system in &report.systems {
        assert!(
            titles.iter().any(|it| it.contains(&system.system_name)),
            "{titles:?}"
        );
    }
}

#[test]
fn simulated_is_said_first() {
    assert!(render(&fixture::report(1, true), PLAIN).starts_with("SIMULATED DEVICE"));
    assert!(!render(&fixture::report(1, false), PLAIN).contains("SIMULATED"));
}

#[test]
fn colours_only_where_they_may_be_and_none_from_names() {
    let mut report = fixture::report(1, true);
    report.systems[4].system_name = "\u{1b}[31mred\nnext".into();
    let plain = render(&report, PLAIN);
    assert!(!plain.contains('\u{1b}'));
    assert!(plain.contains("\u{fffd}[31mred\u{fffd}next"));
    let coloured = render(
        &report,
        Look {
            colour: true,
            ..PLAIN
        },
    );
    assert!(coloured.contains("\u{1b}[31m") && coloured.contains("\u{1b}[0m"));
    assert!(!coloured.contains("red\nnext"));
    for line in coloured.lines() {
        let ends = line
            .rfind('\u{1b}')
            .is_none_or(|at| line[at..].starts_with("\u{1b}[0m"));
        assert!(ends, "a colour ends with its line: {line:?}");
    }
}

#[test]
fn a_selection_shows_its_categories_only() {
    let mut report = fixture::report(1, false);
    for system in &mut report.systems {
        system.metrics.retain(|it| it.id.starts_with("PCIE"));
    }
    let text = render(&report, PLAIN);
    assert!(text.contains("PCIE-004") && !text.contains("OH-"), "{text}");
    report.systems.clear();
    assert!(render(&report, PLAIN).contains("Made-up device"));
}

#[test]
fn a_ratio_of_too_few_blocks_is_marked() {
    let mut report = fixture::report(1, false);
    assert!(!render(&report, PLAIN).contains('~'));
    let metric = &mut report.systems[1].metrics[0];
    *metric = metric.clone().with_ratios(vec![2.0]);
    report.gpu.driver.clear();
    let text = render(&report, PLAIN);
    assert!(text.contains(" ~2.000 (no interval, 1 block)"), "{text}");
    assert!(text.contains("~: too few blocks"), "{text}");
    assert!(text.contains("(test fixture), CUDA 13.0"), "{text}");
}

#[test]
fn what_a_second_run_may_find_elsewhere_is_named() {
    let mut report = fixture::report(1, false);
    let definition = catalogue::find("OH-001").expect("it exists");
    for system in &mut report.systems {
        let scattered = [0.8, 1.0, 1.2].repeat(4);
        system.metrics = vec![Metric::measured(definition, 4.0, &[]).with_ratios(scattered)];
    }
    let named = "A second run may differ by more than 3 %";
    assert!(render(&report, PLAIN).contains(named));
    assert!(crate::html::render(&report).contains(named));
    for system in &mut report.systems {
        system.metrics = vec![Metric::measured(definition, 4.0, &[]).with_ratios(vec![1.0; 12])];
    }
    assert!(!render(&report, PLAIN).contains(named));
    assert!(!crate::html::render(&report).contains(named));
}
