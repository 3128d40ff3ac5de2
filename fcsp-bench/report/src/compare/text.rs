//! A comparison for a terminal.

use super::{AGREE_PERCENT, Basis, Change, Comparison, Verdict};
use crate::catalogue;
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

/// Of each system how many metrics agree, and of all systems together.
fn agreements(comparison: &Comparison, look: Look) -> String {
    let mut text = String::new();
    for system in &comparison.agreement {
        let moved = system.others.iter().map(|id| {
            let of_it = |it: &&Change| it.system == system.system && it.id == *id;
            match comparison
                .changes
                .iter()
                .find(of_it)
                .and_then(|it| it.percent)
            {
                Some(percent) => format!("{id} ({percent:+.1} %)"),
                None => id.clone(),
            }
        });
        let line = format!(
            "{}: score {} → {}; {}.",
            system.system,
            figures::score(system.scores[0]),
            figures::score(system.scores[1]),
            agreeing(
                system.agree,
                system.metrics,
                &moved.collect::<Vec<_>>(),
                &system.without
            ),
        );
        text.push_str(&wrapped(&line, Tone::Plain, look));
    }
    let systems = &comparison.agreement;
    if systems.len() > 1 {
        let (others, without) = (
            united(systems.iter().map(|it| &it.others)),
            united(systems.iter().map(|it| &it.without)),
        );
        // What has no value in one system only is judged by the others.
        let nowhere = without
            .into_iter()
            .filter(|id| !others.contains(id) && systems.iter().all(|it| it.without.contains(id)));
        let nowhere: Vec<String> = nowhere.collect();
        let metrics = systems.iter().map(|it| it.metrics).max().unwrap_or(0);
        let agree = metrics - others.len() - nowhere.len();
        let line = format!(
            "All systems: {}.",
            agreeing(agree, metrics, &others, &nowhere)
        );
        text.push_str(&wrapped(&line, Tone::Strong, look));
    }
    text
}

/// `50 of 56 metrics agree within 3 %, not OH-006 and IS-009; without a value: LLM-008`.
fn agreeing(agree: usize, metrics: usize, others: &[String], without: &[String]) -> String {
    let mut text = format!("{agree} of {metrics} metrics agree within {AGREE_PERCENT} %");
    if !others.is_empty() {
        text += &format!(", not {}", others.join(", "));
    }
    if !without.is_empty() {
        text += &format!("; without a value in both runs: {}", without.join(", "));
    }
    text
}

/// Ids that are in any of the lists, each once, in the order of metrics.
fn united<'a>(lists: impl Iterator<Item = &'a Vec<String>>) -> Vec<String> {
    let all: Vec<&String> = lists.flatten().collect();
    let ids = catalogue::all().map(|definition| definition.id);
    ids.filter(|id| all.iter().any(|it| it == id))
        .map(str::to_owned)
        .collect()
}
