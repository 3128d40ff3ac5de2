//! A moving picture at the bottom of the terminal; events scroll away above it.

use super::{Row, Scene, State, View};
use anyhow::{Result, bail};
use fcsp_core::policy::memory::show_bytes;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use ratatui::{DefaultTerminal, Frame, TerminalOptions, Viewport};
use std::time::Duration;

/// Lines of the picture: a head, a line for the columns, and a line for each tenant.
const HEIGHT: u16 = 6;
/// Width of a bar.
const BAR: usize = 30;

/// The picture.
pub struct Terminal {
    terminal: DefaultTerminal,
}

impl Terminal {
    /// Takes some lines at the bottom of the terminal. An error if it does not say where its cursor
    /// is; it is then as it was.
    pub fn open() -> Result<Self> {
        let options = TerminalOptions {
            viewport: Viewport::Inline(HEIGHT),
        };
        match ratatui::try_init_with_options(options) {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                leave();
                Err(error.into())
            }
        }
    }
}

impl View for Terminal {
    fn draw(&mut self, scene: &Scene<'_>) -> Result<()> {
        self.terminal.draw(|frame| picture(frame, scene))?;
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                let interrupt =
                    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if interrupt || key.code == KeyCode::Char('q') {
                    bail!("interrupted");
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, text: &str) -> Result<()> {
        let line = Line::from(vec!["* ".dark_gray(), text.to_owned().into()]);
        self.terminal.insert_before(1, |buffer| {
            buffer.set_line(0, 0, &line, buffer.area.width);
        })?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The terminal may be gone; there is nobody left to tell.
        let _cleared = self.terminal.clear();
        let _shown = self.terminal.show_cursor();
        leave();
    }
}

/// Gives the keyboard back. Not `ratatui::restore`, which also leaves a screen of its own that is not
/// used here.
fn leave() {
    // The terminal may be gone; there is nobody left to tell.
    let _left = ratatui::crossterm::terminal::disable_raw_mode();
}

fn picture(frame: &mut Frame<'_>, scene: &Scene<'_>) {
    let mut lines = vec![
        Line::from(vec![
            Span::from(format!("{:<16}", scene.phase)).bold(),
            format!("{:5.1} of {:.0} s", scene.elapsed_s, scene.total_s).into(),
            format!(
                "   together {:.1}% of one alone",
                scene.used_of_alone * 100.0
            )
            .into(),
            "   q ends it".dark_gray(),
        ]),
        Line::from(format!(
            "    {:<width$}  {:>15}  memory",
            "compute, │ entitled",
            "",
            width = BAR
        ))
        .dark_gray(),
    ];
    lines.extend(scene.rows.iter().map(row_line));
    frame.render_widget(Paragraph::new(lines), frame.area());
}

fn row_line(row: &Row) -> Line<'static> {
    let colour = match row.state {
        State::Running => Color::Green,
        State::Killed => Color::Red,
        State::Ended => Color::DarkGray,
    };
    let share = match row.state {
        State::Running => format!("{:5.1}% of {:.0}%", row.share * 100.0, row.entitled * 100.0),
        State::Killed => "killed with -9".to_owned(),
        State::Ended => "ended".to_owned(),
    };
    let memory = row.used_bytes as f64 / row.quota_bytes.max(1) as f64;
    let refused = match row.refused {
        0 => String::new(),
        refused => format!(", refused {refused}"),
    };
    Line::from(vec![
        Span::from(format!(" {}  ", row.name)).bold(),
        Span::styled(
            bar(row.share, Some(row.entitled), BAR),
            Style::new().fg(colour),
        ),
        format!("  {share:<15}  ").into(),
        Span::styled(bar(memory, None, BAR / 3), Style::new().fg(Color::Blue)),
        format!(
            " {} of {}{refused}",
            show_bytes(row.used_bytes),
            show_bytes(row.quota_bytes)
        )
        .into(),
    ])
}

/// A bar of `width` characters, filled to `fraction`, with a mark where `mark` is.
fn bar(fraction: f64, mark: Option<f64>, width: usize) -> String {
    let cells = |fraction: f64| (fraction.clamp(0.0, 1.0) * width as f64).round() as usize;
    let (filled, mark) = (cells(fraction), mark.map(cells));
    (0..width)
        .map(|cell| match (mark == Some(cell), cell < filled) {
            (true, _) => '│',
            (false, true) => '█',
            (false, false) => '░',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;

    #[test]
    fn a_bar_is_filled_in_proportion_and_marked() {
        assert_eq!(bar(0.5, None, 4), "██░░");
        assert_eq!(bar(0.25, Some(0.5), 8), "██░░│░░░");
        assert_eq!(bar(7.0, Some(1.0), 2), "██");
    }

    #[test]
    fn the_picture_shows_everybody() {
        let row = Row {
            name: "a",
            entitled: 0.25,
            share: 0.25,
            state: State::Running,
            used_bytes: 4 << 30,
            quota_bytes: 8 << 30,
            refused: 0,
        };
        let refused = Row {
            name: "b",
            refused: 3,
            ..row.clone()
        };
        let killed = Row {
            name: "c",
            state: State::Killed,
            share: 0.0,
            ..row.clone()
        };
        let scene = Scene {
            phase: "three together",
            elapsed_s: 2.5,
            total_s: 16.0,
            used_of_alone: 0.97,
            rows: vec![row, refused, killed],
        };
        let mut terminal =
            ratatui::Terminal::new(TestBackend::new(100, HEIGHT)).expect("a test terminal");
        terminal
            .draw(|frame| picture(frame, &scene))
            .expect("drawn");
        let text = terminal.backend().to_string();
        for part in [
            "three together    2.5 of 16 s   together 97.0% of one alone",
            "25.0% of 25%",
            "4 GiB of 8 GiB, refused 3",
            "killed with -9",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
