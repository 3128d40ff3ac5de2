//! Handlers of calls that change an instantiated graph, or end it: what it costs is learnt anew.

use core::ffi::{c_uint, c_void};

use fcsp_gate::Handle;
use fcsp_program::work::graph_changed;
use hip_sys::{
    HIP_MEMCPY3D, HIP_MEMSET_NODE_PARAMS, fn_types, hipCtx_t, hipError_t, hipGraph_t,
    hipGraphExec_t, hipGraphExecUpdateResult, hipGraphNode_t, hipGraphNodeParams,
    hipKernelNodeParams, hipMemcpy3DParms, hipMemcpyKind, hipMemsetParams,
};

use crate::memory;
use crate::since_7::fn_types as since_7;

/// What the graph does has changed, or may have.
fn changed(exec: hipGraphExec_t, result: hipError_t) -> hipError_t {
    graph_changed(exec.number());
    result
}

/// Where the functions' types are; then one handler a line: name, the driver's function, arguments, of which `exec` is the
/// graph.
macro_rules! changes {
    ($types:ident: $($name:ident: $real:ident(exec: hipGraphExec_t, $($arg:ident: $ty:ty),*);)*) => {$(
        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real), "`.")]
        #[allow(clippy::too_many_arguments, reason = "the driver's")]
        pub unsafe fn $name(real: $types::$real, exec: hipGraphExec_t, $($arg: $ty),*) -> hipError_t {
            // SAFETY: the program's own call, passed on.
            changed(exec, unsafe { real(exec, $($arg),*) })
        }
    )*};
}

changes! {
    fn_types:
    update: hipGraphExecUpdate(exec: hipGraphExec_t, graph: hipGraph_t, node: *mut hipGraphNode_t, result: *mut hipGraphExecUpdateResult);
    set_kernel: hipGraphExecKernelNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, params: *const hipKernelNodeParams);
    set_copy: hipGraphExecMemcpyNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, params: *mut hipMemcpy3DParms);
    set_copy_1d: hipGraphExecMemcpyNodeSetParams1D(exec: hipGraphExec_t, node: hipGraphNode_t, to: *mut c_void, from: *const c_void, bytes: usize, kind: hipMemcpyKind);
    set_copy_from_symbol: hipGraphExecMemcpyNodeSetParamsFromSymbol(exec: hipGraphExec_t, node: hipGraphNode_t, to: *mut c_void, symbol: *const c_void, bytes: usize, offset: usize, kind: hipMemcpyKind);
    set_copy_to_symbol: hipGraphExecMemcpyNodeSetParamsToSymbol(exec: hipGraphExec_t, node: hipGraphNode_t, symbol: *const c_void, from: *const c_void, bytes: usize, offset: usize, kind: hipMemcpyKind);
    set_driver_copy: hipDrvGraphExecMemcpyNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, params: *const HIP_MEMCPY3D, context: hipCtx_t);
    set_fill: hipGraphExecMemsetNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, params: *const hipMemsetParams);
    set_driver_fill: hipDrvGraphExecMemsetNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, params: *const HIP_MEMSET_NODE_PARAMS, context: hipCtx_t);
    set_child: hipGraphExecChildGraphNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, child: hipGraph_t);
    set_node: hipGraphExecNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, params: *mut hipGraphNodeParams);
    enable: hipGraphNodeSetEnabled(exec: hipGraphExec_t, node: hipGraphNode_t, enabled: c_uint);
}

changes! {
    since_7:
    set_signal: hipGraphExecExternalSemaphoresSignalNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, params: *const c_void);
    set_wait: hipGraphExecExternalSemaphoresWaitNodeSetParams(exec: hipGraphExec_t, node: hipGraphNode_t, params: *const c_void);
}

/// # Safety
///
/// As `hipGraphExecDestroy`.
pub unsafe fn destroy(real: fn_types::hipGraphExecDestroy, exec: hipGraphExec_t) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    changed(exec, unsafe { memory::graph::exec_destroy(real, exec) })
}
