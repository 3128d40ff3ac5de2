//! Where the daemon of a run directory has its pipes and logs, and what is found there.

use anyhow::{Context, Result, bail};
use fcsp_backend_nvidia::partition::{self, MpsDaemon};
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest path of a socket, with its end (`sockaddr_un`, unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 108;
/// The longest name that the daemon gives a socket in its directory.
const LONGEST_SOCKET: &str = "control_privileged";
/// What stands in the place of the daemon's socket where nothing but the device is simulated.
const SIMULATED: &str = "simulated MPS: no daemon listens here\n";

/// The directories of one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
    /// `CUDA_MPS_PIPE_DIRECTORY`.
    pub pipes: PathBuf,
    /// `CUDA_MPS_LOG_DIRECTORY`.
    pub logs: PathBuf,
}

/// What is found in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing, or what a daemon left behind.
    Stopped,
    /// A daemon that listens.
    Running,
    /// The mark of `fcsp mps start --simulated`.
    Simulated,
    /// A place of this user, which is neither us nor root.
    Foreign(u32),
    /// A daemon that does not let this user talk to it.
    Denied,
}

impl Place {
    /// That of a run directory. Looks at nothing.
    ///
    /// # Errors
    /// If the path cannot be made absolute.
    pub fn in_run_dir(run_dir: &Path) -> Result<Self> {
        let root = std::path::absolute(run_dir.join("mps"))
            .with_context(|| format!("{} cannot be used", run_dir.display()))?;
        Ok(Self {
            pipes: root.join("pipe"),
            logs: root.join("log"),
            root,
        })
    }

    /// Keeps others from starting or stopping a daemon here until the file is dropped. A lock of the run
    /// directory itself, so that nothing is left behind.
    ///
    /// # Errors
    /// If somebody else holds it longer than `bound`, or there is no run directory.
    pub fn lock(&self, bound: Duration) -> Result<File> {
        let run_dir = self.root.parent().context("a run directory is no root")?;
        let unusable = || format!("cannot use {}", run_dir.display());
        let file = File::open(run_dir).with_context(unusable)?;
        let deadline = Instant::now() + bound;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => bail!(
                    "another fcsp mps start or stop is at work in {}",
                    run_dir.display()
                ),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What is there now. A few system calls.
    pub fn state(&self) -> State {
        // Not followed: in a directory that everybody may write to, a link could lead anywhere.
        match fs::symlink_metadata(&self.root) {
            Ok(found) if !trusted(found.uid()) => return State::Foreign(found.uid()),
            Ok(found) if found.is_dir() => {}
            _ => return State::Stopped,
        }
        if self.is_marked() {
            return State::Simulated;
        }
        match partition::mps_daemon(&self.pipes) {
            MpsDaemon::Listening => State::Running,
            MpsDaemon::Denied => State::Denied,
            MpsDaemon::Absent | MpsDaemon::Gone => State::Stopped,
        }
    }

    /// Makes the directories for a daemon, without what an earlier one left in them.
    ///
    /// # Errors
    /// If the file system refuses, or the pipes would have names that are too long.
    pub fn make(&self) -> Result<()> {
        let longest = self.pipes.join(LONGEST_SOCKET);
        let bytes = longest.as_os_str().len() + 1;
        if bytes > SOCKET_PATH_BYTES_MAX {
            bail!(
                "{} is {} bytes too long for a socket; use a shorter run directory (--run-dir, \
                 FCSP_RUN_DIR)",
                longest.display(),
                bytes - SOCKET_PATH_BYTES_MAX
            );
        }
        self.remove_pipes()?;
        // SAFETY: geteuid always succeeds and touches no memory.
        let is_root = unsafe { libc::geteuid() } == 0;
        // Programs of every user are clients of root's daemon; the pipes have modes of their own.
        let mode = if is_root { 0o755 } else { 0o700 };
        for directory in [&self.root, &self.pipes, &self.logs] {
            make_directory(directory, mode)?;
        }
        Ok(())
    }

    fn is_marked(&self) -> bool {
        let path = self.pipes.join("control");
        // A daemon's pipe is not read: that would wait for it, and take what is meant for others.
        fs::symlink_metadata(&path).is_ok_and(|found| found.is_file())
            && fs::read_to_string(path).is_ok_and(|text| text == SIMULATED)
    }

    /// Leaves the mark of a simulated daemon.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn mark_simulated(&self) -> Result<()> {
        let path = self.pipes.join("control");
        fs::write(&path, SIMULATED).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes what is there but logs.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn remove_pipes(&self) -> Result<()> {
        remove(&self.pipes)
    }

    /// Whether a daemon has left logs.
    pub fn has_logs(&self) -> bool {
        fs::read_dir(&self.logs).is_ok_and(|mut files| files.next().is_some())
    }

    /// Removes the logs, too, and the directory if nothing else is in it.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn remove_logs(&self) -> Result<()> {
        remove(&self.logs)?;
        // What somebody else put there stays.
        let _not_empty = fs::remove_dir(&self.root);
        Ok(())
    }

    /// The daemon's process id, as it wrote it down; `None` unless a process of its name has it.
    pub fn pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.pipes.join("nvidia-cuda-mps-control.pid")).ok()?;
        let pid: u32 = text.trim().parse().ok()?;
        is_daemon(pid).then_some(pid)
    }
}

/// Whether the process with that id is a daemon, or a server, of MPS. One that has ended is none, though it keeps
/// its id until its parent asks for its status, which the first process of a container may never do.
pub fn is_daemon(pid: u32) -> bool {
    // `proc_pid_stat(5)`: the name, of which the kernel keeps 15 bytes, is in brackets before the state.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let name_on = stat.split_once('(').map_or("", |(_, rest)| rest);
    let state = name_on.rsplit_once(") ").map_or("", |(_, rest)| rest);
    name_on.starts_with("nvidia-cuda-mps") && !state.starts_with(['Z', 'X'])
}

fn trusted(uid: u32) -> bool {
    // SAFETY: geteuid always succeeds and touches no memory.
    uid == 0 || uid == unsafe { libc::geteuid() }
}

fn make_directory(path: &Path, mode: u32) -> Result<()> {
    let made = match DirBuilder::new().mode(mode).create(path) {
        // The umask may have narrowed it.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    };
    made.with_context(|| {
        format!(
            "cannot make {}; MPS needs a run directory that this user can write (--run-dir)",
            path.display()
        )
    })
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_has_ended_is_none_before_its_status_was_asked_for() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let name = dir.path().join("nvidia-cuda-mps-server");
        std::os::unix::fs::symlink("/bin/sh", &name).expect("links");
        let mut process = std::process::Command::new(&name)
            .args(["-c", "read -r _"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("there is a shell");
        assert!(is_daemon(process.id()));
        drop(process.stdin.take());
        let ended = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !is_daemon(process.id())
        });
        assert!(ended && Path::new(&format!("/proc/{}", process.id())).exists());
        process.wait().expect("it is our own");
    }

    #[test]
    fn a_simulated_daemon_is_a_mark_that_goes_away() {
        let run_dir = tempfile::tempdir().expect("a temporary directory");
        let place = Place::in_run_dir(run_dir.path()).expect("absolute");
        assert_eq!(place.state(), State::Stopped);
        place.make().expect("makes");
        assert_eq!(place.state(), State::Stopped);
        place.mark_simulated().expect("marks");
        assert_eq!((place.state(), place.pid()), (State::Simulated, None));
        place.make().expect("makes it anew");
        assert_eq!(place.state(), State::Stopped);
        place.remove_pipes().expect("removes");
        assert!(place.logs.exists());
        place.remove_logs().expect("removes");
        assert_eq!(fs::read_dir(run_dir.path()).expect("reads").count(), 0);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let run_dir = tempfile::tempdir().expect("a temporary directory");
        let elsewhere = tempfile::tempdir().expect("a temporary directory");
        let place = Place::in_run_dir(elsewhere.path()).expect("absolute");
        place
            .make()
            .and_then(|()| place.mark_simulated())
            .expect("marks");
        std::os::unix::fs::symlink(elsewhere.path().join("mps"), run_dir.path().join("mps"))
            .expect("a link");
        let place = Place::in_run_dir(run_dir.path()).expect("absolute");
        assert_eq!(place.state(), State::Stopped);
    }

    #[test]
    fn a_pid_counts_only_if_the_daemon_has_it() {
        let run_dir = tempfile::tempdir().expect("a temporary directory");
        let place = Place::in_run_dir(run_dir.path()).expect("absolute");
        place.make().expect("makes");
        for text in ["", "x", "4294967295", &std::process::id().to_string()] {
            fs::write(place.pipes.join("nvidia-cuda-mps-control.pid"), text).expect("writes");
            assert_eq!(place.pid(), None, "{text:?}");
        }
    }
}
