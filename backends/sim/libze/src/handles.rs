//! Which table a handle belongs to.

use crate::border::{rc, require};
use crate::context::Context;
use crate::event::{Event, Pool};
use crate::fence::Fence;
use crate::image::Image;
use crate::kernel::Kernel;
use crate::list::List;
use crate::module::{BuildLog, Module};
use crate::physical::Physical;
use crate::queue::Queue;
use fcsp_sim_driver::handles::{Table, base};
use level_zero_sys::ze_result_t;
use std::sync::Arc;

/// All contexts.
pub static CONTEXTS: Table<Context> = Table::new(1);
/// All command queues.
pub static QUEUES: Table<Queue> = Table::new(2);
/// All command lists.
pub static LISTS: Table<List> = Table::new(3);
/// All fences.
pub static FENCES: Table<Fence> = Table::new(4);
/// All event pools.
pub static POOLS: Table<Pool> = Table::new(5);
/// All events.
pub static EVENTS: Table<Event> = Table::new(6);
/// All modules.
pub static MODULES: Table<Module> = Table::new(7);
/// All build logs.
pub static BUILD_LOGS: Table<BuildLog> = Table::new(8);
/// All kernels.
pub static KERNELS: Table<Kernel> = Table::new(9);
/// All physical memory.
pub static PHYSICAL: Table<Physical> = Table::new(10);
/// All images.
pub static IMAGES: Table<Image> = Table::new(11);
/// Kinds of handles that are made from numbers: drivers, devices, Sysman's memory modules and engines.
pub const DRIVER: usize = 12;
/// See [`DRIVER`].
pub const DEVICE: usize = 13;
/// See [`DRIVER`].
pub const MEMORY_MODULE: usize = 14;
/// See [`DRIVER`].
pub const ENGINE: usize = 15;

/// The object of a handle.
pub fn get<T, H>(table: &Table<T>, handle: *mut H) -> Result<Arc<T>, ze_result_t> {
    require(!handle.is_null(), rc::NULL_HANDLE)?;
    table.get(handle).ok_or(rc::INVALID_ARGUMENT)
}

/// Takes the object of a handle out.
pub fn take<T, H>(table: &Table<T>, handle: *mut H) -> Result<Arc<T>, ze_result_t> {
    require(!handle.is_null(), rc::NULL_HANDLE)?;
    table.remove(handle).ok_or(rc::INVALID_ARGUMENT)
}

/// The handle of something that is known by a number and never goes away.
pub fn numbered<H>(kind: usize, number: usize) -> *mut H {
    std::ptr::without_provenance_mut(((number + 1) << 8 | kind << 4) ^ base() as usize)
}

/// The number behind such a handle.
pub fn number<H>(kind: usize, handle: *mut H) -> Result<usize, ze_result_t> {
    require(!handle.is_null(), rc::NULL_HANDLE)?;
    let raw = handle.addr() ^ base() as usize;
    require(
        raw & 0xff == kind << 4 && raw >> 8 > 0,
        rc::INVALID_ARGUMENT,
    )?;
    Ok((raw >> 8) - 1)
}
