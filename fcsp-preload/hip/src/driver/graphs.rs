//! Memory of graphs: which nodes allocate, and what the driver has for all of them.

use core::ptr;

use fcsp_gate::Handle;
use fcsp_program::driver::GraphMemory;
use hip_sys::{
    hipGraph_t, hipGraphMemAttributeType, hipGraphNode_t, hipGraphNodeType, hipMemAllocNodeParams,
    hipMemLocationType,
};

use crate::driver::Hip;
use crate::driver::gate::succeeded;
use crate::errors::quietly;
use crate::hooks::hip;
use crate::memory::blocks;

/// Graphs within graphs that are looked into.
const DEPTH_MAX: usize = 16;

impl GraphMemory for Hip {
    fn graphs_reserved(ordinal: i32) -> Option<u64> {
        let attribute = hipGraphMemAttributeType::hipGraphMemAttrReservedMemCurrent;
        let mut bytes = 0_u64;
        let ask = hip::hipDeviceGetGraphMemAttribute.get()?;
        let place = (&raw mut bytes).cast();
        // SAFETY: the driver writes a 64-bit number.
        let result = quietly(|| unsafe { ask(ordinal, attribute, place) });
        succeeded(result).then_some(bytes)
    }

    fn trim_graphs(ordinal: i32) {
        if let Some(trim) = hip::hipDeviceGraphMemTrim.get() {
            // SAFETY: an ordinal; if the driver does not do it, its figure says so.
            let _figure_tells = quietly(|| unsafe { trim(ordinal) });
        }
    }

    fn allocation_nodes(graph: u64, each: &mut dyn FnMut(i32, u64)) {
        // What the driver does not tell is left out, and reconciled.
        let _all_told = quietly(|| of_graph(Handle::from_number(graph), 0, each));
    }
}

fn of_graph(graph: hipGraph_t, depth: usize, each: &mut dyn FnMut(i32, u64)) -> Option<()> {
    let list = hip::hipGraphGetNodes.get()?;
    let mut count = 0;
    // SAFETY: the program's graph; with no room the driver writes the count only.
    if !succeeded(unsafe { list(graph, ptr::null_mut(), &mut count) }) {
        return None;
    }
    let mut nodes: Vec<hipGraphNode_t> = vec![ptr::null_mut(); count];
    // SAFETY: there is room for `count` nodes.
    if !succeeded(unsafe { list(graph, nodes.as_mut_ptr(), &mut count) }) {
        return None;
    }
    for node in nodes.into_iter().take(count) {
        of_node(node, depth, each);
    }
    Some(())
}

fn of_node(node: hipGraphNode_t, depth: usize, each: &mut dyn FnMut(i32, u64)) -> Option<()> {
    let mut kind = hipGraphNodeType::hipGraphNodeTypeEmpty;
    // SAFETY: a node of the program's graph; the driver writes its type.
    if !succeeded(unsafe { hip::hipGraphNodeGetType.get()?(node, &mut kind) }) {
        return None;
    }
    if kind == hipGraphNodeType::hipGraphNodeTypeGraph && depth < DEPTH_MAX {
        let mut child = ptr::null_mut();
        // SAFETY: a node that holds a graph; the driver writes its handle.
        if succeeded(unsafe { hip::hipGraphChildGraphNodeGetGraph.get()?(node, &mut child) }) {
            of_graph(child, depth + 1, each);
        }
    }
    if kind == hipGraphNodeType::hipGraphNodeTypeMemAlloc {
        let mut params = hipMemAllocNodeParams::default();
        // SAFETY: a node that allocates; the driver writes its parameters.
        let result = unsafe { hip::hipGraphMemAllocNodeGetParams.get()?(node, &mut params) };
        let location = params.poolProps.location;
        if succeeded(result) && location.type_ == hipMemLocationType::hipMemLocationTypeDevice {
            each(location.id, blocks(params.bytesize as u64));
        }
    }
    Some(())
}
