//! What is seen while the demo runs: a moving picture on a terminal, plain lines elsewhere.

mod plain;
mod terminal;

use anyhow::Result;
use std::io::IsTerminal;

/// What is happening now.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// In words.
    pub phase: &'a str,
    /// Seconds since the tenants began.
    pub elapsed_s: f64,
    /// Seconds until all is over.
    pub total_s: f64,
    /// All tenants together against one program alone, over the last second.
    pub used_of_alone: f64,
    /// The tenants.
    pub rows: Vec<Row>,
}

/// One tenant now. Shares are fractions.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Share it is entitled to when all are active.
    pub entitled: f64,
    /// Share it received over the last second.
    pub share: f64,
    /// How its program is.
    pub state: State,
    /// Memory it uses.
    pub used_bytes: u64,
    /// Its quota.
    pub quota_bytes: u64,
    /// Allocations refused so far.
    pub refused: u64,
}

/// How a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It was killed.
    Killed,
    /// It has ended by itself.
    Ended,
}

/// Where the demo is shown. Dropping it leaves the terminal as it was.
pub trait View {
    /// Shows what is happening now. An error if the reader wants no more.
    fn draw(&mut self, scene: &Scene<'_>) -> Result<()>;

    /// Says what has just happened.
    fn event(&mut self, text: &str) -> Result<()>;
}

/// The picture if stdout is a terminal that can show it, else lines.
pub fn open() -> Box<dyn View> {
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        match terminal::Terminal::open() {
            Ok(terminal) => return Box::new(terminal),
            Err(error) => tracing::info!("no picture on this terminal: {error:#}"),
        }
    }
    Box::new(plain::Plain::default())
}
