//! Graphs whose nodes allocate.

use crate::support::{Library, MIB, TENANT};
use cuda_sys::{
    CUDA_MEM_ALLOC_NODE_PARAMS, CUgraph, CUgraphExec, CUgraphNode, CUmemLocationType, CUresult,
    CUstream, CUstreamCaptureMode,
};
use std::ptr::{null, null_mut};

/// A graph with one node that allocates.
fn graph(cuda: &Library, mib: u64) -> CUgraph {
    let mut graph: CUgraph = null_mut();
    ok!(cuda, cuGraphCreate(&mut graph, 0));
    let mut params = CUDA_MEM_ALLOC_NODE_PARAMS::default();
    // CU_MEM_ALLOCATION_TYPE_PINNED.
    params.poolProps.allocType.0 = 1;
    params.poolProps.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    params.bytesize = (mib * MIB) as usize;
    let mut node: CUgraphNode = null_mut();
    ok!(
        cuda,
        cuGraphAddMemAllocNode(&mut node, graph, null(), 0, &mut params)
    );
    assert_ne!(params.dptr, 0);
    graph
}

#[test]
fn a_graph_is_charged_what_it_allocates_while_it_can_be_launched() {
    TENANT.run(crate::here!(), |cuda| {
        let small = graph(cuda, 100);
        assert_eq!(cuda.charged_mib(), 0, "only described");
        let mut exec: CUgraphExec = null_mut();
        ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, small, 0));
        assert_eq!(cuda.charged_mib(), 100);
        ok!(cuda, cuGraphLaunch(exec, null_mut()));
        ok!(cuda, cuGraphLaunch(exec, null_mut()));
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 100, "its memory is used again");
        let large = graph(cuda, 1600);
        let mut never: CUgraphExec = null_mut();
        refused!(cuda, cuGraphInstantiateWithFlags(&mut never, large, 0));
        refused!(
            cuda,
            cuGraphInstantiate_v2(&mut never, large, null_mut(), null_mut(), 0)
        );
        assert_eq!(cuda.charged_mib(), 100);
        ok!(cuda, cuGraphExecDestroy(exec));
        assert_eq!(cuda.charged_mib(), 100, "the driver keeps it");
        ok!(cuda, cuDeviceGraphMemTrim(0));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_full_tenant_gets_what_the_driver_keeps_for_graphs() {
    TENANT.run(crate::here!(), |cuda| {
        let mut exec: CUgraphExec = null_mut();
        let large = graph(cuda, 1000);
        ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, large, 0));
        ok!(cuda, cuGraphLaunch(exec, null_mut()));
        ok!(cuda, cuCtxSynchronize());
        ok!(cuda, cuGraphExecDestroy(exec));
        let small = graph(cuda, 600);
        ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, small, 0));
        assert_eq!(cuda.charged_mib(), 600, "what was kept was trimmed");
        let plain = cuda.alloc_mib(900);
        assert_eq!(cuda.charged_mib(), 1500);
        ok!(cuda, cuGraphExecDestroy(exec));
        ok!(cuda, cuMemFree_v2(plain));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn graphs_within_graphs_count() {
    TENANT.run(crate::here!(), |cuda| {
        let inner = graph(cuda, 64);
        let outer = graph(cuda, 32);
        let mut node: CUgraphNode = null_mut();
        ok!(
            cuda,
            cuGraphAddChildGraphNode(&mut node, outer, null(), 0, inner)
        );
        let mut exec: CUgraphExec = null_mut();
        ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, outer, 0));
        assert_eq!(cuda.charged_mib(), 96);
        ok!(cuda, cuGraphExecDestroy(exec));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn captured_allocations_are_their_graphs() {
    TENANT.run(crate::here!(), |cuda| {
        let mut stream: CUstream = null_mut();
        ok!(cuda, cuStreamCreate(&mut stream, 0));
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        ok!(cuda, cuStreamBeginCapture_v2(stream, mode));
        let mut address = 0;
        let bytes = (200 * MIB) as usize;
        ok!(cuda, cuMemAllocAsync(&mut address, bytes, stream));
        assert_eq!(cuda.charged_mib(), 0);
        ok!(cuda, cuMemFreeAsync(address, stream));
        let mut graph: CUgraph = null_mut();
        ok!(cuda, cuStreamEndCapture(stream, &mut graph));
        let mut exec: CUgraphExec = null_mut();
        ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        assert_eq!(cuda.charged_mib(), 200);
        ok!(cuda, cuGraphExecDestroy(exec));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_graph_the_driver_refuses_is_not_charged() {
    TENANT.run(crate::here!(), |cuda| {
        let graph = graph(cuda, 100);
        let mut exec: CUgraphExec = null_mut();
        let refused = cu!(cuda, cuGraphInstantiateWithFlags(&mut exec, graph, 1 << 20));
        assert_eq!(refused, CUresult::CUDA_ERROR_INVALID_VALUE);
        assert_eq!(cuda.charged_mib(), 0);
    });
}
