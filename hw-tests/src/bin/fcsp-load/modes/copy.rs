//! Large copies, one after another: a neighbour that keeps the device's memory or the bus busy and
//! launches nothing.

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use cuda_sys::{CU_MEMHOSTALLOC_PORTABLE, CUdeviceptr, CUstream};
use fcsp_hw_tests::record::Outcome;
use std::ffi::c_void;

use crate::api::{DefaultStream, call};
use crate::cli::{Common, parse_bytes};
use crate::gpu::Gpu;
use crate::session::Session;
use crate::stream;
use crate::throttle::Throttle;

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Within the device's memory
    Device,
    /// From pinned memory of the host, and back
    Host,
}

/// Options of `copy`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// From where to where
    #[arg(long, value_enum, default_value = "device")]
    way: Way,
    /// Size of a copy
    #[arg(long, value_parser = parse_bytes, default_value = "256M")]
    bytes: u64,
    /// Most copies in flight in a direction
    #[arg(long, default_value_t = 8)]
    depth: u64,
}

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    ensure!(options.bytes > 0, "a copy has a size");
    let gpu = Gpu::open(common.device, common.resolve, DefaultStream::Legacy)?;
    let between = match options.way {
        Way::Device => vec![Between::Device {
            from: on_device(&gpu, options)?,
            to: on_device(&gpu, options)?,
        }],
        Way::Host => vec![
            Between::HostToDevice {
                from: on_host(&gpu, options)?,
                to: on_device(&gpu, options)?,
            },
            Between::DeviceToHost {
                from: on_device(&gpu, options)?,
                to: on_host(&gpu, options)?,
            },
        ],
    };
    let mut copies: Vec<Copies> = between
        .into_iter()
        .map(|between| Copies::new(&gpu, options, between))
        .collect::<Result<_>>()?;
    let session = Session::begin("copy", common, &gpu, None)?;
    let mut count = 0;
    while !session.over() {
        for direction in &mut copies {
            direction.submit(&gpu)?;
            count += 1;
        }
    }
    let outcome = Outcome::Copy {
        copies: count,
        bytes: options.bytes,
    };
    session.finish(count, outcome, || gpu.synchronize())
}

/// Between which places.
#[derive(Clone, Copy)]
enum Between {
    Device {
        from: CUdeviceptr,
        to: CUdeviceptr,
    },
    HostToDevice {
        from: *const c_void,
        to: CUdeviceptr,
    },
    DeviceToHost {
        from: CUdeviceptr,
        to: *mut c_void,
    },
}

/// Copies in one direction, on a stream of their own.
struct Copies<'a> {
    between: Between,
    bytes: usize,
    stream: CUstream,
    throttle: Throttle<'a>,
}

impl<'a> Copies<'a> {
    fn new(gpu: &'a Gpu, options: &Options, between: Between) -> Result<Self> {
        let stream = stream::create(gpu)?;
        Ok(Self {
            between,
            bytes: options.bytes as usize,
            stream,
            throttle: Throttle::new(gpu, stream, options.depth),
        })
    }

    fn submit(&mut self, gpu: &Gpu) -> Result<()> {
        let (bytes, stream, api) = (self.bytes, self.stream, &gpu.api);
        // SAFETY: both places were allocated with this many bytes and are never freed.
        unsafe {
            match self.between {
                Between::Device { from, to } => {
                    call!(api, memcpy_device(to, from, bytes, stream))
                }
                Between::HostToDevice { from, to } => {
                    call!(api, memcpy_to_device(to, from, bytes, stream))
                }
                Between::DeviceToHost { from, to } => {
                    call!(api, memcpy_to_host(to, from, bytes, stream))
                }
            }
        }?;
        self.throttle.submitted(1)
    }
}

fn on_device(gpu: &Gpu, options: &Options) -> Result<CUdeviceptr> {
    let mut pointer = 0;
    // SAFETY: a live out-parameter, a current context.
    unsafe { call!(gpu.api, mem_alloc(&mut pointer, options.bytes as usize)) }?;
    Ok(pointer)
}

fn on_host(gpu: &Gpu, options: &Options) -> Result<*mut c_void> {
    let mut pointer = std::ptr::null_mut();
    let (bytes, flags) = (options.bytes as usize, CU_MEMHOSTALLOC_PORTABLE);
    // SAFETY: a live out-parameter, a current context.
    unsafe { call!(gpu.api, mem_host_alloc(&mut pointer, bytes, flags)) }?;
    Ok(pointer)
}
