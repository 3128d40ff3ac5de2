//! Ratios to native with their intervals.

use super::{AXIS, LABELS, ROW, Scale, WIDTH, axis, chart, class, marker, px, row_label};
use crate::catalogue::Better;
use crate::figures;
use crate::model::Ratio;
use maud::{Markup, html};

/// Where the figures stand, at the right.
const FIGURES: f64 = 62.0;
/// Ratios at which a line may stand.
const TICKS: [f64; 21] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 5.0,
    10.0, 20.0, 50.0, 100.0,
];
/// Two lines are at least that far apart.
const TICKS_APART: f64 = 30.0;

/// A row for each system that has a ratio; the side that is good is shaded. `rows` are the place of the system in the report,
/// its name and its ratio.
pub(crate) fn forest(label: &str, better: Better, rows: &[(usize, &str, Ratio)]) -> Markup {
    let left = LABELS + 4.0;
    let width = WIDTH - left - FIGURES;
    // At least from 0.94 to 1.06: a ratio of 1.001 must not look like one of 2.
    let low = rows
        .iter()
        .map(|it| it.2.low)
        .fold(0.94, f64::min)
        .max(0.01);
    let high = rows
        .iter()
        .map(|it| it.2.high)
        .fold(1.06, f64::max)
        .min(100.0);
    let scale = Scale::log(low / 1.02, high * 1.02, left, width);
    let bottom = 8.0 + ROW * rows.len() as f64;
    let one = scale.at(1.0);
    let good = match better {
        Better::Lower => (left, one),
        Better::Higher | Better::Pass => (one, left + width),
    };
    let side = match better {
        Better::Lower => "ratio to native (left is better)",
        Better::Higher | Better::Pass => "ratio to native (right is better)",
    };
    let content = html! {
        rect class="good-side" x=(px(good.0)) width=(px(good.1 - good.0)) y="4" height=(px(bottom - 4.0)) {}
        (axis(&scale, &ticks(&scale), bottom, side))
        line class="one" x1=(px(one)) x2=(px(one)) y1="4" y2=(px(bottom)) {}
        @for (row, (index, name, ratio)) in rows.iter().enumerate() {
            @let y = 8.0 + ROW * (row as f64 + 0.5);
            (row_label(name, y))
            @if ratio.confidence >= 0.95 {
                line class=(format!("whisker {}", class(*index))) x1=(px(scale.at(ratio.low))) x2=(px(scale.at(ratio.high))) y1=(px(y)) y2=(px(y)) {
                    title { (name) ": " (figures::ratio(ratio.value)) ", " (figures::interval(ratio)) " with " (format!("{:.1}", ratio.confidence * 100.0)) " % confidence, " (ratio.blocks) " blocks" }
                }
            }
            (marker(*index, scale.at(ratio.value), y))
            text class="figure" x=(px(WIDTH - 2.0)) y=(px(y + 4.0)) text-anchor="end" { (figures::ratio(ratio.value)) }
        }
    };
    chart(label, bottom + AXIS, &content)
}

fn ticks(scale: &Scale) -> Vec<f64> {
    let mut kept: Vec<f64> = vec![1.0];
    // From the middle outwards, so that 1 always has its line.
    let mut rest: Vec<f64> = TICKS
        .into_iter()
        .filter(|&it| it != 1.0 && scale.holds(it))
        .collect();
    rest.sort_by(|a, b| a.ln().abs().total_cmp(&b.ln().abs()));
    // Wide ranges want their ends before what is near 1.
    if let Some(widest) = rest.last().copied().filter(|it| it.ln().abs() > 1.0) {
        kept.push(widest);
    }
    for tick in rest {
        if kept
            .iter()
            .all(|&it| (scale.at(it) - scale.at(tick)).abs() >= TICKS_APART)
        {
            kept.push(tick);
        }
    }
    kept
}
