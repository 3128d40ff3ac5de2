//! Graphs, instantiated and launched.
//!
//! A launch submits the nodes one after the other into one stream, in the order in which they were
//! added, which respects every dependency.

use crate::border::{Outcome, put, put_optional, rc, require};
use crate::context::cpu_cost;
use crate::graph::{Graph, NodeKind, graph};
use crate::graph_memory::Physical;
use crate::handles::Table;
use crate::stream::resolve;
use crate::types::*;
use std::ffi::{c_char, c_ulonglong};
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, Mutex};

/// A graph that can be launched.
pub struct Executable {
    /// What it does, in order.
    pub nodes: Mutex<Vec<NodeKind>>,
    /// What it was made from.
    pub graph: Arc<Graph>,
    memory: Physical,
    flags: c_ulonglong,
}

/// All of them.
pub static EXECUTABLES: Table<Executable> = Table::new(8);

/// Flags of `cuGraphInstantiateWithFlags`.
const INSTANTIATE_FLAGS: c_ulonglong = 15;
const LAUNCH_CPU_NS: u64 = 2_000;

/// `cuGraphInstantiateWithFlags`.
pub unsafe fn instantiate(
    place: *mut ExecHandle,
    handle: GraphHandle,
    flags: c_ulonglong,
) -> Outcome {
    require(
        !place.is_null() && flags & !INSTANTIATE_FLAGS == 0,
        rc::INVALID_VALUE,
    )?;
    // 4 is CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH.
    require(flags & 4 == 0, rc::NOT_SUPPORTED)?;
    let graph = graph(handle)?;
    let nodes = Mutex::new(graph.flattened());
    // SAFETY: checked above.
    unsafe {
        put(
            place,
            EXECUTABLES.insert(Executable {
                nodes,
                graph,
                memory: Physical::default(),
                flags,
            }) as ExecHandle,
        )
    }
}

/// `cuGraphInstantiate` and `_v2`, with a log that stays empty.
pub unsafe fn instantiate_log(
    place: *mut ExecHandle,
    handle: GraphHandle,
    error_node: *mut NodeHandle,
    log: *mut c_char,
    log_bytes: usize,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        put_optional(error_node, std::ptr::null_mut());
        if log_bytes > 0 {
            put_optional(log, 0);
        }
        instantiate(place, handle, 0)
    }
}

/// `cuGraphExecDestroy`.
pub unsafe fn exec_destroy(handle: ExecHandle) -> Outcome {
    EXECUTABLES
        .remove(handle)
        .map(drop)
        .ok_or(rc::INVALID_HANDLE)
}

/// `cuGraphExecGetFlags`.
pub unsafe fn exec_flags(handle: ExecHandle, place: *mut u64) -> Outcome {
    let executable = EXECUTABLES.get(handle).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, executable.flags) }
}

/// `cuGraphUpload`: nothing to upload.
pub unsafe fn upload(handle: ExecHandle, stream: StreamHandle) -> Outcome {
    EXECUTABLES.get(handle).ok_or(rc::INVALID_HANDLE)?;
    resolve(stream).map(drop)
}

/// `cuGraphLaunch`.
pub unsafe fn launch(handle: ExecHandle, stream: StreamHandle) -> Outcome {
    let executable = EXECUTABLES.get(handle).ok_or(rc::INVALID_HANDLE)?;
    let stream = resolve(stream)?;
    cpu_cost(stream.gpu, LAUNCH_CPU_NS);
    let nodes = executable.nodes.lock().unwrap_or_else(|e| e.into_inner());
    if stream.capturing.load(Acquire) {
        return stream.run(NodeKind::Child(nodes.clone()));
    }
    executable.memory.back(&nodes)?;
    stream.submit(nodes.iter().flat_map(NodeKind::ops))
}
