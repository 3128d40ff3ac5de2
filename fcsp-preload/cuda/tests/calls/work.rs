//! Streams, events, modules, launches and captures: what is not memory, and what memory must not come to harm by.

use cuda_sys::{
    CUDA_KERNEL_NODE_PARAMS, CUevent, CUfunction, CUlaunchConfig, CUmodule, CUresult, CUstream,
};
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::null_mut;

use crate::capturing;
use crate::cu;
use crate::model::{Bill, Twin};
use crate::support::library::Library;
use crate::world::{PTX, World};

/// Streams, events and modules that live at once at most.
const EACH_MAX: usize = 12;

/// What lives beside memory.
#[derive(Default)]
pub struct Book {
    /// With the context of each.
    pub streams: Vec<(Twin, usize)>,
    events: Vec<Twin>,
    modules: Vec<Twin>,
    functions: Vec<Twin>,
    /// Streams in which a capture began, with the context of each.
    pub captures: Vec<(Twin, usize)>,
    /// By the bare driver's number of the capture: what it will allocate.
    pub captured: HashMap<u64, Vec<(usize, u64)>>,
    pending: bool,
}

impl Book {
    /// Work was submitted, or memory freed in the order of a stream.
    pub fn submitted(&mut self) {
        self.pending = true;
    }

    /// Everything was waited for in some context.
    pub fn waited(&mut self) {
        self.pending = false;
    }

    /// Whether nothing may be under way.
    pub fn is_quiet(&self) -> bool {
        !self.pending
    }

    /// Takes out the streams of a context that is gone.
    pub fn streams_of(&mut self, context: usize) -> Vec<Twin> {
        let (gone, left) = std::mem::take(&mut self.streams)
            .into_iter()
            .partition(|(_, it)| *it == context);
        self.streams = left;
        let gone: Vec<Twin> = gone
            .into_iter()
            .map(|(twin, _): (Twin, usize)| twin)
            .collect();
        gone
    }
}

/// One call.
pub fn step(world: &mut World) {
    match world.bytes.below(24) {
        0 => create_stream(world),
        1 => destroy_stream(world),
        2 => wait(world),
        3 => query(world),
        4..=5 => events(world),
        6 => load(world),
        7 if world.bytes.one_in(4) => unload(world),
        8 => function(world),
        9..=18 => launch(world),
        19..=20 => capturing::begin(world),
        21..=22 => capturing::end_some(world),
        _ => per_thread(world),
    }
}

impl World {
    /// A stream of the current context, and now and then a wrong one.
    pub fn stream_here(&mut self) -> Twin {
        let context = self.current();
        let streams = self
            .work
            .streams
            .iter()
            .filter(|(_, it)| Some(*it) == context);
        let mut good: Vec<Twin> = streams.map(|(twin, _)| *twin).collect();
        // The default stream under its three names.
        good.extend([Twin::default(), Twin::same(1), Twin::same(2)]);
        self.pick(&good)
    }

    /// Any stream.
    pub fn stream(&mut self) -> Twin {
        let mut good: Vec<Twin> = self.work.streams.iter().map(|(twin, _)| *twin).collect();
        good.extend([Twin::default(), Twin::same(1), Twin::same(2)]);
        self.pick(&good)
    }

    /// Whether the calling thread has a context, be it one that is gone.
    pub fn has_some_context_on_its_stack(&self) -> bool {
        let mut handle = null_mut();
        let result = cu!(self.bare(), cuCtxGetCurrent(&mut handle));
        result == CUresult::CUDA_SUCCESS && !handle.is_null()
    }
}

fn create_stream(world: &mut World) {
    if world.work.streams.len() >= EACH_MAX {
        return destroy_stream(world);
    }
    let (flags, null) = (world.bytes.one_of(&[0, 1, 1, 2]), world.bytes.one_in(30));
    let priority = world.bytes.one_of(&[0, -1, -5, i32::MIN, i32::MAX]);
    let answer = world.call(
        || format!("cuStreamCreateWithPriority({null}, {flags}, {priority})"),
        &Bill::Free,
        |cuda, _, made| {
            let mut stream = null_mut();
            let place = if null { null_mut() } else { &raw mut stream };
            let result = cu!(cuda, cuStreamCreateWithPriority(place, flags, priority));
            *made = stream as u64;
            result
        },
    );
    if let (Some(twin), Some(context)) = (answer.made(), world.current()) {
        world.work.streams.push((twin, context));
    }
}

fn destroy_stream(world: &mut World) {
    let twin = world.stream();
    if world.work.captures.iter().any(|(it, _)| *it == twin) {
        world.end_captures(None);
    }
    destroy(world, twin);
}

fn destroy(world: &mut World, twin: Twin) {
    if world.is_captured(twin) == Some(true) {
        // It joined a capture through an event, and its owner would end without it.
        return world.end_captures(None);
    }
    let answer = world.call(
        || format!("cuStreamDestroy_v2({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuStreamDestroy_v2(twin.0[side] as CUstream)),
    );
    if answer.is_success() {
        world.work.streams.retain(|(it, _)| *it != twin);
        world.outlived(twin);
    }
}

fn wait(world: &mut World) {
    world.model.pools.settled();
    let twin = world.stream();
    world.call(
        || format!("cuStreamSynchronize({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuStreamSynchronize(twin.0[side] as CUstream)),
    );
}

fn query(world: &mut World) {
    let twin = world.stream();
    world.call(
        || format!("cuStreamQuery({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuStreamQuery(twin.0[side] as CUstream)),
    );
}

fn events(world: &mut World) {
    let good = world.work.events.clone();
    let (event, stream) = (world.pick(&good), world.stream());
    let other = world.pick(&good);
    let what = world.bytes.below(8);
    let flags = world.bytes.one_of(&[0, 2, 1, 4, 9]);
    let full = good.len() >= EACH_MAX;
    let answer = world.call(
        || format!("event {what} ({event:x?}, {stream:x?}, {other:x?}, {flags})"),
        &Bill::Free,
        |cuda, side, made| {
            let at = |twin: Twin| twin.0[side] as CUevent;
            let stream = stream.0[side] as CUstream;
            match what {
                0 if !full => {
                    let mut event = null_mut();
                    let result = cu!(cuda, cuEventCreate(&mut event, flags));
                    *made = event as u64;
                    result
                }
                1 => cu!(cuda, cuEventDestroy_v2(at(event))),
                2..=3 => cu!(cuda, cuEventRecord(at(event), stream)),
                4 => cu!(cuda, cuEventQuery(at(event))),
                5 => cu!(cuda, cuEventSynchronize(at(event))),
                6 => cu!(cuda, cuEventElapsedTime_v2(&mut 0.0, at(event), at(other))),
                _ => cu!(cuda, cuStreamWaitEvent(stream, at(event), 0)),
            }
        },
    );
    match answer.made() {
        Some(twin) if what == 0 && !full => world.work.events.push(twin),
        Some(_) if what == 1 => {
            world.work.events.retain(|it| *it != event);
            world.outlived(event);
        }
        _ => {}
    }
}

fn load(world: &mut World) {
    if world.work.modules.len() >= EACH_MAX {
        return unload(world);
    }
    let what = world.bytes.below(6);
    let answer = world.call(
        || format!("cuModuleLoadData({what})"),
        &Bill::Free,
        |cuda, _, made| {
            let mut module = null_mut();
            let image: *const c_void = match what {
                0 => std::ptr::null(),
                1 => c"nothing a driver knows".as_ptr().cast(),
                _ => PTX.as_ptr().cast(),
            };
            let place = if what == 2 {
                null_mut()
            } else {
                &raw mut module
            };
            let result = if what == 3 {
                cu!(
                    cuda,
                    cuModuleLoadDataEx(place, image, 0, null_mut(), null_mut())
                )
            } else {
                cu!(cuda, cuModuleLoadData(place, image))
            };
            *made = module as u64;
            result
        },
    );
    if let Some(twin) = answer.made() {
        world.work.modules.push(twin);
    }
}

fn unload(world: &mut World) {
    let good = world.work.modules.clone();
    let twin = world.pick(&good);
    unload_module(world, twin);
}

fn unload_module(world: &mut World, twin: Twin) {
    let answer = world.call(
        || format!("cuModuleUnload({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| cu!(cuda, cuModuleUnload(twin.0[side] as CUmodule)),
    );
    if answer.is_success() {
        world.work.modules.retain(|it| *it != twin);
        world.outlived(twin);
    }
}

fn function(world: &mut World) {
    let good = world.work.modules.clone();
    let (twin, known) = (world.pick(&good), !world.bytes.one_in(8));
    let answer = world.call(
        || format!("cuModuleGetFunction({twin:x?}, {known})"),
        &Bill::Free,
        |cuda, side, made| {
            let mut function = null_mut();
            let name = if known { c"fcsp_work" } else { c"unheard_of" };
            let result = cu!(
                cuda,
                cuModuleGetFunction(&mut function, twin.0[side] as CUmodule, name.as_ptr())
            );
            *made = function as u64;
            result
        },
    );
    if let Some(twin) = answer.made() {
        if world.work.functions.len() == EACH_MAX {
            world.work.functions.remove(0);
        }
        world.work.functions.push(twin);
    }
}

/// A kernel of a few microseconds at most, in one of the ways there are.
fn launch(world: &mut World) {
    let good = world.work.functions.clone();
    let (twin, stream) = (world.pick(&good), world.stream());
    let (how, iterations) = (world.bytes.below(6), world.bytes.below(200) as u32);
    let grid = world.bytes.one_of(&[1, 1, 1, 132, 0, u32::MAX]);
    let block = world.bytes.one_of(&[1, 32, 256, 1024, 0, 1025]);
    let answer = world.call(
        || format!("launch {how} ({twin:x?}, {grid}, {block}, {stream:x?})"),
        &Bill::Free,
        |cuda, side, _| {
            let work = Work {
                function: twin.0[side] as CUfunction,
                stream: stream.0[side] as CUstream,
                grid,
                block,
            };
            work.launch(cuda, how, iterations)
        },
    );
    if answer.is_success() {
        world.work.submitted();
    }
}

struct Work {
    function: CUfunction,
    stream: CUstream,
    grid: u32,
    block: u32,
}

/// The arguments of the kernel: how long, and that it counts nothing.
struct Arguments(u32, u64, u64);

impl Arguments {
    fn pointers(&mut self) -> [*mut c_void; 3] {
        [
            (&raw mut self.0).cast(),
            (&raw mut self.1).cast(),
            (&raw mut self.2).cast(),
        ]
    }
}

impl Work {
    fn launch(&self, cuda: &Library, how: usize, iterations: u32) -> CUresult {
        let mut arguments = Arguments(iterations, 0, 0);
        let mut pointers = arguments.pointers();
        let params = pointers.as_mut_ptr();
        let (f, grid, block, stream) = (self.function, self.grid, self.block, self.stream);
        match how {
            0 => cu!(
                cuda,
                cuLaunchCooperativeKernel(f, grid, 1, 1, block, 1, 1, 0, stream, params)
            ),
            1 => {
                let mut config = CUlaunchConfig::default();
                (config.gridDimX, config.gridDimY, config.gridDimZ) = (grid, 1, 1);
                (config.blockDimX, config.blockDimY, config.blockDimZ) = (block, 1, 1);
                config.hStream = stream;
                cu!(cuda, cuLaunchKernelEx(&config, f, params, null_mut()))
            }
            2 => cu!(
                cuda,
                cuLaunchKernelEx(std::ptr::null(), f, params, null_mut())
            ),
            3 => cu!(
                cuda,
                cuLaunchKernel_ptsz(f, grid, 1, 1, block, 1, 1, 0, stream, params, null_mut())
            ),
            _ => cu!(
                cuda,
                cuLaunchKernel(f, grid, 1, 1, block, 1, 1, 0, stream, params, null_mut())
            ),
        }
    }
}

/// Adds a kernel to a graph.
pub fn add_kernel_node(world: &mut World, graph: Twin) -> Option<Twin> {
    let good = world.work.functions.clone();
    let function = world.pick(&good);
    let answer = world.call(
        || format!("cuGraphAddKernelNode_v2({graph:x?}, {function:x?})"),
        &Bill::Free,
        |cuda, side, made| {
            let mut arguments = Arguments(10, 0, 0);
            let mut pointers = arguments.pointers();
            let mut params = CUDA_KERNEL_NODE_PARAMS {
                func: function.0[side] as CUfunction,
                ..Default::default()
            };
            (params.gridDimX, params.gridDimY, params.gridDimZ) = (1, 1, 1);
            (params.blockDimX, params.blockDimY, params.blockDimZ) = (32, 1, 1);
            params.kernelParams = pointers.as_mut_ptr();
            let mut node = null_mut();
            let graph = graph.0[side] as cuda_sys::CUgraph;
            let result = cu!(
                cuda,
                cuGraphAddKernelNode_v2(&mut node, graph, std::ptr::null(), 0, &params)
            );
            *made = node as u64;
            result
        },
    );
    answer.made()
}

/// Calls of programs whose default stream is each thread's own.
fn per_thread(world: &mut World) {
    let twin = world.stream();
    let what = world.bytes.below(2);
    world.call(
        || format!("per thread {what} ({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| match what {
            0 => cu!(cuda, cuStreamQuery_ptsz(twin.0[side] as CUstream)),
            _ => cu!(cuda, cuStreamSynchronize_ptsz(twin.0[side] as CUstream)),
        },
    );
}

/// Ends captures, and destroys everything.
pub fn tidy(world: &mut World) {
    for (twin, _) in world.work.streams.clone() {
        destroy(world, twin);
    }
    for twin in std::mem::take(&mut world.work.events) {
        world.call(
            || format!("cuEventDestroy_v2({twin:x?})"),
            &Bill::Free,
            |cuda, side, _| cu!(cuda, cuEventDestroy_v2(twin.0[side] as CUevent)),
        );
    }
    for twin in world.work.modules.clone() {
        unload_module(world, twin);
    }
    world.work.functions.clear();
}
