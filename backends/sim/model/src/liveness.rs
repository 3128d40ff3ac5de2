//! Which processes on a device are alive.
//!
//! Owns: the companion lock file. Each process holds an open-file-description lock on the byte of
//! its slot; the kernel drops it however the process dies. A process that closed all its
//! descriptors has lost the lock but lives, so a slot counts as dead only if the lock is free *and*
//! the process it names is gone (which can be asked only within one PID namespace).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The byte that serializes creation of the device file.
const INIT_BYTE: i64 = 1 << 20;

/// The byte that everybody who has the device file open holds together: between opening it and
/// taking a slot a process must not have the file made anew under it.
const OPEN_BYTE: i64 = INIT_BYTE + 1;

/// Descriptors of our own start here, out of the way of programs that count theirs from 3.
const DESCRIPTOR_MIN: libc::c_int = 400;

/// The companion file of one device.
#[derive(Debug)]
pub struct LockFile {
    fd: OwnedFd,
}

/// Holds the init byte until dropped.
pub struct InitLock<'a>(&'a LockFile);

impl Drop for InitLock<'_> {
    fn drop(&mut self) {
        // An unlock cannot fail on a descriptor that was locked; if it did, closing releases it.
        let _ = self.0.set(libc::F_UNLCK, INIT_BYTE, libc::F_OFD_SETLK);
    }
}

impl LockFile {
    /// Opens or creates the lock file.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(Self { fd: raise(file)? })
    }

    /// The descriptor, which a forked child has to close.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Waits for the right to create or check the device file.
    ///
    /// # Errors
    /// The file system does not support locks.
    pub fn init_lock(&self) -> io::Result<InitLock<'_>> {
        self.set(libc::F_WRLCK, INIT_BYTE, libc::F_OFD_SETLKW)?;
        Ok(InitLock(self))
    }

    /// Whether another process has the device file open. Call with the init lock held.
    ///
    /// # Errors
    /// The file system does not support locks.
    pub fn is_open(&self) -> io::Result<bool> {
        self.probe(OPEN_BYTE)
    }

    /// Says that this process has the device file open, for as long as it lives. Call with the init
    /// lock held.
    ///
    /// # Errors
    /// The file system does not support locks.
    pub fn mark_open(&self) -> io::Result<()> {
        self.set(libc::F_RDLCK, OPEN_BYTE, libc::F_OFD_SETLKW)
    }

    /// Takes the byte of a slot for as long as this process lives.
    ///
    /// # Errors
    /// Another process holds it.
    pub fn claim(&self, slot: usize) -> io::Result<()> {
        self.set(libc::F_WRLCK, slot as i64, libc::F_OFD_SETLK)
    }

    /// Gives the byte of a slot back.
    ///
    /// # Errors
    /// The descriptor is gone.
    pub fn release(&self, slot: usize) -> io::Result<()> {
        self.set(libc::F_UNLCK, slot as i64, libc::F_OFD_SETLK)
    }

    /// Whether another process holds the byte of `slot`. Errors count as held.
    pub fn held(&self, slot: usize) -> bool {
        self.probe(slot as i64).unwrap_or(true)
    }

    fn probe(&self, byte: i64) -> io::Result<bool> {
        let mut lock = flock(libc::F_WRLCK, byte);
        // SAFETY: `lock` outlives the call and the descriptor is ours.
        if unsafe { libc::fcntl(self.raw_fd(), libc::F_OFD_GETLK, &mut lock) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    fn set(&self, kind: libc::c_int, byte: i64, command: libc::c_int) -> io::Result<()> {
        let lock = flock(kind, byte);
        loop {
            // SAFETY: `lock` outlives the call and the descriptor is ours.
            if unsafe { libc::fcntl(self.raw_fd(), command, &lock) } == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

fn flock(kind: libc::c_int, byte: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    }
}

/// Moves a descriptor to a high number.
fn raise(file: File) -> io::Result<OwnedFd> {
    // SAFETY: plain fcntl on an open descriptor.
    let high = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, DESCRIPTOR_MIN) };
    if high < 0 {
        // A low limit on descriptors: stay where we are.
        return Ok(file.into());
    }
    // SAFETY: `high` was just created and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(high) })
}

/// What identifies a process beyond its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub started_ticks: u64,
    /// Inode of the PID namespace.
    pub pid_namespace: u64,
}

impl Identity {
    /// The calling process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            started_ticks: running_since_ticks(pid).unwrap_or(0),
            pid_namespace: pid_namespace(),
        }
    }

    /// Whether the process is certainly gone, as far as `/proc` can tell from here.
    ///
    /// From another PID namespace nothing can be told, and the lock alone decides: true.
    pub fn gone(&self) -> bool {
        if self.pid_namespace != pid_namespace() {
            return true;
        }
        running_since_ticks(self.pid) != Some(self.started_ticks)
    }
}

fn pid_namespace() -> u64 {
    std::fs::metadata("/proc/self/ns/pid")
        .map(|m| m.ino())
        .unwrap_or(0)
}

/// Start time of a process that is neither gone nor a zombie.
fn running_since_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

fn parse_stat(stat: &str) -> Option<u64> {
    // The command name stands in parentheses and may contain any character: count from its end.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_process_is_not_gone() {
        let me = Identity::current();
        assert!(me.started_ticks > 0);
        assert!(!me.gone());
    }

    #[test]
    fn another_start_time_is_another_process() {
        let mut me = Identity::current();
        me.started_ticks += 1;
        assert!(me.gone());
    }

    #[test]
    fn a_zombie_is_dead_and_odd_names_do_not_confuse() {
        let tail = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 0";
        assert_eq!(parse_stat(&format!("7 (a) R b) S {tail}")), Some(4711));
        assert_eq!(parse_stat(&format!("7 (x) Z {tail}")), None);
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn a_lock_is_seen_through_another_description_and_dies_with_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("lock");
        let mine = LockFile::open(&path).expect("open");
        let theirs = LockFile::open(&path).expect("open again");
        theirs.claim(3).expect("free slot");
        assert!(mine.held(3) && !mine.held(2));
        assert!(mine.claim(3).is_err());
        assert!(!mine.is_open().expect("probe"));
        theirs.mark_open().expect("mark");
        mine.mark_open().expect("several may");
        assert!(mine.is_open().expect("probe"));
        drop(theirs);
        assert!(!mine.is_open().expect("probe"));
        assert!(!mine.held(3));
        mine.claim(3).expect("free again");
    }
}
