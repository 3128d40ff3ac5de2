//! Graphs, built node by node or captured.
//!
//! Owns: nodes and their order. Does not own: running them ([`crate::graph_exec`]).

use crate::border::{Outcome, put, rc, require};
use crate::launch::{self, Kernel};
use crate::types::*;
use cuda_sys::{
    CUDA_KERNEL_NODE_PARAMS, CUDA_KERNEL_NODE_PARAMS_v1, CUDA_MEMCPY3D, CUDA_MEMSET_NODE_PARAMS,
};
use fcsp_sim_driver::graph;
pub use fcsp_sim_driver::graph::*;

/// `cuGraphAddKernelNode_v2`.
pub unsafe fn add_kernel(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const CUDA_KERNEL_NODE_PARAMS,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        let kernel = kernel_of(params)?;
        add(place, handle, list, count, NodeKind::Kernel(kernel))
    }
}

/// The kernel that a node's parameters describe.
///
/// # Safety
/// `params` is null or as the driver wants it.
pub unsafe fn kernel_of(params: *const CUDA_KERNEL_NODE_PARAMS) -> Result<Kernel, Failure> {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    let function = if p.func.is_null() {
        p.kern.cast()
    } else {
        p.func.cast()
    };
    let grid = [p.gridDimX, p.gridDimY, p.gridDimZ];
    let block = [p.blockDimX, p.blockDimY, p.blockDimZ];
    // SAFETY: the same contract.
    unsafe {
        launch::prepare(
            function,
            grid,
            block,
            p.sharedMemBytes,
            p.kernelParams,
            p.extra,
        )
    }
}

/// `cuGraphAddKernelNode`, the first form.
pub unsafe fn add_kernel_v1(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const CUDA_KERNEL_NODE_PARAMS_v1,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    let grid = [p.gridDimX, p.gridDimY, p.gridDimZ];
    let block = [p.blockDimX, p.blockDimY, p.blockDimZ];
    // SAFETY: the same contract.
    unsafe {
        let kernel = launch::prepare(
            p.func.cast(),
            grid,
            block,
            p.sharedMemBytes,
            p.kernelParams,
            p.extra,
        )?;
        add(place, handle, list, count, NodeKind::Kernel(kernel))
    }
}

/// `cuGraphAddMemcpyNode`.
pub unsafe fn add_copy(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const CUDA_MEMCPY3D,
    _context: ContextHandle,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        let transfer = crate::copy::cuboid(params)?;
        add(place, handle, list, count, NodeKind::Transfer(transfer))
    }
}

/// `cuGraphAddMemsetNode`.
pub unsafe fn add_fill(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const CUDA_MEMSET_NODE_PARAMS,
    _context: ContextHandle,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    require(matches!(p.elementSize, 1 | 2 | 4), rc::INVALID_VALUE)?;
    let element = u64::from(p.elementSize);
    let (width, height) = (p.width as u64, p.height as u64);
    let transfer =
        fcsp_sim_driver::copy::fill(p.dst, p.pitch as u64, p.value, element, width, height)?;
    // SAFETY: the same contract.
    unsafe { add(place, handle, list, count, NodeKind::Transfer(transfer)) }
}

/// `cuGraphAddHostNode`.
pub unsafe fn add_host(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    params: *const cuda_sys::CUDA_HOST_NODE_PARAMS,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    let function = p.fn_.ok_or(rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe {
        add(
            place,
            handle,
            list,
            count,
            NodeKind::Host {
                function,
                data: p.userData as u64,
            },
        )
    }
}

/// `cuGraphKernelNodeGetParams_v2`. Arguments are not kept, so their pointers are null.
pub unsafe fn kernel_params(node: NodeHandle, place: *mut CUDA_KERNEL_NODE_PARAMS) -> Outcome {
    let kernel = graph::kernel_of_node(node)?;
    let params = CUDA_KERNEL_NODE_PARAMS {
        func: kernel.function as *mut _,
        gridDimX: kernel.grid[0],
        gridDimY: kernel.grid[1],
        gridDimZ: kernel.grid[2],
        blockDimX: kernel.block[0],
        blockDimY: kernel.block[1],
        blockDimZ: kernel.block[2],
        sharedMemBytes: kernel.shared_bytes,
        ..CUDA_KERNEL_NODE_PARAMS::default()
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, params) }
}
