//! Graphs within graphs.
//!
//! A node holds a copy of the graph it was made from. Who asks for it gets one handle, always the same,
//! which ends with the node; as in the driver it is not the program's to destroy.

use crate::border::{Outcome, put, rc, require};
use crate::graph::{self, GRAPHS, Graph, NODES, NodeKind, NodeRef};
use crate::types::*;

impl Drop for NodeRef {
    fn drop(&mut self) {
        let child = *self.child.get_mut().unwrap_or_else(|e| e.into_inner());
        // Gone already if the program destroyed it all the same.
        let _ = graph::forget(child as GraphHandle);
    }
}

/// `cuGraphAddChildGraphNode`: the child as it is now.
pub unsafe fn add(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    child: GraphHandle,
) -> Outcome {
    let child = graph::graph(child)?;
    let kind = NodeKind::Child(child.kinds());
    // SAFETY: the same contract.
    unsafe { graph::add(place, handle, list, count, kind) }
}

/// `cuGraphChildGraphNodeGetGraph`.
pub unsafe fn get(node: NodeHandle, place: *mut GraphHandle) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let NodeKind::Child(kinds) = graph::kind_of(node)? else {
        return Err(rc::INVALID_VALUE);
    };
    let node = NODES.get(node).ok_or(rc::INVALID_VALUE)?;
    let mut child = node.child.lock().unwrap_or_else(|e| e.into_inner());
    if GRAPHS.get(*child as GraphHandle).is_none() {
        let copy = Graph::default();
        for kind in kinds {
            // What order they had is not kept; they run in this one.
            copy.add(kind, Vec::new());
        }
        *child = GRAPHS.insert(copy);
    }
    // SAFETY: checked above.
    unsafe { put(place, *child as GraphHandle) }
}
