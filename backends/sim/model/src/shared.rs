//! The shared file of one simulated device: layout, creation, the lock.
//!
//! Owns: what every process sees of a device. Does not own: how device time passes
//! ([`crate::engine`]) or who is alive ([`crate::liveness`]).
//!
//! Every field is an atomic that only the holder of the lock writes, so a process killed between
//! two stores leaves values that are each valid; [`Shared::lock`] repairs their relations when the
//! kernel reports that the holder died.

use crate::config::Config;
use crate::liveness::LockFile;
use memmap2::MmapRaw;
use std::cell::UnsafeCell;
use std::fs::OpenOptions;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Processes a device serves at a time.
pub const SLOTS_MAX: usize = 64;
/// Kernels a process can have handed to the engine and not yet retired.
pub const RING_ITEMS: u64 = 4096;

const MAGIC: u64 = u64::from_le_bytes(*b"fcspsim1");
const VERSION: u64 = 2;

/// One kernel (or copy) in a process's ring.
#[repr(C)]
pub struct Item {
    /// Device time of all items of this slot up to and including this one.
    pub cumulative_ns: AtomicU64,
    /// When it may start.
    pub ready_ns: AtomicU64,
    /// When it ended; valid once the slot's `executed` passed it.
    pub end_ns: AtomicU64,
}

/// One process on the device.
#[repr(C, align(64))]
pub struct Slot {
    /// 0 free, 1 taken.
    pub taken: AtomicU32,
    /// Process id in its own PID namespace.
    pub pid: AtomicU32,
    /// Start time of the process in clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    pub started_ticks: AtomicU64,
    /// Inode of its PID namespace.
    pub pid_namespace: AtomicU64,
    /// Physical memory it holds, contexts included.
    pub memory_bytes: AtomicU64,
    /// Cap under MPS in thousandths of the device.
    pub active_permille: AtomicU64,
    /// Items handed to the engine since the slot was claimed.
    pub pushed: AtomicU64,
    /// Device time of all of them.
    pub pushed_ns: AtomicU64,
    /// Items finished.
    pub executed: AtomicU64,
    /// Device time spent, the running item's part included.
    pub executed_ns: AtomicU64,
    /// Items whose `end_ns` the owner has read: their places may be used again.
    pub retired: AtomicU64,
    /// The queue.
    pub ring: [Item; RING_ITEMS as usize],
}

/// Who runs, and up to when the past is settled.
#[repr(C, align(64))]
pub struct EngineState {
    /// Slot the device is switched to, plus one; 0 for none.
    pub current: AtomicU64,
    /// The earliest moment at which the device can start something.
    pub free_at_ns: AtomicU64,
    /// When the current context's slice began.
    pub slice_start_ns: AtomicU64,
    /// Device time spent on items by anybody, dead or alive.
    pub busy_ns: AtomicU64,
    /// Context switches so far.
    pub switches: AtomicU64,
    /// When the current utilization sample began.
    pub sample_ns: AtomicU64,
    /// `busy_ns` at that time.
    pub sample_busy_ns: AtomicU64,
    /// The last full sample, in percent.
    pub utilization_percent: AtomicU64,
}

/// The whole file.
#[repr(C)]
pub struct Shared {
    magic: AtomicU64,
    version: AtomicU64,
    file_bytes: AtomicU64,
    /// Memory programs can see.
    pub memory_bytes: AtomicU64,
    /// 1 when contexts run concurrently.
    pub mps: AtomicU64,
    /// Seed of the device.
    pub seed: AtomicU64,
    /// Slots ever claimed: gives each process its own random stream.
    pub claims: AtomicU64,
    /// No slot at or above this index was ever taken.
    pub slots_end: AtomicU64,
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    /// The engine.
    pub engine: EngineState,
    /// The processes.
    pub slots: [Slot; SLOTS_MAX],
}

// SAFETY: every field is an atomic but the mutex, which is made to be shared between processes.
unsafe impl Sync for Shared {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Shared {}

const _: () = assert!(size_of::<Item>() == 24);
const _: () = assert!(std::mem::offset_of!(Shared, engine) % 64 == 0);

/// The lock of a device is held while this lives.
pub struct Locked<'a> {
    shared: &'a Shared,
}

impl std::ops::Deref for Locked<'_> {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        self.shared
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: `Locked` exists only while this thread holds the initialized mutex.
        unsafe { libc::pthread_mutex_unlock(self.shared.mutex.get()) };
    }
}

impl Shared {
    /// Writes a fresh device over whatever the memory held.
    ///
    /// # Safety
    /// `place` points to writable memory of at least `size_of::<Shared>()` zero bytes, aligned for
    /// it, that nobody else uses yet.
    unsafe fn init(place: *mut Shared, config: &Config) {
        let mut attr = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        // SAFETY: the caller gives us the memory; the attribute object is initialized first.
        unsafe {
            libc::pthread_mutexattr_init(attr.as_mut_ptr());
            libc::pthread_mutexattr_setpshared(attr.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED);
            libc::pthread_mutexattr_setrobust(attr.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST);
            libc::pthread_mutex_init((*place).mutex.get(), attr.as_ptr());
            libc::pthread_mutexattr_destroy(attr.as_mut_ptr());
        }
        // SAFETY: zero bytes are a valid `Shared` and nobody else refers to it yet.
        let shared = unsafe { &*place };
        shared.memory_bytes.store(config.memory_bytes, Release);
        shared.mps.store(u64::from(config.mps), Release);
        shared.seed.store(config.seed, Release);
        shared.file_bytes.store(size_of::<Shared>() as u64, Release);
        shared.version.store(VERSION, Release);
        // Last: whoever reads the magic number finds the rest in place.
        shared.magic.store(MAGIC, Release);
    }

    /// Takes the device's lock, and puts things right if its last holder died with it.
    pub fn lock(&self) -> Locked<'_> {
        // SAFETY: the mutex was initialized before the file was published.
        let rc = unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        let locked = Locked { shared: self };
        if rc == libc::EOWNERDEAD {
            locked.repair();
            // SAFETY: this thread owns the mutex and has just repaired what it protects.
            unsafe { libc::pthread_mutex_consistent(self.mutex.get()) };
        }
        locked
    }

    /// Indices of the slots that may be taken.
    pub fn slot_indices(&self) -> std::ops::Range<usize> {
        0..(self.slots_end.load(Acquire) as usize).min(SLOTS_MAX)
    }
}

impl Locked<'_> {
    /// Restores the relations between fields that a holder killed half-way may have left broken.
    fn repair(&self) {
        for index in self.slot_indices() {
            let slot = &self.slots[index];
            let pushed = slot.pushed.load(Acquire);
            if slot.executed.load(Acquire) > pushed {
                slot.executed.store(pushed, Release);
            }
            let done = slot.executed.load(Acquire);
            let cumulative_ns = |count: u64| match count {
                0 => 0,
                n => slot.item(n).cumulative_ns.load(Acquire),
            };
            let floor_ns = cumulative_ns(done);
            let ceiling_ns = if done < pushed {
                cumulative_ns(done + 1)
            } else {
                floor_ns
            };
            let spent_ns = slot.executed_ns.load(Acquire);
            slot.executed_ns
                .store(spent_ns.clamp(floor_ns, ceiling_ns.max(floor_ns)), Release);
            slot.pushed_ns.store(cumulative_ns(pushed), Release);
        }
        if self.engine.current.load(Acquire) > SLOTS_MAX as u64 {
            self.engine.current.store(0, Release);
        }
    }
}

impl Slot {
    /// The item of a ticket; tickets count from 1.
    pub fn item(&self, ticket: u64) -> &Item {
        &self.ring[((ticket - 1) % RING_ITEMS) as usize]
    }
}

/// A mapped device file.
pub struct SharedFile {
    map: MmapRaw,
}

impl SharedFile {
    /// Opens or creates the file of device `index` in `config.dir`.
    ///
    /// The first process on an unused device configures it; later ones take what they find.
    ///
    /// # Errors
    /// The directory or file cannot be made, or processes with another version of this library
    /// hold it.
    pub fn open(config: &Config, index: u32, locks: &LockFile) -> io::Result<Self> {
        let path = config.dir.join(config.vendor.file_name(index));
        let _init = locks.init_lock()?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let bytes = size_of::<Shared>() as u64;
        let unused = !locks.is_open()?;
        locks.mark_open()?;
        if unused {
            // Nobody is on the device: start it afresh, so that this environment counts.
            file.set_len(0)?;
            file.set_len(bytes)?;
        }
        if file.metadata()?.len() != bytes {
            return Err(version_error(&path));
        }
        let map = MmapRaw::map_raw(&file)?;
        if unused {
            // SAFETY: page-aligned zero bytes of the right length, and the init lock is held.
            unsafe { Shared::init(map.as_mut_ptr().cast(), config) };
        }
        let opened = Self { map };
        if opened.magic.load(Acquire) != MAGIC
            || opened.version.load(Acquire) != VERSION
            || opened.file_bytes.load(Acquire) != bytes
        {
            return Err(version_error(&path));
        }
        Ok(opened)
    }
}

fn version_error(path: &std::path::Path) -> io::Error {
    io::Error::other(format!(
        "{}: in use by another version of the simulated device; end those processes or choose \
         another FCSP_SIM_DIR",
        path.display()
    ))
}

impl std::ops::Deref for SharedFile {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        // SAFETY: `open` checked length and version; the mapping lives as long as `self`.
        unsafe { &*self.map.as_ptr().cast::<Shared>() }
    }
}

/// A device in private memory, for tests of the engine.
#[cfg(test)]
pub(crate) fn in_memory(config: &Config) -> Box<Shared> {
    let layout = std::alloc::Layout::new::<Shared>();
    // SAFETY: the layout is not empty; zero bytes are a valid `Shared`; `init` gets it alone.
    unsafe {
        let place = std::alloc::alloc_zeroed(layout).cast::<Shared>();
        Shared::init(place, config);
        Box::from_raw(place)
    }
}
