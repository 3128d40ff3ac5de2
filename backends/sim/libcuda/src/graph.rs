//! Graphs, built node by node or captured.
//!
//! Owns: nodes and their order. Does not own: running them ([`crate::graph_exec`]).

use crate::border::{Outcome, put, rc, require};
use crate::graph_memory::Addresses;
use crate::handles::Table;
use crate::launch::{self, Kernel};
use crate::transfer::Transfer;
use cuda_sys::{
    CUDA_KERNEL_NODE_PARAMS, CUDA_KERNEL_NODE_PARAMS_v1, CUDA_MEMCPY3D, CUDA_MEMSET_NODE_PARAMS,
    CUcontext, CUgraph, CUgraphNode, CUgraphNodeType, CUresult,
};
use fcsp_sim::Op;
use std::ffi::{c_uint, c_void};
use std::sync::{Arc, Mutex};

/// A function of the program that runs in stream order.
pub type HostFunction = unsafe extern "C" fn(*mut c_void);

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
    pub fn node_type(&self) -> CUgraphNodeType {
        match self {
            Self::Kernel(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_KERNEL,
            Self::Transfer(t) if t.is_fill() => CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEMSET,
            Self::Transfer(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEMCPY,
            Self::Host { .. } => CUgraphNodeType::CU_GRAPH_NODE_TYPE_HOST,
            Self::Empty => CUgraphNodeType::CU_GRAPH_NODE_TYPE_EMPTY,
            Self::Alloc(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_ALLOC,
            Self::Free => CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_FREE,
            Self::Child(_) => CUgraphNodeType::CU_GRAPH_NODE_TYPE_GRAPH,
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
pub fn node_handle(graph: &Arc<Graph>, index: usize) -> CUgraphNode {
    let known = NODES.find(|node| node.index == index && Arc::ptr_eq(&node.graph, graph));
    let handle = match known {
        0 => NODES.insert(NodeRef {
            child: Mutex::new(0),
            graph: Arc::clone(graph),
            index,
        }),
        known => known,
    };
    handle as CUgraphNode
}

/// The graph of a handle.
pub fn graph(handle: CUgraph) -> Result<Arc<Graph>, CUresult> {
    GRAPHS.get(handle).ok_or(rc::INVALID_HANDLE)
}

unsafe fn dependencies(
    graph: &Arc<Graph>,
    list: *const CUgraphNode,
    count: usize,
) -> Result<Vec<usize>, CUresult> {
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
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
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
pub unsafe fn create(place: *mut CUgraph, flags: c_uint) -> Outcome {
    require(!place.is_null() && flags == 0, rc::INVALID_VALUE)?;
    // SAFETY: checked above.
    unsafe { put(place, GRAPHS.insert(Graph::default()) as CUgraph) }
}

/// `cuGraphDestroy`.
pub unsafe fn destroy(handle: CUgraph) -> Outcome {
    forget(handle).ok_or(rc::INVALID_HANDLE)
}

/// Drops a graph's handle and those of its nodes.
pub fn forget(handle: CUgraph) -> Option<()> {
    let graph = GRAPHS.remove(handle)?;
    NODES.drain(|node| Arc::ptr_eq(&node.graph, &graph));
    Some(())
}

/// `cuGraphAddKernelNode_v2`.
pub unsafe fn add_kernel(
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
    count: usize,
    params: *const CUDA_KERNEL_NODE_PARAMS,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        let kernel = kernel_of(params)?;
        add(place, handle, list, count, NodeKind::Kernel(kernel))
    }
}

/// The kernel that a node's parameters describe.
///
/// # Safety
/// `params` is null or as the driver wants it.
pub unsafe fn kernel_of(params: *const CUDA_KERNEL_NODE_PARAMS) -> Result<Kernel, CUresult> {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    let function = if p.func.is_null() {
        p.kern.cast()
    } else {
        p.func
    };
    let grid = [p.gridDimX, p.gridDimY, p.gridDimZ];
    let block = [p.blockDimX, p.blockDimY, p.blockDimZ];
    // SAFETY: the same contract.
    unsafe {
        launch::prepare(
            function,
            grid,
            block,
            p.sharedMemBytes,
            p.kernelParams,
            p.extra,
        )
    }
}

/// `cuGraphAddKernelNode`, the first form.
pub unsafe fn add_kernel_v1(
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
    count: usize,
    params: *const CUDA_KERNEL_NODE_PARAMS_v1,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    let grid = [p.gridDimX, p.gridDimY, p.gridDimZ];
    let block = [p.blockDimX, p.blockDimY, p.blockDimZ];
    // SAFETY: the same contract.
    unsafe {
        let kernel = launch::prepare(
            p.func,
            grid,
            block,
            p.sharedMemBytes,
            p.kernelParams,
            p.extra,
        )?;
        add(place, handle, list, count, NodeKind::Kernel(kernel))
    }
}

/// `cuGraphAddMemcpyNode`.
pub unsafe fn add_copy(
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
    count: usize,
    params: *const CUDA_MEMCPY3D,
    _context: CUcontext,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        let transfer = crate::copy::cuboid(params)?;
        add(place, handle, list, count, NodeKind::Transfer(transfer))
    }
}

/// `cuGraphAddMemsetNode`.
pub unsafe fn add_fill(
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
    count: usize,
    params: *const CUDA_MEMSET_NODE_PARAMS,
    _context: CUcontext,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    require(matches!(p.elementSize, 1 | 2 | 4), rc::INVALID_VALUE)?;
    let element = u64::from(p.elementSize);
    let (width, height) = (p.width as u64, p.height as u64);
    let transfer = crate::copy::fill(p.dst, p.pitch as u64, p.value, element, width, height)?;
    // SAFETY: the same contract.
    unsafe { add(place, handle, list, count, NodeKind::Transfer(transfer)) }
}

/// `cuGraphAddHostNode`.
pub unsafe fn add_host(
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
    count: usize,
    params: *const cuda_sys::CUDA_HOST_NODE_PARAMS,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let p = unsafe { &*params };
    let function = p.fn_.ok_or(rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe {
        add(
            place,
            handle,
            list,
            count,
            NodeKind::Host {
                function,
                data: p.userData as u64,
            },
        )
    }
}

/// `cuGraphAddEmptyNode`.
pub unsafe fn add_empty(
    place: *mut CUgraphNode,
    handle: CUgraph,
    list: *const CUgraphNode,
    count: usize,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { add(place, handle, list, count, NodeKind::Empty) }
}

/// `cuGraphClone`.
pub unsafe fn clone(place: *mut CUgraph, original: CUgraph) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let original = graph(original)?;
    let nodes = original.nodes.lock().unwrap_or_else(|e| e.into_inner());
    let copy = Graph::default();
    for node in nodes.iter() {
        copy.add(node.kind.clone(), node.depends.clone());
    }
    // SAFETY: checked above.
    unsafe { put(place, GRAPHS.insert(copy) as CUgraph) }
}

/// Hands out handles the way the driver's list functions do: null asks for the number only.
unsafe fn list(
    graph: &Arc<Graph>,
    indices: &[usize],
    nodes: *mut CUgraphNode,
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
pub unsafe fn nodes(handle: CUgraph, nodes: *mut CUgraphNode, count: *mut usize) -> Outcome {
    let graph = graph(handle)?;
    let all: Vec<usize> =
        (0..graph.nodes.lock().unwrap_or_else(|e| e.into_inner()).len()).collect();
    // SAFETY: the same contract.
    unsafe { list(&graph, &all, nodes, count) }
}

/// `cuGraphGetRootNodes`.
pub unsafe fn roots(handle: CUgraph, nodes: *mut CUgraphNode, count: *mut usize) -> Outcome {
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
pub unsafe fn node_type(node: CUgraphNode, place: *mut CUgraphNodeType) -> Outcome {
    let node = NODES.get(node).ok_or(rc::INVALID_VALUE)?;
    let nodes = node.graph.nodes.lock().unwrap_or_else(|e| e.into_inner());
    let kind = &nodes.get(node.index).ok_or(rc::INVALID_VALUE)?.kind;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, kind.node_type()) }
}

/// The graph of a node, and its index there.
pub fn place_of(node: CUgraphNode) -> Result<(Arc<Graph>, usize), CUresult> {
    let node = NODES.get(node).ok_or(rc::INVALID_VALUE)?;
    Ok((Arc::clone(&node.graph), node.index))
}

/// What a node does.
pub fn kind_of(node: CUgraphNode) -> Result<NodeKind, CUresult> {
    let node = NODES.get(node).ok_or(rc::INVALID_VALUE)?;
    let nodes = node.graph.nodes.lock().unwrap_or_else(|e| e.into_inner());
    let found = nodes.get(node.index).ok_or(rc::INVALID_VALUE)?;
    Ok(found.kind.clone())
}

/// `cuGraphKernelNodeGetParams_v2`. Arguments are not kept, so their pointers are null.
pub unsafe fn kernel_params(node: CUgraphNode, place: *mut CUDA_KERNEL_NODE_PARAMS) -> Outcome {
    let node = NODES.get(node).ok_or(rc::INVALID_VALUE)?;
    let nodes = node.graph.nodes.lock().unwrap_or_else(|e| e.into_inner());
    let Some(NodeKind::Kernel(kernel)) = nodes.get(node.index).map(|node| &node.kind) else {
        return Err(rc::INVALID_VALUE);
    };
    let params = CUDA_KERNEL_NODE_PARAMS {
        func: kernel.function as *mut _,
        gridDimX: kernel.grid[0],
        gridDimY: kernel.grid[1],
        gridDimZ: kernel.grid[2],
        blockDimX: kernel.block[0],
        blockDimY: kernel.block[1],
        blockDimZ: kernel.block[2],
        sharedMemBytes: kernel.shared_bytes,
        kernelParams: std::ptr::null_mut(),
        extra: std::ptr::null_mut(),
        kern: std::ptr::null_mut(),
        ctx: std::ptr::null_mut(),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, params) }
}
