//! How samples are spread: a ridge for each system, with its quartiles and its median.

use super::{AXIS, LABELS, ROW, Scale, WIDTH, axis, chart, class, marker, px, row_label};
use crate::figures;
use fcsp_measure::stats::{median, quantile_sorted};
use maud::{Markup, html};

/// Points of a ridge.
const POINTS: usize = 72;
/// Fewer samples than this are drawn one by one: a ridge would make a shape of nothing.
const RIDGE_FROM: usize = 20;

/// Samples of one system.
struct Row<'a> {
    index: usize,
    name: &'a str,
    ascending: Vec<f64>,
    value: f64,
}

impl Row<'_> {
    fn quantile(&self, q: f64) -> f64 {
        quantile_sorted(&self.ascending, q).unwrap_or(self.value)
    }

    /// The middle sample, or the value where there is none.
    fn median(&self) -> f64 {
        median(&self.ascending).unwrap_or(self.value)
    }

    /// Whether there is any spread to draw.
    fn spreads(&self) -> bool {
        self.ascending.first() != self.ascending.last()
    }
}

/// A row for each system: its place in the report, its name, its value and its samples, which may be none. `unit` is of the
/// values, `ideal` a value to mark.
pub(crate) fn distribution(
    label: &str,
    unit: &str,
    ideal: Option<f64>,
    rows: &[(usize, &str, f64, &[f64])],
) -> Markup {
    let rows: Vec<Row> = rows
        .iter()
        .map(|&(index, name, value, samples)| {
            let mut ascending = samples.to_vec();
            ascending.sort_by(f64::total_cmp);
            Row {
                index,
                name,
                ascending,
                value,
            }
        })
        .collect();
    // From the first to the 99th percentile: one sample far out must not press the others into a line.
    let ends = rows
        .iter()
        .flat_map(|row| [row.quantile(0.01), row.quantile(0.99), row.value]);
    let scale = Scale::around(ends.chain(ideal), LABELS + 4.0, WIDTH - LABELS - 10.0);
    let bottom = 8.0 + ROW * rows.len() as f64;
    let shown = if rows
        .iter()
        .any(|it| it.spreads() && it.ascending.len() >= RIDGE_FROM)
    {
        "median, p25 to p75, p5 to p95"
    } else {
        "median and samples"
    };
    let title = match unit {
        "" => shown.to_owned(),
        unit => format!("{unit}; {shown}"),
    };
    let content = html! {
        (axis(&scale, &scale.ticks(), bottom, &title))
        @if let Some(ideal) = ideal {
            line class="ideal" x1=(px(scale.at(ideal))) x2=(px(scale.at(ideal))) y1="4" y2=(px(bottom)) { title { "ideal: " (figures::number(ideal)) } }
        }
        @for (place, row) in rows.iter().enumerate() {
            @let base = 8.0 + ROW * (place as f64 + 1.0) - 7.0;
            (row_label(row.name, base - 4.0))
            @if row.spreads() { (spread(row, &scale, base)) }
            (marker(row.index, scale.at(row.median()), base))
        }
    };
    chart(label, bottom + AXIS, &content)
}

/// What is around the median: a ridge with its quartiles, or a few dots.
fn spread(row: &Row, scale: &Scale, base: f64) -> Markup {
    let class = class(row.index);
    if row.ascending.len() < RIDGE_FROM {
        return html! {
            @for &sample in &row.ascending {
                circle class=(format!("dot {class}")) cx=(px(scale.at(sample))) cy=(px(base)) r="3" { title { (row.name) ": " (figures::number(sample)) } }
            }
        };
    }
    let bar = |kind: &str, low: f64, high: f64| {
        html! {
            line class=(format!("{kind} {class}")) x1=(px(scale.at(row.quantile(low)))) x2=(px(scale.at(row.quantile(high)))) y1=(px(base)) y2=(px(base)) {
                title {
                    (row.name) ":"
                    @for (name, part) in [("p5", 0.05), ("p25", 0.25), ("median", 0.5), ("p75", 0.75), ("p95", 0.95)] { " " (name) " " (figures::number(row.quantile(part))) }
                }
            }
        }
    };
    html! {
        path class=(format!("ridge {class}")) d=(ridge(row, scale, base)) {}
        (bar("thin", 0.05, 0.95))
        (bar("whisker", 0.25, 0.75))
    }
}

/// The outline of a density above `base`: a Gaussian kernel, as wide as Silverman says (*Density Estimation*, 1986, 3.31), in
/// pixels, so that it is right on a logarithmic axis too.
fn ridge(row: &Row, scale: &Scale, base: f64) -> String {
    let places: Vec<f64> = row.ascending.iter().map(|&it| scale.at(it)).collect();
    let count = places.len() as f64;
    let mean = places.iter().sum::<f64>() / count;
    let deviation = (places.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / count).sqrt();
    let middle = scale.at(row.quantile(0.75)) - scale.at(row.quantile(0.25));
    let spread = if middle > 0.0 {
        deviation.min(middle / 1.34)
    } else {
        deviation
    };
    let bandwidth = (0.9 * spread * count.powf(-0.2)).max(1.0);
    let density = |x: f64| -> f64 {
        places
            .iter()
            .map(|it| (-0.5 * ((x - it) / bandwidth).powi(2)).exp())
            .sum()
    };
    let (from, to) = (
        scale.at(row.quantile(0.01)) - 4.0,
        scale.at(row.quantile(0.99)) + 4.0,
    );
    let at = |point: usize| from + (to - from) * point as f64 / (POINTS - 1) as f64;
    let heights: Vec<f64> = (0..POINTS).map(|point| density(at(point))).collect();
    let tallest = heights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut path = format!("M{} {}", px(from), px(base));
    for (point, height) in heights.iter().enumerate() {
        path.push_str(&format!(
            "L{} {}",
            px(at(point)),
            px(base - (ROW - 9.0) * height / tallest)
        ));
    }
    path.push_str(&format!("L{} {}Z", px(to), px(base)));
    path
}
