//! Graphs, and above all those whose nodes allocate.

use cuda_sys::{
    CUDA_GRAPH_INSTANTIATE_PARAMS, CUDA_MEM_ALLOC_NODE_PARAMS, CUgraph, CUgraphExec,
    CUmemAllocationType, CUmemLocationType, CUstream,
};
use std::ptr::{null, null_mut};

use crate::cu;
use crate::model::{Bill, DEVICES, Kind, Model, Object, Twin, blocks};
use crate::work;
use crate::world::World;

/// Graphs that live at once at most.
const GRAPHS_MAX: usize = 10;
/// Nodes of a graph at most.
const NODES_MAX: usize = 40;

/// A graph, and what an instance of it allocates.
#[derive(Clone)]
pub struct Graph {
    twin: Twin,
    needs: Vec<(usize, u64)>,
    nodes: usize,
}

/// Graphs of the program.
#[derive(Default)]
pub struct Book {
    graphs: Vec<Graph>,
    /// What an executable graph allocates, whatever it is still charged.
    executables: Vec<(Twin, Vec<(usize, u64)>)>,
    /// Where nodes of this round allocate.
    addresses: Vec<Twin>,
    /// What the driver says that it has for graphs.
    figure_bytes: [u64; DEVICES],
    /// What graphs took that were destroyed since all work was last waited for.
    destroyed_bytes: [u64; DEVICES],
    /// Whether there are executable graphs that the library forgot with the last context.
    stray: [bool; DEVICES],
}

/// What small allocations of graphs are rounded up by, all together.
const ROUNDING_BYTES: u64 = 1 << 20;

impl Book {
    /// What is charged for graphs: what living executables need, and what the driver keeps beyond that. What
    /// destroyed ones had may be counted as kept until all work was waited for.
    pub fn bounds(&self, model: &Model, device: usize) -> (u64, u64) {
        let needs = model.charged(device, |kind| kind == Kind::Executable);
        let figure = self.figure_bytes[device];
        if self.stray[device] || !model.has_context(device) {
            return (needs, needs + figure);
        }
        let beyond = figure.saturating_sub(needs);
        let kept_max = figure.min(beyond + self.destroyed_bytes[device]);
        (
            needs.max(figure.saturating_sub(ROUNDING_BYTES)),
            needs + kept_max,
        )
    }

    /// Takes over what the driver says that it has for graphs.
    pub fn look(&mut self, ask: impl Fn(usize) -> u64) {
        self.figure_bytes = std::array::from_fn(ask);
    }

    /// All work on a device was waited for, in the only context there is.
    pub fn waited_for_all(&mut self, device: usize) {
        self.destroyed_bytes[device] = 0;
    }

    /// Neither a context nor an executable graph is left.
    pub fn over(&mut self) {
        self.stray = [false; DEVICES];
    }

    /// A device has no context any more.
    pub fn forget(&mut self, device: usize) {
        self.stray[device] = !self.executables.is_empty();
        self.destroyed_bytes[device] = 0;
    }

    /// Addresses that may still be some node's.
    pub fn addresses(&self) -> impl Iterator<Item = Twin> {
        self.addresses.iter().copied()
    }

    /// A node has this address.
    pub fn has_address(&mut self, twin: Twin) {
        self.addresses.push(twin);
    }
}

/// One call.
pub fn step(world: &mut World) {
    match world.bytes.below(16) {
        0..=1 => create(world),
        2 => destroy(world),
        3..=5 => add_alloc(world),
        6 => add_plain(world),
        7 => add_child(world),
        8 => clone(world),
        9..=11 => instantiate(world),
        12..=13 => launch(world),
        14 => destroy_executable(world),
        _ => trim(world),
    }
}

/// A capture became a graph.
pub fn captured(world: &mut World, twin: Twin, needs: Vec<(usize, u64)>) {
    if world.model.graphs.graphs.len() >= GRAPHS_MAX {
        return destroy_graph(world, twin);
    }
    world.model.graphs.graphs.push(Graph {
        twin,
        needs,
        nodes: NODES_MAX / 2,
    });
}

fn any(world: &mut World) -> Twin {
    let good: Vec<Twin> = world.model.graphs.graphs.iter().map(|it| it.twin).collect();
    world.pick(&good)
}

fn known(world: &mut World, twin: Twin) -> Option<&mut Graph> {
    world
        .model
        .graphs
        .graphs
        .iter_mut()
        .find(|it| it.twin == twin)
}

fn create(world: &mut World) {
    if world.model.graphs.graphs.len() >= GRAPHS_MAX {
        return destroy(world);
    }
    let (null, flags) = (
        world.bytes.one_in(30),
        world.bytes.one_of(&[0, 0, 0, 0, 0, 1]),
    );
    let answer = world.call(
        || format!("cuGraphCreate({null}, {flags})"),
        &Bill::Free,
        |cuda, _, made| {
            let mut graph = null_mut();
            let place = if null { null_mut() } else { &raw mut graph };
            let result = cu!(cuda, cuGraphCreate(place, flags));
            *made = graph as u64;
            result
        },
    );
    if let Some(twin) = answer.made() {
        world.model.graphs.graphs.push(Graph {
            twin,
            needs: Vec::new(),
            nodes: 0,
        });
    }
}

fn destroy(world: &mut World) {
    let twin = any(world);
    destroy_graph(world, twin);
}

fn destroy_graph(world: &mut World, twin: Twin) {
    let answer = world.call(
        || format!("cuGraphDestroy({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuGraphDestroy(twin.0[side] as CUgraph)),
    );
    if answer.is_success() {
        world.model.graphs.graphs.retain(|it| it.twin != twin);
        world.outlived(twin);
    }
}

fn is_full(world: &mut World, twin: Twin) -> bool {
    known(world, twin).is_some_and(|graph| graph.nodes >= NODES_MAX)
}

fn add_alloc(world: &mut World) {
    let twin = any(world);
    if is_full(world, twin) {
        return destroy_graph(world, twin);
    }
    let bytes = world.bytes.size().min(1 << 31);
    let device = world.bytes.one_of(&[0, 0, 1, 1, 1, -1, 3]);
    let null_at = world.bytes.below(40);
    let answer = world.call(
        || format!("cuGraphAddMemAllocNode({null_at}, {twin:x?}, {bytes}, device {device})"),
        &Bill::Free,
        |cuda, side, made| {
            let mut params = CUDA_MEM_ALLOC_NODE_PARAMS::default();
            params.poolProps.allocType = CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
            params.poolProps.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
            params.poolProps.location.id = device;
            params.bytesize = bytes as usize;
            let mut node = null_mut();
            let place = if null_at == 0 {
                null_mut()
            } else {
                &raw mut node
            };
            let place_params = if null_at == 1 {
                null_mut()
            } else {
                &raw mut params
            };
            let graph = twin.0[side] as CUgraph;
            let result = cu!(
                cuda,
                cuGraphAddMemAllocNode(place, graph, null(), 0, place_params)
            );
            *made = params.dptr;
            result
        },
    );
    let Some(address) = answer.made() else { return };
    world.model.graphs.has_address(address);
    if let Some(graph) = known(world, twin) {
        graph.needs.push((device as usize, blocks(bytes)));
        graph.nodes += 1;
    }
}

fn add_plain(world: &mut World) {
    let twin = any(world);
    if is_full(world, twin) {
        return destroy_graph(world, twin);
    }
    let made = if world.bytes.one_in(2) {
        work::add_kernel_node(world, twin)
    } else {
        let answer = world.call(
            || format!("cuGraphAddEmptyNode({twin:x?})"),
            &Bill::Free,
            |cuda, side, made| {
                let mut node = null_mut();
                let result = cu!(
                    cuda,
                    cuGraphAddEmptyNode(&mut node, twin.0[side] as CUgraph, null(), 0)
                );
                *made = node as u64;
                result
            },
        );
        answer.made()
    };
    if made.is_some()
        && let Some(graph) = known(world, twin)
    {
        graph.nodes += 1;
    }
}

fn add_child(world: &mut World) {
    let (twin, child) = (any(world), any(world));
    if is_full(world, twin) {
        return destroy_graph(world, twin);
    }
    let inner = known(world, child).map(|graph| (graph.needs.clone(), graph.nodes));
    if inner
        .as_ref()
        .is_some_and(|(needs, nodes)| needs.len() + nodes > NODES_MAX)
    {
        return destroy_graph(world, child);
    }
    let answer = world.call(
        || format!("cuGraphAddChildGraphNode({twin:x?}, {child:x?})"),
        &Bill::Free,
        |cuda, side, made| {
            let mut node = null_mut();
            let (graph, child) = (twin.0[side] as CUgraph, child.0[side] as CUgraph);
            let result = cu!(
                cuda,
                cuGraphAddChildGraphNode(&mut node, graph, null(), 0, child)
            );
            *made = node as u64;
            result
        },
    );
    if answer.is_success()
        && let Some((needs, nodes)) = inner
        && let Some(graph) = known(world, twin)
    {
        graph.needs.extend(needs);
        graph.nodes += nodes + 1;
    }
}

fn clone(world: &mut World) {
    if world.model.graphs.graphs.len() >= GRAPHS_MAX {
        return destroy(world);
    }
    let (twin, null) = (any(world), world.bytes.one_in(20));
    let answer = world.call(
        || format!("cuGraphClone({null}, {twin:x?})"),
        &Bill::Free,
        |cuda, side, made| {
            let mut copy = null_mut();
            let place = if null { null_mut() } else { &raw mut copy };
            let result = cu!(cuda, cuGraphClone(place, twin.0[side] as CUgraph));
            *made = copy as u64;
            result
        },
    );
    if let Some(made) = answer.made()
        && let Some(graph) = known(world, twin).cloned()
    {
        world.model.graphs.graphs.push(Graph {
            twin: made,
            ..graph
        });
    }
}

fn instantiate(world: &mut World) {
    if !world.has_room(Kind::Executable) {
        return destroy_executable(world);
    }
    let (twin, null) = (any(world), world.bytes.one_in(20));
    let (how, flags) = (
        world.bytes.below(3),
        world.bytes.one_of(&[0, 0, 0, 1, 8, 4, 64]),
    );
    let mut needs: Vec<(usize, u64)> = Vec::new();
    for (device, bytes) in known(world, twin)
        .map(|graph| graph.needs.clone())
        .unwrap_or_default()
    {
        match needs.iter_mut().find(|(at, _)| *at == device) {
            Some((_, sum)) => *sum += bytes,
            None => needs.push((device, bytes)),
        }
    }
    let bill = Bill::Of(needs);
    let answer = world.call(
        || format!("cuGraphInstantiate {how} ({null}, {twin:x?}, {flags})"),
        &bill,
        |cuda, side, made| {
            let mut exec = null_mut();
            let place = if null { null_mut() } else { &raw mut exec };
            let graph = twin.0[side] as CUgraph;
            let result = match how {
                0 => cu!(cuda, cuGraphInstantiateWithFlags(place, graph, flags)),
                1 => {
                    let mut params = CUDA_GRAPH_INSTANTIATE_PARAMS {
                        flags,
                        ..Default::default()
                    };
                    let params = if flags == 64 {
                        null_mut()
                    } else {
                        &raw mut params
                    };
                    cu!(cuda, cuGraphInstantiateWithParams(place, graph, params))
                }
                _ => cu!(
                    cuda,
                    cuGraphInstantiate_v2(place, graph, null_mut(), null_mut(), 0)
                ),
            };
            *made = exec as u64;
            result
        },
    );
    let Bill::Of(charges) = bill else { return };
    if let Some(twin) = answer.made() {
        let executables = &mut world.model.graphs.executables;
        executables.push((twin, charges.clone()));
        world.model.objects.push(Object {
            twin,
            kind: Kind::Executable,
            charges,
            owner: None,
        });
    }
}

fn launch(world: &mut World) {
    let good = world.of_kind(&[Kind::Executable]);
    let (twin, stream) = (world.pick(&good), world.stream_here());
    let captured = world.is_captured(stream) == Some(true);
    let answer = world.call(
        || format!("cuGraphLaunch({twin:x?}, {stream:x?})"),
        &Bill::Free,
        |cuda, side, _| {
            cu!(
                cuda,
                cuGraphLaunch(twin.0[side] as CUgraphExec, stream.0[side] as CUstream)
            )
        },
    );
    if !answer.is_success() {
        return;
    }
    world.work.submitted();
    if captured {
        // It becomes a graph within the graph.
        let executables = world.model.graphs.executables.iter();
        let mut needs = executables.filter(|(it, _)| *it == twin);
        let needs = needs.next().map(|(_, needs)| needs.clone());
        for (device, bytes) in needs.unwrap_or_default() {
            world.captured_alloc(stream, device, bytes);
        }
    }
}

fn destroy_executable(world: &mut World) {
    let good = world.of_kind(&[Kind::Executable]);
    let twin = world.pick(&good);
    destroy_exec(world, twin);
}

fn destroy_exec(world: &mut World, twin: Twin) {
    let answer = world.call(
        || format!("cuGraphExecDestroy({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuGraphExecDestroy(twin.0[side] as CUgraphExec)),
    );
    if answer.is_success() {
        let charges = world.take(twin, &[Kind::Executable]).map(|it| it.charges);
        for (device, bytes) in charges.unwrap_or_default() {
            world.model.graphs.destroyed_bytes[device] += bytes;
        }
        let executables = &mut world.model.graphs.executables;
        executables.retain(|(it, _)| *it != twin);
    }
}

fn trim(world: &mut World) {
    let device = world.bytes.one_of(&[0, 1, -1, 4]);
    world.call(
        || format!("cuDeviceGraphMemTrim({device})"),
        &Bill::Free,
        |cuda, _, _| cu!(cuda, cuDeviceGraphMemTrim(device)),
    );
}

/// Destroys everything.
pub fn tidy(world: &mut World) {
    for twin in world.of_kind(&[Kind::Executable]) {
        destroy_exec(world, twin);
    }
    for graph in world.model.graphs.graphs.clone() {
        destroy_graph(world, graph.twin);
    }
    world.model.graphs.addresses.clear();
}
