//! Graphs, built node by node or captured.
//!
//! Owns: nodes and their order. Does not own: running them ([`crate::graph_exec`]).

use crate::border::{Outcome, put, rc, require};
use crate::graph_memory::Addresses;
use crate::handles::Table;
use crate::launch::Kernel;
use crate::transfer::Transfer;
use crate::types::*;
use fcsp_sim::Op;
use std::ffi::{c_uint, c_void};
use std::sync::{Arc, Mutex};

/// What a node does.
#[derive(Clone)]
pub enum NodeKind {
    /// Launches a kernel.
    Kernel(Kernel),
    /// Copies or fills.
    Transfer(Transfer),
    /// Calls the program.
    Host {
        /// The function.
        function: HostFunction,
        /// Its argument.
        data: u64,
    },
    /// Only orders.
    Empty,
    /// Allocates. The addresses are kept while any graph, executable or not, has the node.
    Alloc(Arc<Addresses>),
    /// Frees what another node allocated.
    Free,
    /// Runs another graph.
    Child(Vec<NodeKind>),
}

struct Node {
    kind: NodeKind,
    depends: Vec<usize>,
}

/// A graph.
#[derive(Default)]
pub struct Graph {
    nodes: Mutex<Vec<Node>>,
}

/// A node that the program has a handle of.
pub struct NodeRef {
    graph: Arc<Graph>,
    index: usize,
    /// Handle of the graph in it, once asked for; see [`crate::graph_child`].
    pub child: Mutex<u64>,
}

/// All graphs.
pub static GRAPHS: Table<Graph> = Table::new(7);
/// Nodes the program has handles of.
pub static NODES: Table<NodeRef> = Table::new(9);

impl NodeKind {
    /// The operations it submits.
    pub fn ops(&self) -> Vec<Op> {
        match self {
            Self::Kernel(kernel) => kernel.ops(),
            Self::Transfer(transfer) => vec![transfer.op()],
            Self::Host { function, data } => {
                let (function, data) = (*function, *data);
                vec![Op::Call(Box::new(move || {
                    // SAFETY: the program passed the function and its argument for this call.
                    unsafe { function(data as *mut c_void) }
                }))]
            }
            Self::Empty | Self::Child(_) | Self::Alloc(_) | Self::Free => Vec::new(),
        }
    }

    fn flatten(&self, into: &mut Vec<NodeKind>) {
        match self {
            Self::Child(nodes) => nodes.iter().for_each(|node| node.flatten(into)),
            Self::Empty => {}
            other => into.push(other.clone()),
        }
    }

    /// What the driver calls it.
    pub fn node_type(&self) -> NodeType {
        match self {
            Self::Kernel(_) => NodeType::Kernel,
            Self::Transfer(t) if t.is_fill() => NodeType::Fill,
            Self::Transfer(_) => NodeType::Copy,
            Self::Host { .. } => NodeType::Host,
            Self::Empty => NodeType::Empty,
            Self::Alloc(_) => NodeType::Alloc,
            Self::Free => NodeType::Free,
            Self::Child(_) => NodeType::Graph,
        }
    }
}

impl Graph {
    /// Adds a node after others; its index.
    pub fn add(&self, kind: NodeKind, depends: Vec<usize>) -> usize {
        let mut nodes = self.nodes.lock().unwrap_or_else(|e| e.into_inner());
        nodes.push(Node { kind, depends });
        nodes.len() - 1
    }

    /// Whether every node of `from` is in `to` or before something in it.
    pub fn all_reach(&self, from: &[usize], to: &[usize]) -> bool {
        let nodes = self.nodes.lock().unwrap_or_else(|e| e.into_inner());
        let mut reached = vec![false; nodes.len()];
        let mut open = to.to_vec();
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut reached[index], true) {
                open.extend(&nodes[index].depends);
            }
        }
        from.iter().all(|index| reached[*index])
    }

    /// Its nodes, in the order in which they were added.
    pub fn kinds(&self) -> Vec<NodeKind> {
        let nodes = self.nodes.lock().unwrap_or_else(|e| e.into_inner());
        nodes.iter().map(|node| node.kind.clone()).collect()
    }

    /// Its nodes and those of the graphs in it, in the order in which they run.
    pub fn flattened(&self) -> Vec<NodeKind> {
        let mut flat = Vec::new();
        self.kinds().iter().for_each(|kind| kind.flatten(&mut flat));
        flat
    }

    /// How many nodes of [`Graph::flattened`] stand before its node of that index.
    pub fn flat_index(&self, index: usize) -> usize {
        let mut flat = Vec::new();
        let before = self.kinds();
        before[..index.min(before.len())]
            .iter()
            .for_each(|kind| kind.flatten(&mut flat));
        flat.len()
    }
}

/// The handle of a node; the same every time.
pub fn node_handle(graph: &Arc<Graph>, index: usize) -> NodeHandle {
    let known = NODES.find(|node| node.index == index && Arc::ptr_eq(&node.graph, graph));
    let handle = match known {
        0 => NODES.insert(NodeRef {
            child: Mutex::new(0),
            graph: Arc::clone(graph),
            index,
        }),
        known => known,
    };
    handle as NodeHandle
}

/// The graph of a handle.
pub fn graph(handle: GraphHandle) -> Result<Arc<Graph>, Failure> {
    GRAPHS.get(handle).ok_or(rc::INVALID_HANDLE)
}

unsafe fn dependencies(
    graph: &Arc<Graph>,
    list: *const NodeHandle,
    count: usize,
) -> Result<Vec<usize>, Failure> {
    require(count == 0 || !list.is_null(), rc::INVALID_VALUE)?;
    (0..count)
        .map(|at| {
            // SAFETY: the caller passed `count` handles.
            let node = NODES
                .get(unsafe { *list.add(at) })
                .ok_or(rc::INVALID_VALUE)?;
            require(Arc::ptr_eq(&node.graph, graph), rc::INVALID_VALUE)?;
            Ok(node.index)
        })
        .collect()
}

/// Adds a node by handle, and writes its own.
pub unsafe fn add(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
    kind: NodeKind,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let graph = graph(handle)?;
    // SAFETY: the same contract.
    let depends = unsafe { dependencies(&graph, list, count) }?;
    let index = graph.add(kind, depends);
    // SAFETY: checked above.
    unsafe { put(place, node_handle(&graph, index)) }
}

/// `cuGraphCreate`.
pub unsafe fn create(place: *mut GraphHandle, flags: c_uint) -> Outcome {
    require(!place.is_null() && flags == 0, rc::INVALID_VALUE)?;
    // SAFETY: checked above.
    unsafe { put(place, GRAPHS.insert(Graph::default()) as GraphHandle) }
}

/// `cuGraphDestroy`.
pub unsafe fn destroy(handle: GraphHandle) -> Outcome {
    forget(handle).ok_or(rc::INVALID_HANDLE)
}

/// Drops a graph's handle and those of its nodes.
pub fn forget(handle: GraphHandle) -> Option<()> {
    let graph = GRAPHS.remove(handle)?;
    NODES.drain(|node| Arc::ptr_eq(&node.graph, &graph));
    Some(())
}

/// `cuGraphAddEmptyNode`.
pub unsafe fn add_empty(
    place: *mut NodeHandle,
    handle: GraphHandle,
    list: *const NodeHandle,
    count: usize,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { add(place, handle, list, count, NodeKind::Empty) }
}

/// `cuGraphClone`.
pub unsafe fn clone(place: *mut GraphHandle, original: GraphHandle) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let original = graph(original)?;
    let nodes = original.nodes.lock().unwrap_or_else(|e| e.into_inner());
    let copy = Graph::default();
    for node in nodes.iter() {
        copy.add(node.kind.clone(), node.depends.clone());
    }
    // SAFETY: checked above.
    unsafe { put(place, GRAPHS.insert(copy) as GraphHandle) }
}

/// Hands out handles the way the driver's list functions do: null asks for the number only.
unsafe fn list(
    graph: &Arc<Graph>,
    indices: &[usize],
    nodes: *mut NodeHandle,
    count: *mut usize,
) -> Outcome {
    require(!count.is_null(), rc::INVALID_VALUE)?;
    if nodes.is_null() {
        // SAFETY: checked above.
        return unsafe { put(count, indices.len()) };
    }
    // SAFETY: checked above; the caller says how much room there is.
    unsafe {
        let room = count.read();
        for at in 0..room {
            let handle = indices.get(at).map(|index| node_handle(graph, *index));
            nodes.add(at).write(handle.unwrap_or(std::ptr::null_mut()));
        }
        put(count, indices.len().min(room))
    }
}

/// `cuGraphGetNodes`.
pub unsafe fn nodes(handle: GraphHandle, nodes: *mut NodeHandle, count: *mut usize) -> Outcome {
    let graph = graph(handle)?;
    let all: Vec<usize> =
        (0..graph.nodes.lock().unwrap_or_else(|e| e.into_inner()).len()).collect();
    // SAFETY: the same contract.
    unsafe { list(&graph, &all, nodes, count) }
}

/// `cuGraphGetRootNodes`.
pub unsafe fn roots(handle: GraphHandle, nodes: *mut NodeHandle, count: *mut usize) -> Outcome {
    let graph = graph(handle)?;
    let roots: Vec<usize> = {
        let nodes = graph.nodes.lock().unwrap_or_else(|e| e.into_inner());
        let without = nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.depends.is_empty());
        without.map(|(index, _)| index).collect()
    };
    // SAFETY: the same contract.
    unsafe { list(&graph, &roots, nodes, count) }
}

/// `cuGraphNodeGetType`.
pub unsafe fn node_type(node: NodeHandle, place: *mut NodeType) -> Outcome {
    let node = NODES.get(node).ok_or(rc::INVALID_VALUE)?;
    let nodes = node.graph.nodes.lock().unwrap_or_else(|e| e.into_inner());
    let kind = &nodes.get(node.index).ok_or(rc::INVALID_VALUE)?.kind;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, kind.node_type()) }
}

/// The graph of a node, and its index there.
pub fn place_of(node: NodeHandle) -> Result<(Arc<Graph>, usize), Failure> {
    let node = NODES.get(node).ok_or(rc::INVALID_VALUE)?;
    Ok((Arc::clone(&node.graph), node.index))
}

/// What a node does.
pub fn kind_of(node: NodeHandle) -> Result<NodeKind, Failure> {
    let node = NODES.get(node).ok_or(rc::INVALID_VALUE)?;
    let nodes = node.graph.nodes.lock().unwrap_or_else(|e| e.into_inner());
    let found = nodes.get(node.index).ok_or(rc::INVALID_VALUE)?;
    Ok(found.kind.clone())
}

/// What a kernel node launches.
///
/// # Errors
/// The node launches none.
pub fn kernel_of_node(node: NodeHandle) -> Result<Kernel, Failure> {
    match kind_of(node)? {
        NodeKind::Kernel(kernel) => Ok(kernel),
        _ => Err(rc::INVALID_VALUE),
    }
}
