//! A program that holds memory and works, and meanwhile asks for a little more again and again: what a
//! quota that is lowered under it must refuse, and must not harm.

use anyhow::{Context, Result, bail};
use clap::Args;
use fcsp_hw_tests::clock::{now_ns, sleep_until_ns};
use fcsp_hw_tests::record::{Attempt, Outcome};

use crate::cli::{Common, Launching, parse_bytes};
use crate::gpu::Gpu;
use crate::lanes::{Ahead, Lanes};
use crate::memory::{Allocator, Answer, Family};
use crate::scale::Scale;
use crate::session::Session;
use crate::stream;

/// Options of `grow`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    launching: Launching,
    /// Lengths of the kernels, in turn, in microseconds of the whole device
    #[arg(long, value_delimiter = ',', default_value = "100")]
    kernel_us: Vec<f64>,
    /// What it holds from the beginning, e.g. 2G
    #[arg(long, value_parser = parse_bytes)]
    bytes: u64,
    /// What it asks for, and gives back at once
    #[arg(long, value_parser = parse_bytes, default_value = "64M")]
    piece: u64,
    /// Time between two requests
    #[arg(long, default_value_t = 20.0)]
    every_ms: f64,
}

/// The way to memory that does not wait for the device when it is given back, as a plain free does.
const FAMILY: Family = Family::Create;

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    let gpu = Gpu::open(
        common.device,
        common.resolve,
        options.launching.stream.default_stream(),
    )?;
    let scale = Scale::settle(common, &gpu)?;
    let ahead = Ahead::Work { ns: 20_000_000 };
    let lanes = Lanes::open(&gpu, scale, &options.launching, &options.kernel_us, ahead)?;
    let allocator = Allocator::new(&gpu, stream::create(&gpu)?)?;
    // Held until the process ends.
    if let Answer::Refused = allocator.alloc(FAMILY, options.bytes)? {
        bail!("what it is to hold was refused");
    }
    let session = Session::begin("grow", common, &gpu, Some(scale))?;
    let (launches, attempts) = std::thread::scope(|scope| {
        let asks = scope.spawn(|| ask(&gpu, options, &session));
        let launches = lanes.saturate(&session)?;
        let attempts = asks.join().ok().context("the asking thread panicked")??;
        anyhow::Ok((launches, attempts))
    })?;
    session.finish(launches, Outcome::Grow { attempts }, || gpu.synchronize())
}

fn ask(gpu: &Gpu, options: &Options, session: &Session) -> Result<Vec<Attempt>> {
    gpu.bind_thread()?;
    let allocator = Allocator::new(gpu, stream::create(gpu)?)?;
    let period_ns = (options.every_ms * 1e6) as u64;
    let mut attempts = Vec::new();
    while !session.over() {
        let t_ns = now_ns();
        let answer = allocator.alloc(FAMILY, options.piece)?;
        attempts.push(Attempt {
            t_ns,
            granted: matches!(answer, Answer::Granted(_)),
        });
        if let Answer::Granted(held) = answer {
            allocator.free(held)?;
        }
        sleep_until_ns(t_ns + period_ns);
    }
    Ok(attempts)
}
