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

use crate::Report;
use crate::gate;
use api::Cuda;
use bench::{Bench, Kind};
use fcsp_backend_nvidia::device::is_simulated;
use fcsp_backend_nvidia::queue::{CudaGate, Handles, Pages, Streams};
use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::region::layout::GatePage;
use fcsp_core::region::{Region, run_dir};

/// What the suite found on one device with streams of one kind.
#[derive(Clone, Debug)]
pub struct Found {
    /// CUDA's number of the device in this process.
    pub ordinal: i32,
    /// The device's name.
    pub device: String,
    /// Whether it is a simulated one.
    pub simulated: bool,
    /// Which streams were taken, in turn.
    pub streams: &'static str,
    /// What was found.
    pub report: Report,
}

/// Streams that are taken in turn: beside a default stream there must be others, because the suite
/// compares two queues, and each must once be the first.
const MIXES: [(&str, &[Kind]); 5] = [
    ("created streams", &[Kind::Created]),
    (
        "the legacy default stream and created ones",
        &[Kind::Legacy, Kind::Created],
    ),
    (
        "created streams and the legacy default stream",
        &[Kind::Created, Kind::Legacy],
    ),
    (
        "the thread's default stream and created ones",
        &[Kind::PerThread, Kind::Created],
    ),
    (
        "created streams and the thread's default stream",
        &[Kind::Created, Kind::PerThread],
    ),
];

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
        let bench = Bench::new(&cuda, gate_page(ordinal)?)?;
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

/// A page as programs have it: of a region in the run directory, under a name of its own there that is
/// gone again once it is mapped.
fn gate_page(ordinal: i32) -> Result<&'static GatePage, String> {
    let run_dir = run_dir().map_err(|error| error.to_string())?;
    let directory = tempfile::Builder::new()
        .prefix("conformance-")
        .tempdir_in(&run_dir)
        .map_err(|error| format!("no directory in {}: {error}", run_dir.display()))?;
    let device = DeviceInfo {
        vendor: Vendor::Nvidia,
        id: format!("conformance-{ordinal}"),
        name: "conformance".to_owned(),
        total_bytes: 0,
        sharing: SharingMode::Exclusive,
        simulated: true,
    };
    let region = Region::create_or_open(directory.path(), &device);
    let region = Box::leak(Box::new(region.map_err(|error| error.to_string())?));
    Ok(&region.layout().slots[0].page)
}
