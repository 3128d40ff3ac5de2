//! What everybody asks first: scores, what went wrong, and every metric at a glance.

use super::charts::{class, radar};
use super::{definitions, find, key, score_bar, unknown};
use crate::catalogue::{Better, Category, Definition};
use crate::figures::{self, Standing};
use crate::model::{Metric, Report, State, System, SystemKind};
use crate::scores::Scores;
use maud::{Markup, html};

/// Scores of systems and categories.
pub(super) fn summary(report: &Report, scores: &[Scores]) -> Markup {
    if scores.is_empty() {
        return html! {};
    }
    let categories = crate::scores::categories(report);
    let names: Vec<&str> = categories.iter().map(|it| it.name()).collect();
    let shapes: Vec<(usize, &str, Vec<Option<f64>>)> = report
        .systems
        .iter()
        .zip(scores)
        .enumerate()
        .map(|(index, (system, of_it))| {
            let ideal = categories
                .iter()
                .map(|it| of_it.category(*it).ideal)
                .collect();
            (index, system.system_name.as_str(), ideal)
        })
        .collect();
    html! {
        section id="summary" {
            h2 { "Summary" }
            p class="soft" {
                "Scores run from 0 to 100. Large: against the ideal, which is what hardware partitions would give by definition. Below: against native. "
                "What failed counts 0. " a href="#method" { "The formula" } " is at the end."
            }
            div class="cards" {
                @for (index, (system, of_it)) in report.systems.iter().zip(scores).enumerate() {
                    (card(index, system, of_it))
                }
            }
            div class="beside" {
                figure class="panel" {
                    figcaption { "Categories against the ideal" }
                    (radar("Radar chart of the scores of each category against the ideal; the table beside it has the figures", &names, &shapes))
                }
                div class="panel scroll" tabindex="0" role="region" aria-label="Scores of categories" {
                    (category_table(report, scores, &categories))
                }
            }
        }
    }
}

fn card(index: usize, system: &System, scores: &Scores) -> Markup {
    let measured = system
        .metrics
        .iter()
        .filter(|it| it.state == State::Measured)
        .count();
    let mut counts = vec![format!("{measured} measured")];
    for (word, count) in [
        ("failed or not valid", scores.zero.len()),
        ("not run", scores.left_out.len()),
    ] {
        if count > 0 {
            counts.push(format!("{count} {word}"));
        }
    }
    html! {
        div class=(format!("card {}", class(index))) {
            h3 { (key(index)) (system.system_name) }
            div class="score" { (figures::score(scores.overall.ideal)) " " small { "of 100" } }
            p { "against native " strong { (figures::score(scores.overall.native)) } }
            p class="counts" { (counts.join(" · ")) }
            p { (validity_badge(system)) }
            @if !system.description.is_empty() { p class="soft" { (system.description) } }
        }
    }
}

fn validity_badge(system: &System) -> Markup {
    html! {
        @match &system.validity {
            None if system.kind == SystemKind::Native => span class="badge" { "no limits to check" },
            None => span class="badge fair" { "limits not checked" },
            Some(validity) if validity.holds() => span class="badge good" { "✓ limits in force" },
            Some(validity) => span class="badge bad" {
                "✕ " (validity.checks.iter().filter(|it| !it.holds).count()) " of " (validity.checks.len()) " limits not in force"
            },
        }
    }
}

fn category_table(report: &Report, scores: &[Scores], categories: &[Category]) -> Markup {
    html! {
        table class="scores" {
            caption { "Scores against the ideal, with the weight of each category" }
            thead { tr {
                th scope="col" { "Category" }
                @for (index, system) in report.systems.iter().enumerate() { th scope="col" { (key(index)) (system.system_name) } }
            } }
            tbody {
                @for category in categories {
                    tr {
                        th scope="row" { (category.name()) small { (format!("{:.0} %", category.weight() * 100.0)) } }
                        @for (index, of_it) in scores.iter().enumerate() {
                            td { (score_bar(index, of_it.category(*category).ideal)) }
                        }
                    }
                }
                tr {
                    th scope="row" { "Overall" }
                    @for (index, of_it) in scores.iter().enumerate() { td class="overall" { (score_bar(index, of_it.overall.ideal)) } }
                }
                tr {
                    th scope="row" { "Overall, vs native" }
                    @for (index, of_it) in scores.iter().enumerate() { td { (score_bar(index, of_it.overall.native)) } }
                }
            }
        }
    }
}

/// What has no value, and why: metrics with the same reason in one line, failures first.
pub(super) fn missing(report: &Report) -> Markup {
    let groups = crate::missing::groups(report);
    let failed = groups.iter().filter(|it| it.counts_as_zero()).count();
    let title = if failed > 0 {
        "Failed, not valid, not run"
    } else {
        "Not run"
    };
    let unknown = unknown(report);
    html! {
        @if !groups.is_empty() || !unknown.is_empty() {
            section id="missing" {
                h2 { (title) }
                @if failed > 0 { p class="soft" { "Failed and not valid count as 0 in the scores. Not run counts nowhere." } }
                div class="panel scroll" tabindex="0" role="region" aria-label="What has no value" {
                    table {
                        thead { tr { th class="text" scope="col" { "What" } th class="text" scope="col" { "Metrics" } th class="text" scope="col" { "Systems" } th class="text" scope="col" { "Why" } } }
                        tbody {
                            @for group in &groups {
                                @let (word, reason) = figures::ending(group.state);
                                tr {
                                    td { span class=(if group.counts_as_zero() { "badge bad" } else { "badge" }) { (word) } }
                                    td class="text" { @for (place, id) in group.ids.iter().enumerate() { @if place > 0 { ", " } a href=(format!("#{id}")) { (id) } } }
                                    td class="text" { (group.who(report)) }
                                    td class="text" { (reason) }
                                }
                            }
                        }
                    }
                }
                @if !unknown.is_empty() {
                    p class="notice" { "This version of fcsp does not know these metrics, and shows nothing of them: " (unknown.join(", ")) "." }
                }
            }
        }
    }
}

/// Every metric of every system in one table.
pub(super) fn glance(report: &Report, categories: &[Category]) -> Markup {
    html! {
        section id="glance" {
            h2 { "At a glance" }
            ul class="legend" {
                li { span class="chip good" { "▲" } "better than native" }
                li { span class="chip" { "≈" } "alike: within 1 %, or the interval holds 1 and nothing beyond 5 %" }
                li { span class="chip fair" { "▾" } "up to 5 % worse" }
                li { span class="chip unsure" { "?" } "cannot be told: too few blocks, or too scattered" }
                li { span class="chip bad" { "▼" } "more than 5 % worse, failed or not valid" }
            }
            div class="panel scroll" tabindex="0" role="region" aria-label="Every metric at a glance" {
                table class="matrix" {
                    caption { "Value, and ratio to native where there is one" }
                    thead { tr {
                        th scope="col" { "Metric" }
                        th scope="col" { "Unit" }
                        @for (index, system) in report.systems.iter().enumerate() { th scope="col" { (key(index)) (system.system_name) } }
                    } }
                    @for category in categories {
                        tbody {
                            tr class="group" { th scope="rowgroup" colspan=(report.systems.len() + 2) { (category.name()) } }
                            @for definition in definitions(report, *category) {
                                tr {
                                    th scope="row" { a href=(format!("#{}", definition.id)) { span class="id" { (definition.id) } (definition.name) } }
                                    td { (figures::unit(definition.unit)) " " (arrow(definition.better)) }
                                    @for system in &report.systems { td { (cell(definition, find(system, definition.id))) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Which way is good, as a sign that is read out.
pub(super) fn arrow(better: Better) -> Markup {
    html! {
        @match better {
            Better::Lower => span role="img" aria-label="lower is better" title="lower is better" { "↓" },
            Better::Higher => span role="img" aria-label="higher is better" title="higher is better" { "↑" },
            Better::Pass => "",
        }
    }
}

fn cell(definition: &Definition, metric: Option<&Metric>) -> Markup {
    let Some(metric) = metric else {
        return html! { span class="chip none" { "–" } };
    };
    let Some(value) = metric.value else {
        let (word, reason) = figures::ending(&metric.state);
        let class = match metric.state {
            State::Failed { .. } | State::NotValid { .. } => "chip bad",
            _ => "chip none",
        };
        return html! { span class=(class) title=(reason) { (word) } };
    };
    if definition.better == Better::Pass {
        return html! {
            @if value >= 1.0 { span class="chip good" { "✓ pass" } } @else { span class="chip bad" { "✕ fail" } }
        };
    }
    html! {
        span class="value" { (figures::number(value)) }
        (ratio_chip(definition, metric))
    }
}

/// The ratio to native, coloured and signed by how it stands; nothing where there is none.
pub(super) fn ratio_chip(definition: &Definition, metric: &Metric) -> Markup {
    let (class, sign) = match figures::standing(definition, metric) {
        Some(Standing::Better) => ("chip good", "▲"),
        Some(Standing::Alike) => ("chip", "≈"),
        Some(Standing::Worse) => ("chip fair", "▾"),
        Some(Standing::FarWorse) => ("chip bad", "▼"),
        Some(Standing::Unsure) => ("chip unsure", "?"),
        None => ("chip none", ""),
    };
    html! {
        @if let Some(ratio) = metric.ratio {
            span class=(class) title=(figures::interval(&ratio)) { (sign) " " (figures::ratio(ratio.value)) }
        }
    }
}
