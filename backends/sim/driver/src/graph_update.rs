//! Changes of instantiated graphs.

use crate::border::{Outcome, rc, require};
use crate::graph::{NodeKind, graph, place_of};
use crate::graph_exec::{EXECUTABLES, Executable};
use crate::launch::Kernel;
use crate::types::*;
use std::sync::{Arc, PoisonError};

fn executable(handle: ExecHandle) -> Result<Arc<Executable>, Failure> {
    EXECUTABLES.get(handle).ok_or(rc::INVALID_HANDLE)
}

/// Takes over what another graph of the same form does.
///
/// # Errors
/// A handle that names none. What the graphs differ in is a result, not an error.
pub fn take_over(exec: ExecHandle, from: GraphHandle) -> Result<UpdateResult, Failure> {
    let executable = executable(exec)?;
    let new = graph(from)?.flattened();
    let mut nodes = executable
        .nodes
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if nodes.len() != new.len() {
        return Ok(UpdateResult::TopologyChanged);
    }
    let alike = |(old, new): (&NodeKind, &NodeKind)| old.node_type() == new.node_type();
    if !nodes.iter().zip(&new).all(alike) {
        return Ok(UpdateResult::NodeTypeChanged);
    }
    *nodes = new;
    Ok(UpdateResult::Success)
}

/// What a call that changes a graph returns.
///
/// # Errors
/// The graph was not changed.
pub fn outcome(result: UpdateResult) -> Outcome {
    require(
        result == UpdateResult::Success,
        rc::GRAPH_EXEC_UPDATE_FAILURE,
    )
}

/// Lets a kernel node of an executable graph launch another kernel.
///
/// # Errors
/// The node is no kernel's, or of another graph.
pub fn set_kernel(exec: ExecHandle, node: NodeHandle, kernel: Kernel) -> Outcome {
    let executable = executable(exec)?;
    let (graph, index) = place_of(node)?;
    require(Arc::ptr_eq(&graph, &executable.graph), rc::INVALID_VALUE)?;
    let mut nodes = executable
        .nodes
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match nodes.get_mut(graph.flat_index(index)) {
        Some(NodeKind::Kernel(old)) => {
            *old = kernel;
            Ok(())
        }
        _ => Err(rc::INVALID_VALUE),
    }
}
