//! Waiting for a file to be written or replaced, by Linux's inotify.
//!
//! The descriptor lies in someone else's program, which may close it, or have another file take its
//! number. So it is moved to a high number, where programs that count on the low ones do not meet it,
//! and each use first asks the kernel whether it still is an inotify descriptor. A read that has begun
//! holds its file whatever becomes of the number.

use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where the descriptor is moved, if the limit on open files allows.
const HIGH_DESCRIPTOR: RawFd = 700;
/// A file was written, replaced, moved or removed. (Removing the last name of a file changes its
/// attributes first; it goes when nobody has it open.)
const OF_FILE: u32 =
    libc::IN_CLOSE_WRITE | libc::IN_ATTRIB | libc::IN_MOVE_SELF | libc::IN_DELETE_SELF;
/// A name came, or the directory went.
const OF_DIRECTORY: u32 = libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_MOVE_SELF
    | libc::IN_DELETE_SELF
    | libc::IN_ONLYDIR;

/// An inotify instance that watches one path.
pub(super) struct Notifier {
    fd: RawFd,
    /// What it watches.
    watches: Vec<libc::c_int>,
}

impl Notifier {
    /// One that watches nothing yet.
    pub(super) fn open() -> io::Result<Self> {
        // SAFETY: makes a descriptor; touches no memory.
        let low = unsafe { libc::inotify_init1(libc::IN_CLOEXEC) };
        if low < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: duplicates the descriptor just made, and closes it if that worked.
        let fd = unsafe {
            match libc::fcntl(low, libc::F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR) {
                high if high < 0 => low,
                high => {
                    libc::close(low);
                    high
                }
            }
        };
        Ok(Self {
            fd,
            watches: Vec::new(),
        })
    }

    /// Watches what is at `path` now: the file, and, if it is not there or only linked to, the nearest
    /// directory above that is. True if the file is there.
    pub(super) fn arm(&mut self, path: &Path) -> io::Result<bool> {
        let mut watches = Vec::new();
        let linked = std::fs::symlink_metadata(path)
            .map(|found| found.is_symlink())
            .unwrap_or(true);
        // The directory first: a file that comes before the next line is then seen either way.
        if linked {
            watches.push(self.watch_above(path)?);
        }
        let sees_file = match self.add(path, OF_FILE) {
            Ok(watch) => {
                watches.push(watch);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        for watch in self.watches.iter().filter(|it| !watches.contains(it)) {
            // SAFETY: touches no memory. It fails if the file is gone, and the watch with it.
            unsafe { libc::inotify_rm_watch(self.fd, *watch) };
        }
        self.watches = watches;
        Ok(sees_file)
    }

    fn watch_above(&self, path: &Path) -> io::Result<libc::c_int> {
        let above = path.ancestors().skip(1).map(|directory| {
            if directory.as_os_str().is_empty() {
                Path::new(".")
            } else {
                directory
            }
        });
        for directory in above {
            match self.add(directory, OF_DIRECTORY) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                added => return added,
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn add(&self, path: &Path, mask: u32) -> io::Result<libc::c_int> {
        self.check()?;
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the path is a C string that outlives the call.
        match unsafe { libc::inotify_add_watch(self.fd, path.as_ptr(), mask) } {
            watch if watch < 0 => Err(io::Error::last_os_error()),
            watch => Ok(watch),
        }
    }

    /// Sleeps until something happened to what is watched.
    pub(super) fn wait(&self) -> io::Result<()> {
        // What happened is not asked: the caller looks for itself.
        let mut events = [0_u8; 4096];
        loop {
            self.check()?;
            // SAFETY: writes at most as many bytes as there are.
            let read = unsafe { libc::read(self.fd, events.as_mut_ptr().cast(), events.len()) };
            if read >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            // A process that was stopped and goes on.
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// An error if the descriptor is not ours any more.
    fn check(&self) -> io::Result<()> {
        match std::fs::read_link(format!("/proc/self/fd/{}", self.fd)) {
            Ok(kind) if kind.as_os_str() == "anon_inode:inotify" => Ok(()),
            Ok(_) => Err(io::Error::other("the program closed its descriptor")),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        if self.check().is_ok() {
            // SAFETY: the descriptor is an inotify instance at our number, and nobody else uses it.
            unsafe { libc::close(self.fd) };
        }
    }
}
