//! A count of bytes that several processes keep together, to prove that a quota was broken.
//!
//! A file of two words, mapped by all. Each process adds *after* an allocation succeeded and
//! subtracts *before* it frees, so at every moment the count is at most what is truly held. A peak
//! above the quota is therefore proof; nothing here can raise a false alarm.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// The two words in the file.
#[repr(C)]
struct Words {
    held_bytes: AtomicU64,
    peak_bytes: AtomicU64,
}

/// A mapped shared ledger. Threads may use one together.
pub struct SharedLedger {
    words: NonNull<Words>,
}

// SAFETY: the mapping lives as long as the value and holds nothing but atomics.
unsafe impl Send for SharedLedger {}
// SAFETY: as above; every access goes through the atomics.
unsafe impl Sync for SharedLedger {}

impl SharedLedger {
    /// Maps the ledger at `path`, creating it with zero held if it does not exist. Opening it from
    /// many processes at once is fine: growing a file to the same size twice keeps its content.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.set_len(size_of::<Words>() as u64)?;
        Self::map(&file)
    }

    fn map(file: &File) -> io::Result<Self> {
        // SAFETY: a fresh shared mapping of an open file that is at least this long.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Words>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(address.cast::<Words>())
            .map(|words| Self { words })
            .ok_or_else(|| io::Error::other("mmap returned null"))
    }

    fn words(&self) -> &Words {
        // SAFETY: mapped, page-aligned and zero-initialized (valid atomics) until drop.
        unsafe { self.words.as_ref() }
    }

    /// Records `bytes` that are now held. Call after the allocation succeeded.
    pub fn add(&self, bytes: u64) {
        // SeqCst: pairs with `sub`, which the driver's hand-over of freed bytes orders before this.
        let held_bytes = self.words().held_bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.words()
            .peak_bytes
            .fetch_max(held_bytes, Ordering::Relaxed);
    }

    /// Records that `bytes` are about to be freed. Call before the free.
    pub fn sub(&self, bytes: u64) {
        // SeqCst: the subtraction must be visible before the driver can hand the freed bytes to
        // anyone else, or their addition would count on top of ours and raise a false alarm.
        self.words().held_bytes.fetch_sub(bytes, Ordering::SeqCst);
    }

    /// Bytes held now by all.
    pub fn held_bytes(&self) -> u64 {
        self.words().held_bytes.load(Ordering::Relaxed)
    }

    /// Most bytes ever held at once.
    pub fn peak_bytes(&self) -> u64 {
        self.words().peak_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for SharedLedger {
    fn drop(&mut self) {
        // SAFETY: `words` is the start of a mapping of exactly this size that nothing else unmaps.
        unsafe { libc::munmap(self.words.as_ptr().cast(), size_of::<Words>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("fcsp-ledger-{name}-{}", std::process::id()))
    }

    #[test]
    fn two_openings_share_one_count() {
        let path = path("shared");
        let (a, b) = (
            SharedLedger::open(&path).expect("temp dir is writable"),
            SharedLedger::open(&path).expect("temp dir is writable"),
        );
        a.add(100);
        b.add(50);
        a.sub(100);
        assert_eq!((b.held_bytes(), a.peak_bytes()), (50, 150));
        std::fs::remove_file(&path).expect("it was created above");
    }

    #[test]
    fn threads_never_lose_a_byte() {
        let path = path("threads");
        let ledger = SharedLedger::open(&path).expect("temp dir is writable");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        ledger.add(3);
                        ledger.sub(3);
                    }
                });
            }
        });
        assert_eq!(ledger.held_bytes(), 0);
        assert!((3..=12).contains(&ledger.peak_bytes()));
        std::fs::remove_file(&path).expect("it was created above");
    }
}
