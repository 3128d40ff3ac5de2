//! What a run of `fcsp bench` found, and everything that is made of it.
//!
//! The engine fills a [`model::Report`] and knows nothing of how it is shown; what shows it knows nothing of devices. So a
//! report can be read back from its file, compared with another one and shown again without a device.

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
mod missing;
pub mod model;
pub mod scores;
pub mod statistics;
pub mod table;

pub use json::{ParseError, ReadError};
