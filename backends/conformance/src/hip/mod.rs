//! The gate suite on HIP devices: [`run`].
//!
//! As in [`crate::cuda`], on every device that HIP shows, with each kind of stream that programs submit to. Work is a
//! function of the host that sleeps: a kernel would need code for each processor. What comes behind it in its stream waits
//! for it all the same.

mod api;
mod bench;

use crate::device::{Found, MIXES, gate_page};
use crate::gate;
use api::Hip;
use bench::Bench;
use fcsp_backend_amd::device::is_simulated;
use fcsp_backend_amd::queue::{Handles, HipGate, Pages, Streams};
use fcsp_core::backend::Vendor;

/// Runs the gate suite on every device. Takes some two seconds for each, which must be idle. A device on
/// which something failed is left at that.
///
/// # Errors
/// If the driver cannot be loaded, refuses to be set up, or refused the work that the suite measures.
pub fn run() -> Result<Vec<Found>, String> {
    let hip = Hip::load()?;
    let mut found = Vec::new();
    for ordinal in 0..hip.device_count()? {
        let name = hip.name(ordinal)?;
        hip.enter(ordinal)?;
        let bench = Bench::new(&hip, gate_page(Vendor::Amd, ordinal)?)?;
        let pages = Pages::new(bench.page());
        for (streams, kinds) in MIXES {
            bench.take_in_turn(kinds);
            let report = gate::run(&HipGate::new(&pages, Streams(hip.gate), Handles), &bench);
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
                // Streams may wait for ever now, and what comes next would stand behind them.
                break;
            }
        }
    }
    Ok(found)
}
