//! How samples are spread: a ridge for each system, with its quartiles and its median.

use super::{AXIS, LABELS, ROW, Scale, WIDTH, axis, chart, class, marker, px, row_label};
use crate::figures;
use fcsp_measure::stats::quantile_sorted;
use maud::{Markup, html};

/// Points of a ridge.
const POINTS: usize = 72;

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
    let title = match unit {
        "" => "value; p25 to p75, median, p5 to p95".to_owned(),
        unit => format!("{unit}; p25 to p75, median, p5 to p95"),
    };
    let content = html! {
        (axis(&scale, &scale.ticks(), bottom, &title))
        @if let Some(ideal) = ideal {
            line class="ideal" x1=(px(scale.at(ideal))) x2=(px(scale.at(ideal))) y1="4" y2=(px(bottom)) { title { "ideal: " (figures::number(ideal)) } }
        }
        @for (place, row) in rows.iter().enumerate() {
            @let base = 8.0 + ROW * (place as f64 + 1.0) - 7.0;
            (row_label(row.name, base - 4.0))
            @if row.ascending.len() > 1 {
                path class=(format!("ridge {}", class(row.index))) d=(ridge(row, &scale, base)) {}
                line class=(format!("thin {}", class(row.index))) x1=(px(scale.at(row.quantile(0.05)))) x2=(px(scale.at(row.quantile(0.95)))) y1=(px(base)) y2=(px(base)) {}
                line class=(format!("whisker {}", class(row.index))) x1=(px(scale.at(row.quantile(0.25)))) x2=(px(scale.at(row.quantile(0.75)))) y1=(px(base)) y2=(px(base)) {
                    title { (row.name) ": p5 " (figures::number(row.quantile(0.05))) ", p25 " (figures::number(row.quantile(0.25))) ", median " (figures::number(row.quantile(0.5))) ", p75 " (figures::number(row.quantile(0.75))) ", p95 " (figures::number(row.quantile(0.95))) }
                }
                (marker(row.index, scale.at(row.quantile(0.5)), base))
            } @else {
                (marker(row.index, scale.at(row.value), base))
            }
        }
    };
    chart(label, bottom + AXIS, &content)
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
