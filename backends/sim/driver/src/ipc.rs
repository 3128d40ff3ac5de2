//! Memory handles that another process can open.
//!
//! A handle names the exporting process, its memory file and an extent of it. The opener maps the
//! same pages; the exporter has paid for them.

use crate::border::{Outcome, put, rc, require};
use crate::context::current;
use crate::driver::{gpu, profile};
use crate::memory::{self, Allocation, Kind};
use crate::types::*;
use std::ffi::{c_uint, c_void};
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;

/// What travels to the other process.
pub type Handle = [u8; 64];

const MAGIC: [u8; 8] = *b"fcspipc1";
const PAGE_BYTES: u64 = 4096;
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
    let numbers = [
        u64::from(std::process::id()) << 32 | u64::from(gpu.device.index()),
        arena.raw_fd() as u64,
        found.base - arena.base(),
        found.bytes,
    ];
    let mut reserved = [0_u8; 64];
    reserved[..8].copy_from_slice(&MAGIC);
    for (at, number) in numbers.iter().enumerate() {
        reserved[8 + at * 8..16 + at * 8].copy_from_slice(&number.to_ne_bytes());
    }
    // SAFETY: checked above.
    unsafe { put(place, reserved) }
}

/// `cuIpcOpenMemHandle_v2`.
pub unsafe fn open(place: *mut Address, handle: Handle, flags: c_uint) -> Outcome {
    require(!place.is_null() && flags == LAZY, rc::INVALID_VALUE)?;
    let context = current()?;
    let bytes = handle;
    require(bytes[..8] == MAGIC, rc::INVALID_VALUE)?;
    let number = |at: usize| {
        let mut value = [0; 8];
        value.copy_from_slice(&bytes[8 + at * 8..16 + at * 8]);
        u64::from_ne_bytes(value)
    };
    let (pid, index) = ((number(0) >> 32) as u32, number(0) as u32);
    let (fd, offset, length) = (number(1), number(2), number(3));
    // CUDA lets no process open its own handle.
    let own = pid == std::process::id();
    require(!own || profile().opens_own_handles, rc::INVALID_CONTEXT)?;
    require(index == context.gpu.device.index(), rc::INVALID_DEVICE)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{pid}/fd/{fd}"))
        .map_err(|_| rc::INVALID_VALUE)?;
    // Extents begin at multiples of 512 bytes, mappings at pages.
    let start = offset / PAGE_BYTES * PAGE_BYTES;
    let span = (offset + length - start).next_multiple_of(PAGE_BYTES);
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            span as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_NORESERVE,
            file.as_raw_fd(),
            start as i64,
        )
    };
    require(mapped != libc::MAP_FAILED, rc::OUT_OF_MEMORY)?;
    let base = mapped as u64 + (offset - start);
    memory::insert(base, length, Kind::Imported, context.gpu, context.group, 0);
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
    let start = allocation.base / PAGE_BYTES * PAGE_BYTES;
    let span = (allocation.base + allocation.bytes - start).next_multiple_of(PAGE_BYTES);
    // SAFETY: exactly what `open` mapped; whoever took it out of the registry owns it.
    unsafe { libc::munmap(start as *mut c_void, span as usize) };
}
