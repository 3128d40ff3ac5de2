//! Values over time.

use super::{Scale, px, scale, tick_label};
use crate::figures;
use crate::model::Series;
use maud::{Markup, html};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 150.0;
const RIGHT: f64 = 84.0;
/// What a label takes.
const LABEL_APART: f64 = 13.0;

/// The lines of one system under one metric: a colour for each, what each should be as a dashed line. Nothing without points.
pub(crate) fn lines(label: &str, series: &[Series]) -> Markup {
    let points = || series.iter().flat_map(|it| &it.points);
    let targets = series.iter().filter_map(|it| it.target);
    let high = points()
        .map(|it| it.1)
        .chain(targets)
        .map(scale::bounded)
        .fold(0.0, f64::max);
    let end = points()
        .map(|it| it.0)
        .map(scale::bounded)
        .fold(0.0, f64::max);
    if points().next().is_none() {
        return html! {};
    }
    let end = if end > 0.0 { end } else { 1.0 };
    let x = Scale::linear(0.0, end, LEFT, WIDTH - LEFT - RIGHT);
    // Upside down: values rise, coordinates fall.
    let upright = Scale::linear(
        0.0,
        if high > 0.0 { high * 1.08 } else { 1.0 },
        0.0,
        BOTTOM - 10.0,
    );
    let y = |value: f64| BOTTOM - upright.at(value);
    let unit = series.first().map_or("", |it| figures::unit(&it.unit));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
            g class="axis" {
                @for tick in upright.ticks() {
                    line x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(y(tick))) y2=(px(y(tick))) {}
                    text x=(px(LEFT - 6.0)) y=(px(y(tick) + 4.0)) text-anchor="end" { (tick_label(tick)) }
                }
                @for tick in x.ticks() {
                    text x=(px(x.at(tick))) y=(px(BOTTOM + 16.0)) text-anchor="middle" { (tick_label(tick)) }
                }
                text class="title" x=(px(LEFT + (WIDTH - LEFT - RIGHT) / 2.0)) y=(px(BOTTOM + 33.0)) text-anchor="middle" { "seconds; dashed: entitled" }
                text class="title" x="2" y="12" { (unit) }
            }
            @for (index, it) in series.iter().enumerate() {
                @let class = tenant_class(index);
                @if let Some(target) = it.target {
                    line class=(format!("target {class}")) x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(y(target))) y2=(px(y(target))) {}
                }
                polyline class=(format!("series {class}")) points=(polyline(it, &x, y)) { title { (it.name) } }
            }
            @for (index, (place, it)) in labels(series, y).into_iter().enumerate() {
                text class=(format!("name {}", tenant_class(index))) x=(px(WIDTH - RIGHT + 6.0)) y=(px(place + 4.0)) { (it.name) }
            }
        }
    }
}

/// Tenants have the colours that come last, which few systems have.
fn tenant_class(index: usize) -> String {
    super::class(index + 5)
}

fn polyline(series: &Series, x: &Scale, y: impl Fn(f64) -> f64) -> String {
    let points: Vec<String> = series
        .points
        .iter()
        .map(|&(at, value)| format!("{},{}", px(x.at(at)), px(y(value))))
        .collect();
    points.join(" ")
}

/// Where the name of each line stands: at its end, and no two on each other. In the order given.
fn labels(series: &[Series], y: impl Fn(f64) -> f64) -> Vec<(f64, &Series)> {
    let last = |it: &Series| it.points.last().map_or(0.0, |point| point.1);
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by(|&a, &b| last(&series[b]).total_cmp(&last(&series[a])));
    let mut places = vec![0.0; series.len()];
    let mut lowest = f64::NEG_INFINITY;
    for index in order {
        places[index] = y(last(&series[index])).max(lowest + LABEL_APART);
        lowest = places[index];
    }
    places.into_iter().zip(series).collect()
}
