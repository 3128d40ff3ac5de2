//! Handlers of graphs that allocate: what their allocation nodes may take is charged when a graph is
//! instantiated.
//!
//! The memory of such nodes becomes physical when the executable graph is first launched or uploaded,
//! and the driver then keeps it. A launch cannot say "out of memory" in a way programs expect, so the
//! charge is made where they do expect it, for as long as the executable graph lives, and for all its
//! nodes at once: conservative, because nodes may come to share memory. What the driver keeps beyond
//! that, until `cuDeviceGraphMemTrim`, it tells ([`charge`]); it is charged too, and trimmed before anything is
//! refused. A program that never makes such a node pays for none of this.

pub mod charge;

use core::ffi::{c_char, c_ulonglong};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use cuda_sys::{
    CUDA_GRAPH_INSTANTIATE_PARAMS, CUDA_MEM_ALLOC_NODE_PARAMS, CUdevice, CUgraph, CUgraphEdgeData,
    CUgraphExec, CUgraphNode, CUgraphNodeParams, CUgraphNodeType, CUmemLocationType, CUresult,
    fn_types,
};
use fcsp_core::ledger::live::Live;

use crate::device::{self, Device};
use crate::hooks::cuda;
use crate::memory::charge::{blocks, remember, reserve};
use crate::memory::contexts::NO_CONTEXT;
use crate::memory::graph::charge::{Change, settle};

/// True once the process made a node that allocates.
static ANY: AtomicBool = AtomicBool::new(false);
/// Graphs within graphs that are looked into.
const DEPTH_MAX: usize = 16;

/// A node that allocates was made.
pub fn note_node() {
    // Relaxed: whoever instantiates a graph has ordered that after its nodes.
    ANY.store(true, Ordering::Relaxed);
}

/// Bytes that the allocation nodes of a graph take, by device.
struct Needs(Vec<(&'static Device, u64)>);

impl Needs {
    fn of(graph: CUgraph) -> Self {
        let mut needs = Self(Vec::new());
        if ANY.load(Ordering::Relaxed) {
            needs.add_graph(graph, 0);
        }
        needs
    }

    /// Adds a graph's nodes. What the driver does not tell is left out, and reconciled.
    fn add_graph(&mut self, graph: CUgraph, depth: usize) -> Option<()> {
        let list = cuda::cuGraphGetNodes.get()?;
        let mut count = 0;
        // SAFETY: the program's graph; with no room the driver writes the count only.
        if unsafe { list(graph, ptr::null_mut(), &mut count) } != CUresult::CUDA_SUCCESS {
            return None;
        }
        let mut nodes: Vec<CUgraphNode> = vec![ptr::null_mut(); count];
        // SAFETY: there is room for `count` nodes.
        if unsafe { list(graph, nodes.as_mut_ptr(), &mut count) } != CUresult::CUDA_SUCCESS {
            return None;
        }
        for node in nodes.into_iter().take(count) {
            self.add_node(node, depth);
        }
        Some(())
    }

    fn add_node(&mut self, node: CUgraphNode, depth: usize) -> Option<()> {
        let mut kind = CUgraphNodeType::CU_GRAPH_NODE_TYPE_EMPTY;
        // SAFETY: a node of the program's graph; the driver writes its type.
        if unsafe { cuda::cuGraphNodeGetType.get()?(node, &mut kind) } != CUresult::CUDA_SUCCESS {
            return None;
        }
        if kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_GRAPH && depth < DEPTH_MAX {
            let mut child = ptr::null_mut();
            // SAFETY: a node that holds a graph; the driver writes its handle.
            let result = unsafe { cuda::cuGraphChildGraphNodeGetGraph.get()?(node, &mut child) };
            if result == CUresult::CUDA_SUCCESS {
                self.add_graph(child, depth + 1);
            }
        }
        if kind == CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_ALLOC {
            let mut params = CUDA_MEM_ALLOC_NODE_PARAMS::default();
            // SAFETY: a node that allocates; the driver writes its parameters.
            let result = unsafe { cuda::cuGraphMemAllocNodeGetParams.get()?(node, &mut params) };
            let location = params.poolProps.location;
            if result == CUresult::CUDA_SUCCESS
                && location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE
            {
                self.add(device::at(location.id)?, blocks(params.bytesize as u64));
            }
        }
        Some(())
    }

    fn add(&mut self, device: &'static Device, bytes: u64) {
        match self.0.iter_mut().find(|(it, _)| ptr::eq(*it, device)) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => self.0.push((device, bytes)),
        }
    }

    /// Reserves all or nothing.
    fn reserve(&self) -> Result<(), CUresult> {
        for (at, (device, bytes)) in self.0.iter().enumerate() {
            if let Err(refusal) = reserve(device, *bytes) {
                for (device, bytes) in &self.0[..at] {
                    device.ledger().release(*bytes);
                }
                return Err(refusal);
            }
        }
        Ok(())
    }
}

/// Instantiates `graph` as the driver does, within the quota.
///
/// # Safety
///
/// `place` is the program's own argument, valid after the driver accepted it.
unsafe fn instantiate(
    place: *mut CUgraphExec,
    graph: CUgraph,
    make: impl FnOnce() -> CUresult,
) -> CUresult {
    let needs = Needs::of(graph);
    if let Err(refusal) = needs.reserve() {
        return refusal;
    }
    let result = make();
    for (device, bytes) in needs.0 {
        if result == CUresult::CUDA_SUCCESS {
            // It comes to the device with the first launch.
            device.activity.note_lazy();
            settle(device, &Change::Instantiated(bytes));
            // SAFETY: the driver accepted and filled the pointer.
            let key = unsafe { *place } as u64;
            let kind = NO_CONTEXT;
            remember(device, &device.allocations, key, Live { bytes, kind });
        } else {
            device.ledger().release(bytes);
        }
    }
    result
}

/// # Safety
///
/// As `cuGraphInstantiate` and `cuGraphInstantiate_v2`.
pub unsafe fn instantiate_v2(
    real: fn_types::cuGraphInstantiate_v2,
    exec: *mut CUgraphExec,
    graph: CUgraph,
    error_node: *mut CUgraphNode,
    log: *mut c_char,
    log_bytes: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe {
        instantiate(exec, graph, || {
            real(exec, graph, error_node, log, log_bytes)
        })
    }
}

/// # Safety
///
/// As `cuGraphInstantiateWithFlags`.
pub unsafe fn instantiate_with_flags(
    real: fn_types::cuGraphInstantiateWithFlags,
    exec: *mut CUgraphExec,
    graph: CUgraph,
    flags: c_ulonglong,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { instantiate(exec, graph, || real(exec, graph, flags)) }
}

/// # Safety
///
/// As `cuGraphInstantiateWithParams`, or its variant for per-thread default streams.
pub unsafe fn instantiate_with_params(
    real: fn_types::cuGraphInstantiateWithParams,
    exec: *mut CUgraphExec,
    graph: CUgraph,
    params: *mut CUDA_GRAPH_INSTANTIATE_PARAMS,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { instantiate(exec, graph, || real(exec, graph, params)) }
}

/// # Safety
///
/// As `cuGraphExecDestroy`.
pub unsafe fn exec_destroy(real: fn_types::cuGraphExecDestroy, exec: CUgraphExec) -> CUresult {
    // Taken out first: once destroyed, its handle may come back for another.
    let taken: Vec<_> = if ANY.load(Ordering::Relaxed) {
        device::attached()
            .filter_map(|device| Some((device, device.allocations.remove(exec as u64)?)))
            .collect()
    } else {
        Vec::new()
    };
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(exec) };
    for (device, live) in taken {
        if result == CUresult::CUDA_SUCCESS {
            // The driver keeps the memory for other graphs.
            settle(device, &Change::Destroyed(live.bytes));
            device.ledger().release(live.bytes);
        } else {
            remember(device, &device.allocations, exec as u64, live);
        }
    }
    result
}

/// # Safety
///
/// As `cuGraphAddMemAllocNode`.
pub unsafe fn add_alloc_node(
    real: fn_types::cuGraphAddMemAllocNode,
    node: *mut CUgraphNode,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    params: *mut CUDA_MEM_ALLOC_NODE_PARAMS,
) -> CUresult {
    note_node();
    // SAFETY: the program's own call, passed on.
    unsafe { real(node, graph, dependencies, count, params) }
}

/// # Safety
///
/// `params` is null or the program's own, readable.
unsafe fn note_if_allocates(params: *const CUgraphNodeParams) {
    // SAFETY: as above; null is the driver's to refuse.
    let kind = unsafe { params.as_ref() }.map(|params| params.type_);
    // A graph within the node may allocate, but its own nodes were noted already.
    if kind == Some(CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
        note_node();
    }
}

/// # Safety
///
/// As `cuGraphAddNode`.
pub unsafe fn add_node(
    real: fn_types::cuGraphAddNode,
    node: *mut CUgraphNode,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    params: *mut CUgraphNodeParams,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe {
        note_if_allocates(params);
        real(node, graph, dependencies, count, params)
    }
}

/// # Safety
///
/// As `cuGraphAddNode_v2`.
pub unsafe fn add_node_v2(
    real: fn_types::cuGraphAddNode_v2,
    node: *mut CUgraphNode,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    edges: *const CUgraphEdgeData,
    count: usize,
    params: *mut CUgraphNodeParams,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe {
        note_if_allocates(params);
        real(node, graph, dependencies, edges, count, params)
    }
}

/// # Safety
///
/// As `cuDeviceGraphMemTrim`.
pub unsafe fn trim(real: fn_types::cuDeviceGraphMemTrim, dev: CUdevice) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(dev) };
    if result == CUresult::CUDA_SUCCESS
        && let Some(device) = device::attached().find(|device| device.ordinal == dev)
    {
        settle(device, &Change::Trimmed);
    }
    result
}
