//! Columns of text that may be coloured.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

/// Colours by what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// Titles and ids.
    Strong,
    /// What is beside the point.
    Faint,
    Good,
    Warning,
    Bad,
}

impl Tone {
    pub(crate) fn paint(self, text: &str, colour: bool) -> String {
        let style = match self {
            _ if !colour || text.is_empty() => return text.to_owned(),
            Self::Plain => return text.to_owned(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// A cell: pieces that follow each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pieces: Vec<(String, Tone)>,
}

impl Cell {
    pub(crate) fn of(text: impl Into<String>, tone: Tone) -> Self {
        Self::default().and(text, tone)
    }

    pub(crate) fn and(mut self, text: impl Into<String>, tone: Tone) -> Self {
        // A name from a file may hold anything; a line break or an escape would take the table apart.
        let text: String = text.into();
        let text = text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        self.pieces.push((text, tone));
        self
    }

    /// Its text, without colours.
    pub(crate) fn text(&self) -> String {
        self.pieces.iter().map(|it| it.0.as_str()).collect()
    }

    fn width(&self) -> usize {
        self.pieces.iter().map(|(text, _)| text.width()).sum()
    }

    fn paint(&self, colour: bool) -> String {
        self.pieces
            .iter()
            .map(|(text, tone)| tone.paint(text, colour))
            .collect()
    }
}

/// Rows of cells; a column is as wide as its widest cell.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    rows: Vec<Vec<Cell>>,
    /// Columns from the left that are aligned left; the others are right.
    left: usize,
}

/// Between columns.
const GAP: &str = "  ";

impl Grid {
    pub(crate) fn new(left: usize) -> Self {
        Self {
            rows: Vec::new(),
            left,
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(Cell::width).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }

    /// Columns that its longest line takes.
    pub(crate) fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
    }

    /// Its lines, each ended by a newline.
    pub(crate) fn render(&self, colour: bool) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column > 0 {
                    line.push_str(GAP);
                }
                let padding = " ".repeat(width - cell.width());
                let painted = cell.paint(colour);
                if column < self.left {
                    line.push_str(&painted);
                    line.push_str(&padding);
                } else {
                    line.push_str(&padding);
                    line.push_str(&painted);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
