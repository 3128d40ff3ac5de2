//! Streams kept busy: what a saturating program does until its time is over.

use anyhow::Result;
use cuda_sys::CUstream;

use crate::cli::Launching;
use crate::gpu::Gpu;
use crate::scale::Scale;
use crate::session::Session;
use crate::submit::{Graph, Submitter, Work};
use crate::throttle::Throttle;

/// How far a saturating program may run ahead of the device.
#[derive(Debug, Clone, Copy)]
pub enum Ahead {
    /// Nominal device time in flight, all streams together.
    Work {
        /// At most this much.
        ns: u64,
    },
    /// Submissions in flight, per stream.
    Launches {
        /// At most this many.
        count: u64,
    },
}

/// One stream and what may be in flight on it.
struct Lane<'a> {
    stream: CUstream,
    graph: Option<Graph>,
    throttle: Throttle<'a>,
}

/// Streams that are kept busy in turn.
pub struct Lanes<'a> {
    submitter: Submitter<'a>,
    works: Vec<Work>,
    ahead: Ahead,
    lanes: Vec<Lane<'a>>,
}

impl<'a> Lanes<'a> {
    /// Opens the streams, and captures a graph for each where graphs are asked for.
    pub fn open(
        gpu: &'a Gpu,
        scale: Scale,
        launching: &Launching,
        kernel_us: &[f64],
        ahead: Ahead,
    ) -> Result<Self> {
        let works: Vec<Work> = kernel_us
            .iter()
            .map(|&us| Work::lasting_us(us, scale.iters_per_us))
            .collect();
        let submitter = Submitter::by(gpu, scale.blocks, launching.api)?;
        let streams = launching.stream.open(gpu)?;
        let limit = match ahead {
            Ahead::Work { ns } => ns / streams.len() as u64,
            Ahead::Launches { count } => count,
        };
        let lanes = streams
            .into_iter()
            .map(|stream| {
                let graph = launching
                    .api
                    .is_graph()
                    .then(|| {
                        let kernels = works.iter().copied().cycle();
                        let kernels: Vec<Work> = kernels.take(launching.graph_kernels).collect();
                        submitter.graph(&kernels)
                    })
                    .transpose()?;
                Ok(Lane {
                    stream,
                    graph,
                    throttle: Throttle::new(gpu, stream, limit),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            submitter,
            works,
            ahead,
            lanes,
        })
    }

    /// Submits until the session is over; how often it submitted.
    pub fn saturate(mut self, session: &Session) -> Result<u64> {
        let mut launches = 0;
        for work in self.works.iter().cycle() {
            if session.over() {
                break;
            }
            let turn = launches as usize % self.lanes.len();
            let lane = &mut self.lanes[turn];
            let nominal_ns = match &lane.graph {
                Some(graph) => self.submitter.launch_graph(lane.stream, graph)?,
                None => {
                    self.submitter.kernel(lane.stream, *work)?;
                    work.nominal_ns
                }
            };
            launches += 1;
            lane.throttle.submitted(match self.ahead {
                Ahead::Work { .. } => nominal_ns,
                Ahead::Launches { .. } => 1,
            })?;
        }
        Ok(launches)
    }
}
