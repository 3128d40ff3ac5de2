//! Events: marks in a stream that a thread can wait for.

use anyhow::Result;
use cuda_sys::{CUevent, CUevent_flags, CUstream};

use crate::api::call;
use crate::gpu::Gpu;

/// An event without timing whose wait sleeps rather than spins, so that many tenants fit on few
/// cores.
pub fn sleeping(gpu: &Gpu) -> Result<CUevent> {
    create(
        gpu,
        CUevent_flags::CU_EVENT_DISABLE_TIMING.0 | CUevent_flags::CU_EVENT_BLOCKING_SYNC.0,
    )
}

/// An event without timing whose wait spins, for who times it.
pub fn spinning(gpu: &Gpu) -> Result<CUevent> {
    create(gpu, CUevent_flags::CU_EVENT_DISABLE_TIMING.0)
}

fn create(gpu: &Gpu, flags: u32) -> Result<CUevent> {
    let mut event = std::ptr::null_mut();
    // SAFETY: a live out-parameter, a current context.
    unsafe { call!(gpu.api, event_create(&mut event, flags)) }?;
    Ok(event)
}

/// Marks what was submitted to `stream` so far. Events of this program are never destroyed.
pub fn record(gpu: &Gpu, event: CUevent, stream: CUstream) -> Result<()> {
    // SAFETY: a live event and a live stream of the same context.
    unsafe { call!(gpu.api, event_record(event, stream)) }
}

/// Waits until what was marked is done.
pub fn synchronize(gpu: &Gpu, event: CUevent) -> Result<()> {
    // SAFETY: created above, never destroyed.
    unsafe { call!(gpu.api, event_synchronize(event)) }
}
