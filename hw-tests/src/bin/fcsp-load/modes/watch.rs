//! Looks at the device's memory from outside every tenant: through NVML, without a context.

use anyhow::Result;
use clap::Args;
use fcsp_hw_tests::clock;
use fcsp_hw_tests::record::{Header, Outcome, Record};

use crate::api::{Api, DefaultStream, call};
use crate::cli::Common;
use crate::gpu;
use crate::nvml::Nvml;
use crate::session::Session;

/// Options of `watch`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
}

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    let began_ns = clock::now_ns();
    let api = Api::load(common.resolve, DefaultStream::Legacy)?;
    // SAFETY: no pointers.
    unsafe { call!(api, init(0)) }?;
    let mut device = 0;
    // SAFETY: a live out-parameter.
    unsafe { call!(api, device_get(&mut device, common.device)) }?;
    let nvml = Nvml::load()?;
    // Ordinals of the two libraries differ under CUDA_VISIBLE_DEVICES; the UUID does not.
    let handle = nvml.device(&gpu::uuid(&api, device)?)?;
    let mut info = gpu::device_info(&api, device)?;
    info.driver_version = nvml.driver_version().ok();
    let mut total = 0;
    // SAFETY: a live out-parameter.
    unsafe { call!(api, device_total_mem(&mut total, device)) }?;

    let header = Header {
        mode: "watch".into(),
        pid: std::process::id(),
        device: info,
        attach_ns: clock::now_ns() - began_ns,
        context_ns: 0,
        iters_per_us: 0.0,
        grid_blocks: 0,
        total_bytes: total as u64,
    };
    // Read before the others begin, so that what they use can be told from what was there.
    let first_bytes = nvml.used_bytes(handle)?;
    let session = Session::announce(common, header, None)?;
    let start_bytes = nvml.used_bytes(handle)?;
    let (mut peak_bytes, mut reads) = (first_bytes.max(start_bytes), 1);
    let period_ns = (common.sample_ms * 1e6) as u64;
    while !session.over() {
        let t_ns = clock::now_ns();
        let used_bytes = nvml.used_bytes(handle)?;
        session.line(&Record::DeviceMemory { t_ns, used_bytes })?;
        peak_bytes = peak_bytes.max(used_bytes);
        reads += 1;
        clock::sleep_until_ns(t_ns + period_ns);
    }
    let outcome = Outcome::Watch {
        first_bytes,
        start_bytes,
        peak_bytes,
        reads,
    };
    session.finish(0, outcome, || Ok(()))
}
