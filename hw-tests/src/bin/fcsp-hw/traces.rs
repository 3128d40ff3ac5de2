//! What the scheduler decides while tenants of a suite run together, recorded by `fcsp trace` for whoever asks for it.
//!
//! A trace explains a measurement and is none: one that cannot be made is told on stderr and in the trace's log, and
//! nothing else comes of it.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::node::Node;
use crate::site::Site;

/// From the common start: programs have found their pace by then.
const AFTER_S: f64 = 1.0;
/// For how long: what happens in one second of many is seen.
const SECONDS: f64 = 8.0;
/// Until `fcsp trace` has written the last it saw, once it was told to end.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Names of tenants in the name of a file, at most.
const NAMES_MAX: usize = 4;

/// The traces of one run of the harness.
#[derive(Debug, Default)]
pub struct Traces {
    dir: Option<PathBuf>,
    suite: Cell<&'static str>,
    made: Cell<u32>,
}

impl Traces {
    /// Into `traces` of the results, from now on.
    pub fn into(out: &Path) -> std::io::Result<Self> {
        let dir = out.join("traces");
        fs::create_dir_all(&dir)?;
        Ok(Self {
            dir: Some(dir),
            ..Self::default()
        })
    }

    /// The suite that runs now.
    pub fn begin_suite(&self, name: &'static str) {
        self.suite.set(name);
        self.made.set(0);
    }

    /// Records the programs of `run_dir`, which begin now and run for `seconds` (where that is known), if traces are
    /// made. Ends with the value at the latest.
    pub fn record(
        &self,
        site: &Site,
        run_dir: &Path,
        names: &[&str],
        seconds: Option<f64>,
    ) -> Option<Trace> {
        let dir = self.dir.as_ref()?;
        let made = self.made.get() + 1;
        self.made.set(made);
        let name = format!("{}-{made}-{}", self.suite.get(), joined(names));
        let (after_s, seconds) = part(seconds);
        let seconds = format!("{seconds:.3}");
        let command = Node::new(site, run_dir).command(&["trace", "--json", "--seconds", &seconds]);
        Some(Trace::begin(Recording {
            after: Duration::from_secs_f64(after_s),
            command,
            to: dir.join(format!("{name}.jsonl")),
            log: site.log_file(&format!("trace-{name}")),
            name,
        }))
    }
}

/// Which part of a run is recorded: when it begins, and for how long. A run that is too short for the usual part is
/// recorded whole.
fn part(seconds: Option<f64>) -> (f64, f64) {
    match seconds {
        Some(seconds) if seconds < AFTER_S + SECONDS => (0.0, seconds),
        _ => (AFTER_S, SECONDS),
    }
}

/// Names for the name of a file.
fn joined(names: &[&str]) -> String {
    let plain = |name: &&str| -> String {
        let kept = |it: char| it.is_ascii_alphanumeric() || "._".contains(it);
        name.chars()
            .map(|it| if kept(it) { it } else { '_' })
            .collect()
    };
    let mut parts: Vec<String> = names.iter().take(NAMES_MAX).map(plain).collect();
    if names.len() > NAMES_MAX {
        parts.push(format!("and-{}-more", names.len() - NAMES_MAX));
    }
    parts.join("-")
}

/// A trace that is being made.
pub struct Trace {
    // Taken when the trace is to end.
    going_on: Option<Sender<()>>,
    recorder: Option<JoinHandle<()>>,
}

struct Recording {
    name: String,
    after: Duration,
    command: Command,
    to: PathBuf,
    log: PathBuf,
}

impl Trace {
    fn begin(recording: Recording) -> Self {
        let (going_on, ended) = channel();
        Self {
            going_on: Some(going_on),
            recorder: Some(std::thread::spawn(move || recording.make(&ended))),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.going_on = None;
        if let Some(recorder) = self.recorder.take() {
            // A panic of that thread has been told by itself, and is no reason to fail here.
            let _ = recorder.join();
        }
    }
}

impl Recording {
    fn make(mut self, ended: &Receiver<()>) {
        if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(self.after) {
            self.tell("the programs ended before it was to begin");
            return;
        }
        let made = self.begin().and_then(|mut process| {
            let status = wait(&mut process, ended)?;
            Ok((status, fs::metadata(&self.to)?.len()))
        });
        match made {
            Err(error) => self.tell(&error.to_string()),
            Ok((status, _)) if !status.success() => {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                self.tell(&format!("{status}: {}", said.trim_end()));
            }
            Ok((_, 0)) => self.tell("there was nothing to record"),
            Ok(_) => {}
        }
    }

    fn begin(&mut self) -> std::io::Result<Child> {
        self.command
            .stdin(Stdio::null())
            .stdout(File::create(&self.to)?)
            .stderr(File::create(&self.log)?)
            .spawn()
    }

    fn tell(&self, what: &str) {
        eprintln!("  trace {}: {what}", self.name);
        let log = File::options().append(true).create(true).open(&self.log);
        // It has been told above.
        let _ = log.and_then(|mut log| writeln!(log, "fcsp-hw: {what}"));
    }
}

/// Waits for the end of `fcsp trace`, and makes it end when the programs have.
fn wait(process: &mut Child, ended: &Receiver<()>) -> std::io::Result<std::process::ExitStatus> {
    const LOOK: Duration = Duration::from_millis(10);
    let mut left = None;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        match left {
            None => {
                if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(LOOK) {
                    // As Ctrl-C does: it writes what it has and ends.
                    // SAFETY: the process is ours and has not been waited for, so that the id is still its own.
                    unsafe { libc::kill(process.id() as libc::pid_t, libc::SIGTERM) };
                    left = Some(END_WITHIN);
                }
            }
            Some(Duration::ZERO) => process.kill()?,
            Some(_) => std::thread::sleep(LOOK),
        }
        left = left.map(|it| it.saturating_sub(LOOK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn recording(dir: &Path, script: &str, after_ms: u64) -> Recording {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Recording {
            name: "suite-1-a-b".into(),
            after: Duration::from_millis(after_ms),
            command,
            to: dir.join("trace.jsonl"),
            log: dir.join("trace.log"),
        }
    }

    /// What was written to the trace and to its log, of a run of that length.
    fn traced(script: &str, after_ms: u64, run_ms: u64) -> [String; 2] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let trace = Trace::begin(recording(dir.path(), script, after_ms));
        std::thread::sleep(Duration::from_millis(run_ms));
        drop(trace);
        ["trace.jsonl", "trace.log"]
            .map(|name| fs::read_to_string(dir.path().join(name)).unwrap_or_default())
    }

    #[test]
    fn a_trace_is_kept_and_its_summary_goes_to_the_log() {
        let [trace, log] = traced("echo '{}'; echo summary >&2", 0, 500);
        assert_eq!([trace.as_str(), log.as_str()], ["{}\n", "summary\n"]);
    }

    #[test]
    fn what_goes_wrong_is_told_in_the_log() {
        let [trace, log] = traced("echo no region >&2; exit 1", 0, 500);
        assert!(trace.is_empty());
        assert!(log.contains("fcsp-hw: exit status: 1: no region"), "{log}");
        let [_, log] = traced("echo '{}'", 60_000, 0);
        assert!(log.contains("ended before it was to begin"), "{log}");
    }

    #[test]
    fn a_trace_ends_with_the_programs() {
        let began = Instant::now();
        let script =
            "trap 'echo \"{}\"; exit 0' TERM; sleep 0.1; echo '{}'; while :; do sleep 0.05; done";
        let [trace, log] = traced(script, 0, 1_000);
        assert_eq!(trace, "{}\n{}\n", "{log}");
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_short_run_is_recorded_whole() {
        assert_eq!(part(Some(1.55)), (0.0, 1.55));
        assert_eq!(part(Some(8.5)), (0.0, 8.5));
        assert_eq!(part(Some(9.5)), (AFTER_S, SECONDS));
        assert_eq!(part(None), (AFTER_S, SECONDS));
    }

    #[test]
    fn a_file_is_named_after_the_tenants() {
        assert_eq!(joined(&["a", "b/c d"]), "a-b_c_d");
        assert_eq!(
            joined(&["a", "b", "c", "d", "e", "f"]),
            "a-b-c-d-and-2-more"
        );
    }
}
