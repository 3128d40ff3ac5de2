//! What the tests of regions share: a simulated device, and helpers that are real processes.
//!
//! A helper is the test's own binary, run again with a role; it says what it has done on its standard
//! output, a word a line, and goes on when a line comes in. Dropping one kills it.

// Each test binary uses its part.
#![allow(dead_code)]

use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::region::Region;
use fcsp_core::region::layout::Tenant;
use fcsp_core::sync::Ordering;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ROLE: &str = "FCSP_TEST_ROLE";
const DIR: &str = "FCSP_TEST_DIR";

pub fn device(id: &str) -> DeviceInfo {
    DeviceInfo {
        vendor: Vendor::Nvidia,
        id: id.to_owned(),
        name: "a simulated device".to_owned(),
        total_bytes: 1 << 40,
        sharing: SharingMode::Exclusive,
        simulated: true,
    }
}

pub fn open(dir: &Path) -> Arc<Region> {
    Arc::new(Region::create_or_open(dir, &device("GPU-1")).expect("a region"))
}

pub fn region() -> (TempDir, Arc<Region>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let region = open(dir.path());
    (dir, region)
}

pub fn quota(bytes: u64) -> impl Fn(&Tenant) {
    move |tenant| tenant.quota_bytes.store(bytes, Ordering::Relaxed)
}

/// A process in a role.
pub struct Helper {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Helper {
    /// Runs `helper_process` of this test binary in `role` on the region under `dir`.
    pub fn spawn(role: &str, dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "helper_process", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .env(DIR, dir)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary runs");
        Self {
            stdin: child.stdin.take().expect("a pipe"),
            stdout: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the helper says `word`; gives the rest of that line.
    pub fn hear(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.stdout.read_line(&mut line).expect("reads");
            assert_ne!(read, 0, "the helper ended before it said {word:?}");
            if let Some(rest) = line.trim_end().strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Lets the helper go on.
    pub fn go_on(&mut self) {
        self.stdin.write_all(b"go on\n").expect("writes");
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: sends a signal to a child that was not reaped yet.
        assert_eq!(unsafe { libc::kill(self.pid() as i32, signal) }, 0);
    }

    /// Kills it and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("reaps");
    }

    /// Waits for its end; true if it was killed, false if it succeeded.
    pub fn was_killed(mut self) -> bool {
        let status = self.child.wait().expect("reaps");
        match status.signal() {
            Some(libc::SIGKILL) => true,
            None if status.success() => false,
            _ => panic!("the helper failed: {status}"),
        }
    }

    /// Waits until it has ended or is stopped; true if it is stopped.
    pub fn is_stopped(&self) -> bool {
        let mut status = 0;
        // SAFETY: asks after a child that was not reaped; WNOWAIT is not needed because a stopped
        // child is not reaped by this, and one that ended is not asked after again.
        let pid = unsafe { libc::waitpid(self.pid() as i32, &mut status, libc::WUNTRACED) };
        assert_eq!(pid, self.pid() as i32);
        libc::WIFSTOPPED(status)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may be gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// In a helper: its role and directory; nothing in the process that runs all tests.
pub fn role() -> Option<(String, PathBuf)> {
    Some((
        std::env::var(ROLE).ok()?,
        std::env::var_os(DIR).expect("a directory").into(),
    ))
}

/// In a helper: tells the test.
pub fn say(word: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{word}").expect("writes");
    stdout.flush().expect("flushes");
}

/// In a helper: waits until the test says to go on; forever if the test is gone.
pub fn pause() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("reads");
    if line.is_empty() {
        // The test is gone.
        std::process::exit(1);
    }
}

/// Asserts that `condition` holds within a second.
pub fn soon(what: &str, condition: impl FnMut() -> bool) {
    within(Duration::from_secs(1), what, condition);
}

/// Asserts that `condition` holds within that time.
pub fn within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Asserts that `work` takes less than a second, and gives what it gives.
pub fn at_once<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "took over a second: {what}"
    );
    result
}
