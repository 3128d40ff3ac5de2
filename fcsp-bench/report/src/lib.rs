//! What a run of `fcsp bench` found, and everything that is made of it.
//!
//! The engine fills a [`model::Report`] and knows nothing of how it is shown; what shows it knows nothing of devices. So a
//! report can be read back from its file, compared with another one and shown again without a device.
//!
//! | What | Where |
//! |---|---|
//! | which metrics there are, what each is, how much of it is measured | [`catalogue`] |
//! | to make a metric's result from samples | [`model::Metric::measured`], [`statistics`] |
//! | to write and read a report | [`model::Report::write`], [`model::Report::read`] |
//! | one page for a browser | [`html::render`] |
//! | a table for a terminal | [`table::render`] with [`table::Look::of_stdout`] |
//! | lines for other programs | [`csv::render`] |
//! | what moved between two reports | [`compare::compare`], [`compare::render`] |
//! | scores of 0 to 100, and their formula | [`scores`] |
//!
//! Nothing here starts a process or touches a device; only `read` and `write` touch files.

mod build;
pub mod catalogue;
pub mod compare;
pub mod csv;
mod figures;
#[cfg(test)]
mod fixture;
mod grid;
#[cfg(test)]
mod hostile_tests;
pub mod html;
mod json;
#[cfg(test)]
mod look_tests;
mod missing;
pub mod model;
pub mod scores;
pub mod statistics;
pub mod table;

pub use json::{ParseError, ReadError};
