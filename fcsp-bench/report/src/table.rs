//! A report for a terminal: what was found of every metric, as wide as the terminal is, and what was not found and why.

use crate::catalogue::{self, Better, Category, Definition, Goal};
use crate::figures::{self, Standing};
use crate::grid::{Cell, Grid, Tone};
use crate::model::{Metric, Report, State, System, SystemKind};
use crate::scores::{self, Scores};
use std::fmt::Write;
use std::io::IsTerminal;
use unicode_width::UnicodeWidthStr;

/// How it is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal; without them lines are as long as they need.
    pub width: Option<usize>,
    /// Whether colours may be used. Nothing is told by colour alone.
    pub colour: bool,
}

impl Look {
    /// As fits standard output: the terminal's width, and colours unless `NO_COLOR` is set to anything; neither where it is
    /// no terminal.
    pub fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        Self {
            width: terminal_size::terminal_size()
                .filter(|_| terminal)
                .map(|(width, _)| width.0.into()),
            colour: terminal && !no_colour,
        }
    }
}

/// Before a ratio of which nothing can be told.
const UNSURE: &str = "~";

/// How much of a metric a cell holds, most first.
const DETAILS: [Detail; 3] = [Detail::Interval, Detail::Ratio, Detail::Value];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Value,
    Ratio,
    Interval,
}

/// The report as text, lines ended by newlines.
pub fn render(report: &Report, look: Look) -> String {
    let scores = scores::of_report(report);
    let mut text = head(report, look);
    text.push_str(&score_table(report, &scores, look));
    for category in Category::ALL {
        text.push_str(&category_table(report, category, look));
    }
    text.push_str(&goals(report, look));
    text.push_str(&missing(report, look));
    if is_unsure(report) {
        let note = format!(
            "{UNSURE}: too few blocks, or too scattered ones, to tell anything of this ratio."
        );
        text.push_str(&wrapped(&note, Tone::Faint, look));
    }
    text.push_str(&wrapped(scores::FORMULA_SHORT, Tone::Plain, look));
    text
}

fn is_unsure(report: &Report) -> bool {
    let metrics = report.systems.iter().flat_map(|it| &it.metrics);
    metrics
        .filter_map(|it| figures::standing(catalogue::find(&it.id)?, it))
        .any(|it| it == Standing::Unsure)
}

fn head(report: &Report, look: Look) -> String {
    let gpu = &report.gpu;
    let mut text = String::new();
    let mut line = |line: &str, tone: Tone| {
        text.push_str(&wrapped(line, tone, look));
    };
    if report.simulated {
        line(
            "SIMULATED DEVICE: no number here tells anything about hardware.",
            Tone::Bad,
        );
    }
    let count = if gpu.count > 1 {
        format!("{} × ", gpu.count)
    } else {
        String::new()
    };
    let mut device = format!("{count}{}", gpu.name);
    for (what, version) in [("driver", &gpu.driver), ("CUDA", &gpu.cuda)] {
        if !version.is_empty() {
            write!(device, ", {what} {version}").expect("a string takes all");
        }
    }
    for text in gpu.beside_cuda().iter().filter(|text| !text.is_empty()) {
        write!(device, ", {text}").expect("a string takes all");
    }
    line(&device, Tone::Strong);
    let quick = if report.quick { ", quick" } else { "" };
    let only = match report.only.join(", ") {
        only if only.is_empty() => only,
        only => format!(", only {only}"),
    };
    line(
        &format!(
            "fcsp {}, {}{quick}{only}, {:.0} s",
            report.fcsp_version, report.started, report.duration_seconds
        ),
        Tone::Faint,
    );
    if report.interrupted {
        line(
            "INTERRUPTED: what had been measured by then is here.",
            Tone::Warning,
        );
    }
    text
}

/// Scores down, systems across.
fn score_table(report: &Report, scores: &[Scores], look: Look) -> String {
    let all: Vec<(&System, &Scores)> = report.systems.iter().zip(scores).collect();
    if all.is_empty() {
        return String::new();
    }
    let categories = scores::categories(report);
    let build = |systems: &[(&System, &Scores)], _| {
        let mut grid = Grid::new(1);
        let mut header = vec![Cell::of("Scores, 0 to 100", Tone::Strong)];
        header.extend(
            systems
                .iter()
                .map(|it| Cell::of(&it.0.system_name, Tone::Strong)),
        );
        grid.row(header);
        let mut row = |title: &str, tone, of: &dyn Fn(&Scores) -> Option<f64>| {
            let scores = systems
                .iter()
                .map(|it| Cell::of(figures::score(of(it.1)), tone));
            grid.row([Cell::of(title, tone)].into_iter().chain(scores).collect());
        };
        row("Overall, against native", Tone::Strong, &|it| {
            it.overall.native
        });
        row("Overall, against the ideal", Tone::Strong, &|it| {
            it.overall.ideal
        });
        for category in &categories {
            let title = format!("  {} ({:.0} %)", category.name(), category.weight() * 100.0);
            row(&title, Tone::Plain, &|it| it.category(*category).ideal);
        }
        grid
    };
    side_by_side(&all, build, look)
}

/// Metrics down, systems across.
fn category_table(report: &Report, category: Category, look: Look) -> String {
    let there = |it: &&Definition| {
        report
            .systems
            .iter()
            .any(|system| find(system, it.id).is_some())
    };
    let definitions: Vec<&Definition> = category.metrics().iter().filter(there).collect();
    if definitions.is_empty() {
        return String::new();
    }
    let all: Vec<&System> = report.systems.iter().collect();
    let build =
        |systems: &[&System], detail| category_grid(category, &definitions, systems, detail);
    side_by_side(&all, build, look)
}

/// A table of all systems. Where that is too wide, cells hold less; where it still is, systems stand in several tables.
fn side_by_side<T>(systems: &[T], build: impl Fn(&[T], Detail) -> Grid, look: Look) -> String {
    let fits = |grid: &Grid| look.width.is_none_or(|width| grid.width() <= width);
    for detail in DETAILS {
        let grid = build(systems, detail);
        if fits(&grid) {
            return format!("\n{}", grid.render(look.colour));
        }
    }
    let mut text = String::new();
    let mut rest = systems;
    while !rest.is_empty() {
        let many = (1..=rest.len())
            .rev()
            .find(|&many| fits(&build(&rest[..many], Detail::Ratio)));
        let (now, later) = rest.split_at(many.unwrap_or(1));
        write!(text, "\n{}", build(now, Detail::Ratio).render(look.colour))
            .expect("a string takes all");
        rest = later;
    }
    text
}

fn category_grid(
    category: Category,
    ids: &[&Definition],
    systems: &[&System],
    detail: Detail,
) -> Grid {
    // Where others have a ratio, what has none leaves its place free, so that values stand below each other.
    let beside = |system: &System| {
        let has_ratio = ids
            .iter()
            .any(|it| find(system, it.id).is_some_and(|it| it.ratio.is_some()));
        let example = match detail {
            Detail::Interval => " ×1.000 (1.000–1.000)",
            Detail::Ratio => " ×1.000",
            Detail::Value => "",
        };
        " ".repeat(if has_ratio {
            example.chars().count()
        } else {
            0
        })
    };
    let mut grid = Grid::new(3);
    let mut header = vec![
        Cell::of(category.prefix(), Tone::Strong),
        Cell::of(category.name(), Tone::Strong),
        Cell::default(),
    ];
    header.extend(
        systems
            .iter()
            .map(|it| Cell::of(&it.system_name, Tone::Strong)),
    );
    grid.row(header);
    for definition in ids {
        let arrow = match definition.better {
            Better::Lower => "↓",
            Better::Higher => "↑",
            Better::Pass => "",
        };
        let unit = format!("{} {arrow}", figures::unit(definition.unit));
        let mut row = vec![
            Cell::of(definition.id, Tone::Plain),
            Cell::of(definition.name, Tone::Plain),
            Cell::of(unit.trim(), Tone::Faint),
        ];
        row.extend(
            systems
                .iter()
                .map(|system| match find(system, definition.id) {
                    Some(metric) if metric.ratio.is_some() => cell(definition, metric, detail),
                    Some(metric) => {
                        cell(definition, metric, detail).and(beside(system), Tone::Plain)
                    }
                    None => Cell::of("–", Tone::Faint).and(beside(system), Tone::Plain),
                }),
        );
        grid.row(row);
    }
    grid
}

fn find<'a>(system: &'a System, id: &str) -> Option<&'a Metric> {
    system.metrics.iter().find(|it| it.id == id)
}

fn cell(definition: &Definition, metric: &Metric, detail: Detail) -> Cell {
    let Some(value) = metric.value else {
        let tone = match metric.state {
            State::Failed { .. } | State::NotValid { .. } => Tone::Bad,
            _ => Tone::Faint,
        };
        return Cell::of(figures::ending(&metric.state).0, tone);
    };
    if definition.better == Better::Pass {
        let tone = if value >= 1.0 { Tone::Good } else { Tone::Bad };
        return Cell::of(figures::value(value, "bool"), tone);
    }
    let cell = Cell::of(figures::number(value), Tone::Plain);
    let (Some(ratio), true) = (metric.ratio, detail >= Detail::Ratio) else {
        return cell;
    };
    let tone = match figures::standing(definition, metric) {
        Some(Standing::Better) => Tone::Good,
        Some(Standing::Worse) => Tone::Warning,
        Some(Standing::FarWorse) => Tone::Bad,
        Some(Standing::Unsure) => Tone::Faint,
        Some(Standing::Alike) | None => Tone::Plain,
    };
    let unsure = tone == Tone::Faint;
    let figure = figures::ratio(ratio.value);
    let figure = if unsure {
        figure.replace('×', UNSURE)
    } else {
        figure
    };
    let cell = cell.and(format!(" {figure}"), tone);
    if detail < Detail::Interval {
        return cell;
    }
    cell.and(format!(" ({})", figures::interval(&ratio)), Tone::Faint)
}

/// FCSP's goals and what it reached of them; nothing where none of them was measured.
fn goals(report: &Report, look: Look) -> String {
    let all: Vec<&System> = report
        .systems
        .iter()
        .filter(|it| it.kind == SystemKind::Fcsp)
        .collect();
    let rows: Vec<(&Goal, &Definition)> = catalogue::GOALS
        .iter()
        .filter_map(|goal| Some((goal, catalogue::find(goal.id)?)))
        .filter(|(goal, _)| all.iter().any(|system| find(system, goal.id).is_some()))
        .collect();
    if all.is_empty() || rows.is_empty() {
        return String::new();
    }
    let build = |systems: &[&System], detail| {
        // What was published stands there where there is room.
        let fixed = if detail == Detail::Interval { 4 } else { 3 };
        let mut grid = Grid::new(fixed);
        let titles = ["", "Goals of FCSP", "goal", "published"];
        let names = systems.iter().map(|it| it.system_name.as_str());
        grid.row(
            titles
                .into_iter()
                .take(fixed)
                .chain(names)
                .map(|it| Cell::of(it, Tone::Strong))
                .collect(),
        );
        for (goal, definition) in &rows {
            let published = goal.published_text(definition);
            let mut row = vec![
                Cell::of(definition.id, Tone::Plain),
                Cell::of(definition.name, Tone::Plain),
                Cell::of(goal.short(definition), Tone::Plain),
                Cell::of(published.unwrap_or_else(|| "–".to_owned()), Tone::Faint),
            ];
            row.truncate(fixed);
            row.extend(
                systems
                    .iter()
                    .map(|system| reached(goal, definition, system)),
            );
            grid.row(row);
        }
        grid
    };
    side_by_side(&all, build, look)
}

/// What a system reached of a goal.
fn reached(goal: &Goal, definition: &Definition, system: &System) -> Cell {
    match find(system, goal.id).and_then(|it| it.value) {
        Some(value) if goal.is_met(definition, value) => {
            Cell::of(figures::number(value), Tone::Plain).and(" met", Tone::Good)
        }
        Some(value) => Cell::of(figures::number(value), Tone::Plain).and(" not met", Tone::Warning),
        None => Cell::of("–", Tone::Faint),
    }
}

/// What has no value and why, which limits do not hold, and what a second run may find elsewhere.
fn missing(report: &Report, look: Look) -> String {
    let mut text = String::new();
    for system in &report.systems {
        let checks = system.validity.iter().flat_map(|it| &it.checks);
        for check in checks.filter(|it| !it.holds) {
            let line = format!(
                "LIMITS NOT IN FORCE {}: {}, but {}",
                system.system_name, check.claim, check.seen
            );
            text.push_str(&wrapped(&line, Tone::Bad, look));
        }
    }
    if let Some(line) = figures::cut(report) {
        text.push_str(&wrapped(&line, Tone::Warning, look));
    }
    if let Some(line) = figures::unsteady(report) {
        text.push_str(&wrapped(&line, Tone::Faint, look));
    }
    for group in crate::missing::groups(report) {
        let (word, reason) = figures::ending(group.state);
        let line = format!(
            "{word} {} ({}): {reason}",
            group.ids.join(", "),
            group.who(report)
        );
        let tone = if group.counts_as_zero() {
            Tone::Bad
        } else {
            Tone::Faint
        };
        text.push_str(&wrapped(&line, tone, look));
    }
    if text.is_empty() {
        text
    } else {
        format!("\n{text}\n")
    }
}

/// A line broken at spaces where it is too long, with what follows indented.
pub(crate) fn wrapped(line: &str, tone: Tone, look: Look) -> String {
    let indent = "  ";
    let line = Cell::of(line, tone).text();
    let width = look.width.unwrap_or(usize::MAX);
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last_mut().expect("it begins with one");
        if !last.trim().is_empty() && last.width() + 1 + word.width() > width {
            lines.push(format!("{indent}{word}"));
            continue;
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines
        .iter()
        .map(|it| tone.paint(it, look.colour) + "\n")
        .collect()
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
