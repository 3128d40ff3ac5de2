//! The gate suite on CUDA devices: [`run`].
//!
//! On every device that CUDA shows, in its primary context, with each kind of stream that programs
//! submit to. The words lie where the scheduler's do: in a page of a region in the run directory, which
//! the device must be able to reach.
//!
//! What is made here (contexts, streams, the mapped region) stays until the process ends: if a check
//! fails, a stream may wait for ever, and giving back its context would wait for it.

mod api;
mod bench;
mod work;

use crate::device::{Found, MIXES, gate_page};
use crate::gate;
use api::Cuda;
use bench::Bench;
use fcsp_backend_nvidia::device::is_simulated;
use fcsp_backend_nvidia::queue::{CudaGate, Handles, Pages, Streams};
use fcsp_core::backend::Vendor;

/// Runs the gate suite on every device. Takes some two seconds for each, which must be idle. A device on
/// which something failed is left at that.
///
/// # Errors
/// If the driver cannot be loaded, refuses to be set up, or refused the work that the suite measures.
pub fn run() -> Result<Vec<Found>, String> {
    let cuda = Cuda::load()?;
    let mut found = Vec::new();
    for ordinal in 0..cuda.device_count()? {
        let device = cuda.device(ordinal)?;
        let name = cuda.name(device)?;
        cuda.enter_primary_context(device)?;
        let bench = Bench::new(&cuda, gate_page(Vendor::Nvidia, ordinal)?)?;
        let pages = Pages::new(bench.page());
        for (streams, kinds) in MIXES {
            bench.take_in_turn(kinds);
            let report = gate::run(&CudaGate::new(&pages, Streams(cuda.gate), Handles), &bench);
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
