//! The bars on simulated devices of vendors whose programs need a compiler of their own (`hw-tests/hip`, `hw-tests/ze`), under
//! the preload libraries; and a node with devices of all vendors. Simulated, so it says nothing about any vendor's timing.
//!
//! The bounds of shares of Intel and of three vendors are loose, because these tests run on whatever machine builds FCSP, beside whatever it builds:
//! what a busy machine spoils is measured again, twice at most. Quotas are exact.

mod amd;
mod intel;
mod mixed;
mod node;

use std::sync::{Mutex, MutexGuard, PoisonError};

const TRIES: u32 = 3;
/// Points of share that are within what a busy machine does. On a quiet one of two processors Intel's were 0.1 to 0.9 off by way,
/// and those of three vendors at once 0.1 to 0.5.
const POINTS: f64 = 1.5;

/// Where programs run side by side a share is a floor, and on a busy machine hand-overs cost so much that side by side all
/// have more: what is judged here is turns.
const TURNS: &str = "sharing = \"exclusive\"\n";

/// One test at a time: each keeps the device's processors busy.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Measures until nothing is amiss, a few times at most.
fn eventually(measure: impl Fn() -> Vec<String>) {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let amiss = measure();
        if amiss.is_empty() {
            return;
        }
        seen.push(amiss);
    }
    panic!("{seen:#?}");
}
