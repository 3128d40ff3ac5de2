//! Memory handles that another process can open.
//!
//! A handle names the exporting process, its memory file and an extent of it. The opener maps the
//! same pages; the exporter has paid for them.

use crate::border::{Outcome, put, rc, require};
use crate::context::current;
use crate::driver::{gpu, profile};
use crate::memory::{self, Allocation, Kind};
use crate::types::*;
use fcsp_sim::export::{self, Extent};
use std::ffi::c_uint;

/// What travels to the other process.
pub type Handle = [u8; 64];

/// `CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`.
const LAZY: c_uint = 1;

/// `cuIpcGetMemHandle`.
pub unsafe fn get(place: *mut Handle, address: Address) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let found = memory::find(address)
        .filter(|a| a.kind == Kind::Device)
        .ok_or(rc::INVALID_VALUE)?;
    let gpu = gpu(found.ordinal)?;
    let arena = gpu.arena()?;
    let extent = Extent::own(
        gpu.device.index(),
        arena.raw_fd(),
        found.base - arena.base(),
        found.bytes,
    );
    // SAFETY: checked above.
    unsafe { put(place, extent.to_handle()) }
}

/// `cuIpcOpenMemHandle_v2`.
pub unsafe fn open(place: *mut Address, handle: Handle, flags: c_uint) -> Outcome {
    require(!place.is_null() && flags == LAZY, rc::INVALID_VALUE)?;
    let context = current()?;
    let extent = Extent::from_handle(&handle).ok_or(rc::INVALID_VALUE)?;
    // CUDA lets no process open its own handle.
    let own = extent.pid == std::process::id();
    require(!own || profile().opens_own_handles, rc::INVALID_CONTEXT)?;
    require(
        extent.device == context.gpu.device.index(),
        rc::INVALID_DEVICE,
    )?;
    let base = extent.map().map_err(|_| rc::INVALID_VALUE)?;
    let kind = Kind::Imported;
    memory::insert(base, extent.bytes, kind, context.gpu, context.group, 0);
    // SAFETY: checked above.
    unsafe { put(place, base) }
}

/// `cuIpcCloseMemHandle`.
pub unsafe fn close(address: Address) -> Outcome {
    let imported = |a: &Allocation| a.kind == Kind::Imported;
    let context = current()?;
    memory::find(address)
        .filter(|a| imported(a))
        .ok_or(rc::INVALID_VALUE)?;
    context.gpu.queues()?.wait_group(context.group);
    let taken = memory::remove(address, imported).ok_or(rc::INVALID_VALUE)?;
    unmap(&taken);
    Ok(())
}

/// Unmaps what [`open`] mapped and that has been taken out of the registry.
pub fn unmap(allocation: &Allocation) {
    // SAFETY: exactly what `open` mapped; whoever took it out of the registry owns it.
    unsafe { export::unmap(allocation.base, allocation.bytes) };
}
