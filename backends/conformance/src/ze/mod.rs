//! The gate suite on Intel devices: [`run`].
//!
//! As in [`crate::cuda`], on every GPU that Level Zero shows, with immediate lists, with command queues, and with both in
//! turn.

mod api;
mod bench;
mod module;

use crate::device::{Found, gate_page};
use crate::gate;
use api::LevelZero;
use bench::{Bench, Kind};
use fcsp_backend_intel::device::is_simulated;
use fcsp_backend_intel::queue::{Handles, Pages, Streams, ZeGate};
use fcsp_core::backend::Vendor;

/// Queues that are taken in turn.
const MIXES: [(&str, &[Kind]); 3] = [
    ("immediate lists", &[Kind::Immediate]),
    ("command queues", &[Kind::Queue]),
    (
        "immediate lists and command queues",
        &[Kind::Immediate, Kind::Queue],
    ),
];

/// Runs the gate suite on every device. Takes some two seconds for each, which must be idle. A device on which something
/// failed is left at that.
///
/// # Errors
/// If the loader cannot be loaded, a driver refuses to be set up, or refused the work that the suite measures.
pub fn run() -> Result<Vec<Found>, String> {
    let ze = LevelZero::load()?;
    let mut found = Vec::new();
    for (ordinal, (driver, device)) in ze.gpus()?.into_iter().enumerate() {
        let ordinal = ordinal as i32;
        let name = ze.name(device)?;
        let bench = Bench::new(&ze, driver, device, gate_page(Vendor::Intel, ordinal)?)?;
        let pages = Pages::new(bench.page());
        for (streams, kinds) in MIXES {
            bench.take_in_turn(kinds);
            let gate = ZeGate::new(&pages, Streams(bench.gate()), Handles);
            let report = gate::run(&gate, &bench);
            bench
                .refused()
                .map_or(Ok(()), |error| Err(format!("{name}, {streams}: {error}")))?;
            let passed = report.passed();
            found.push(Found {
                ordinal,
                simulated: is_simulated(&name),
                device: name.clone(),
                streams,
                report,
            });
            if !passed {
                // Queues may wait for ever now, and what comes next would stand behind them.
                break;
            }
        }
    }
    Ok(found)
}
