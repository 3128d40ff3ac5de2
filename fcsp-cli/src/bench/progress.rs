//! What is seen while a run measures: a line for each metric that is done, and below them, on a terminal, what runs and how
//! long is left.

use fcsp_bench::Event;
use fcsp_bench_report::model::{Metric, State, Validity};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// The view of a run, on stderr.
pub struct Progress {
    bar: ProgressBar,
    systems: usize,
    began: Instant,
    quiet: bool,
    row: Vec<(String, String)>,
}

impl Progress {
    /// A view of a run of so many systems. A quiet one says only what went wrong.
    pub fn new(systems: usize, quiet: bool) -> Self {
        let bar = match quiet {
            true => ProgressBar::hidden(),
            false => ProgressBar::new(1_000),
        };
        let style = ProgressStyle::with_template("{wide_msg}\n{bar:40} {percent:>3} %, {prefix}");
        // The template is a constant; without it the usual look is as good.
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            systems,
            began: Instant::now(),
            quiet,
            row: Vec::new(),
        }
    }

    /// Shows what happened.
    pub fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Begins { device, seconds } => {
                self.say(&format!("On {device}; this takes about {}.", span(seconds)));
                self.bar.set_prefix(format!("{} left", span(seconds)));
            }
            Event::Crowded { bytes } => self.warn(&format!(
                "{:.1} GiB of the device's memory are in use before anything runs: whoever has them may be in every figure.",
                bytes as f64 / f64::from(1 << 30)
            )),
            Event::Checks { system } => {
                self.bar
                    .set_message(format!("Are the limits of {system} in force?"));
            }
            Event::Checked { system, validity } => self.checked(system, validity),
            Event::Block {
                metric,
                system,
                block,
                blocks,
                seconds_left,
            } => {
                self.bar.set_message(format!(
                    "{} {}: {system}, block {} of {blocks}",
                    metric.id,
                    metric.name,
                    block + 1
                ));
                let elapsed = self.began.elapsed().as_secs_f64();
                let done = elapsed / (elapsed + seconds_left.max(0.0)).max(1e-9);
                self.bar.set_position((done * 1_000.0) as u64);
                self.bar.set_prefix(format!("{} left", span(seconds_left)));
            }
            Event::Done { system, metric } => self.done(system, metric),
            Event::Gone { reason } => self.warn(&format!(
                "The device cannot be used any more ({reason}); what was measured is kept."
            )),
        }
    }

    /// Takes the view away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }

    fn checked(&self, system: &str, validity: &Validity) {
        for check in validity.checks.iter().filter(|check| !check.holds) {
            self.warn(&format!(
                "{system}: it does not hold that {}: {}; {} metrics are not measured for it",
                check.claim,
                check.seen,
                check.needed_by.len()
            ));
        }
    }

    fn done(&mut self, system: &str, metric: &Metric) {
        let found = match (&metric.state, metric.value) {
            (State::Measured, Some(value)) => {
                let ratio = match metric.ratio {
                    Some(ratio) => format!(" ({:.2} of native)", ratio.value),
                    None => String::new(),
                };
                format!("{} {}{ratio}", figure(value), metric.unit)
            }
            (State::NotRun { reason }, _) => format!("not run: {reason}"),
            (State::NotValid { .. }, _) => "not valid".to_owned(),
            (State::Failed { reason }, _) => format!("failed: {reason}"),
            (State::Interrupted | State::Measured, _) => "interrupted".to_owned(),
        };
        self.row.push((system.to_owned(), found));
        if self.row.len() == self.systems {
            let row = joined(&std::mem::take(&mut self.row));
            self.say(&format!("{:<9} {}: {row}", metric.id, metric.name));
        }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    fn warn(&self, text: &str) {
        match self.bar.is_hidden() {
            true => eprintln!("{text}"),
            false => self.bar.println(text),
        }
    }
}

/// What was found of each system; once, where it is the same of all and no figure.
fn joined(row: &[(String, String)]) -> String {
    let same = row.iter().all(|(_, found)| *found == row[0].1);
    if same && row[0].1.starts_with("not run") {
        return row[0].1.clone();
    }
    row.iter()
        .map(|(system, found)| format!("{system} {found}"))
        .collect::<Vec<_>>()
        .join(" | ")
}

/// Three digits that count.
fn figure(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        m if m >= 100.0 || m == 0.0 => format!("{value:.0}"),
        m if m >= 10.0 => format!("{value:.1}"),
        m if m >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..=99 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_of_all_is_said_once() {
        let row = |found: [&str; 2]| {
            let [a, b] = found.map(str::to_owned);
            joined(&[("native".to_owned(), a), ("fcsp-strict".to_owned(), b)])
        };
        assert_eq!(row(["not run: needs 2 GPUs"; 2]), "not run: needs 2 GPUs");
        assert_eq!(row(["1 us", "2 us"]), "native 1 us | fcsp-strict 2 us");
    }

    #[test]
    fn figures_have_three_digits_and_spans_are_round() {
        assert_eq!(
            [figure(1234.5), figure(12.34), figure(1.234), figure(0.1234)],
            ["1234", "12.3", "1.23", "0.123"]
        );
        assert_eq!(
            [span(0.4), span(99.0), span(600.0), span(601.0)],
            ["0 s", "99 s", "10 min", "11 min"]
        );
    }
}
