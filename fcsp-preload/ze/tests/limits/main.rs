//! What a program under the library is charged, refused, told and held back from, by each way in, on the simulated driver.

#[path = "../support/mod.rs"]
mod support;

mod memory;
mod turns;
mod ways;
