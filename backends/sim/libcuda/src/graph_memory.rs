//! Graph nodes that allocate and free.
//!
//! An allocation node has its address from the start. Its memory becomes physical when an executable
//! graph with the node is first launched, and stays so while that executable lives; the driver keeps it
//! longer, until it is trimmed. Nodes of one graph do not share memory here, and an address is not given
//! out again while any graph has its node.

use crate::border::{Outcome, put, rc, require};
use crate::driver::{Gpu, gpu};
use crate::graph::{self, NodeKind};
use crate::memory::{self, ALIGN_BYTES, Kind};
use cuda_sys::{
    CUDA_MEM_ALLOC_NODE_PARAMS, CUdevice, CUdeviceptr, CUgraph, CUgraphNode, CUmemLocationType,
    CUresult,
};
use std::sync::{Arc, Mutex};

/// The addresses of an allocation node.
pub struct Addresses {
    gpu: &'static Gpu,
    bytes: u64,
    start: u64,
}

impl Drop for Addresses {
    fn drop(&mut self) {
        memory::remove(self.start, |it| it.kind == Kind::Graph);
        if let Ok(arena) = self.gpu.arena() {
            arena.free(self.start, self.bytes, ALIGN_BYTES);
        }
    }
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
                if let Err(error) = memory::charge(gpu, bytes) {
                    release(&mut held);
                    return Err(error);
                }
                held.push((gpu, bytes));
            }
        }
        Ok(())
    }
}

fn release(held: &mut Vec<(&'static Gpu, u64)>) {
    for (gpu, bytes) in held.drain(..) {
        gpu.device.release(bytes);
    }
}

impl Drop for Physical {
    fn drop(&mut self) {
        release(self.0.get_mut().unwrap_or_else(|e| e.into_inner()));
    }
}

/// A node that allocates, and its address.
pub fn node(gpu: &'static Gpu, bytes: u64) -> Result<(NodeKind, CUdeviceptr), CUresult> {
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

/// `cuGraphAddMemAllocNode`, for the device's own memory.
pub unsafe fn add_alloc(
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
    count: usize,
    params: *mut CUDA_MEM_ALLOC_NODE_PARAMS,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable and writable by the caller's contract.
    let params = unsafe { &mut *params };
    let location = params.poolProps.location;
    let on_device = location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    require(on_device, rc::NOT_SUPPORTED)?;
    let (kind, address) = node(gpu(location.id)?, params.bytesize as u64)?;
    // SAFETY: the same contract.
    unsafe { graph::add(place, handle, list, count, kind)? };
    params.dptr = address;
    Ok(())
}

/// `cuGraphAddMemFreeNode`.
pub unsafe fn add_free(
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
    count: usize,
    address: CUdeviceptr,
) -> Outcome {
    let of_graph =
        memory::find(address).is_some_and(|it| it.base == address && it.kind == Kind::Graph);
    require(of_graph, rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe { graph::add(place, handle, list, count, NodeKind::Free) }
}

/// `cuGraphMemAllocNodeGetParams`.
pub unsafe fn params(node: CUgraphNode, place: *mut CUDA_MEM_ALLOC_NODE_PARAMS) -> Outcome {
    let NodeKind::Alloc(addresses) = graph::kind_of(node)? else {
        return Err(rc::INVALID_VALUE);
    };
    let mut params = CUDA_MEM_ALLOC_NODE_PARAMS::default();
    // CU_MEM_ALLOCATION_TYPE_PINNED.
    params.poolProps.allocType.0 = 1;
    params.poolProps.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    params.poolProps.location.id = addresses.gpu.ordinal;
    params.bytesize = addresses.bytes as usize;
    params.dptr = addresses.start;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, params) }
}

/// `cuDeviceGraphMemTrim`: nothing is kept beyond its executable graph.
pub unsafe fn trim(device: CUdevice) -> Outcome {
    gpu(device).map(drop)
}
