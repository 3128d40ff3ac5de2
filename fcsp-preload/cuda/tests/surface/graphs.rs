//! The cost of an instantiated graph follows what the graph does.

use crate::seen::{Gated, run_gated};
use cuda_sys::{CUDA_KERNEL_NODE_PARAMS, CUgraph, CUgraphExecUpdateResultInfo, CUgraphNode};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Calls `use_it` with the parameters of a kernel of so many microseconds.
fn kernel(it: &Gated, us: u32, use_it: impl FnOnce(&CUDA_KERNEL_NODE_PARAMS)) {
    let (mut iterations, mut counter, mut add) = (us * 100, 0_u64, 0_u64);
    let mut params: [*mut c_void; 3] = [
        (&raw mut iterations).cast(),
        (&raw mut counter).cast(),
        (&raw mut add).cast(),
    ];
    use_it(&CUDA_KERNEL_NODE_PARAMS {
        func: it.work,
        gridDimX: 132,
        gridDimY: 1,
        gridDimZ: 1,
        blockDimX: 256,
        blockDimY: 1,
        blockDimZ: 1,
        kernelParams: params.as_mut_ptr(),
        ..Default::default()
    });
}

fn graph(it: &Gated, us: u32) -> (CUgraph, CUgraphNode) {
    let (mut graph, mut node) = (null_mut(), null_mut());
    ok!(it.cuda, cuGraphCreate(&mut graph, 0));
    kernel(it, us, |params| {
        ok!(
            it.cuda,
            cuGraphAddKernelNode_v2(&mut node, graph, null_mut(), 0, params)
        );
    });
    (graph, node)
}

#[test]
fn a_changed_graph_is_measured_anew() {
    run_gated(crate::here!(), |cuda, it| {
        let own = it.stream();
        let ((first, node), (second, _)) = (graph(&it, 200), graph(&it, 20_000));
        let mut exec = null_mut();
        ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, first, 0));
        // Measurements are collected one a call; a busy machine adds to each.
        let expected_us = || {
            for _ in 0..20 {
                ok!(cuda, cuGraphLaunch(exec, own));
                it.settle();
            }
            it.predicted_ns() / 1000
        };
        let us = expected_us();
        assert!(us < 10_000, "{us}");
        let mut info = CUgraphExecUpdateResultInfo::default();
        ok!(cuda, cuGraphExecUpdate_v2(exec, second, &mut info));
        let us = expected_us();
        assert!(us > 15_000, "{us} after the update");
        kernel(&it, 400, |params| {
            ok!(cuda, cuGraphExecKernelNodeSetParams_v2(exec, node, params));
        });
        let us = expected_us();
        assert!(us < 10_000, "{us} after a node was changed");
    });
}
