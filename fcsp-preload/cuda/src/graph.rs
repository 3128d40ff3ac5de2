//! Handlers of calls that change an instantiated graph, or end it: what it costs is learnt anew.
//!
//! The cost of a graph is learnt by its handle, children and conditional bodies included, since they run
//! inside its launch. Graphs that a kernel launches on the device run inside the launch of the graph
//! they are launched from. After a change the old cost is the guess, and the next launch is measured;
//! so is the first launch of a graph whose handle belonged to another.

use core::ffi::c_uint;

use cuda_sys::{
    CUDA_KERNEL_NODE_PARAMS, CUDA_KERNEL_NODE_PARAMS_v1, CUDA_MEMCPY3D, CUDA_MEMSET_NODE_PARAMS,
    CUcontext, CUgraph, CUgraphExec, CUgraphExecUpdateResult, CUgraphExecUpdateResultInfo,
    CUgraphNode, CUgraphNodeParams, CUresult, fn_types,
};
use fcsp_gate::Handle;
use fcsp_program::work::graph_changed;

use crate::memory;

/// What the graph does has changed, or may have.
fn changed(exec: CUgraphExec, result: CUresult) -> CUresult {
    graph_changed(exec.number());
    result
}

/// One handler a line: name, the driver's function, arguments, of which `exec` is the graph.
macro_rules! changes {
    ($($name:ident: $real:ident(exec: CUgraphExec, $($arg:ident: $ty:ty),*);)*) => {$(
        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real), "`.")]
        pub unsafe fn $name(real: fn_types::$real, exec: CUgraphExec, $($arg: $ty),*) -> CUresult {
            // SAFETY: the program's own call, passed on.
            changed(exec, unsafe { real(exec, $($arg),*) })
        }
    )*};
}

changes! {
    update_v1: cuGraphExecUpdate(exec: CUgraphExec, graph: CUgraph, node: *mut CUgraphNode, result: *mut CUgraphExecUpdateResult);
    update: cuGraphExecUpdate_v2(exec: CUgraphExec, graph: CUgraph, result: *mut CUgraphExecUpdateResultInfo);
    set_kernel_v1: cuGraphExecKernelNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_KERNEL_NODE_PARAMS_v1);
    set_kernel: cuGraphExecKernelNodeSetParams_v2(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_KERNEL_NODE_PARAMS);
    set_copy: cuGraphExecMemcpyNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_MEMCPY3D, context: CUcontext);
    set_fill: cuGraphExecMemsetNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_MEMSET_NODE_PARAMS, context: CUcontext);
    set_child: cuGraphExecChildGraphNodeSetParams(exec: CUgraphExec, node: CUgraphNode, child: CUgraph);
    set_node: cuGraphExecNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *mut CUgraphNodeParams);
    enable: cuGraphNodeSetEnabled(exec: CUgraphExec, node: CUgraphNode, enabled: c_uint);
}

/// # Safety
///
/// As `cuGraphExecDestroy`.
pub unsafe fn destroy(real: fn_types::cuGraphExecDestroy, exec: CUgraphExec) -> CUresult {
    // SAFETY: the program's own call, passed on.
    changed(exec, unsafe { memory::graph::exec_destroy(real, exec) })
}
