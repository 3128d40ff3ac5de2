//! A tenant: a process of its own that does on the device what it is asked to, a line at a time.
//!
//! It is the same program as the run itself, started again under the environment of a system. Whatever it meets becomes an
//! answer; only a fault that takes the process with it does not, which the run then sees.

mod calls;
mod chase;
mod copies;
mod device_clock;
mod events;
mod faults;
mod fragments;
mod gpu;
mod language;
mod libraries;
mod load;
mod memory;
mod nccl;
mod pin;
mod products;
mod sampler;
mod sharing;
mod streams;

use crate::driver::{Trouble, Vendor};
use crate::protocol::{Answer, Task};
use gpu::Gpu;
use std::io::{BufRead, Write};
use std::os::fd::{FromRawFd, OwnedFd};

/// Does what stdin asks for, on that vendor's devices, until it ends.
///
/// # Errors
/// Only if its own pipes fail.
pub fn serve(vendor: Vendor) -> std::io::Result<()> {
    let mut answers = private_stdout()?;
    let mut worker = Worker::new(vendor);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match serde_json::from_str::<Task>(&line) {
            Ok(task) => worker.answer(&task),
            Err(error) => Answer {
                error: Some(format!("not a task: {error}: {line}")),
                ..Answer::default()
            },
        };
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        answers.write_all(text.as_bytes())?;
        answers.flush()?;
    }
    Ok(())
}

/// Stdout for the answers alone: what libraries print goes to stderr from now on.
fn private_stdout() -> std::io::Result<std::fs::File> {
    // SAFETY: both descriptors are open in a process that was started with pipes; the copy is ours alone.
    unsafe {
        let copy = libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 3);
        if copy < 0 || libc::dup2(2, 1) < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(std::fs::File::from(OwnedFd::from_raw_fd(copy)))
    }
}

/// What a worker keeps between tasks.
struct Worker {
    vendor: Vendor,
    gpu: Option<Gpu>,
    marked: Option<sharing::Marked>,
    set: Option<chase::Set>,
    ready: Option<load::Ready>,
    nccl: Option<nccl::Ring>,
    products: Option<products::Library>,
}

impl Worker {
    fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            gpu: None,
            marked: None,
            set: None,
            ready: None,
            nccl: None,
            products: None,
        }
    }

    fn answer(&mut self, task: &Task) -> Answer {
        self.perform(task).unwrap_or_else(Answer::of)
    }

    fn perform(&mut self, task: &Task) -> Result<Answer, Trouble> {
        if self.gpu.is_none() {
            self.gpu = Some(Gpu::open(self.vendor)?);
        }
        let gpu = self
            .gpu
            .as_mut()
            .ok_or_else(|| Trouble::new("the device was opened and is not there"))?;
        match task {
            Task::Describe => gpu.describe(),
            Task::Calibrate => gpu.calibrate(),
            Task::Pace { iters_per_us } => {
                gpu.iters_per_us = *iters_per_us;
                Ok(Answer::default())
            }
            Task::Pin { place } => {
                pin::stay(*place).map_err(|error| {
                    Trouble::new(format!("cannot stay on one processor: {error}"))
                })?;
                Ok(Answer::default())
            }
            Task::Launch { count, busy } => calls::launch(gpu, *count, *busy),
            Task::LaunchPaced {
                count,
                kernel_us,
                every_us,
            } => calls::launch_paced(gpu, *count, *kernel_us, *every_us),
            Task::Begin { count } => calls::begin(gpu, *count),
            Task::Arrivals {
                count,
                kernel_us,
                every_us,
                seed,
                to_ns,
            } => calls::arrivals(gpu, *count, [*kernel_us, *every_us], *seed, *to_ns),
            Task::Stamped {
                kernel_us,
                from_ns,
                to_ns,
            } => device_clock::stamped(gpu, *kernel_us, *from_ns, *to_ns),
            Task::Chase {
                bytes,
                passes,
                count,
                hit_cycles,
                pause_us,
                from_ns,
                until_ns,
            } => chase::measure(
                gpu,
                &mut self.set,
                chase::Asked {
                    bytes: *bytes,
                    passes: *passes,
                    count: *count,
                    hit_cycles: *hit_cycles,
                    pause_us: *pause_us,
                    from_ns: *from_ns,
                    until_ns: *until_ns,
                },
            ),
            Task::Call { call, thousands } => calls::cheap(gpu, *call, *thousands),
            Task::Allocate { way, bytes, count } => memory::allocate(gpu, *way, *bytes, *count),
            Task::Fill { way, most_bytes } => memory::fill(gpu, *way, *most_bytes),
            Task::Refuse {
                way,
                beyond_bytes,
                count,
            } => memory::refuse(gpu, *way, *beyond_bytes, *count),
            Task::Pool { bytes } => memory::pool(gpu, *bytes),
            Task::Decode {
                kernels,
                us,
                tokens,
                graph,
            } => language::decode(gpu, *kernels, *us, *tokens, *graph),
            Task::CacheTrace {
                way,
                block_bytes,
                count,
                held_max,
            } => memory::cache_trace(gpu, *way, *block_bytes, *count, *held_max),
            Task::Prepare { load } => {
                self.ready = Some(load::prepare(gpu, load)?);
                Ok(Answer::default())
            }
            Task::Run {
                from_ns,
                counts_from_ns,
                to_ns,
            } => match self.ready.take() {
                Some(ready) => load::run(gpu, ready, [*from_ns, *counts_from_ns, *to_ns]),
                None => Err(Trouble::new("no load was prepared")),
            },
            Task::Attention { heads, rows, count } => {
                language::attention(gpu, *heads, *rows, *count)
            }
            Task::Streams {
                streams,
                kernels,
                us,
                blocks,
                count,
                from_ns,
                to_ns,
            } => {
                let asked = streams::Asked {
                    streams: *streams,
                    kernels: *kernels,
                    us: *us,
                    blocks: *blocks,
                    count: *count,
                    from_ns: *from_ns,
                    to_ns: *to_ns,
                };
                streams::together(gpu, asked)
            }
            Task::Products { size, count } => {
                products::measure(gpu, &mut self.products, *size, *count)
            }
            Task::Copies {
                bytes,
                to_device,
                pinned,
                count,
            } => copies::measure(gpu, *bytes, *to_device, *pinned, *count),
            Task::Fragment { most_bytes, seed } => fragments::measure(gpu, *most_bytes, *seed),
            Task::Fault => faults::illegal_access(gpu),
            Task::RunOut => faults::run_out(gpu),
            Task::Work { bytes } => faults::work(gpu, *bytes),
            Task::Mark { bytes, word } => sharing::mark(gpu, &mut self.marked, *bytes, *word),
            Task::Unmark => sharing::unmark(gpu, &mut self.marked),
            Task::Search { bytes, word } => sharing::search(gpu, *bytes, *word),
            Task::Peek {
                address,
                handle,
                word,
            } => sharing::peek(gpu, *address, handle, *word),
            Task::Scaling { us, bytes, count } => {
                nccl::scaling(gpu, &mut self.nccl, *us, *bytes, *count)
            }
            Task::Collective { kind, bytes, count } => {
                nccl::measure(gpu, &mut self.nccl, *kind, *bytes, *count)
            }
        }
    }
}
