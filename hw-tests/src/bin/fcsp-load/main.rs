//! `fcsp-load`: the program that FCSP is measured with.
//!
//! It uses the CUDA driver API as any program does and knows nothing of FCSP: whether a preload
//! library stands between it and the driver is decided by whoever starts it. It writes what it got
//! of the device as JSON lines (see `fcsp_hw_tests::record`); it judges nothing.

mod api;
mod cli;
mod event;
mod families;
mod gpu;
mod lanes;
mod memory;
mod memory_kinds;
mod modes;
mod nvml;
mod past;
mod reading;
mod scale;
mod session;
mod stream;
mod submit;
mod throttle;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    let cli = cli::Cli::parse();
    match cli.mode {
        cli::Mode::Calibrate(options) => modes::calibrate::run(&options),
        cli::Mode::Saturate(options) => modes::saturate::run(&options),
        cli::Mode::Decode(options) => modes::decode::run(&options),
        cli::Mode::Pingpong(options) => modes::pingpong::run(&options),
        cli::Mode::Resume(options) => modes::resume::run(&options),
        cli::Mode::Copy(options) => modes::copy::run(&options),
        cli::Mode::Grow(options) => modes::grow::run(&options),
        cli::Mode::AllocRace(options) => modes::alloc_race::run(&options),
        cli::Mode::Hog(options) => modes::hog::run(&options),
        cli::Mode::Overhead(options) => modes::overhead::run(&options),
        cli::Mode::Idle(options) => modes::idle::run(&options),
        cli::Mode::Watch(options) => modes::watch::run(&options),
    }
}
