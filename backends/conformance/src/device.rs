//! What the gate suites of all vendors have in common: what was found on a device, and the page that words are in.

use crate::Report;
use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::region::layout::GatePage;
use fcsp_core::region::{Region, run_dir};

/// What the suite found on one device with streams of one kind.
#[derive(Clone, Debug)]
pub struct Found {
    /// The driver's number of the device in this process.
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

/// A kind of stream.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Made by the program.
    Created,
    /// The default stream of the device or its context.
    Legacy,
    /// The default stream of the calling thread.
    PerThread,
}

/// Streams that are taken in turn: beside a default stream there must be others, because the suite
/// compares two queues, and each must once be the first.
pub(crate) const MIXES: [(&str, &[Kind]); 5] = [
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

/// A page as programs have it: of a region in the run directory, under a name of its own there that is
/// gone again once it is mapped.
pub(crate) fn gate_page(vendor: Vendor, ordinal: i32) -> Result<&'static GatePage, String> {
    let run_dir = run_dir().map_err(|error| error.to_string())?;
    let directory = tempfile::Builder::new()
        .prefix("conformance-")
        .tempdir_in(&run_dir)
        .map_err(|error| format!("no directory in {}: {error}", run_dir.display()))?;
    let device = DeviceInfo {
        vendor,
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
