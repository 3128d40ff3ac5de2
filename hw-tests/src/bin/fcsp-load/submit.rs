//! One submission of work: a kernel by any of the launch calls, a graph of several, or memory moved in
//! place of a kernel.

use anyhow::Result;
use clap::ValueEnum;
use cuda_sys::{
    CUgraph, CUgraphExec, CUgraphExecUpdateResultInfo, CUlaunchAttribute, CUlaunchConfig, CUstream,
    CUstreamCaptureMode, fn_types,
};
use std::cell::Cell;
use std::ffi::c_void;

use crate::api::{Entry, call};
use crate::families::{Family, launch_old};
use crate::gpu::{BLOCK_THREADS, Gpu};
use crate::stream;

/// Which driver call submits the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LaunchApi {
    /// `cuLaunchKernel`
    Launch,
    /// `cuLaunchKernelEx`
    LaunchEx,
    /// `cuLaunchCooperativeKernel`
    Cooperative,
    /// `cuGraphLaunch` of a captured graph
    Graph,
    /// The same, updated before every launch: to kernels of half the length, and back
    GraphUpdate,
    /// `cuLaunchKernel` of a library's kernel, by the handle of `cuLibraryGetKernel`
    Library,
    /// `cuLaunchKernelEx` with a priority and programmatic stream serialization
    Attributes,
    /// `cuLaunchKernelEx` in clusters of two blocks (compute capability 9.0 and newer)
    Cluster,
    /// `cuLaunchGridAsync`, as before CUDA 4
    Old,
    /// `cuMemsetD8Async` in place of kernels
    Fill,
    /// `cuMemcpyDtoDAsync` in place of kernels
    Copy,
    /// `cuLaunchKernel` of a kernel that reads memory in place of the one that computes
    Read,
}

impl LaunchApi {
    /// Whether a submission is a graph of several kernels.
    pub fn is_graph(self) -> bool {
        matches!(self, Self::Graph | Self::GraphUpdate)
    }
}

/// A kernel that keeps the whole device busy for a known time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Rounds each thread does.
    pub iters: u32,
    /// Nominal device time, added to the counter when done.
    pub nominal_ns: u64,
}

impl Work {
    /// The work closest to `us` microseconds of the whole device.
    pub fn lasting_us(us: f64, iters_per_us: f64) -> Self {
        let iters = (us * iters_per_us).round().max(1.0) as u32;
        Self {
            iters,
            // From the rounded count, so that rounding does not become an error of the counter.
            nominal_ns: (f64::from(iters) / iters_per_us * 1_000.0).round() as u64,
        }
    }

    /// Half of it.
    fn half(&self) -> Self {
        let iters = (self.iters / 2).max(1);
        let part = u64::from(iters) as f64 / f64::from(self.iters);
        Self {
            iters,
            nominal_ns: (self.nominal_ns as f64 * part).round() as u64,
        }
    }
}

/// Submits work to the streams of one mode.
pub struct Submitter<'a> {
    gpu: &'a Gpu,
    blocks: u32,
    api: LaunchApi,
    family: Family,
    launch: Entry<fn_types::cuLaunchKernel>,
}

impl<'a> Submitter<'a> {
    /// Submits grids of `blocks` blocks by `cuLaunchKernel`.
    pub fn new(gpu: &'a Gpu, blocks: u32) -> Self {
        Self {
            gpu,
            blocks,
            api: LaunchApi::Launch,
            family: Family::Plain,
            launch: gpu.api.launch_kernel,
        }
    }

    /// Submits grids of `blocks` blocks by `api`, and makes what that needs.
    pub fn by(gpu: &'a Gpu, blocks: u32, api: LaunchApi) -> Result<Self> {
        Ok(Self {
            gpu,
            blocks,
            api,
            family: Family::of(gpu, api)?,
            launch: gpu.api.launch_kernel,
        })
    }

    /// Launches by this function in place of the one that was found as programs find it.
    pub fn through(self, launch: Entry<fn_types::cuLaunchKernel>) -> Self {
        Self { launch, ..self }
    }

    /// Whether the other launches by another function.
    pub fn differs_from(&self, other: &Self) -> Result<bool> {
        Ok(!std::ptr::fn_addr_eq(
            self.launch.get()?,
            other.launch.get()?,
        ))
    }

    /// Launches one kernel, or moves memory. With graphs an ordinary launch, for capture.
    pub fn kernel(&self, stream: CUstream, work: Work) -> Result<()> {
        if let Family::Memory(memory) = &self.family {
            return memory.submit(self.gpu, stream, work);
        }
        if let Family::Reading(reading) = &self.family {
            return reading.launch(self.gpu, self.blocks, stream, work);
        }
        if self.api == LaunchApi::Old {
            return launch_old(self.gpu, self.blocks, stream, work);
        }
        let mut iters = work.iters;
        let mut counter = self.gpu.counter().device;
        let mut add = work.nominal_ns;
        let mut parameters: [*mut c_void; 3] = [
            (&raw mut iters).cast(),
            (&raw mut counter).cast(),
            (&raw mut add).cast(),
        ];
        let kernel = match &self.family {
            Family::Library(kernel) => *kernel,
            _ => self.gpu.kernel,
        };
        let (api, parameters) = (&self.gpu.api, parameters.as_mut_ptr());
        match self.api {
            LaunchApi::Launch
            | LaunchApi::Graph
            | LaunchApi::GraphUpdate
            | LaunchApi::Library
            | LaunchApi::Old
            | LaunchApi::Fill
            | LaunchApi::Copy
            | LaunchApi::Read => {
                // SAFETY: a loaded function whose three parameters have these types, a live stream of the
                // current context; the driver copies the parameters before it returns.
                unsafe {
                    call!(
                        self,
                        launch(
                            kernel,
                            self.blocks,
                            1,
                            1,
                            BLOCK_THREADS,
                            1,
                            1,
                            0,
                            stream,
                            parameters,
                            std::ptr::null_mut(),
                        )
                    )
                }
            }
            LaunchApi::LaunchEx | LaunchApi::Attributes | LaunchApi::Cluster => {
                let mut attributes = match &self.family {
                    Family::Attributes(attributes) => attributes.clone(),
                    _ => Vec::new(),
                };
                let config = self.config(stream, &mut attributes);
                // SAFETY: as above; the configuration and its attributes live for the call.
                unsafe {
                    call!(
                        api,
                        launch_kernel_ex(&config, kernel, parameters, std::ptr::null_mut())
                    )
                }
            }
            // SAFETY: as above; the default grid is one wave, so all blocks can be resident.
            LaunchApi::Cooperative => unsafe {
                call!(
                    api,
                    launch_cooperative(
                        kernel,
                        self.blocks,
                        1,
                        1,
                        BLOCK_THREADS,
                        1,
                        1,
                        0,
                        stream,
                        parameters,
                    )
                )
            },
        }
    }

    /// Captures `works` in order and instantiates them as one graph.
    pub fn graph(&self, works: &[Work]) -> Result<Graph> {
        let api = &self.gpu.api;
        let full = self.capture(works)?;
        let mut exec = std::ptr::null_mut();
        // SAFETY: a captured graph and a live out-parameter.
        unsafe { call!(api, graph_instantiate(&mut exec, full, 0)) }?;
        let nominal_ns = |works: &[Work]| works.iter().map(|work| work.nominal_ns).sum();
        let mut forms = vec![(full, nominal_ns(works))];
        if self.api == LaunchApi::GraphUpdate {
            let halves: Vec<Work> = works.iter().map(Work::half).collect();
            forms.push((self.capture(&halves)?, nominal_ns(&halves)));
        }
        Ok(Graph {
            exec,
            forms,
            launches: Cell::new(0),
        })
    }

    fn capture(&self, works: &[Work]) -> Result<CUgraph> {
        let api = &self.gpu.api;
        // The legacy stream cannot be captured, so capture always takes a stream of its own.
        let capture = stream::create(self.gpu)?;
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: `capture` was just created and is not yet capturing.
        unsafe { call!(api, stream_begin_capture(capture, mode)) }?;
        for &work in works {
            self.kernel(capture, work)?;
        }
        let mut graph = std::ptr::null_mut();
        // SAFETY: `capture` is capturing, `graph` is a live out-parameter.
        unsafe { call!(api, stream_end_capture(capture, &mut graph)) }?;
        Ok(graph)
    }

    /// Launches a graph, changed before if it has several forms; nominal device time of all its kernels.
    pub fn launch_graph(&self, stream: CUstream, graph: &Graph) -> Result<u64> {
        let turn = graph.launches.get();
        graph.launches.set(turn + 1);
        let (form, nominal_ns) = graph.forms[turn % graph.forms.len()];
        if graph.forms.len() > 1 {
            let mut info = CUgraphExecUpdateResultInfo::default();
            // SAFETY: an instantiated graph, one of the same form, a live out-parameter.
            unsafe { call!(self.gpu.api, graph_exec_update(graph.exec, form, &mut info)) }?;
        }
        // SAFETY: an instantiated graph that is never destroyed, a live stream.
        unsafe { call!(self.gpu.api, graph_launch(graph.exec, stream)) }?;
        Ok(nominal_ns)
    }

    fn config(&self, stream: CUstream, attributes: &mut [CUlaunchAttribute]) -> CUlaunchConfig {
        CUlaunchConfig {
            gridDimX: self.blocks,
            gridDimY: 1,
            gridDimZ: 1,
            blockDimX: BLOCK_THREADS,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            hStream: stream,
            attrs: attributes.as_mut_ptr(),
            numAttrs: attributes.len() as u32,
        }
    }
}

/// An instantiated graph of work kernels.
pub struct Graph {
    exec: CUgraphExec,
    /// What it may become, with the nominal device time of all its kernels.
    forms: Vec<(CUgraph, u64)>,
    launches: Cell<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nominal_time_follows_the_rounded_rounds() {
        let work = Work::lasting_us(10.0, 31.3);
        assert_eq!(work.iters, 313);
        assert_eq!(work.nominal_ns, 10_000);
        let half = work.half();
        assert_eq!((half.iters, half.nominal_ns), (156, 4984));
        let short = Work::lasting_us(0.001, 31.25);
        assert_eq!((short.iters, short.nominal_ns), (1, 32));
    }
}
