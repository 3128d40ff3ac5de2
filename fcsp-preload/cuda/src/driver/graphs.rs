//! Memory of graphs: which nodes allocate, and what the driver has for all of them.

use core::ptr;

use cuda_sys::{
    CUDA_MEM_ALLOC_NODE_PARAMS, CUgraph, CUgraphMem_attribute, CUgraphNode, CUgraphNodeType,
    CUmemLocationType, CUresult,
};
use fcsp_gate::Handle;
use fcsp_program::driver::GraphMemory;

use crate::driver::Cuda;
use crate::hooks::cuda;
use crate::memory::blocks;

/// Graphs within graphs that are looked into.
const DEPTH_MAX: usize = 16;

impl GraphMemory for Cuda {
    fn graphs_reserved(ordinal: i32) -> Option<u64> {
        let attribute = CUgraphMem_attribute::CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT;
        let mut bytes = 0_u64;
        let ask = cuda::cuDeviceGetGraphMemAttribute.get()?;
        // SAFETY: the driver writes a 64-bit number.
        let result = unsafe { ask(ordinal, attribute, (&raw mut bytes).cast()) };
        (result == CUresult::CUDA_SUCCESS).then_some(bytes)
    }

    fn trim_graphs(ordinal: i32) {
        if let Some(trim) = cuda::cuDeviceGraphMemTrim.get() {
            // SAFETY: an ordinal; if the driver does not do it, its figure says so.
            let _figure_tells = unsafe { trim(ordinal) };
        }
    }

    fn allocation_nodes(graph: u64, each: &mut dyn FnMut(i32, u64)) {
        // What the driver does not tell is left out, and reconciled.
        let _all_told = of_graph(Handle::from_number(graph), 0, each);
    }
}

fn of_graph(graph: CUgraph, depth: usize, each: &mut dyn FnMut(i32, u64)) -> Option<()> {
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
        of_node(node, depth, each);
    }
    Some(())
}

fn of_node(node: CUgraphNode, depth: usize, each: &mut dyn FnMut(i32, u64)) -> Option<()> {
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
            of_graph(child, depth + 1, each);
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
            each(location.id, blocks(params.bytesize as u64));
        }
    }
    Some(())
}
