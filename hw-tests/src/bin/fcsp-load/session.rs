//! The frame around every mode: say that we are ready, begin together with the others, sample the
//! counter meanwhile, report.

use anyhow::{Context, Result, bail};
use fcsp_hw_tests::clock::{self, NS_PER_S};
use fcsp_hw_tests::record::{Header, Outcome, Record, Summary};
use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::cli::{Common, StartAt};
use crate::gpu::{Counter, Gpu};
use crate::scale::Scale;

/// How often buffered lines are written out at the latest.
const FLUSH_EVERY_NS: u64 = 50_000_000;

/// Where lines go; shared between the mode and its sampler.
#[derive(Clone)]
pub struct Output(Arc<Mutex<BufWriter<Box<dyn Write + Send>>>>);

impl Output {
    /// Lines go to the named file, or to stdout.
    pub fn open(common: &Common) -> Result<Self> {
        let sink: Box<dyn Write + Send> = match &common.output {
            Some(path) => Box::new(
                File::create(path)
                    .with_context(|| format!("cannot write the output {}", path.display()))?,
            ),
            None => Box::new(std::io::stdout()),
        };
        Ok(Self(Arc::new(Mutex::new(BufWriter::new(sink)))))
    }

    /// Writes one record as one line, buffered.
    pub fn line(&self, record: &Record) -> Result<()> {
        let mut sink = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        serde_json::to_writer(&mut *sink, record)?;
        sink.write_all(b"\n")?;
        Ok(())
    }

    /// Hands buffered lines to the reader.
    pub fn flush(&self) -> Result<()> {
        let mut sink = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(sink.flush()?)
    }
}

/// A mode between its start and its report.
pub struct Session {
    output: Output,
    counter: Option<Counter>,
    sampler: Option<Sampler>,
    /// When the measured part began.
    pub start_ns: u64,
    /// When it is to end.
    pub end_ns: u64,
    /// Before this moment latencies are not counted.
    pub warm_ns: u64,
}

impl Session {
    /// Announces a program that uses `gpu`, waits for the start, begins sampling.
    pub fn begin(mode: &str, common: &Common, gpu: &Gpu, scale: Option<Scale>) -> Result<Self> {
        // Everything that is loaded lazily must be loaded before the clock starts.
        gpu.synchronize()?;
        let header = Header {
            mode: mode.into(),
            pid: std::process::id(),
            device: gpu.info.clone(),
            attach_ns: gpu.attach_ns,
            context_ns: gpu.context_ns,
            iters_per_us: scale.map_or(0.0, |scale| scale.iters_per_us),
            grid_blocks: scale.map_or(0, |scale| scale.blocks),
            total_bytes: gpu.total_bytes()?,
        };
        Self::announce(common, header, Some(gpu.counter()))
    }

    /// Announces a program by `header`, waits for the start, samples `counter` if there is one.
    pub fn announce(common: &Common, header: Header, counter: Option<Counter>) -> Result<Self> {
        let output = Output::open(common)?;
        output.line(&Record::Header(header))?;
        output.flush()?;

        let wanted_ns = wait_for_start(common.start_at)?;
        let start_ns = clock::now_ns();
        output.line(&Record::Start {
            t_ns: start_ns,
            late_ns: wanted_ns.map_or(0, |wanted_ns| start_ns.saturating_sub(wanted_ns)),
        })?;
        let period_ns = (common.sample_ms * 1e6) as u64;
        let sampler = counter
            .filter(|_| period_ns > 0)
            .map(|counter| Sampler::spawn(output.clone(), counter, start_ns, period_ns));
        Ok(Self {
            output,
            counter,
            sampler,
            start_ns,
            end_ns: start_ns + (common.seconds * NS_PER_S as f64) as u64,
            warm_ns: start_ns + (common.warmup_ms * 1e6) as u64,
        })
    }

    /// Whether the time is over.
    pub fn over(&self) -> bool {
        clock::now_ns() >= self.end_ns
    }

    /// Writes a line of this mode's own.
    pub fn line(&self, record: &Record) -> Result<()> {
        self.output.line(record)
    }

    /// Hands lines to whoever waits for them.
    pub fn flush(&self) -> Result<()> {
        self.output.flush()
    }

    /// Waits for what is in flight (`drain`) and writes the summary.
    pub fn finish(
        self,
        launches: u64,
        outcome: Outcome,
        drain: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let end_ns = clock::now_ns();
        drain()?;
        let drain_ns = clock::now_ns() - end_ns;
        if let Some(sampler) = self.sampler {
            sampler.stop()?;
        }
        self.output.line(&Record::Summary(Summary {
            start_ns: self.start_ns,
            end_ns,
            drain_ns,
            work_ns: self.counter.map_or(0, |counter| counter.work_ns()),
            launches,
            outcome,
        }))?;
        self.output.flush()
    }
}

/// Sleeps until the agreed moment and returns it; `None` if there is none.
fn wait_for_start(start_at: StartAt) -> Result<Option<u64>> {
    let unix_ms = match start_at {
        StartAt::Now => return Ok(None),
        StartAt::UnixMs(unix_ms) => unix_ms,
        StartAt::Stdin => {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            match line.trim().parse() {
                Ok(unix_ms) => unix_ms,
                Err(_) => bail!("expected Unix milliseconds on stdin, got `{}`", line.trim()),
            }
        }
    };
    let wanted_ns = clock::monotonic_of_unix_ms(unix_ms);
    clock::sleep_until_ns(wanted_ns);
    Ok(Some(wanted_ns))
}

/// A thread that writes down the counter at equal intervals. It makes no driver call.
struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Sampler {
    fn spawn(output: Output, counter: Counter, start_ns: u64, period_ns: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut due_ns = start_ns;
            let mut flush_ns = start_ns + FLUSH_EVERY_NS;
            loop {
                // Relaxed: the flag publishes nothing but itself, and joining the thread does.
                let last = stopped.load(Ordering::Relaxed);
                let t_ns = clock::now_ns();
                let work_ns = counter.work_ns();
                output.line(&Record::Sample { t_ns, work_ns })?;
                if last {
                    return Ok(());
                }
                if t_ns >= flush_ns {
                    output.flush()?;
                    flush_ns = t_ns + FLUSH_EVERY_NS;
                }
                // Late samples are skipped, not bunched: what counts is the time each one carries.
                due_ns += period_ns * ((t_ns.saturating_sub(due_ns)) / period_ns + 1);
                clock::sleep_until_ns(due_ns);
            }
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(result) => result.context("samples could not be written"),
            Err(_) => bail!("the sampling thread panicked"),
        }
    }
}
