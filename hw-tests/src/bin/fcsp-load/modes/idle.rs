//! A tenant that is there and does nothing, perhaps holding memory.

use anyhow::Result;
use clap::Args;
use fcsp_hw_tests::clock;
use fcsp_hw_tests::record::Outcome;

use crate::api::{DefaultStream, call};
use crate::cli::{Common, parse_bytes};
use crate::gpu::Gpu;
use crate::session::Session;

/// Options of `idle`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Device memory to hold, e.g. 512M
    #[arg(long, value_parser = parse_bytes, default_value = "0")]
    bytes: u64,
}

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    let gpu = Gpu::open(common.device, common.resolve, DefaultStream::Legacy)?;
    if options.bytes > 0 {
        let mut pointer = 0;
        // SAFETY: a live out-parameter, a current context. Held until the process ends.
        unsafe { call!(gpu.api, mem_alloc(&mut pointer, options.bytes as usize)) }?;
    }
    let session = Session::begin("idle", common, &gpu, None)?;
    clock::sleep_until_ns(session.end_ns);
    session.finish(0, Outcome::Idle, || Ok(()))
}
