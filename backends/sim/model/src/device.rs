//! One simulated device as one process sees it.
//!
//! Owns: identity, this process's slot, physical memory accounting, removal of dead processes.
//! Does not own: the timeline ([`crate::engine`]) or streams ([`crate::queue`]).

use crate::config::{Config, DEVICES_MAX};
use crate::liveness::{Identity, LockFile};
use crate::rng::mix;
use crate::shared::{Locked, SLOTS_MAX, SharedFile};
use std::io;
use std::os::fd::RawFd;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The shortest time between two looks for dead processes.
const REAP_INTERVAL_NS: u64 = 2_000_000;

/// The simulated device has no memory left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Memory of the whole device, all processes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What programs can see.
    pub total_bytes: u64,
    /// What processes hold, contexts included.
    pub used_bytes: u64,
}

/// A process on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id in its own PID namespace.
    pub pid: u32,
    /// Physical memory it holds, contexts included.
    pub memory_bytes: u64,
}

/// A device, opened.
pub struct Device {
    index: u32,
    config: Config,
    shared: SharedFile,
    locks: LockFile,
    slot: Mutex<Option<usize>>,
    reaped_ns: AtomicU64,
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` outlives the call; the clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Device {
    /// Opens device `index`, making its files if nobody has. Takes no place on the device yet.
    ///
    /// # Errors
    /// The files cannot be made, or belong to another version.
    pub fn open(config: &Config, index: u32) -> io::Result<Self> {
        std::fs::create_dir_all(&config.dir)?;
        let name = config.vendor.file_name(index);
        let locks = LockFile::open(&config.dir.join(format!("{name}.lock")))?;
        let shared = SharedFile::open(config, index, &locks)?;
        Ok(Self {
            index,
            config: config.clone(),
            shared,
            locks,
            slot: Mutex::new(None),
            reaped_ns: AtomicU64::new(0),
        })
    }

    /// Takes a place on the device for this process; keeps the one it has.
    ///
    /// # Errors
    /// All places are taken.
    pub fn attach(&self) -> io::Result<usize> {
        let mut mine = self.slot.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(slot) = *mine {
            return Ok(slot);
        }
        let locked = self.shared.lock();
        self.reap(&locked, now_ns(), None);
        for index in 0..SLOTS_MAX {
            let slot = &locked.slots[index];
            if slot.taken.load(Acquire) != 0 || self.locks.claim(index).is_err() {
                continue;
            }
            let me = Identity::current();
            slot.pid.store(me.pid, Release);
            slot.started_ticks.store(me.started_ticks, Release);
            slot.pid_namespace.store(me.pid_namespace, Release);
            for field in [
                &slot.memory_bytes,
                &slot.pushed,
                &slot.pushed_ns,
                &slot.executed,
                &slot.executed_ns,
                &slot.retired,
            ] {
                field.store(0, Release);
            }
            let cap = if self.mps() {
                self.config.active_permille
            } else {
                1000
            };
            slot.active_permille.store(u64::from(cap), Release);
            locked
                .claims
                .store(locked.claims.load(Acquire) + 1, Release);
            let end = locked.slots_end.load(Acquire).max(index as u64 + 1);
            locked.slots_end.store(end, Release);
            slot.taken.store(1, Release);
            *mine = Some(index);
            return Ok(index);
        }
        Err(io::Error::other(format!(
            "simulated device {}: {SLOTS_MAX} processes use it, which is all it can take",
            self.index
        )))
    }

    /// Number of the device.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What the environment said.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Product name; says that the device is simulated.
    pub fn name(&self) -> &'static str {
        self.config.vendor.device_name()
    }

    /// Unique id, the same in every process and for every run with the same seed.
    pub fn uuid(&self) -> [u8; 16] {
        let seed = self.shared.seed.load(Relaxed);
        let high =
            mix(seed ^ mix(u64::from(self.index + DEVICES_MAX * self.config.vendor.number()) + 1));
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&high.to_be_bytes());
        uuid[8..].copy_from_slice(&mix(high).to_be_bytes());
        uuid
    }

    /// Number of the simulated PCI bus (domain 0, device 0). The partitions of a device have one.
    pub fn pci_bus(&self) -> u32 {
        6 + self.index / self.config.parts() + DEVICES_MAX * self.config.vendor.number()
    }

    /// Which partition of its device this is; 0 for a whole one.
    pub fn partition(&self) -> u32 {
        self.index % self.config.parts()
    }

    /// Whether contexts run concurrently.
    pub fn mps(&self) -> bool {
        self.shared.mps.load(Relaxed) == 1
    }

    /// Whether this process is one of those that run concurrently: it said so itself, on a device where
    /// the first said so. (The model runs a process that did not beside the others all the same.)
    pub fn is_client(&self) -> bool {
        self.config.mps && self.mps()
    }

    /// Descriptors that a forked child has to close, lest it keeps its parent's place alive.
    pub fn fork_sensitive_fd(&self) -> RawFd {
        self.locks.raw_fd()
    }

    /// Takes physical memory for this process.
    ///
    /// # Errors
    /// The device has less left than `bytes`, or this process has no place on it.
    pub fn charge(&self, bytes: u64) -> Result<(), OutOfMemory> {
        let slot = self.attach().map_err(|_| OutOfMemory)?;
        let locked = self.shared.lock();
        let total_bytes = locked.memory_bytes.load(Acquire);
        let fits = |locked: &Locked<'_>| {
            used_bytes(locked)
                .checked_add(bytes)
                .is_some_and(|sum| sum <= total_bytes)
        };
        if !fits(&locked) {
            self.reap(&locked, now_ns(), Some(slot));
            if !fits(&locked) {
                return Err(OutOfMemory);
            }
        }
        let memory = &locked.slots[slot].memory_bytes;
        memory.store(memory.load(Acquire) + bytes, Release);
        Ok(())
    }

    /// Gives back what [`Device::charge`] took.
    pub fn release(&self, bytes: u64) {
        // Without a place there is nothing to give back.
        let Some(slot) = self.own_slot() else { return };
        let locked = self.shared.lock();
        let memory = &locked.slots[slot].memory_bytes;
        memory.store(memory.load(Acquire).saturating_sub(bytes), Release);
    }

    /// Memory in use by everybody alive.
    pub fn memory(&self) -> Memory {
        let mine = self.own_slot();
        let locked = self.shared.lock();
        self.reap(&locked, now_ns(), mine);
        Memory {
            total_bytes: locked.memory_bytes.load(Acquire),
            used_bytes: used_bytes(&locked),
        }
    }

    /// Memory programs can see.
    pub fn total_bytes(&self) -> u64 {
        self.shared.memory_bytes.load(Acquire)
    }

    /// Everybody alive on the device.
    pub fn processes(&self) -> Vec<Process> {
        let mine = self.own_slot();
        let locked = self.shared.lock();
        self.reap(&locked, now_ns(), mine);
        locked
            .slot_indices()
            .map(|index| &locked.slots[index])
            .filter(|slot| slot.taken.load(Acquire) == 1)
            .map(|slot| Process {
                pid: slot.pid.load(Acquire),
                memory_bytes: slot.memory_bytes.load(Acquire),
            })
            .collect()
    }

    /// Percent of the last sampling period in which the device was busy. Like the real one it
    /// changes a few times a second.
    pub fn utilization_percent(&self) -> u32 {
        let locked = self.shared.lock();
        locked.advance(now_ns());
        locked.engine.utilization_percent.load(Acquire) as u32
    }

    /// Device time spent on work by anybody since the device was first used.
    pub fn busy_ns(&self) -> u64 {
        let locked = self.shared.lock();
        locked.advance(now_ns());
        locked.engine.busy_ns.load(Acquire)
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        self.shared.lock()
    }

    /// Whether the device would first have to change to `slot`, as things stand at `now_ns`.
    pub(crate) fn is_elsewhere(&self, slot: usize, now_ns: u64) -> bool {
        let locked = self.lock();
        locked.advance(now_ns);
        locked.is_elsewhere(slot)
    }

    /// Seed of this process's own random stream.
    pub(crate) fn process_seed(&self) -> u64 {
        mix(self.shared.seed.load(Acquire) ^ mix(self.shared.claims.load(Acquire)))
    }

    /// Removes dead processes if nobody here has looked for a while.
    pub(crate) fn reap_if_due(&self, now_ns: u64) {
        let last_ns = self.reaped_ns.load(Acquire);
        if now_ns < last_ns + REAP_INTERVAL_NS
            || self
                .reaped_ns
                .compare_exchange(last_ns, now_ns, AcqRel, Relaxed)
                .is_err()
        {
            return;
        }
        let mine = self.own_slot();
        self.reap(&self.shared.lock(), now_ns, mine);
    }

    fn own_slot(&self) -> Option<usize> {
        *self.slot.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn reap(&self, locked: &Locked<'_>, now_ns: u64, mine: Option<usize>) {
        for index in locked.slot_indices() {
            let slot = &locked.slots[index];
            if Some(index) == mine || slot.taken.load(Acquire) == 0 || self.locks.held(index) {
                continue;
            }
            let identity = Identity {
                pid: slot.pid.load(Acquire),
                started_ticks: slot.started_ticks.load(Acquire),
                pid_namespace: slot.pid_namespace.load(Acquire),
            };
            if identity.gone() {
                locked.remove(index, now_ns);
            }
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(slot) = self.own_slot() {
            let locked = self.shared.lock();
            locked.remove(slot, now_ns());
            // Only a closed descriptor can fail to unlock, and that has no lock to give back.
            let _ = self.locks.release(slot);
        }
    }
}

fn used_bytes(locked: &Locked<'_>) -> u64 {
    locked
        .slot_indices()
        .map(|index| &locked.slots[index])
        .filter(|slot| slot.taken.load(Acquire) == 1)
        .map(|slot| slot.memory_bytes.load(Acquire))
        .sum()
}
