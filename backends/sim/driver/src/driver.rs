//! The driver as a whole: initialization, the devices it found, fork.

use crate::border::{self, Outcome, rc};
use crate::context::Context;
use crate::graph_memory::GraphMemory;
use crate::{Failure, Profile};
use fcsp_sim::{Arena, Config, DEVICES_MAX, Device, Queues};
use std::ffi::{c_int, c_uint};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, Mutex, OnceLock};

/// A device this process can see.
pub struct Gpu {
    /// Its number in this process.
    pub ordinal: c_int,
    /// The model.
    pub device: Arc<Device>,
    /// The primary context.
    pub primary: Mutex<Primary>,
    /// Handle of the pool `cuMemAllocAsync` takes from; 0 until somebody asks.
    pub pool: Mutex<u64>,
    /// Handle of the default pool; 0 until somebody asks.
    pub default_pool: Mutex<u64>,
    /// Memory of graphs.
    pub graph_memory: Mutex<GraphMemory>,
    queues: Mutex<Option<&'static Queues>>,
    arena: Mutex<Option<&'static Arena>>,
}

/// The primary context of a device.
#[derive(Default)]
pub struct Primary {
    /// How often it was retained.
    pub references: u32,
    /// It exists while `references` is not 0.
    pub context: Option<Arc<Context>>,
    /// Flags for the next one.
    pub flags: c_uint,
}

static PROFILE: OnceLock<&'static Profile> = OnceLock::new();
static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
static INIT: Mutex<()> = Mutex::new(());
static FORK_FDS: [AtomicI32; DEVICES_MAX as usize] =
    [const { AtomicI32::new(-1) }; DEVICES_MAX as usize];

/// The devices this process can see, in its order.
pub fn gpus() -> &'static [Gpu] {
    GPUS.get().map_or(&[], |gpus| gpus)
}

/// The device of an ordinal.
pub fn gpu(ordinal: c_int) -> Result<&'static Gpu, Failure> {
    usize::try_from(ordinal)
        .ok()
        .and_then(|i| gpus().get(i))
        .ok_or(rc::INVALID_DEVICE)
}

impl Gpu {
    /// The streams of this process on the device; made on first use, kept until it ends.
    pub fn queues(&self) -> Result<&'static Queues, Failure> {
        let mut queues = self.queues.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(queues) = *queues {
            return Ok(queues);
        }
        let made = Queues::new(Arc::clone(&self.device)).map_err(report)?;
        Ok(*queues.insert(Box::leak(Box::new(made))))
    }

    /// The memory behind the device's addresses; made on first use, kept until the process ends.
    pub fn arena(&self) -> Result<&'static Arena, Failure> {
        let mut arena = self.arena.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(arena) = *arena {
            return Ok(arena);
        }
        let made = Arena::new().map_err(report)?;
        Ok(*arena.insert(Box::leak(Box::new(made))))
    }
}

fn report(error: std::io::Error) -> Failure {
    eprintln!("simulated {}: {error}", profile().library);
    rc::OPERATING_SYSTEM
}

extern "C" fn after_fork_in_child() {
    border::set_forked();
    for fd in &FORK_FDS {
        let fd = fd.swap(-1, Relaxed);
        if fd >= 0 {
            // SAFETY: our own descriptor, which nothing in the child uses: every call is refused.
            unsafe { libc::close(fd) };
        }
    }
}

/// What the vendor's device is like.
///
/// # Panics
/// Before [`init`] succeeded: no handler runs then.
pub fn profile() -> &'static Profile {
    PROFILE.get().expect("initialized before any handler runs")
}

/// Finds the devices of `config` and makes the driver ready, once. `visible` chooses among unique ids.
///
/// # Errors
/// No device, none visible, or files that cannot be made.
pub fn init(
    config: &Config,
    profile: &'static Profile,
    visible: impl FnOnce(&[[u8; 16]]) -> Vec<usize>,
) -> Outcome {
    let _one_at_a_time = INIT.lock().unwrap_or_else(|e| e.into_inner());
    if border::forked() {
        return Err(rc::NOT_INITIALIZED);
    }
    if GPUS.get().is_some() {
        return Ok(());
    }
    PROFILE.get_or_init(|| profile);
    let mut devices = Vec::new();
    for index in 0..config.devices {
        let device = Device::open(config, index).map_err(report)?;
        FORK_FDS[index as usize].store(device.fork_sensitive_fd(), Release);
        devices.push(Arc::new(device));
    }
    let ids: Vec<[u8; 16]> = devices.iter().map(|device| device.uuid()).collect();
    let gpus: Vec<Gpu> = visible(&ids)
        .into_iter()
        .zip(0..)
        .map(|(index, ordinal)| Gpu {
            ordinal,
            device: Arc::clone(&devices[index]),
            primary: Mutex::default(),
            pool: Mutex::new(0),
            default_pool: Mutex::new(0),
            graph_memory: Mutex::default(),
            queues: Mutex::new(None),
            arena: Mutex::new(None),
        })
        .collect();
    if gpus.is_empty() {
        return Err(rc::NO_DEVICE);
    }
    // SAFETY: the handler only stores atomics and closes descriptors.
    unsafe { libc::pthread_atfork(None, None, Some(after_fork_in_child)) };
    GPUS.get_or_init(|| gpus);
    border::set_ready();
    Ok(())
}
