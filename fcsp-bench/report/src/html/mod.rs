//! A report as one page: everything in it, nothing loaded, no script.
//!
//! From what everybody asks first to what few do: how good is each system, what went wrong, every metric at a glance, each
//! metric with its charts, and how all of it was made. Every chart stands beside a table of the same figures.

mod charts;
mod method;
mod metrics;
mod summary;

use crate::catalogue::{self, Category, Definition};
use crate::figures;
use crate::model::{Metric, Report, System};
use crate::scores;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
/// Even if something got past the escaping, a browser would run and load nothing.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page: a complete HTML document.
pub fn render(report: &Report) -> String {
    let scores = scores::of_report(report);
    let categories = scores::categories(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content=(format!("fcsp {}", report.fcsp_version));
                title { (title(report)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "To the results" }
                (simulated(report))
                (head(report))
                nav aria-label="Sections" {
                    ul {
                        li { a href="#summary" { "Summary" } }
                        li { a href="#glance" { "At a glance" } }
                        @for category in &categories {
                            li { a href=(format!("#{}", category.prefix())) { (category.name()) } }
                        }
                        li { a href="#method" { "Method" } }
                    }
                }
                main id="main" {
                    (summary::summary(report, &scores))
                    (summary::missing(report))
                    (summary::glance(report, &categories))
                    @for category in &categories {
                        (metrics::category(report, &scores, *category))
                    }
                    (method::method(report))
                }
                footer {
                    p { "Made by fcsp " (report.fcsp_version) ". Everything is in this file; it loads nothing and runs nothing." }
                }
            }
        }
    };
    page.into_string()
}

fn title(report: &Report) -> String {
    let simulated = if report.simulated { "SIMULATED: " } else { "" };
    format!(
        "{simulated}fcsp bench, {}, {}",
        report.gpu.name,
        day(report)
    )
}

/// The date of an RFC 3339 time.
fn day(report: &Report) -> &str {
    report.started.split('T').next().unwrap_or_default()
}

fn simulated(report: &Report) -> Markup {
    html! {
        @if report.simulated {
            div class="simulated" role="note" {
                strong { "SIMULATED" }
                "Measured on a simulated device. No number on this page tells anything about hardware."
            }
            // On every sheet of paper.
            div class="watermark" aria-hidden="true" { "SIMULATED" }
        }
    }
}

fn head(report: &Report) -> Markup {
    let gpu = &report.gpu;
    let memory = format!("{:.0} GiB", gpu.memory_bytes as f64 / f64::from(1 << 30));
    let [interface, architecture] = gpu.beside_cuda();
    let facts = [
        ("Driver", gpu.driver.clone()),
        ("CUDA", gpu.cuda.clone()),
        ("Interface", interface.to_owned()),
        ("Memory", memory),
        ("Multiprocessors", gpu.multiprocessors.to_string()),
        ("Compute capability", gpu.compute_capability.clone()),
        ("Architecture", architecture.to_owned()),
        ("Host", format!("{}, {} cores", gpu.processor, gpu.cores)),
        (
            "Begun",
            report.started.replace('T', " ").replace('Z', " UTC"),
        ),
        ("Took", duration(report.duration_seconds)),
        ("fcsp", report.fcsp_version.clone()),
    ];
    html! {
        header class="top" {
            div {
                p class="eyebrow" { "GPU sharing benchmark" @if report.quick { " · quick run" } }
                h1 {
                    @if gpu.count > 1 { (gpu.count) " × " }
                    (gpu.name)
                }
                p class="soft" {
                    (systems(report)) ", measured in turns in one run, block by block, so that every ratio to native is of blocks that ran side by side."
                }
                dl class="facts" {
                    @for (name, value) in facts.iter().filter(|it| !it.1.is_empty()) {
                        div { dt { (name) } dd { (value) } }
                    }
                }
                @if !report.only.is_empty() {
                    p class="notice" { "A selection only: " code { (report.only.join(", ")) } }
                }
                @if let Some(cut) = figures::cut(report) {
                    p class="notice" { (cut) }
                }
                @if let Some(unsteady) = figures::unsteady(report) {
                    p class="soft" { (unsteady) }
                }
                @if report.interrupted {
                    p class="notice" { strong { "Interrupted. " } "What had been measured by then is here; scores are of that alone." }
                }
            }
        }
    }
}

fn systems(report: &Report) -> String {
    let names: Vec<&str> = report
        .systems
        .iter()
        .map(|it| it.system_name.as_str())
        .collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "No system".to_owned(),
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

fn is_in(report: &Report, definition: &Definition) -> bool {
    report
        .systems
        .iter()
        .any(|it| find(it, definition.id).is_some())
}

fn find<'a>(system: &'a System, id: &str) -> Option<&'a Metric> {
    system.metrics.iter().find(|it| it.id == id)
}

/// The marker of a system as it stands in its charts, for tables and headings.
fn key(index: usize) -> Markup {
    html! {
        svg class="key" viewBox="0 0 14 14" aria-hidden="true" { (charts::marker(index, 7.0, 7.0)) }
    }
}

/// A score with a bar as long.
fn score_bar(index: usize, score: Option<f64>) -> Markup {
    html! {
        (figures::score(score))
        @if let Some(value) = score {
            span class=(format!("bar {}", charts::class(index))) aria-hidden="true" { i style=(format!("width:{value:.0}%")) {} }
        }
    }
}

/// Markdown of the catalogue's and the scores' own texts; never of a report's.
fn markdown(text: &'static str) -> Markup {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new(text));
    PreEscaped(html)
}

/// Every definition that the report has and the catalogue knows, in order.
fn definitions(report: &Report, category: Category) -> impl Iterator<Item = &'static Definition> {
    let metrics: &'static [Definition] = category.metrics();
    metrics.iter().filter(|it| is_in(report, it))
}

/// Metrics of the report that this version knows nothing of, by their ids.
fn unknown(report: &Report) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    for metric in report.systems.iter().flat_map(|it| &it.metrics) {
        if catalogue::find(&metric.id).is_none() && !ids.contains(&metric.id.as_str()) {
            ids.push(&metric.id);
        }
    }
    ids
}

#[cfg(test)]
mod tests;
