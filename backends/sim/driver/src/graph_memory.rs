//! Graph nodes that allocate and free.
//!
//! An allocation node has its address from the start. Its memory becomes physical when an executable
//! graph with the node is first launched, and stays so while that executable lives; then the driver keeps
//! it for other graphs until it is trimmed. Nodes of one graph do not share memory here, and an address
//! is not given out again while any graph has its node.

use crate::border::{Outcome, put, rc, require};
use crate::driver::{Gpu, gpu};
use crate::graph::{self, NodeKind};
use crate::memory::{self, ALIGN_BYTES, Kind};
use crate::types::*;
use std::ffi::c_int;
use std::ffi::c_uint;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard};

/// Numbers of the attributes that can be asked for.
const USED_BYTES: c_uint = 0;
const RESERVED_BYTES: c_uint = 2;

/// The addresses of an allocation node.
pub struct Addresses {
    /// Their device.
    pub gpu: &'static Gpu,
    /// Length.
    pub bytes: u64,
    /// The first.
    pub start: u64,
}

impl Drop for Addresses {
    fn drop(&mut self) {
        memory::remove(self.start, |it| it.kind == Kind::Graph);
        if let Ok(arena) = self.gpu.arena() {
            arena.free(self.start, self.bytes, ALIGN_BYTES);
        }
    }
}

/// Memory that graphs have of a device.
#[derive(Default)]
pub struct GraphMemory {
    used_bytes: u64,
    kept_bytes: u64,
}

/// The physical memory of an executable graph.
#[derive(Default)]
pub struct Physical(Mutex<Vec<(&'static Gpu, u64)>>);

impl Physical {
    /// Makes the memory of `nodes` physical, unless it is.
    pub fn back(&self, nodes: &[NodeKind]) -> Outcome {
        let mut held = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if !held.is_empty() {
            return Ok(());
        }
        for node in nodes {
            if let NodeKind::Alloc(addresses) = node {
                let (gpu, bytes) = (addresses.gpu, memory::physical_bytes(addresses.bytes));
                if let Err(error) = take(gpu, bytes) {
                    keep(&mut held);
                    return Err(error);
                }
                held.push((gpu, bytes));
            }
        }
        Ok(())
    }
}

fn of(gpu: &Gpu) -> MutexGuard<'_, GraphMemory> {
    gpu.graph_memory.lock().unwrap_or_else(|e| e.into_inner())
}

/// Takes memory out of what is kept, or from the device. Not locked meanwhile: work that ends when the device
/// is full may let go of graphs.
fn take(gpu: &'static Gpu, bytes: u64) -> Outcome {
    let kept_bytes = {
        let mut graphs = of(gpu);
        let kept_bytes = graphs.kept_bytes.min(bytes);
        graphs.kept_bytes -= kept_bytes;
        graphs.used_bytes += bytes;
        kept_bytes
    };
    memory::charge(gpu, bytes - kept_bytes).inspect_err(|_| {
        let mut graphs = of(gpu);
        graphs.kept_bytes += kept_bytes;
        graphs.used_bytes -= bytes;
    })
}

fn keep(held: &mut Vec<(&'static Gpu, u64)>) {
    for (gpu, bytes) in held.drain(..) {
        let mut graphs = of(gpu);
        graphs.used_bytes -= bytes;
        graphs.kept_bytes += bytes;
    }
}

impl Drop for Physical {
    fn drop(&mut self) {
        keep(self.0.get_mut().unwrap_or_else(|e| e.into_inner()));
    }
}

/// A node that allocates, and its address.
pub fn node(gpu: &'static Gpu, bytes: u64) -> Result<(NodeKind, Address), Failure> {
    require(bytes > 0, rc::INVALID_VALUE)?;
    let address = gpu
        .arena()?
        .alloc(bytes, ALIGN_BYTES)
        .ok_or(rc::OUT_OF_MEMORY)?;
    memory::insert(address, bytes, Kind::Graph, gpu, 0, 0);
    let addresses = Addresses {
        gpu,
        bytes,
        start: address,
    };
    Ok((NodeKind::Alloc(Arc::new(addresses)), address))
}

/// `cuGraphAddMemFreeNode`.
pub unsafe fn add_free(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    address: Address,
) -> Outcome {
    let of_graph =
        memory::find(address).is_some_and(|it| it.base == address && it.kind == Kind::Graph);
    require(of_graph, rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe { graph::add(place, handle, list, count, NodeKind::Free) }
}

/// `cuDeviceGraphMemTrim`.
pub unsafe fn trim(device: c_int) -> Outcome {
    let gpu = gpu(device)?;
    let kept_bytes = std::mem::take(&mut of(gpu).kept_bytes);
    gpu.device.release(kept_bytes);
    Ok(())
}

/// `cuDeviceGetGraphMemAttribute`, for what is there now; high-water marks are not kept.
pub unsafe fn attribute(device: c_int, attribute: c_uint, value: *mut c_void) -> Outcome {
    let graphs = of(gpu(device)?);
    let bytes = match attribute {
        USED_BYTES => graphs.used_bytes,
        RESERVED_BYTES => graphs.used_bytes + graphs.kept_bytes,
        _ => return Err(rc::NOT_SUPPORTED),
    };
    // SAFETY: the caller's pointer to a 64-bit number, null allowed.
    unsafe { put(value.cast::<u64>(), bytes) }
}
