//! One submission of work: a kernel by any of the launch calls, or a graph of several.

use anyhow::Result;
use clap::ValueEnum;
use cuda_sys::{CUgraphExec, CUlaunchConfig, CUstream, CUstreamCaptureMode};
use std::ffi::c_void;

use crate::api::call;
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
}

/// Submits work to the streams of one mode.
pub struct Submitter<'a> {
    gpu: &'a Gpu,
    blocks: u32,
    api: LaunchApi,
}

impl<'a> Submitter<'a> {
    /// Submits grids of `blocks` blocks by `api`.
    pub fn new(gpu: &'a Gpu, blocks: u32, api: LaunchApi) -> Self {
        Self { gpu, blocks, api }
    }

    /// Launches one kernel. With [`LaunchApi::Graph`] an ordinary launch, for capture.
    pub fn kernel(&self, stream: CUstream, work: Work) -> Result<()> {
        let mut iters = work.iters;
        let mut counter = self.gpu.counter().device;
        let mut add = work.nominal_ns;
        let mut parameters: [*mut c_void; 3] = [
            (&raw mut iters).cast(),
            (&raw mut counter).cast(),
            (&raw mut add).cast(),
        ];
        let (api, kernel, parameters) = (&self.gpu.api, self.gpu.kernel, parameters.as_mut_ptr());
        match self.api {
            // SAFETY: a loaded function whose three parameters have these types, a live stream of
            // the current context; the driver copies the parameters before it returns.
            LaunchApi::Launch | LaunchApi::Graph => unsafe {
                call!(
                    api,
                    launch_kernel(
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
            },
            LaunchApi::LaunchEx => {
                let config = self.config(stream);
                // SAFETY: as above; the configuration lives for the call.
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
        let mut exec = std::ptr::null_mut();
        // SAFETY: a captured graph and a live out-parameter.
        unsafe { call!(api, graph_instantiate(&mut exec, graph, 0)) }?;
        Ok(Graph {
            exec,
            nominal_ns: works.iter().map(|work| work.nominal_ns).sum(),
        })
    }

    /// Launches a graph.
    pub fn launch_graph(&self, stream: CUstream, graph: &Graph) -> Result<()> {
        // SAFETY: an instantiated graph that is never destroyed, a live stream.
        unsafe { call!(self.gpu.api, graph_launch(graph.exec, stream)) }
    }

    fn config(&self, stream: CUstream) -> CUlaunchConfig {
        CUlaunchConfig {
            gridDimX: self.blocks,
            gridDimY: 1,
            gridDimZ: 1,
            blockDimX: BLOCK_THREADS,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            hStream: stream,
            attrs: std::ptr::null_mut(),
            numAttrs: 0,
        }
    }
}

/// An instantiated graph of work kernels.
pub struct Graph {
    exec: CUgraphExec,
    /// Nominal device time of all its kernels.
    pub nominal_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nominal_time_follows_the_rounded_rounds() {
        let work = Work::lasting_us(10.0, 31.3);
        assert_eq!(work.iters, 313);
        assert_eq!(work.nominal_ns, 10_000);
        let short = Work::lasting_us(0.001, 31.25);
        assert_eq!((short.iters, short.nominal_ns), (1, 32));
    }
}
