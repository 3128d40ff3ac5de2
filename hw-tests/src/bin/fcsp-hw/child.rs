//! One process of a measurement, and the promise that it ends.
//!
//! Each child leads its own process group, which is killed as a whole when the value is dropped,
//! and dies with this harness however that ends. What it writes is read as it comes, so that it
//! never waits for us.

use anyhow::{Context, Result, bail, ensure};
use fcsp_hw_tests::clock::now_ns;
use fcsp_hw_tests::record::{Header, Record, TurnCost};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(5);
/// How much of a failed program's stderr goes into the error.
const LOG_TAIL_BYTES: usize = 1_500;

/// A running program.
pub struct Child {
    name: String,
    process: Process,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    received: Vec<String>,
    log: PathBuf,
}

impl Child {
    /// Starts `command`; its stderr goes to `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let stderr =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0);
        // SAFETY: prctl is async-signal-safe and touches no memory of the parent.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let stdout = process.stdout.take().context("stdout is a pipe")?;
        let (sender, lines) = channel();
        // Ends with the pipe, at the latest when the group is killed.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            name: name.into(),
            stdin: process.stdin.take(),
            process,
            lines,
            received: Vec::new(),
            log: log.to_owned(),
        })
    }

    /// Waits for the line that says that the program is ready.
    pub fn wait_header(&mut self, deadline: Instant) -> Result<Header> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let record = serde_json::from_str(&line);
                    self.received.push(line);
                    if let Ok(Record::Header(header)) = record {
                        return Ok(header);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} was not ready in time\n{}", self.name, self.log_tail())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "{} ended before it was ready\n{}",
                        self.name,
                        self.log_tail()
                    )
                }
            }
        }
    }

    /// Tells a ready program when to begin.
    pub fn start_at(&mut self, unix_ms: u64) -> Result<()> {
        self.say(&unix_ms.to_string())
    }

    /// Says something to a program that answers each line with one of its own.
    pub fn ask(&mut self, question: &str, deadline: Instant) -> Result<String> {
        self.say(question)?;
        self.answer(question, deadline)
    }

    /// Waits for the answer to a question that was put with `say`.
    pub fn answer(&mut self, question: &str, deadline: Instant) -> Result<String> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!(
                "{} did not answer {question:?} in time\n{}",
                self.name,
                self.log_tail()
            ),
            Err(RecvTimeoutError::Disconnected) => bail!(
                "{} ended and did not answer {question:?}\n{}",
                self.name,
                self.log_tail()
            ),
        }
    }

    /// The lines that came since the last look. Does not wait.
    pub fn news(&mut self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Lets a program that takes turns take one, and waits for its line.
    pub fn turn(&mut self, deadline: Instant) -> Result<Vec<TurnCost>> {
        self.say("go")?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                bail!("{} did not take its turn\n{}", self.name, self.log_tail());
            };
            if let Ok(Record::Turn { calls }) = serde_json::from_str(&line) {
                return Ok(calls);
            }
            self.received.push(line);
        }
    }

    /// Writes a line that the program reads.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let told = match self.stdin.as_mut() {
            Some(stdin) => writeln!(stdin, "{line}"),
            None => bail!("{} was already told to end", self.name),
        };
        told.with_context(|| format!("{} does not listen\n{}", self.name, self.log_tail()))
    }

    /// Kills the program as `kill -9` does; returns the moment of the signal.
    pub fn kill_now(&mut self) -> Result<u64> {
        let before_ns = now_ns();
        self.process.kill()?;
        Ok(before_ns)
    }

    /// Waits for a successful end and gives every line.
    pub fn finish(mut self, deadline: Instant) -> Result<Vec<String>> {
        // Programs that take turns end with their stdin.
        self.stdin = None;
        let status = self.wait(deadline)?;
        ensure!(
            status.success(),
            "{} failed ({status})\n{}",
            self.name,
            self.log_tail()
        );
        Ok(self.take_lines())
    }

    /// Waits for the end of a program that was killed and gives what it wrote until then.
    pub fn finish_killed(mut self, deadline: Instant) -> Result<Vec<String>> {
        let status = self.wait(deadline)?;
        ensure!(
            status.signal() == Some(libc::SIGKILL),
            "{} was to be killed but ended with {status}\n{}",
            self.name,
            self.log_tail()
        );
        Ok(self.take_lines())
    }

    fn take_lines(&mut self) -> Vec<String> {
        // The reader ends with the pipe, so this ends too.
        self.received.extend(self.lines.iter());
        std::mem::take(&mut self.received)
    }

    fn wait(&mut self, deadline: Instant) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} did not end in time\n{}", self.name, self.log_tail());
            }
            // Not a blocking wait: that would know no deadline.
            std::thread::sleep(POLL);
        }
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let text = text.trim_end();
        let mut from = text.len().saturating_sub(LOG_TAIL_BYTES);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        if text.is_empty() {
            "it wrote nothing to stderr".into()
        } else {
            format!("its stderr ends: {}", &text[from..])
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let group = -(self.process.id() as libc::pid_t);
            // SAFETY: no memory is passed. The leader was not reaped, so the id is still its own.
            unsafe { libc::kill(group, libc::SIGKILL) };
            // It cannot outlive that signal, and its status was nobody's question any more.
            let _ = self.process.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = std::env::temp_dir().join(format!("fcsp-hw-{name}-{}.log", std::process::id()));
        Child::spawn(name, command, &log).expect("there is a shell")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn lines_are_kept_and_the_start_is_passed_on() {
        let mut child = shell("echo", "echo ready; read at; echo \"at $at\"");
        child.start_at(17).expect("it reads");
        assert_eq!(
            child.finish(soon()).expect("it ends well"),
            ["ready", "at 17"]
        );
    }

    #[test]
    fn a_failure_quotes_stderr() {
        let child = shell("fail", "echo the reason >&2; exit 3");
        let error = child
            .finish(soon())
            .expect_err("it exits with 3")
            .to_string();
        assert!(error.contains("the reason"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_given_up_and_its_group_killed() {
        let child = shell("hang", "sleep 1000 & echo $!; wait");
        let pid = child
            .lines
            .recv_timeout(Duration::from_secs(10))
            .expect("it prints the id of its own child");
        let error = child
            .finish(Instant::now() + Duration::from_millis(50))
            .expect_err("it sleeps");
        assert!(error.to_string().contains("in time"), "{error}");
        let gone = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        });
        assert!(gone, "its grandchild {pid} still runs");
    }

    #[test]
    fn a_killed_program_keeps_what_it_wrote() {
        let mut child = shell("killed", "echo one; exec sleep 1000");
        let line = child
            .lines
            .recv_timeout(Duration::from_secs(10))
            .expect("it prints first");
        child.received.push(line);
        child.kill_now().expect("it runs");
        assert_eq!(child.finish_killed(soon()).expect("killed"), ["one"]);
    }
}
