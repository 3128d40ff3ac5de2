//! Scores of categories as a star.

use super::{class, marker, px};
use crate::figures;
use maud::{Markup, html};
use std::f64::consts::TAU;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 370.0;
const RADIUS: f64 = 158.0;
/// Fewer axes make no area.
const AXES_MIN: usize = 3;

/// An axis for each category, a shape for each system: its place in the report, its name and its scores, one for each
/// category. A category without a score for anybody has no axis. Nothing for fewer than three axes.
pub(crate) fn radar(
    label: &str,
    categories: &[&str],
    systems: &[(usize, &str, Vec<Option<f64>>)],
) -> Markup {
    let has_score = |&axis: &usize| systems.iter().any(|it| it.2[axis].is_some());
    let axes: Vec<usize> = (0..categories.len()).filter(has_score).collect();
    if axes.len() < AXES_MIN {
        return html! {};
    }
    let at = |axis: usize, score: f64| {
        let angle = TAU * axis as f64 / axes.len() as f64;
        let distance = RADIUS * score / 100.0;
        (
            WIDTH / 2.0 + distance * angle.sin(),
            HEIGHT / 2.0 - distance * angle.cos(),
        )
    };
    let outline = |scores: &dyn Fn(usize) -> Option<f64>| {
        let places = (0..axes.len()).filter_map(|axis| Some(at(axis, scores(axis)?)));
        let points: Vec<String> = places
            .map(|(x, y)| format!("{},{}", px(x), px(y)))
            .collect();
        points.join(" ")
    };
    html! {
        svg class="radar" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
            g class="axis" {
                @for ring in [25.0, 50.0, 75.0, 100.0] {
                    polygon class="ring" points=(outline(&|_| Some(ring))) {}
                    text x=(px(WIDTH / 2.0 + 4.0)) y=(px(HEIGHT / 2.0 - RADIUS * ring / 100.0 + 11.0)) { (ring) }
                }
                @for (place, &axis) in axes.iter().enumerate() {
                    @let end = at(place, 100.0);
                    @let label = at(place, 109.0);
                    line x1=(px(WIDTH / 2.0)) y1=(px(HEIGHT / 2.0)) x2=(px(end.0)) y2=(px(end.1)) {}
                    text class="category" x=(px(label.0)) y=(px(label.1 + 4.0)) text-anchor=(anchor(label.0)) { (categories[axis]) }
                }
            }
            @for (index, name, scores) in systems {
                polygon class=(format!("shape {}", class(*index))) points=(outline(&|place| scores[axes[place]])) {}
                @for (place, &axis) in axes.iter().enumerate() {
                    @if let Some(score) = scores[axis] {
                        @let (x, y) = at(place, score);
                        g { (marker(*index, x, y)) title { (name) ", " (categories[axis]) ": " (figures::score(Some(score))) } }
                    }
                }
            }
        }
    }
}

fn anchor(x: f64) -> &'static str {
    match x - WIDTH / 2.0 {
        ..-8.0 => "end",
        8.0.. => "start",
        _ => "middle",
    }
}
