//! A comparison for a terminal.

use super::{AGREE_PERCENT, Basis, Change, Comparison, Verdict};
use crate::figures;
use crate::grid::{Cell, Grid, Tone};
use crate::table::{Look, wrapped};

/// The comparison as text, lines ended by newlines: what was lost, what moved, what was gained, and how many did not move.
pub fn render(comparison: &Comparison, look: Look) -> String {
    let mut text = String::new();
    let mut line = |line: &str, tone: Tone| text.push_str(&wrapped(line, tone, look));
    if comparison.simulated {
        line(
            "SIMULATED DEVICES: no move tells anything about hardware.",
            Tone::Bad,
        );
    }
    let [a, b] = &comparison.started;
    line(&format!("From {a} to {b}"), Tone::Strong);
    for note in &comparison.notes {
        line(&format!("Note: {note}"), Tone::Warning);
    }
    text.push('\n');
    text.push_str(&moved(comparison, look));
    text.push_str(&agreements(comparison, look));
    text
}

fn of(comparison: &Comparison, verdict: Verdict) -> impl Iterator<Item = &Change> {
    comparison
        .changes
        .iter()
        .filter(move |it| it.verdict == verdict)
}

fn moved(comparison: &Comparison, look: Look) -> String {
    let mut grid = Grid::new(3);
    for verdict in [
        Verdict::Lost,
        Verdict::Worse,
        Verdict::Better,
        Verdict::Gained,
    ] {
        for change in of(comparison, verdict) {
            grid.row(row(change));
        }
    }
    let count = |verdict| of(comparison, verdict).count();
    let moved = count(Verdict::Worse) + count(Verdict::Better);
    let all = comparison.changes.len();
    let mut text = grid.render(look.colour);
    for change in comparison
        .changes
        .iter()
        .filter(|it| matches!(it.verdict, Verdict::Lost | Verdict::Gained))
    {
        if let Some(reason) = &change.reason {
            let line = format!("{} of {}: {reason}", change.id, change.system);
            text.push_str(&wrapped(&line, Tone::Faint, look));
        }
    }
    if of(comparison, Verdict::Worse)
        .chain(of(comparison, Verdict::Better))
        .any(|it| it.basis == Basis::Value)
    {
        text.push_str(&wrapped("By value: not held against native in its own run, so the state of the machine is in it too.", Tone::Faint, look));
    }
    let chance = match moved {
        0 => "",
        _ => {
            " (by rank tests of the blocks' ratios or of the samples; of what moved, 1 in 20 is chance, on average)"
        }
    };
    let summary = format!(
        "{moved} of {all} moved by more than noise{chance}: {} worse, {} better. {} within noise, {} with too few blocks to tell.",
        count(Verdict::Worse),
        count(Verdict::Better),
        count(Verdict::Noise),
        count(Verdict::Unclear),
    );
    text + &wrapped(&summary, Tone::Strong, look)
}

fn row(change: &Change) -> Vec<Cell> {
    let figure = |value: Option<f64>| match (value, change.basis) {
        (None, _) => "–".to_owned(),
        (Some(value), Basis::Ratio) => figures::ratio(value),
        (Some(value), Basis::Value) => figures::value(value, &change.unit),
    };
    let (word, tone) = match change.verdict {
        Verdict::Lost => ("LOST", Tone::Bad),
        Verdict::Worse => ("worse", Tone::Bad),
        Verdict::Better => ("better", Tone::Good),
        Verdict::Gained => ("gained", Tone::Good),
        Verdict::Noise | Verdict::Unclear => ("", Tone::Faint),
    };
    let percent = change
        .percent
        .map_or_else(String::new, |it| format!("{it:+.1} %"));
    let probability = change.probability.map_or_else(String::new, |it| match it {
        ..0.001 => "p < 0.001".to_owned(),
        _ => format!("p {it:.3}"),
    });
    let basis = match change.basis {
        Basis::Ratio => "",
        Basis::Value => "by value",
    };
    vec![
        Cell::of(&change.system, Tone::Plain),
        Cell::of(&change.id, Tone::Strong),
        Cell::of(&change.name, Tone::Plain),
        Cell::of(figure(change.a), Tone::Plain),
        Cell::of("→", Tone::Faint),
        Cell::of(figure(change.b), Tone::Plain),
        Cell::of(percent, tone),
        Cell::of(word, tone),
        Cell::of(probability, Tone::Faint),
        Cell::of(basis, Tone::Faint),
    ]
}

fn agreements(comparison: &Comparison, look: Look) -> String {
    let mut text = String::new();
    for system in &comparison.agreement {
        let scores = format!(
            "score {} → {}",
            figures::score(system.scores[0]),
            figures::score(system.scores[1])
        );
        let ratios = match (system.compared, system.others.join(", ")) {
            (0, _) => "no ratios to compare".to_owned(),
            (compared, others) if others.is_empty() => {
                format!("all {compared} ratios agree within {AGREE_PERCENT} %")
            }
            (compared, others) => {
                format!(
                    "{} of {compared} ratios agree within {AGREE_PERCENT} %, not {others}",
                    system.agree
                )
            }
        };
        text.push_str(&wrapped(
            &format!("{}: {scores}; {ratios}.", system.system),
            Tone::Plain,
            look,
        ));
    }
    text
}
