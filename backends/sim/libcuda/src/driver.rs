//! The driver as a whole: `cuInit`, the devices it found, versions, error texts, fork.

use crate::border::{self, Outcome, put, rc};
use crate::context::Context;
use crate::graph_memory::GraphMemory;
use cuda_sys::{CUresult, CUuuid};
use fcsp_sim::{Arena, Config, DEVICES_MAX, Device, Queues};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, Mutex, OnceLock};

/// CUDA 13.0.
pub const DRIVER_VERSION: c_int = 13000;

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

static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
static INIT: Mutex<()> = Mutex::new(());
static FORK_FDS: [AtomicI32; DEVICES_MAX as usize] =
    [const { AtomicI32::new(-1) }; DEVICES_MAX as usize];

/// The devices this process can see, in its order.
pub fn gpus() -> &'static [Gpu] {
    GPUS.get().map_or(&[], |gpus| gpus)
}

/// The device of an ordinal.
pub fn gpu(ordinal: c_int) -> Result<&'static Gpu, CUresult> {
    usize::try_from(ordinal)
        .ok()
        .and_then(|i| gpus().get(i))
        .ok_or(rc::INVALID_DEVICE)
}

impl Gpu {
    /// The streams of this process on the device; made on first use, kept until it ends.
    pub fn queues(&self) -> Result<&'static Queues, CUresult> {
        let mut queues = self.queues.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(queues) = *queues {
            return Ok(queues);
        }
        let made = Queues::new(Arc::clone(&self.device)).map_err(report)?;
        Ok(*queues.insert(Box::leak(Box::new(made))))
    }

    /// The memory behind the device's addresses; made on first use, kept until the process ends.
    pub fn arena(&self) -> Result<&'static Arena, CUresult> {
        let mut arena = self.arena.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(arena) = *arena {
            return Ok(arena);
        }
        let made = Arena::new().map_err(report)?;
        Ok(*arena.insert(Box::leak(Box::new(made))))
    }

    /// The unique id in the driver's type.
    pub fn uuid(&self) -> CUuuid {
        CUuuid {
            bytes: self.device.uuid().map(|byte| byte as c_char),
        }
    }
}

fn report(error: std::io::Error) -> CUresult {
    eprintln!("simulated libcuda: {error}");
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

/// `cuInit`.
pub unsafe fn init(flags: c_uint) -> Outcome {
    border::require(flags == 0, rc::INVALID_VALUE)?;
    let _one_at_a_time = INIT.lock().unwrap_or_else(|e| e.into_inner());
    if border::forked() {
        return Err(rc::NOT_INITIALIZED);
    }
    if GPUS.get().is_some() {
        return Ok(());
    }
    let config = Config::from_env();
    let mut devices = Vec::new();
    for index in 0..config.devices {
        let device = Device::open(&config, index).map_err(report)?;
        FORK_FDS[index as usize].store(device.fork_sensitive_fd(), Release);
        devices.push(Arc::new(device));
    }
    let visible = crate::visible::select(
        std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref(),
        &devices
            .iter()
            .map(|device| device.uuid())
            .collect::<Vec<_>>(),
    );
    let gpus: Vec<Gpu> = visible
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

/// `cuDriverGetVersion`.
pub unsafe fn version(version: *mut c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(version, DRIVER_VERSION) }
}

/// `cuGetErrorName`.
pub unsafe fn error_name(error: CUresult, text: *mut *const c_char) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { error_text(cuda_sys::result_name(error.0), text) }
}

/// `cuGetErrorString`.
pub unsafe fn error_string(error: CUresult, text: *mut *const c_char) -> Outcome {
    let description = match error {
        rc::SUCCESS => "no error",
        rc::INVALID_VALUE => "invalid argument",
        rc::OUT_OF_MEMORY => "out of memory",
        rc::NOT_INITIALIZED => "initialization error",
        rc::NO_DEVICE => "no CUDA-capable device is detected",
        rc::INVALID_DEVICE => "invalid device ordinal",
        rc::INVALID_CONTEXT => "invalid device context",
        rc::INVALID_HANDLE => "invalid resource handle",
        rc::NOT_FOUND => "named symbol not found",
        rc::NOT_READY => "device not ready",
        rc::NOT_SUPPORTED => "operation not supported",
        rc::UNKNOWN => "unknown error",
        // The driver has a sentence for each; the name says as much.
        other => cuda_sys::result_name(other.0),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { error_text(description, text) }
}

/// Hands out a text that lives as long as the process.
unsafe fn error_text(known: &'static str, text: *mut *const c_char) -> Outcome {
    static TEXTS: Mutex<Vec<&'static CStr>> = Mutex::new(Vec::new());
    if known == "unknown" {
        // SAFETY: as for the caller.
        unsafe { put(text, std::ptr::null()) }?;
        return Err(rc::INVALID_VALUE);
    }
    let mut texts = TEXTS.lock().unwrap_or_else(|e| e.into_inner());
    let found = texts
        .iter()
        .find(|text| text.to_bytes() == known.as_bytes())
        .copied();
    let kept = match found {
        Some(kept) => kept,
        None => {
            let made = std::ffi::CString::new(known).map_err(|_| rc::UNKNOWN)?;
            let made: &'static CStr = Box::leak(made.into_boxed_c_str());
            texts.push(made);
            made
        }
    };
    // SAFETY: as for the caller.
    unsafe { put(text, kept.as_ptr()) }
}

/// `cuGetExportTable`: the private tables of the real driver do not exist here.
pub unsafe fn export_table(table: *mut *const c_void, id: *const CUuuid) -> Outcome {
    border::require(!id.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(table, std::ptr::null()) }?;
    Err(rc::NOT_FOUND)
}
