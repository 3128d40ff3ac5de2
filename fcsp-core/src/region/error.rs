//! What can be wrong with a region, and what an operator can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a region could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The directory for regions cannot be used.
    #[error(
        "the run directory {path} cannot be used: {reason}; make it writable or set FCSP_RUN_DIR"
    )]
    RunDir {
        /// Which directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused something.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a region: {reason}; move it away, and the next program makes a new one")]
    NotARegion {
        /// Which file.
        path: PathBuf,
        /// What gave it away.
        reason: &'static str,
    },
    /// The file is smaller than a region.
    #[error(
        "{path} has {bytes} bytes and a region has {needed_bytes}: it was cut short or made by \
         another version; end the programs that use it and remove it"
    )]
    TooSmall {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The size of a region.
        needed_bytes: u64,
    },
    /// Another version of FCSP made the file.
    #[error(
        "{path} has version {found} and this is version {expected} of the layout; use one version \
         of FCSP on a device, or end the programs that use the region and remove it"
    )]
    OtherVersion {
        /// Which file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version of this library.
        expected: u32,
    },
    /// A build with another layout made the file.
    #[error(
        "{path} has layout {found:016x} and this library has {expected:016x}: they are different \
         builds; use one build on a device, or end the programs that use the region and remove it"
    )]
    OtherLayout {
        /// Which file.
        path: PathBuf,
        /// Layout hash in the file.
        found: u64,
        /// Layout hash of this library.
        expected: u64,
    },
    /// The file belongs to another device whose name looks the same in a file name.
    #[error("{path} belongs to device {found:?}, not {expected:?}; move it away")]
    OtherDevice {
        /// Which file.
        path: PathBuf,
        /// Device in the file.
        found: String,
        /// Device that was asked for.
        expected: String,
    },
    /// A name is empty, too long, or holds a zero byte.
    #[error("{name:?} cannot name a {what}: it must have 1 to {bytes_max} bytes and no zero byte")]
    Name {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
        /// Longest name allowed.
        bytes_max: usize,
    },
    /// Every tenant page is in use.
    #[error("{path} has no room for another tenant: all {max} are in use; end idle programs")]
    TenantsFull {
        /// Which region.
        path: PathBuf,
        /// How many there can be.
        max: usize,
    },
    /// Every slot is in use.
    #[error(
        "{path} has no room for another process: all {max} slots are in use; end some programs"
    )]
    SlotsFull {
        /// Which region.
        path: PathBuf,
        /// How many there can be.
        max: usize,
    },
    /// Somebody holds a lock of the companion file and does not go on.
    #[error(
        "{path}: another process has been {what} for {waited_ms} ms without finishing; is it \
         stopped (SIGSTOP, a debugger)? Let it go on or end it"
    )]
    Busy {
        /// Which region.
        path: PathBuf,
        /// What it is doing.
        what: &'static str,
        /// How long this process waited for it.
        waited_ms: u64,
    },
    /// Two threads or programs took turns undoing each other's work for too long.
    #[error("{path}: the tenant {name:?} was removed again and again while this process joined it")]
    TenantGone {
        /// Which region.
        path: PathBuf,
        /// Which tenant.
        name: String,
    },
}

impl RegionError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
