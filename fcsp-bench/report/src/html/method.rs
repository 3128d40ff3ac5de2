//! How everything was made: the checks before, the rules, the formula.

use super::{key, markdown};
use crate::model::Report;
use crate::scores;
use maud::{Markup, html};

pub(super) fn method(report: &Report) -> Markup {
    html! {
        section id="method" class="method" {
            h2 { "Method" }
            (checks(report))
            h3 { "Rules" }
            ul {
                li { "Native and every system were measured in blocks that took turns. A ratio is the median of the ratios of the n-th block of a system to the n-th of native, so that a drift of clock or temperature meets both." }
                li { "Its interval is the exact one of a median, whatever the distribution: two of the blocks' ratios, chosen by the binomial distribution for at least 95 % (Le Boudec, " cite { "Performance Evaluation of Computer and Communication Systems" } ", 2010, theorem 2.1). With fewer than 6 blocks no such interval exists; then it is Student's, for ratios whose logarithms are normally distributed, also for 95 %. With fewer than 3 there is none." }
                li { "Tenants are processes with limits of their own; neighbours saturate; faults are real faults." }
                li { "Median, percentiles and spread (standard deviation, n − 1) are of all samples; charts are drawn from at most " (crate::model::SAMPLES_KEPT) " of them, evenly chosen, from the first to the 99th percentile." }
                li { "How each metric is measured stands below it on the screen, and for all in " code { "docs/metrics.md" } "." }
                li { "The ideal is what hardware partitions (MIG) give by definition. It was not measured." }
            }
            h3 { "Scores" }
            (markdown(scores::FORMULA))
        }
    }
}

fn checks(report: &Report) -> Markup {
    let checked = || {
        report
            .systems
            .iter()
            .enumerate()
            .filter_map(|(index, it)| Some((index, it, it.validity.as_ref()?)))
    };
    html! {
        @if checked().next().is_some() {
            h3 { "Are the limits in force?" }
            p class="soft" { "Tried before anything was measured. Where a check does not hold, the metrics that need it have no number." }
            div class="panel scroll" tabindex="0" role="region" aria-label="Checks of limits" {
                table {
                    thead { tr { th scope="col" { "System" } th class="text" scope="col" { "Must hold" } th class="text" scope="col" { "Seen" } th scope="col" { "" } } }
                    tbody {
                        @for (index, system, validity) in checked() {
                            @for check in &validity.checks {
                                tr {
                                    th scope="row" { (key(index)) (system.system_name) }
                                    td class="text" { (check.claim) }
                                    td class="text" { (check.seen) }
                                    td { @if check.holds { span class="badge good" { "✓ holds" } } @else { span class="badge bad" { "✕ does not hold" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
