//! Something that one process of a run directory does for all: a lock that passes on by itself.
//!
//! Whoever holds the lock has the duty, and the others sleep in the kernel until they get it. The
//! lock ends with its holder's process, so the duty is never vacant while anybody waits for it, and
//! nobody has to look after it.

use super::locks::{Byte, Description, LockFile};
use super::{RegionError, map};
use std::io;
use std::path::{Path, PathBuf};

/// The duty, or a place in the queue for it.
#[derive(Debug)]
pub struct Duty {
    path: PathBuf,
    description: Description,
}

impl Duty {
    /// Queues for the duty `name` in `run_dir`. Does not wait yet, other than for the system (tens of
    /// milliseconds where it has to make room for a high number of a descriptor).
    ///
    /// # Errors
    /// If the lock file cannot be made or opened.
    pub fn open(run_dir: &Path, name: &str) -> Result<Self, RegionError> {
        let path = run_dir.join(format!("{name}.lock"));
        if !path.exists() {
            map::publish(&path, |_, _| Ok(()))?;
        }
        let description = LockFile::open(&path)?
            .description()
            .map_err(RegionError::io("open", &path))?;
        description.raise();
        Ok(Self { path, description })
    }

    /// Waits until the duty is this process's: for as long as another has it, in the kernel, without
    /// waking up meanwhile. It then stays this process's until it ends or drops the value.
    ///
    /// # Errors
    /// If the system refuses, or the program closed the descriptor.
    pub fn wait(&self) -> Result<(), RegionError> {
        let closed = || io::Error::other("the program closed its descriptor");
        self.description
            .lock(Byte::DUTY)
            .and_then(|()| self.description.is_ours().then_some(()).ok_or_else(closed))
            .map_err(RegionError::io("lock", &self.path))
    }

    /// Leaves the duty to the next, for one that cannot do it.
    pub fn give_up(&self) {
        // A descriptor that is not ours any more holds nothing of ours.
        if self.description.is_ours() {
            self.description.unlock(Byte::DUTY).ok();
        }
    }

    /// In a fork child: closes the descriptor that it inherited, and with which it would keep the duty
    /// from others when its parent is gone.
    pub fn abandon_after_fork(&self) {
        self.description.close_inherited();
    }
}
