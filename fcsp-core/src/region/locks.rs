//! The companion file, whose bytes are locks the kernel gives back when a process is gone.
//!
//! A lock here is an open-file-description lock: it belongs to what `open` returned, not to a
//! process, and ends when the last descriptor of it is closed, however that comes about. The file
//! has no content. Its bytes:
//!
//! | Bytes | Held by |
//! |---|---|
//! | 0 … 1023 | the process in that slot, for as long as it lives |
//! | 1024 … 2047 | whoever gives back what that slot held, for as long as that takes |
//! | 2048 | whoever makes or removes a tenant, likewise |
//! | 2049 | whoever changes limits of live tenants, likewise |
//!
//! The descriptors lie in someone else's process. The program may close them, or put a file of its
//! own in their place with `dup2`; so each use first asks whether the descriptor is still ours: of
//! our file, and with a description whose offset, which nobody else moves, is the number we gave it.
//! Those that stay open are moved to high numbers, where programs that count on the low ones do not meet
//! them: by a thread of ours, because that can take tens of milliseconds ([`Description::raise`]).

use super::layout::SLOTS_MAX;
use super::{RegionError, SlotIndex};
use crate::failpoint::failpoint;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek};
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Where descriptors are moved, if the limit on open files allows.
const HIGH_DESCRIPTOR: RawFd = 700;

/// A byte of the companion file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Byte(libc::off_t);

impl Byte {
    /// Held by the process in a slot while it lives.
    pub(super) const fn life(slot: SlotIndex) -> Self {
        Self(slot.0 as libc::off_t)
    }

    /// Held by whoever cleans a slot.
    pub(super) const fn work(slot: SlotIndex) -> Self {
        Self((SLOTS_MAX as u32 + slot.0) as libc::off_t)
    }

    /// Held by whoever makes or removes a tenant.
    pub(super) const TENANTS: Self = Self(2 * SLOTS_MAX as libc::off_t);

    /// Held by whoever has a duty; of a file of its own, see [`super::duty`].
    pub(super) const DUTY: Self = Self(0);

    /// Held by whoever changes limits.
    pub(super) const LIMITS: Self = Self(2 * SLOTS_MAX as libc::off_t + 1);

    const fn range(self) -> std::ops::Range<libc::off_t> {
        self.0..self.0 + 1
    }
}

/// The companion file of a region.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    /// What the probe is.
    identity: Identity,
    /// A descriptor that asks and never locks; [`UNOPENED`] before it is kept.
    probe: AtomicI32,
}

/// No descriptor has this number.
const UNOPENED: RawFd = -1;

/// Tells our description from whatever else may have its descriptor's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// Offset of the description, which means nothing else: the file has no content.
    token: i64,
}

impl LockFile {
    /// Finds an existing companion file. One system call; it is opened as it is needed.
    pub(super) fn open(path: &Path) -> Result<Self, RegionError> {
        let found = fs::symlink_metadata(path)
            .and_then(|found| match found.is_file() {
                true => Ok(found),
                false => Err(io::Error::other("it is not a regular file")),
            })
            .map_err(RegionError::io("open", path))?;
        Ok(Self {
            path: path.to_owned(),
            identity: Identity {
                device: found.dev(),
                inode: found.ino(),
                token: next_token(),
            },
            probe: AtomicI32::new(UNOPENED),
        })
    }

    /// A new open file description, which holds nothing yet.
    pub(super) fn description(&self) -> io::Result<Description> {
        self.again(next_token())
    }

    /// True if nobody holds `byte`.
    pub(super) fn is_free(&self, byte: Byte) -> io::Result<bool> {
        // Acquire: pairs with the exchange below, so that the descriptor is open.
        let mut probe = self.probe.load(Ordering::Acquire);
        if probe == UNOPENED {
            return is_free(self.description()?.number(), byte);
        }
        if identity_of(probe) != Some(self.identity) {
            probe = self.reopen(probe)?;
        }
        is_free(probe, byte)
    }

    /// Keeps a descriptor open from now on, for one that asks often. May take as long as
    /// [`Description::raise`].
    pub(super) fn keep_open(&self) -> io::Result<()> {
        if self.probe.load(Ordering::Acquire) == UNOPENED {
            self.reopen(UNOPENED)?;
        }
        Ok(())
    }

    /// Opens the probe, or replaces one that the program closed: the old number is not ours to close any more.
    fn reopen(&self, lost: RawFd) -> io::Result<RawFd> {
        let fresh = self.again(self.identity.token)?;
        fresh.raise();
        // AcqRel: publishes the open descriptor, or sees the one another thread published.
        match self
            .probe
            .compare_exchange(lost, fresh.number(), Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(fresh.leak()),
            Err(others) => Ok(others),
        }
    }

    fn again(&self, token: i64) -> io::Result<Description> {
        let found = Description::open(&self.path, token)?;
        let same_file = Identity {
            token,
            ..self.identity
        };
        if found.identity == same_file {
            Ok(found)
        } else {
            Err(io::Error::other(
                "the lock file was replaced while the region was in use",
            ))
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        close_if_ours(*self.probe.get_mut(), self.identity);
    }
}

/// An open file description of the companion file: what locks belong to. Dropping it gives its
/// locks back, for fork children that inherited it too, and closes this process's descriptor; unless
/// the program did that already.
#[derive(Debug)]
pub(super) struct Description {
    fd: AtomicI32,
    identity: Identity,
}

impl Description {
    fn open(path: &Path, token: i64) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)?;
        file.seek(io::SeekFrom::Start(token as u64))?;
        let metadata = file.metadata()?;
        let identity = Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            token,
        };
        Ok(Self {
            fd: AtomicI32::new(file.into_raw_fd()),
            identity,
        })
    }

    /// Moves the descriptor to a high number, if the limit on open files allows. One thread at a time, and
    /// none that the program waits for: where the process has threads and its table of descriptors is too
    /// small for such a number, Linux makes a larger one and waits until no processor reads the old one (10
    /// to 20 ms, Linux 6.18).
    pub(super) fn raise(&self) {
        let low = self.number();
        if !self.is_ours() {
            return;
        }
        // SAFETY: duplicates a descriptor that is open; touches no memory.
        let high = unsafe { libc::fcntl(low, libc::F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR) };
        if high < 0 {
            return;
        }
        failpoint!("settle.duplicated");
        // Release: who reads the number finds the descriptor open.
        self.fd.store(high, Ordering::Release);
        close_if_ours(low, self.identity);
    }

    /// Number of the descriptor, which may not be ours any more.
    fn number(&self) -> RawFd {
        // Acquire: pairs with the release in `raise`.
        self.fd.load(Ordering::Acquire)
    }

    /// Locks `byte`; false if another description holds it.
    pub(super) fn try_lock(&self, byte: Byte) -> io::Result<bool> {
        match fcntl(
            self.number(),
            libc::F_OFD_SETLK,
            &mut flock(libc::F_WRLCK, byte.range()),
        ) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EAGAIN) | Some(libc::EACCES)
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Locks `byte`, waiting for its holder for as long as it takes, in the kernel.
    pub(super) fn lock(&self, byte: Byte) -> io::Result<()> {
        loop {
            let mut lock = flock(libc::F_WRLCK, byte.range());
            match fcntl(self.number(), libc::F_OFD_SETLKW, &mut lock) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                locked => return locked,
            }
        }
    }

    /// Locks `byte`, waiting for its holder for `limit` at most; false if that was not enough. Polls
    /// (the kernel's own wait knows no limit, and the holder may be stopped).
    pub(super) fn lock_within(&self, byte: Byte, limit: Duration) -> io::Result<bool> {
        let started = Instant::now();
        let mut pause = Duration::from_micros(20);
        loop {
            if self.try_lock(byte)? {
                return Ok(true);
            }
            if started.elapsed() >= limit {
                return Ok(false);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }

    /// Gives `byte` back, for every process that has a descriptor of this description.
    pub(super) fn unlock(&self, byte: Byte) -> io::Result<()> {
        fcntl(
            self.number(),
            libc::F_OFD_SETLK,
            &mut flock(libc::F_UNLCK, byte.range()),
        )
    }

    /// False if the program closed the descriptor or put another file in its place.
    pub(super) fn is_ours(&self) -> bool {
        identity_of(self.number()) == Some(self.identity)
    }

    /// Closes this process's descriptor and leaves the locks to the process it was inherited from.
    pub(super) fn abandon(self) {
        let identity = self.identity;
        close_if_ours(self.leak(), identity);
    }

    /// In a fork child that cannot give up the value: as [`Description::abandon`].
    pub(super) fn close_inherited(&self) {
        close_if_ours(self.number(), self.identity);
    }

    fn leak(self) -> RawFd {
        let fd = self.number();
        std::mem::forget(self);
        fd
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        if self.is_ours() {
            // Cannot fail on a description that is open; if it did, closing would do the same.
            fcntl(
                self.number(),
                libc::F_OFD_SETLK,
                &mut flock(libc::F_UNLCK, 0..libc::off_t::MAX),
            )
            .ok();
        }
        close_if_ours(self.number(), self.identity);
    }
}

/// True if nobody holds `byte`, other than through `fd`.
fn is_free(fd: RawFd, byte: Byte) -> io::Result<bool> {
    let mut lock = flock(libc::F_WRLCK, byte.range());
    fcntl(fd, libc::F_OFD_GETLK, &mut lock)?;
    Ok(lock.l_type == libc::F_UNLCK as libc::c_short)
}

fn next_token() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn close_if_ours(fd: RawFd, identity: Identity) {
    if identity_of(fd) == Some(identity) {
        // SAFETY: the descriptor is of our file, and its only owner is being dropped.
        unsafe { libc::close(fd) };
    }
}

fn identity_of(fd: RawFd) -> Option<Identity> {
    // SAFETY: asks for the offset; touches no memory.
    let token = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills `stat` if it returns 0, which is when it is read.
    unsafe {
        (token > 0 && libc::fstat(fd, stat.as_mut_ptr()) == 0).then(|| {
            let stat = stat.assume_init();
            Identity {
                device: stat.st_dev,
                inode: stat.st_ino,
                token,
            }
        })
    }
}

fn flock(kind: libc::c_int, bytes: std::ops::Range<libc::off_t>) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: bytes.start,
        l_len: bytes.end - bytes.start,
        l_pid: 0,
    }
}

fn fcntl(fd: RawFd, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: `lock` is a valid request that outlives the call.
    match unsafe { libc::fcntl(fd, command, std::ptr::from_mut(lock)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTE: Byte = Byte::life(SlotIndex(5));

    fn lock_file() -> (tempfile::TempDir, LockFile) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("lock");
        fs::write(&path, "").expect("makes it");
        let lock_file = LockFile::open(&path).expect("is there");
        (directory, lock_file)
    }

    #[test]
    fn a_descriptor_that_is_moved_keeps_its_lock() {
        let (_directory, file) = lock_file();
        let holder = file.description().expect("opens");
        assert!(holder.try_lock(BYTE).expect("locks"));
        let low = holder.number();
        holder.raise();
        assert!(holder.number() >= HIGH_DESCRIPTOR && holder.is_ours());
        assert_ne!(identity_of(low), Some(holder.identity), "the low one goes");
        assert!(!file.is_free(BYTE).expect("asks"));
        drop(holder);
        assert!(file.is_free(BYTE).expect("asks"));
    }

    #[test]
    fn what_asks_often_keeps_a_descriptor_and_is_told_the_same() {
        let (_directory, file) = lock_file();
        let holder = file.description().expect("opens");
        assert!(holder.try_lock(BYTE).expect("locks"));
        assert!(!file.is_free(BYTE).expect("asks"));
        assert_eq!(file.probe.load(Ordering::Relaxed), UNOPENED);
        file.keep_open().expect("opens");
        let probe = file.probe.load(Ordering::Relaxed);
        assert!(probe >= HIGH_DESCRIPTOR);
        assert!(!file.is_free(BYTE).expect("asks"));
        assert_eq!(file.probe.load(Ordering::Relaxed), probe);
    }

    #[test]
    fn a_link_is_no_lock_file() {
        let (directory, _) = lock_file();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("lock", &link).expect("links");
        let error = LockFile::open(&link)
            .expect_err("it is refused")
            .to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
