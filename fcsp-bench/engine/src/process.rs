//! A worker as the run sees it: a process that is asked and answers, and that never outlives the run.

use crate::failure::Failure;
use crate::protocol::{Answer, Task};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much of what a worker complains about is kept.
const COMPLAINTS_KEPT: usize = 2_000;
/// Between two looks whether the run is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a process that closed its pipe may take to be gone.
const GONE_WITHIN: Duration = Duration::from_millis(500);
/// How long a killed process may take to be gone: the driver gives its memory back first. Once one took longer, which is in
/// the kernel then, with a device that does not answer, the others are waited for only so long.
const DEAD_WITHIN: Duration = Duration::from_secs(30);
const DEAD_WITHIN_AFTER: Duration = Duration::from_secs(1);

/// A running worker. It and all its children end with this value.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<String>,
    /// Whether an answer to the last task is to come, and how many to earlier ones that nobody waited for.
    awaited: bool,
    stale: u32,
    complaints: Arc<Mutex<Vec<u8>>>,
    /// Reads them, until the last that can complain is gone.
    listener: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts it. Must be called by a thread that lives as long as the process shall: the kernel ends the process with it.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self, Failure> {
        let parent = std::process::id();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C is for the run, which then ends its workers.
            .process_group(0);
        // SAFETY: between fork and exec only two system calls are made, which are allowed there.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // The parent may have died before.
                if libc::getppid() as u32 != parent {
                    return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            });
        }
        let mut child = command.spawn().map_err(|error| {
            Failure::failed(format!(
                "{name} cannot be started ({}): {error}",
                command.get_program().to_string_lossy()
            ))
        })?;
        let (sender, answers) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let listener = child.stderr.take().map(|stderr| {
            let kept = Arc::clone(&complaints);
            std::thread::spawn(move || keep_last(stderr, &kept))
        });
        Ok(Self {
            name: name.to_owned(),
            stdin: child.stdin.take(),
            child,
            answers,
            awaited: false,
            stale: 0,
            complaints,
            listener,
        })
    }

    /// Asks it for something.
    pub(crate) fn send(&mut self, task: &Task) -> Result<(), Failure> {
        let mut line = serde_json::to_string(task)
            .map_err(|error| Failure::failed(format!("a task cannot be written: {error}")))?;
        line.push('\n');
        // An answer comes for each task. Who gave up on one must not take it for that to the next.
        self.stale += u32::from(self.awaited);
        self.awaited = true;
        let sent = match &mut self.stdin {
            Some(stdin) => stdin.write_all(line.as_bytes()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        sent.map_err(|_| self.obituary())
    }

    /// Its next answer, which must come within that time.
    pub(crate) fn receive(
        &mut self,
        within: Duration,
        stop: &AtomicBool,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + within;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted);
            }
            match self.answers.recv_timeout(LOOK_EVERY) {
                // What a library prints before the worker begins is no answer.
                Ok(line) if !line.starts_with('{') => {}
                Ok(_) if self.stale > 0 => self.stale -= 1,
                Ok(line) => {
                    self.awaited = false;
                    let answer: Answer = serde_json::from_str(&line).map_err(|error| {
                        Failure::failed(format!("{} gave no sense: {error}", self.name))
                    })?;
                    return match answer.error {
                        None => Ok(answer),
                        Some(reason) if answer.lacking => Err(Failure::NotRun(reason)),
                        Some(reason) => Err(Failure::failed(format!("{}: {reason}", self.name))),
                    };
                }
                Err(RecvTimeoutError::Timeout) => {
                    if Instant::now() > deadline {
                        self.kill();
                        return Err(Failure::Hung(format!(
                            "{} gave no answer within {:.0} s and was killed{}",
                            self.name,
                            within.as_secs_f64(),
                            self.last_words()
                        )));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.obituary()),
            }
        }
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(
        &mut self,
        task: &Task,
        within: Duration,
        stop: &AtomicBool,
    ) -> Result<Answer, Failure> {
        self.send(task)?;
        self.receive(within, stop)
    }

    /// Sends SIGKILL to it and to all that it started, and waits for nothing.
    pub(crate) fn doom(&mut self) {
        self.stdin = None;
        let group = self.child.id() as libc::pid_t;
        // SAFETY: no memory is involved. The group is the child's own; its number is not reused before it is waited for.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }

    /// Ends it with SIGKILL, wherever it is, and all that it started, and waits until it is gone; but not for ever.
    pub(crate) fn kill(&mut self) {
        self.doom();
        static STUCK: AtomicBool = AtomicBool::new(false);
        let within = match STUCK.load(Ordering::Relaxed) {
            true => DEAD_WITHIN_AFTER,
            false => DEAD_WITHIN,
        };
        if self.end(within).is_none() {
            STUCK.store(true, Ordering::Relaxed);
        }
    }

    /// Lets it end by itself, which closing its pipe asks for, and waits for that.
    pub(crate) fn end(&mut self, within: Duration) -> Option<ExitStatus> {
        self.stdin = None;
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    fn obituary(&mut self) -> Failure {
        let how = match self.end(GONE_WITHIN) {
            Some(status) => match status.signal() {
                Some(signal) => format!("was ended by signal {signal}"),
                None => format!("ended with status {}", status.code().unwrap_or_default()),
            },
            None => "closed its pipe".to_owned(),
        };
        // What it said last may still be on its way.
        let deadline = Instant::now() + GONE_WITHIN;
        let listens = |it: &JoinHandle<()>| !it.is_finished();
        while self.listener.as_ref().is_some_and(listens) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Failure::failed(format!("{} {how}{}", self.name, self.last_words()))
    }

    fn last_words(&self) -> String {
        let kept = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        match text.trim().lines().next_back() {
            Some(line) => format!("; it last said: {line}"),
            None => String::new(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// From now on what a worker started and left behind becomes a child of this process, for [`end_strays`] to find.
pub(crate) fn adopt_strays() {
    // SAFETY: no memory is involved. Where it is refused strays are init's, as without it.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Ends every child of this process that is left: what workers started in a session of its own, so that it did not end with
/// their process group. To be called once all workers are gone.
pub(crate) fn end_strays() {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let strays = children();
        if strays.is_empty() || Instant::now() > deadline {
            return;
        }
        for stray in strays {
            // SAFETY: no memory is involved; a child that is not waited for yet keeps its number.
            unsafe {
                libc::kill(stray, libc::SIGKILL);
                libc::waitpid(stray, std::ptr::null_mut(), libc::WNOHANG);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Children of all threads of this process.
fn children() -> Vec<libc::pid_t> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let lists = tasks.flatten().filter_map(|task| {
        // A thread that has ended meanwhile has none.
        std::fs::read_to_string(task.path().join("children")).ok()
    });
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn keep_last(mut stderr: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(COMPLAINTS_KEPT);
        kept.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("the tenant", Command::new("sh").args(["-c", script])).expect("sh starts")
    }

    fn ask(process: &mut Process, within_ms: u64) -> Result<Answer, Failure> {
        let stop = AtomicBool::new(false);
        process.ask(&Task::Describe, Duration::from_millis(within_ms), &stop)
    }

    fn reason(result: Result<Answer, Failure>) -> String {
        match result {
            Err(Failure::Failed(reason) | Failure::Hung(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_read_past_what_a_library_prints() {
        let mut process =
            shell("echo hello from a library; echo '{\"numbers\":{\"a\":[1.0]}}'; cat");
        assert_eq!(
            ask(&mut process, 5_000).expect("it answers").numbers["a"],
            [1.0]
        );
    }

    #[test]
    fn an_answer_that_nobody_waited_for_is_not_taken_for_the_next() {
        let mut process = shell(
            "n=0; while read task; do n=$((n+1)); echo \"{\\\"numbers\\\":{\\\"a\\\":[$n]}}\"; done",
        );
        process.send(&Task::Describe).expect("it reads");
        for number in [2.0, 3.0] {
            let answer = ask(&mut process, 5_000).expect("it answers");
            assert_eq!(answer.numbers["a"], [number]);
        }
    }

    #[test]
    fn a_crash_is_told_with_its_last_words() {
        let mut process = shell("read task; echo bad luck >&2; kill -SEGV $$");
        let reason = reason(ask(&mut process, 5_000));
        assert!(
            reason.contains("signal 11") && reason.contains("bad luck"),
            "{reason}"
        );
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let mut process = shell("sleep 1000 & echo $! >&2; wait");
        let reason = reason(ask(&mut process, 300));
        assert!(reason.contains("no answer within"), "{reason}");
        let child: i32 = reason
            .rsplit(' ')
            .next()
            .and_then(|pid| pid.parse().ok())
            .expect("its child");
        // SAFETY: signal 0 only asks.
        let alive = || unsafe { libc::kill(child, 0) } == 0
            && std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        let deadline = Instant::now() + Duration::from_secs(5);
        while alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!alive(), "its child is still there");
    }

    #[test]
    fn the_end_of_the_run_is_noticed_while_waiting() {
        let mut process = shell("sleep 1000");
        let stop = AtomicBool::new(true);
        let answer = process.ask(&Task::Describe, Duration::from_secs(60), &stop);
        assert_eq!(answer, Err(Failure::Interrupted));
    }
}
