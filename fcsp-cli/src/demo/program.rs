//! One running load program and what it has reported so far.

use super::measure::Sample;
use anyhow::{Context, Result, bail};
use fcsp_core::sched::clock::now_ns;
use serde::Deserialize;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a program may take to set up.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end after its time is over.
const END_MAX: Duration = Duration::from_secs(20);

/// A line of a load program, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record {
    Header {
        total_bytes: u64,
    },
    Sample(Sample),
    Summary {
        outcome: Outcome,
    },
    #[serde(other)]
    Other,
}

/// The end of a load program.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Outcome {
    /// It asked for memory before it worked.
    Hog {
        /// Bytes asked for.
        asked_bytes: u64,
        /// Bytes it got.
        granted_bytes: u64,
        /// Whether it was refused.
        refused: bool,
    },
    /// Anything else.
    #[serde(other)]
    Other,
}

/// What a program has reported.
#[derive(Debug, Default)]
pub struct Trace {
    /// Device memory as the program sees it; `None` until it is set up.
    pub total_bytes: Option<u64>,
    /// Work finished, in the order of time.
    pub samples: Vec<Sample>,
    /// How it ended; `None` while it runs and if it was killed.
    pub outcome: Option<Outcome>,
}

/// A running load program. It ends with this value, at the latest.
pub struct Program {
    name: String,
    child: Child,
    trace: Arc<Mutex<Trace>>,
    reader: Option<JoinHandle<()>>,
    complaints: Option<JoinHandle<String>>,
}

impl Program {
    /// Starts `command`, which must be a load program that waits on stdin for its start.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: between fork and exec only one system call is made, which is allowed there. It
        // makes the kernel end the program if this process dies without ending it.
        unsafe {
            command.pre_exec(
                || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                },
            );
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        let trace = Arc::new(Mutex::new(Trace::default()));
        let reader = child.stdout.take().map(|stdout| {
            let trace = Arc::clone(&trace);
            std::thread::spawn(move || read_records(stdout, &trace))
        });
        let complaints = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                // What was read before an error is as good.
                let _read = stderr.read_to_end(&mut text);
                String::from_utf8_lossy(&text).trim().to_owned()
            })
        });
        Ok(Self {
            name: name.to_owned(),
            child,
            trace,
            reader,
            complaints,
        })
    }

    /// What it has reported so far. Keep it for a moment only.
    pub fn trace(&self) -> MutexGuard<'_, Trace> {
        lock(&self.trace)
    }

    /// Waits until it is set up.
    pub fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_MAX;
        while self.trace().total_bytes.is_none() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{}", self.obituary(status));
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {} s", self.name, READY_MAX.as_secs());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Lets it begin at that moment of wall time.
    pub fn begin(&mut self, unix_ms: u64) -> Result<()> {
        let stdin = self
            .child
            .stdin
            .as_mut()
            .context("it was started with a pipe")?;
        writeln!(stdin, "{unix_ms}").with_context(|| format!("{} ended before it began", self.name))
    }

    /// An error if it has ended already.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) if !status.success() => bail!("{}", self.obituary(status)),
            _ => Ok(()),
        }
    }

    /// Kills it with SIGKILL and gives when `gone` first held, which is asked every half millisecond
    /// for `patience` at most.
    pub fn kill_and_watch(
        &mut self,
        patience: Duration,
        gone: impl Fn() -> bool,
    ) -> Result<Option<u64>> {
        let deadline = Instant::now() + patience;
        self.child.kill()?;
        let gone_ns = loop {
            if gone() {
                break Some(now_ns());
            }
            if Instant::now() > deadline {
                break None;
            }
            std::thread::sleep(Duration::from_micros(500));
        };
        // Only now: the kernel may take its time to clear away a device context.
        self.child.wait()?;
        Ok(gone_ns)
    }

    /// Waits until it has ended by itself.
    pub fn wait_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + END_MAX;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.join_reader();
                if !status.success() {
                    bail!("{}", self.obituary(status));
                }
                let complaints = self.complaints();
                if !complaints.is_empty() {
                    tracing::info!("{}: {complaints}", self.name);
                }
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} goes on {} s after its time",
                    self.name,
                    END_MAX.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn obituary(&mut self, status: ExitStatus) -> String {
        let complaints = self.complaints();
        format!("{} ended with {status}: {complaints}", self.name)
    }

    fn complaints(&mut self) -> String {
        self.complaints
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }

    fn join_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has left what it had read.
            let _joined = reader.join();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if it has ended, which is what is wanted.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
        self.join_reader();
    }
}

fn read_records(stdout: impl Read, trace: &Mutex<Trace>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        // A killed program's last line may be cut.
        let Ok(record) = serde_json::from_str(&line) else {
            continue;
        };
        let mut trace = lock(trace);
        match record {
            Record::Header { total_bytes } => trace.total_bytes = Some(total_bytes),
            Record::Sample(sample) => trace.samples.push(sample),
            Record::Summary { outcome } => trace.outcome = Some(outcome),
            Record::Other => {}
        }
    }
}

fn lock(trace: &Mutex<Trace>) -> MutexGuard<'_, Trace> {
    // A panic elsewhere leaves every value whole.
    trace
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
