//! Each metric: its charts, its figures, and how they were made.

use super::charts::{distribution, forest, lines};
use super::summary::{arrow, ratio_chip};
use super::{definitions, find, key, markdown};
use crate::catalogue::{Better, Category, Definition, Goal, Ideal, document};
use crate::figures;
use crate::model::{Metric, Report, State, System, SystemKind};
use crate::scores::{Score, Scores};
use maud::{Markup, html};

/// All metrics of a category.
pub(super) fn category(report: &Report, scores: &[Scores], category: Category) -> Markup {
    html! {
        section id=(category.prefix()) {
            h2 { (category.name()) }
            @for definition in definitions(report, category) {
                (article(report, scores, definition))
            }
        }
    }
}

/// A metric of one system, with the place of the system in the report.
struct Part<'a> {
    index: usize,
    system: &'a System,
    metric: &'a Metric,
    score: Score,
}

fn article(report: &Report, scores: &[Scores], definition: &Definition) -> Markup {
    let parts: Vec<Part> = report
        .systems
        .iter()
        .zip(scores)
        .enumerate()
        .filter_map(|(index, (system, of_it))| {
            let metric = find(system, definition.id)?;
            let score = of_it
                .metrics
                .iter()
                .find(|it| it.id == definition.id)?
                .score;
            Some(Part {
                index,
                system,
                metric,
                score,
            })
        })
        .collect();
    let any_value = parts.iter().any(|it| it.metric.value.is_some());
    html! {
        article id=(definition.id) {
            header {
                h3 { span class="id" { (definition.id) } (definition.name) }
                span class="direction" { (document::unit(definition)) " " (arrow(definition.better)) " · ideal " (document::ideal(definition)) @if let Some(goal) = Goal::of(definition) { " · goal " (goal.text(definition)) } }
            }
            (markdown(definition.measures))
            @if any_value && definition.better != Better::Pass { (charts_of(definition, &parts)) }
            (figures_of(definition, &parts))
            (further(&parts))
            (how(definition))
        }
    }
}

fn charts_of(definition: &Definition, parts: &[Part]) -> Markup {
    let spread: Vec<(usize, &str, f64, &[f64])> = parts
        .iter()
        .filter_map(|it| {
            let value = it.metric.value?;
            Some((
                it.index,
                it.system.system_name.as_str(),
                value,
                it.metric.samples.as_slice(),
            ))
        })
        .collect();
    let ratios: Vec<_> = parts
        .iter()
        .filter_map(|it| Some((it.index, it.system.system_name.as_str(), it.metric.ratio?)))
        .collect();
    let ideal = match definition.ideal {
        Ideal::Value(value) => Some(value),
        Ideal::NothingOf { .. } | Ideal::Nothing { .. } => Some(0.0),
        Ideal::LikeNative | Ideal::Pass => None,
    };
    let has_samples = spread.iter().any(|it| it.3.len() > 1);
    html! {
        div class="charts" {
            figure {
                figcaption { @if has_samples { "Samples" } @else { "Values" } }
                (distribution(&format!("{}: how the samples of each system are spread; the table below has the figures", definition.name), figures::unit(definition.unit), ideal, &spread))
            }
            @if let (Some(against), false) = (definition.native, ratios.is_empty()) {
                figure {
                    figcaption { "Against native: " (against.of) }
                    (forest(&format!("{}: ratio of each system to native with its confidence interval; the table below has the figures", definition.name), against.better, &ratios))
                }
            }
            @for part in parts.iter().filter(|it| !it.metric.series.is_empty()) {
                figure {
                    figcaption { (key(part.index)) (part.system.system_name) ", over time" }
                    (lines(&format!("{} of {} over time", definition.name, part.system.system_name), &part.metric.series))
                }
            }
        }
    }
}

fn figures_of(definition: &Definition, parts: &[Part]) -> Markup {
    let spread = definition.better != Better::Pass;
    let ratio = definition.native.is_some();
    let columns = 1 + if spread { 5 } else { 0 } + if ratio { 4 } else { 0 };
    let label = format!("Figures of {}", definition.name);
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(label) {
            table {
                thead { tr {
                    th scope="col" { "System" }
                    th scope="col" { "Value" }
                    @if spread { @for name in ["Median", "p95", "p99", "Spread", "Samples"] { th scope="col" { (name) } } }
                    @if ratio { @for name in ["Ratio", "Interval", "Blocks", "vs native"] { th scope="col" { (name) } } }
                    th scope="col" { "vs ideal" }
                } }
                tbody {
                    @for part in parts {
                        tr {
                            th scope="row" { (key(part.index)) (part.system.system_name) }
                            @if let Some(value) = part.metric.value {
                                td class="overall" { (value_of(definition, value)) (goal_of(definition, part, value)) }
                                @if spread { (spread_of(part.metric)) }
                                @if ratio { (ratio_of(definition, part)) }
                            } @else {
                                @let (word, reason) = figures::ending(&part.metric.state);
                                td class="reason" colspan=(columns) {
                                    span class=(if counts_as_zero(&part.metric.state) { "badge bad" } else { "badge" }) { (word) } " " (reason)
                                }
                            }
                            td { (figures::score(part.score.ideal)) }
                        }
                    }
                }
            }
        }
    }
}

fn counts_as_zero(state: &State) -> bool {
    matches!(state, State::Failed { .. } | State::NotValid { .. })
}

fn value_of(definition: &Definition, value: f64) -> Markup {
    html! {
        @if definition.better != Better::Pass {
            (figures::value(value, definition.unit))
        } @else if value >= 1.0 {
            span class="badge good" { "✓ pass" }
        } @else {
            span class="badge bad" { "✕ fail" }
        }
    }
}

/// Whether FCSP's goal was reached, where the system is FCSP.
fn goal_of(definition: &Definition, part: &Part, value: f64) -> Markup {
    let goal = Goal::of(definition).filter(|_| part.system.kind == SystemKind::Fcsp);
    html! {
        @if let Some(goal) = goal {
            @if goal.is_met(definition, value) { " " span class="badge good" { "✓ goal" } }
            @else { " " span class="badge" { "✕ goal" } }
        }
    }
}

fn spread_of(metric: &Metric) -> Markup {
    html! {
        @if let Some(stats) = metric.stats {
            @for figure in [stats.p50, stats.p95, stats.p99, stats.std_dev] { td { (figures::number(figure)) } }
            td { (stats.count) }
        } @else {
            @for _ in 0..5 { td { "–" } }
        }
    }
}

fn ratio_of(definition: &Definition, part: &Part) -> Markup {
    html! {
        @if let Some(ratio) = part.metric.ratio {
            td { (ratio_chip(definition, part.metric)) }
            td { (figures::interval(&ratio)) }
            td { (ratio.blocks) }
        } @else {
            @for _ in 0..3 { td { "–" } }
        }
        td { (figures::score(part.score.native)) }
    }
}

/// What else was measured: a line for each figure, a column for each system.
fn further(parts: &[Part]) -> Markup {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for detail in parts.iter().flat_map(|it| &it.metric.details) {
        let name = (detail.name.as_str(), detail.unit.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let value = |part: &Part, (name, unit): (&str, &str)| {
        let detail = part
            .metric
            .details
            .iter()
            .find(|it| it.name == name && it.unit == unit);
        detail.map_or_else(|| "–".to_owned(), |it| figures::value(it.value, unit))
    };
    html! {
        @if !names.is_empty() {
            details {
                summary { "Further figures" }
                div class="scroll" tabindex="0" role="region" aria-label="Further figures" {
                    table {
                        thead { tr {
                            th scope="col" { "What" }
                            @for part in parts { th scope="col" { (key(part.index)) (part.system.system_name) } }
                        } }
                        tbody {
                            @for name in names {
                                tr { th scope="row" { (name.0) } @for part in parts { td { (value(part, name)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn how(definition: &Definition) -> Markup {
    html! {
        details class="how" {
            summary { "How it is measured" }
            dl {
                dt { "How" } dd { (markdown(definition.how)) }
                @if let Some(against) = definition.native {
                    dt { "Against native" } dd { (against.of) "; " (document::better(against.better)) " is better." }
                }
                dt { "Ideal" } dd { (markdown(definition.ideal_reason)) }
                @if let Some(goal) = Goal::of(definition) {
                    dt { "Goal" } dd { "FCSP's own: " (goal.text(definition)) "." @if let Some(published) = goal.published_text(definition) { " Published for such a system before: " (published) "." } }
                }
                dt { "Public suite" } dd { (markdown(definition.differs)) }
            }
        }
    }
}
