//! Graphs, as the header's structures describe their nodes.

use crate::border::{Outcome, put, put_optional, rc, require};
use crate::{copy, registry};
use fcsp_sim_driver::driver::gpu;
use fcsp_sim_driver::graph::{self, NodeKind, add};
use fcsp_sim_driver::launch::{self, Kernel};
use fcsp_sim_driver::types::{Address, ExecHandle, GraphHandle, NodeHandle, UpdateResult};
use fcsp_sim_driver::{Failure, copy as neutral_copy, graph_exec, graph_memory, graph_update};
use hip_sys::{
    dim3, hipGraphExecUpdateResult, hipHostNodeParams, hipKernelNodeParams, hipMemAllocNodeParams,
    hipMemLocationType, hipMemcpy3DParms, hipMemsetParams,
};
use std::ffi::{c_uint, c_void};

unsafe fn kernel_of(params: *const hipKernelNodeParams) -> Result<Kernel, Failure> {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    let (grid, block) = (p.gridDim, p.blockDim);
    // SAFETY: the same contract.
    unsafe {
        launch::prepare(
            registry::function(p.func)?,
            [grid.x, grid.y, grid.z],
            [block.x, block.y, block.z],
            p.sharedMemBytes,
            p.kernelParams,
            p.extra,
        )
    }
}

/// `hipGraphAddKernelNode`.
pub unsafe fn add_kernel(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const hipKernelNodeParams,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        add(
            place,
            handle,
            list,
            count,
            NodeKind::Kernel(kernel_of(params)?),
        )
    }
}

/// `hipGraphExecKernelNodeSetParams`.
pub unsafe fn set_kernel(
    exec: ExecHandle,
    node: NodeHandle,
    params: *const hipKernelNodeParams,
) -> Outcome {
    // SAFETY: the same contract.
    graph_update::set_kernel(exec, node, unsafe { kernel_of(params) }?)
}

/// `hipGraphAddMemcpyNode`.
pub unsafe fn add_copy(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const hipMemcpy3DParms,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        let transfer = copy::cuboid(params)?;
        add(place, handle, list, count, NodeKind::Transfer(transfer))
    }
}

/// `hipGraphAddMemcpyNode1D`.
#[expect(clippy::too_many_arguments, reason = "the library's signature")]
pub unsafe fn add_copy_1d(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    target: Address,
    source: Address,
    bytes: usize,
    _kind: c_uint,
) -> Outcome {
    let side = |address| neutral_copy::Side {
        address,
        pitch: 0,
        slice: 0,
    };
    let transfer = neutral_copy::cuboid(side(source), side(target), bytes as u64, 1, 1)?;
    // SAFETY: the same contract.
    unsafe { add(place, handle, list, count, NodeKind::Transfer(transfer)) }
}

/// `hipGraphAddMemcpyNodeToSymbol`.
#[expect(clippy::too_many_arguments, reason = "the library's signature")]
pub unsafe fn add_to_symbol(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    symbol: *const c_void,
    source: Address,
    bytes: usize,
    offset: usize,
    kind: c_uint,
) -> Outcome {
    let target = copy::within(symbol, bytes, offset)?;
    // SAFETY: the same contract.
    unsafe { add_copy_1d(place, handle, list, count, target, source, bytes, kind) }
}

/// `hipGraphAddMemcpyNodeFromSymbol`.
#[expect(clippy::too_many_arguments, reason = "the library's signature")]
pub unsafe fn add_from_symbol(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    target: Address,
    symbol: *const c_void,
    bytes: usize,
    offset: usize,
    kind: c_uint,
) -> Outcome {
    let source = copy::within(symbol, bytes, offset)?;
    // SAFETY: the same contract.
    unsafe { add_copy_1d(place, handle, list, count, target, source, bytes, kind) }
}

/// `hipGraphKernelNodeGetParams`. Arguments are not kept, so their pointers are null.
pub unsafe fn kernel_params(node: NodeHandle, place: *mut hipKernelNodeParams) -> Outcome {
    let kernel = graph::kernel_of_node(node)?;
    let shape = |[x, y, z]: [u32; 3]| dim3 { x, y, z };
    let params = hipKernelNodeParams {
        func: registry::host_function(kernel.function)? as *mut c_void,
        gridDim: shape(kernel.grid),
        blockDim: shape(kernel.block),
        sharedMemBytes: kernel.shared_bytes,
        ..hipKernelNodeParams::default()
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, params) }
}

/// `hipGraphAddMemsetNode`.
pub unsafe fn add_fill(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const hipMemsetParams,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    require(matches!(p.elementSize, 1 | 2 | 4), rc::INVALID_VALUE)?;
    let (pitch, element) = (p.pitch as u64, u64::from(p.elementSize));
    let (width, height) = (p.width as u64, p.height as u64);
    let transfer = neutral_copy::fill(p.dst as u64, pitch, p.value, element, width, height)?;
    // SAFETY: the same contract.
    unsafe { add(place, handle, list, count, NodeKind::Transfer(transfer)) }
}

/// `hipGraphAddHostNode`.
pub unsafe fn add_host(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const hipHostNodeParams,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    let kind = NodeKind::Host {
        function: p.fn_.ok_or(rc::INVALID_VALUE)?,
        data: p.userData as u64,
    };
    // SAFETY: the same contract.
    unsafe { add(place, handle, list, count, kind) }
}

/// `hipGraphAddMemAllocNode`, for the device's own memory.
pub unsafe fn add_alloc(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *mut hipMemAllocNodeParams,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable and writable by the caller's contract.
    let p = unsafe { &mut *params };
    let location = p.poolProps.location;
    let on_device = location.type_ == hipMemLocationType::hipMemLocationTypeDevice;
    require(on_device, rc::NOT_SUPPORTED)?;
    let (kind, address) = graph_memory::node(gpu(location.id)?, p.bytesize as u64)?;
    // SAFETY: the same contract.
    unsafe { add(place, handle, list, count, kind)? };
    p.dptr = address as *mut c_void;
    Ok(())
}

/// `hipGraphMemAllocNodeGetParams`.
pub unsafe fn alloc_params(node: NodeHandle, place: *mut hipMemAllocNodeParams) -> Outcome {
    let NodeKind::Alloc(addresses) = graph::kind_of(node)? else {
        return Err(rc::INVALID_VALUE);
    };
    let mut params = hipMemAllocNodeParams::default();
    params.poolProps.allocType.0 = 1;
    params.poolProps.location.type_ = hipMemLocationType::hipMemLocationTypeDevice;
    params.poolProps.location.id = addresses.gpu.ordinal;
    params.bytesize = addresses.bytes as usize;
    params.dptr = addresses.start as *mut c_void;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, params) }
}

/// `hipGraphExecUpdate`.
pub unsafe fn update(
    exec: ExecHandle,
    from: GraphHandle,
    node: *mut NodeHandle,
    result: *mut hipGraphExecUpdateResult,
) -> Outcome {
    let found: UpdateResult = graph_update::take_over(exec, from)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put_optional(node, std::ptr::null_mut());
        put_optional(result, hipGraphExecUpdateResult(found as u32));
    }
    graph_update::outcome(found)
}

/// `hipGraphInstantiateWithFlags`: 1 frees what an earlier launch allocated, 2 uploads, 8 takes the nodes' priorities.
pub unsafe fn instantiate(place: *mut ExecHandle, handle: GraphHandle, flags: u64) -> Outcome {
    // SAFETY: the same contract.
    unsafe { graph_exec::instantiate(place, handle, flags) }
}
