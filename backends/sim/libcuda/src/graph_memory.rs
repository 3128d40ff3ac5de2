//! Graph nodes that allocate and free.
//!
//! An allocation node has its address from the start. Its memory becomes physical when an executable
//! graph with the node is first launched, and stays so while that executable lives; then the driver keeps
//! it for other graphs until it is trimmed. Nodes of one graph do not share memory here, and an address
//! is not given out again while any graph has its node.

use crate::border::{Outcome, put, rc, require};
use crate::driver::gpu;
use crate::graph::{self, NodeKind};
use crate::types::*;
use cuda_sys::{CUDA_MEM_ALLOC_NODE_PARAMS, CUmemLocationType};
pub use fcsp_sim_driver::graph_memory::*;

/// `cuGraphAddMemAllocNode`, for the device's own memory.
pub unsafe fn add_alloc(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
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

/// `cuGraphMemAllocNodeGetParams`.
pub unsafe fn params(node: NodeHandle, place: *mut CUDA_MEM_ALLOC_NODE_PARAMS) -> Outcome {
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
