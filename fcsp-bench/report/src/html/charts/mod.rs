//! Charts as inline SVG: no script, no font, nothing loaded. Colours are the style sheet's, by the class of a system (`s0` is
//! the first); each system also has a marker of its own, so that colour is never all that tells them apart.

mod distribution;
mod forest;
mod lines;
mod radar;
mod scale;

pub(super) use distribution::distribution;
pub(super) use forest::forest;
pub(super) use lines::lines;
pub(super) use radar::radar;

use maud::{Markup, html};
use scale::{Scale, px, tick_label};

/// Width of a chart in its own units; the page scales it.
const WIDTH: f64 = 460.0;
/// What names of systems take.
const LABELS: f64 = 118.0;
/// Height of a system's row.
const ROW: f64 = 30.0;
/// Below the rows: the axis and its title.
const AXIS: f64 = 36.0;
/// Characters of a name that fit beside its row.
const NAME_LENGTH: usize = 17;

/// The marker of a system, by its place in the report.
pub(super) fn marker(index: usize, x: f64, y: f64) -> Markup {
    let class = format!("mark {}", class(index));
    let around = |points: &[(f64, f64)]| {
        let points: Vec<String> = points
            .iter()
            .map(|(dx, dy)| format!("{},{}", px(x + dx), px(y + dy)))
            .collect();
        points.join(" ")
    };
    html! {
        @match index % 6 {
            0 => rect class=(class) x=(px(x - 1.5)) y=(px(y - 6.0)) width="3" height="12" {},
            1 => circle class=(class) cx=(px(x)) cy=(px(y)) r="4.5" {},
            2 => rect class=(class) x=(px(x - 4.0)) y=(px(y - 4.0)) width="8" height="8" {},
            3 => polygon class=(class) points=(around(&[(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)])) {},
            4 => polygon class=(class) points=(around(&[(0.0, -5.0), (5.2, 4.2), (-5.2, 4.2)])) {},
            _ => polygon class=(class) points=(around(&[(0.0, 5.0), (5.2, -4.2), (-5.2, -4.2)])) {},
        }
    }
}

/// The class that gives a system its colour.
pub(super) fn class(index: usize) -> String {
    format!("s{}", index % 8)
}

/// The name of a system at the left of its row.
fn row_label(name: &str, y: f64) -> Markup {
    let short = if name.chars().count() > NAME_LENGTH {
        name.chars().take(NAME_LENGTH - 1).chain(['…']).collect()
    } else {
        name.to_owned()
    };
    html! {
        text class="name" x=(px(LABELS - 10.0)) y=(px(y + 4.0)) text-anchor="end" {
            (short)
            @if short != name { title { (name) } }
        }
    }
}

/// Lines and labels of an axis below `bottom`.
fn axis(scale: &Scale, ticks: &[f64], bottom: f64, title: &str) -> Markup {
    html! {
        g class="axis" {
            @for &tick in ticks {
                line x1=(px(scale.at(tick))) x2=(px(scale.at(tick))) y1="4" y2=(px(bottom)) {}
                text x=(px(scale.at(tick))) y=(px(bottom + 14.0)) text-anchor="middle" { (tick_label(tick)) }
            }
            text class="title" x=(px((LABELS + WIDTH) / 2.0)) y=(px(bottom + 30.0)) text-anchor="middle" { (title) }
        }
    }
}

/// An SVG of the usual width.
fn chart(label: &str, height: f64, content: &Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", px(height))) role="img" aria-label=(label) { (content) }
    }
}
