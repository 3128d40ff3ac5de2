use super::*;
use crate::fixture;

/// A page is XML but for its first line, void elements and the style; so its nesting can be checked without a browser.
fn assert_well_nested(page: &str) {
    const VOID: [&str; 1] = ["meta"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it is HTML");
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(closed),
                "after {}",
                &page[..200.min(page.len())]
            );
        } else if !VOID.contains(&name) {
            open.push(name);
        }
        rest = &rest[end + 1..];
        if name == "style" {
            rest = &rest[rest.find("</style>").expect("it ends")..];
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_is_well_nested_and_has_every_metric() {
    let report = fixture::report(1, false);
    let page = render(&report);
    assert_well_nested(&page);
    for definition in catalogue::all() {
        assert!(
            page.contains(&format!("<article id=\"{}\">", definition.id)),
            "{}",
            definition.id
        );
    }
    for category in Category::ALL {
        assert!(page.contains(&format!("<section id=\"{}\">", category.prefix())));
    }
}

#[test]
fn it_loads_nothing_and_runs_nothing() {
    let page = render(&fixture::report(1, true));
    for forbidden in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "src=",
        "url(",
        "@import",
        "http:",
        "https:",
        "javascript:",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn every_link_leads_somewhere_in_the_page() {
    let page = render(&fixture::report(1, false));
    let targets = page
        .split("href=\"#")
        .skip(1)
        .map(|it| it.split('"').next().unwrap_or_default());
    let mut count = 0;
    for target in targets {
        assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
        count += 1;
    }
    assert!(count > 56, "{count}");
}

#[test]
fn names_and_reasons_from_a_file_cannot_become_markup() {
    let mut report = fixture::report(1, false);
    let evil = "\"><script>alert(1)</script><b onx='";
    report.gpu.name = evil.into();
    report.started = evil.into();
    report.only = vec![evil.into()];
    report.systems[1].system_name = evil.into();
    report.systems[1].description = evil.into();
    for metric in &mut report.systems[1].metrics {
        for detail in &mut metric.details {
            detail.name = evil.into();
            detail.unit = evil.into();
        }
        for series in &mut metric.series {
            series.name = evil.into();
            series.unit = evil.into();
        }
    }
    report.systems[2].metrics[0].id = evil.into();
    report.systems[2].metrics[1].state = crate::model::State::Failed {
        reason: evil.into(),
    };
    report.systems[2].metrics[1].value = None;
    report.systems[1]
        .validity
        .as_mut()
        .expect("it has one")
        .checks[0]
        .claim = evil.into();
    let page = render(&report);
    assert!(!page.contains("<script"), "escaped everywhere");
    assert_well_nested(&page);
}

#[test]
fn simulated_is_hard_to_overlook() {
    let page = render(&fixture::report(1, true));
    assert!(page.contains("<title>SIMULATED: "));
    assert!(page.contains("<strong>SIMULATED</strong>"));
    assert!(!render(&fixture::report(1, false)).contains("SIMULATED"));
}

#[test]
fn what_failed_is_shown_with_its_reason() {
    let page = render(&fixture::report(1, false));
    assert!(page.contains("killed by signal 11 &amp; gave no result &lt;nothing&gt;"));
    assert!(page.contains("1 of 2 limits not in force"));
    assert!(page.contains("needs 2 GPUs"));
}

#[test]
fn odd_reports_still_make_a_page() {
    let mut report = fixture::report(1, false);
    report.interrupted = true;
    report.systems[1].metrics.truncate(3);
    report.systems[2].metrics.clear();
    assert_well_nested(&render(&report));
    for system in &mut report.systems {
        for metric in &mut system.metrics {
            metric.samples.truncate(1);
            metric.value = metric.value.map(|_| 0.0);
        }
    }
    assert_well_nested(&render(&report));
    report.systems.clear();
    assert!(render(&report).contains("No system"));
}

#[test]
fn no_coordinate_is_out_of_numbers() {
    let page = render(&fixture::report(3, true));
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}
