//! Waiting for a file to be written or replaced, by Linux's inotify.
//!
//! The descriptor lies in someone else's program, which may close it, or have another file take its
//! number. So it is moved to a high number, where programs that count on the low ones do not meet it,
//! and each use first asks the kernel whether it still is an inotify descriptor. A read that has begun
//! holds its file whatever becomes of the number.

use std::ffi::CString;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

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

/// What the kernel tells of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Whoever wrote the file has closed it, or moved one that was finished to where it is.
    Written,
    /// A name came into being. If it is the file's, it may still have to be written.
    Begun,
    /// Something else happened: the file was replaced, removed or moved away, say.
    Stirred,
}

impl News {
    fn of(mask: u32) -> Self {
        if mask & (libc::IN_CLOSE_WRITE | libc::IN_MOVED_TO) != 0 {
            Self::Written
        } else if mask & libc::IN_CREATE != 0 {
            Self::Begun
        } else {
            Self::Stirred
        }
    }
}

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

    /// Sleeps until something happened to what is watched, or for so long; what happened last.
    pub(super) fn wait(&self, at_most: Option<Duration>) -> io::Result<Option<News>> {
        let mut events = [0_u8; 4096];
        loop {
            self.check()?;
            if let Some(at_most) = at_most
                && !self.poll(at_most)?
            {
                return Ok(None);
            }
            // SAFETY: writes at most as many bytes as there are.
            let read = unsafe { libc::read(self.fd, events.as_mut_ptr().cast(), events.len()) };
            if read >= 0 {
                return Ok(masks(&events[..read as usize]).last().map(News::of));
            }
            let error = io::Error::last_os_error();
            // A process that was stopped and goes on.
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// True if there is something to read before so long is over.
    fn poll(&self, at_most: Duration) -> io::Result<bool> {
        let mut asked = libc::pollfd {
            fd: self.fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let at_most_ms = at_most.as_micros().div_ceil(1_000) as libc::c_int;
        // SAFETY: one entry, as told.
        match unsafe { libc::poll(&mut asked, 1, at_most_ms) } {
            ready if ready >= 0 => Ok(ready > 0),
            _ => match io::Error::last_os_error() {
                // A process that was stopped and goes on: the caller looks early.
                error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                error => Err(error),
            },
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

/// What kind each event in a buffer is of.
fn masks(mut events: &[u8]) -> impl Iterator<Item = u32> {
    let number = |events: &[u8], at: usize| {
        let bytes = events.get(at..at + size_of::<u32>())?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    std::iter::from_fn(move || {
        let mask = number(events, offset_of!(libc::inotify_event, mask))?;
        let name_bytes = number(events, offset_of!(libc::inotify_event, len))?;
        events = events.get(size_of::<libc::inotify_event>() + name_bytes as usize..)?;
        Some(mask)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;

    #[test]
    fn what_happened_last_is_told() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        let path = at("policy.toml");
        let mut notifier = Notifier::open().expect("an instance");
        let soon = Some(Duration::from_millis(100));
        let now = Some(Duration::ZERO);

        assert!(!notifier.arm(&path).expect("watches the directory"));
        assert_eq!(notifier.wait(now).expect("waits"), None);
        let mut file = File::create(&path).expect("makes it");
        assert_eq!(notifier.wait(soon).expect("waits"), Some(News::Begun));
        assert!(notifier.arm(&path).expect("watches the file"));
        // That the directory is not watched any more is an event.
        assert_eq!(notifier.wait(now).expect("waits"), Some(News::Stirred));
        file.write_all(b"text").expect("writes");
        assert_eq!(notifier.wait(now).expect("waits"), None);
        drop(file);
        assert_eq!(notifier.wait(soon).expect("waits"), Some(News::Written));

        fs::write(at("fresh"), "another").expect("writes");
        fs::rename(at("fresh"), &path).expect("renames");
        assert_eq!(notifier.wait(soon).expect("waits"), Some(News::Stirred));
        fs::remove_file(&path).expect("removes");
        assert!(!notifier.arm(&path).expect("watches the directory"));
        fs::write(at("fresh"), "a third").expect("writes");
        fs::rename(at("fresh"), &path).expect("renames");
        // The name that came and the one that was moved.
        assert_eq!(notifier.wait(soon).expect("waits"), Some(News::Written));
    }
}
