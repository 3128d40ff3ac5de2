//! The bars on simulated devices of vendors whose programs need a compiler of their own (`hw-tests/hip`, `hw-tests/ze`), under
//! the preload libraries; and a node with devices of all vendors. Simulated, so it says nothing about any vendor's timing.
//!
//! These tests run on whatever machine builds FCSP, beside whatever it builds: what that spoils of shares is measured again, twice
//! at most. Quotas are exact.

mod amd;
mod intel;
mod mixed;
mod node;

use std::sync::{Mutex, MutexGuard, PoisonError};

const TRIES: u32 = 5;
/// The bar: points of share.
const POINTS: f64 = 1.0;

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
