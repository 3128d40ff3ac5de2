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
        // What a busy machine spoils is measured again: each change makes it new.
        let becomes = |change: &dyn Fn(), fits: &dyn Fn(u64) -> bool| {
            let mut seen = Vec::new();
            for _ in 0..6 {
                change();
                // Measurements are collected one a call.
                for _ in 0..20 {
                    ok!(cuda, cuGraphLaunch(exec, own));
                    it.settle();
                }
                seen.push(it.predicted_ns() / 1000);
                if seen.last().is_some_and(|us| fits(*us)) {
                    return;
                }
            }
            panic!("{seen:?}");
        };
        let set = |us: u32| {
            kernel(&it, us, |params| {
                ok!(cuda, cuGraphExecKernelNodeSetParams_v2(exec, node, params));
            });
        };
        let update = || {
            let mut info = CUgraphExecUpdateResultInfo::default();
            ok!(cuda, cuGraphExecUpdate_v2(exec, second, &mut info));
        };
        becomes(&|| set(200), &|us| us < 10_000);
        becomes(&update, &|us| us > 15_000);
        becomes(&|| set(400), &|us| us < 10_000);
    });
}
