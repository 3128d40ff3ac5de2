//! Asks for more memory than it may have, is refused, frees, and works on.

use anyhow::Result;
use clap::Args;
use fcsp_hw_tests::record::{Hog, Outcome};

use crate::cli::{Common, Launching, parse_bytes};
use crate::gpu::Gpu;
use crate::lanes::{Ahead, Lanes};
use crate::memory::{Allocator, Answer, Family, Held};
use crate::scale::Scale;
use crate::session::Session;
use crate::stream;

/// Options of `hog`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    launching: Launching,
    /// How much to ask for, e.g. 12G
    #[arg(long, value_parser = parse_bytes)]
    bytes: u64,
    /// In pieces of
    #[arg(long, value_parser = parse_bytes, default_value = "256M")]
    piece: u64,
    /// How
    #[arg(long, value_enum, default_value = "malloc")]
    family: Family,
    /// Lengths of the kernels run afterwards, in microseconds of the whole device
    #[arg(long, value_delimiter = ',', default_value = "250")]
    kernel_us: Vec<f64>,
}

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    let gpu = Gpu::open(
        common.device,
        common.resolve,
        options.launching.stream.default_stream(),
    )?;
    let scale = Scale::settle(common, &gpu)?;
    let ahead = Ahead::Work { ns: 50_000_000 };
    let lanes = Lanes::open(&gpu, scale, &options.launching, &options.kernel_us, ahead)?;
    let allocator = Allocator::new(&gpu, stream::create(&gpu)?)?;
    let session = Session::begin("hog", common, &gpu, Some(scale))?;
    let hog = overeat(&gpu, &allocator, options)?;
    let launches = lanes.saturate(&session)?;
    session.finish(launches, Outcome::Hog(hog), || gpu.synchronize())
}

/// Allocates until refused, frees one piece, and tries that piece again. Holds the rest.
fn overeat(gpu: &Gpu, allocator: &Allocator<'_>, options: &Options) -> Result<Hog> {
    let mut held: Vec<Held> = Vec::new();
    let mut granted_bytes = 0;
    let mut refused_bytes = None;
    while granted_bytes < options.bytes {
        let bytes = options.piece.min(options.bytes - granted_bytes);
        match allocator.alloc(options.family, bytes)? {
            Answer::Granted(granted) => {
                granted_bytes += granted.bytes;
                held.push(granted);
            }
            Answer::Refused => {
                refused_bytes = Some(bytes);
                break;
            }
        }
    }
    let (free_at_refusal_bytes, total_bytes) = gpu.memory_info()?;
    let mut recovered = false;
    if let (Some(bytes), Some(last)) = (refused_bytes, held.pop()) {
        allocator.free(last)?;
        gpu.synchronize()?;
        if let Answer::Granted(again) = allocator.alloc(options.family, bytes.min(last.bytes))? {
            recovered = true;
            held.push(again);
        }
    }
    Ok(Hog {
        asked_bytes: options.bytes,
        granted_bytes,
        refused: refused_bytes.is_some(),
        total_bytes,
        free_at_refusal_bytes,
        recovered,
    })
}
