//! A line for each event, and one a second.

use super::{Scene, State, View};
use anyhow::Result;
use std::io::Write;

/// Lines on stdout.
#[derive(Default)]
pub struct Plain {
    seconds_shown: u64,
}

impl View for Plain {
    fn draw(&mut self, scene: &Scene<'_>) -> Result<()> {
        let second = scene.elapsed_s as u64;
        if second > self.seconds_shown {
            self.seconds_shown = second;
            writeln!(std::io::stdout(), "{}", line(scene))?;
        }
        Ok(())
    }

    fn event(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(std::io::stdout(), "* {text}")?)
    }
}

fn line(scene: &Scene<'_>) -> String {
    let mut line = format!("{:5.1} s  {:<14}", scene.elapsed_s, scene.phase);
    for row in &scene.rows {
        line.push_str(&match row.state {
            State::Running => format!("  {} {:5.1}%", row.name, row.share * 100.0),
            State::Killed => format!("  {} killed", row.name),
            State::Ended => format!("  {}  ended", row.name),
        });
    }
    line.push_str(&format!(
        "  together {:5.1}% of one alone",
        scene.used_of_alone * 100.0
    ));
    line
}

#[cfg(test)]
mod tests {
    use super::super::Row;
    use super::*;

    #[test]
    fn a_line_says_what_everybody_gets() {
        let row = Row {
            name: "a",
            entitled: 0.25,
            share: 0.251,
            state: State::Running,
            used_bytes: 0,
            quota_bytes: 1,
            refused: 0,
        };
        let killed = Row {
            name: "b",
            state: State::Killed,
            ..row.clone()
        };
        let scene = Scene {
            phase: "two",
            elapsed_s: 3.0,
            total_s: 9.0,
            used_of_alone: 0.98,
            rows: vec![row, killed],
        };
        assert_eq!(
            line(&scene),
            "  3.0 s  two             a  25.1%  b killed  together  98.0% of one alone"
        );
    }
}
