//! The device, its context, the work kernel and the counter the kernel adds to.
//!
//! One per process, made once and never torn down: the process ends instead, as most programs do.

use anyhow::{Context, Result};
use cuda_sys::{
    CU_MEMHOSTALLOC_DEVICEMAP, CU_MEMHOSTALLOC_PORTABLE, CUcontext, CUdevice, CUdevice_attribute,
    CUdeviceptr, CUfunction,
};
use fcsp_hw_tests::clock::now_ns;
use fcsp_hw_tests::record::DeviceInfo;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::{Api, DefaultStream, Resolve, call};

/// Threads in a block of the work kernel.
pub const BLOCK_THREADS: u32 = 256;

/// The work kernel, as text.
pub const PTX: &CStr =
    match CStr::from_bytes_with_nul(concat!(include_str!("work.ptx"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("work.ptx contains a NUL byte"),
    };

/// The device this program uses, with everything a mode needs to put work on it.
pub struct Gpu {
    /// The driver.
    pub api: Api,
    /// Ordinal handle.
    pub device: CUdevice,
    /// Its name and the driver's version.
    pub info: DeviceInfo,
    /// `fcsp_work`.
    pub kernel: CUfunction,
    /// Blocks of `BLOCK_THREADS` that fill the device in one wave.
    pub wave_blocks: u32,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// From loading the driver to a current context.
    pub attach_ns: u64,
    /// The part of that spent in `cuDevicePrimaryCtxRetain`.
    pub context_ns: u64,
    context: CUcontext,
    counter: Counter,
}

// SAFETY: the driver's functions may be called from any thread, and its handles are opaque names
// that are never dereferenced here.
unsafe impl Send for Gpu {}
// SAFETY: as above.
unsafe impl Sync for Gpu {}

/// A word of pinned host memory that kernels add finished device time to.
#[derive(Clone, Copy)]
pub struct Counter {
    host: *const AtomicU64,
    /// Where a kernel finds it.
    pub device: CUdeviceptr,
}

// SAFETY: the word is pinned for the life of the process and only read, atomically, on this side.
unsafe impl Send for Counter {}
// SAFETY: as above.
unsafe impl Sync for Counter {}

impl Counter {
    /// Nominal device time finished so far.
    pub fn work_ns(&self) -> u64 {
        // SAFETY: allocated by `cuMemHostAlloc` in `Counter::new`, aligned, never freed.
        unsafe { &*self.host }.load(Ordering::Relaxed)
    }

    fn new(api: &Api) -> Result<Self> {
        let mut host: *mut c_void = std::ptr::null_mut();
        let flags = CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: `host` is a live out-parameter and a context is current.
        unsafe {
            call!(
                api,
                mem_host_alloc(&mut host, size_of::<AtomicU64>(), flags)
            )
        }?;
        // SAFETY: the driver just gave us this many bytes, page aligned.
        unsafe { host.cast::<u64>().write(0) };
        let mut device = 0;
        // SAFETY: `host` is mapped pinned memory and `device` a live out-parameter.
        unsafe { call!(api, mem_host_device_pointer(&mut device, host, 0)) }?;
        Ok(Self {
            host: host.cast(),
            device,
        })
    }
}

impl Gpu {
    /// Loads the driver, makes the primary context of device `ordinal` current, loads the kernel.
    pub fn open(ordinal: i32, resolve: Resolve, default_stream: DefaultStream) -> Result<Self> {
        let began_ns = now_ns();
        let api = Api::load(resolve, default_stream)?;
        // SAFETY: no pointers.
        unsafe { call!(api, init(0)) }.context("no usable device")?;
        let mut device = 0;
        // SAFETY: `device` is a live out-parameter.
        unsafe { call!(api, device_get(&mut device, ordinal)) }
            .with_context(|| format!("there is no device {ordinal}"))?;
        let info = device_info(&api, device)?;
        let mut context = std::ptr::null_mut();
        let retain_ns = now_ns();
        // SAFETY: `context` is a live out-parameter, `device` came from the driver.
        unsafe { call!(api, primary_ctx_retain(&mut context, device)) }?;
        let context_ns = now_ns() - retain_ns;
        // SAFETY: `context` was just retained.
        unsafe { call!(api, ctx_set_current(context)) }?;
        let attach_ns = now_ns() - began_ns;

        let kernel = load_kernel(&api, PTX, c"fcsp_work")?;
        let multiprocessors = attribute(
            &api,
            device,
            CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
        )?;
        let mut blocks_per_multiprocessor = 0;
        // SAFETY: a live out-parameter and a loaded function.
        unsafe {
            call!(
                api,
                occupancy(
                    &mut blocks_per_multiprocessor,
                    kernel,
                    BLOCK_THREADS as i32,
                    0
                )
            )
        }?;
        let counter = Counter::new(&api)?;
        Ok(Self {
            device,
            info,
            kernel,
            wave_blocks: multiprocessors * blocks_per_multiprocessor.max(1) as u32,
            multiprocessors,
            attach_ns,
            context_ns,
            context,
            counter,
            api,
        })
    }

    /// The counter kernels add to.
    pub fn counter(&self) -> Counter {
        self.counter
    }

    /// Makes the context current on the calling thread; each new thread must, before any call.
    pub fn bind_thread(&self) -> Result<()> {
        // SAFETY: the context is retained for the life of the process.
        unsafe { call!(self.api, ctx_set_current(self.context)) }
    }

    /// Waits for everything submitted.
    pub fn synchronize(&self) -> Result<()> {
        // SAFETY: no pointers; a context is current.
        unsafe { call!(self.api, ctx_synchronize()) }
    }

    /// Free and total bytes as this program may see them.
    pub fn memory_info(&self) -> Result<(u64, u64)> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: two live out-parameters.
        unsafe { call!(self.api, mem_get_info(&mut free, &mut total)) }?;
        Ok((free as u64, total as u64))
    }

    /// `cuDeviceTotalMem`.
    pub fn total_bytes(&self) -> Result<u64> {
        let mut total = 0;
        // SAFETY: a live out-parameter.
        unsafe { call!(self.api, device_total_mem(&mut total, self.device)) }?;
        Ok(total as u64)
    }
}

/// The device's UUID in NVML's spelling, `GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub fn uuid(api: &Api, device: CUdevice) -> Result<String> {
    let mut raw = cuda_sys::CUuuid { bytes: [0; 16] };
    // SAFETY: `raw` is a live out-parameter of the size the header declares.
    unsafe { call!(api, device_uuid(&mut raw, device)) }?;
    let mut text = String::from("GPU");
    for (i, byte) in raw.bytes.iter().enumerate() {
        if matches!(i, 0 | 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", *byte as u8));
    }
    Ok(text)
}

/// The device's name, the driver's CUDA version, and whether it says that it is simulated.
pub fn device_info(api: &Api, device: CUdevice) -> Result<DeviceInfo> {
    let mut name = [0 as c_char; 128];
    // SAFETY: the buffer's true length is given.
    unsafe {
        call!(
            api,
            device_name(name.as_mut_ptr(), name.len() as i32, device)
        )
    }?;
    // SAFETY: the driver terminates the name within the length it was given.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }
        .to_string_lossy()
        .into_owned();
    let mut interface_version = 0;
    // SAFETY: a live out-parameter.
    unsafe { call!(api, driver_version(&mut interface_version)) }?;
    Ok(DeviceInfo {
        simulated: name.to_lowercase().contains("simulated"),
        name,
        interface_version,
        driver_version: None,
    })
}

fn attribute(api: &Api, device: CUdevice, attribute: CUdevice_attribute) -> Result<u32> {
    let mut value = 0;
    // SAFETY: a live out-parameter.
    unsafe { call!(api, device_attribute(&mut value, attribute, device)) }?;
    u32::try_from(value).context("the driver answered a negative count")
}

/// Loads the kernel called `name` of the PTX text `image`. A context must be current.
pub fn load_kernel(api: &Api, image: &CStr, name: &CStr) -> Result<CUfunction> {
    let mut module = std::ptr::null_mut();
    // SAFETY: `module` is a live out-parameter, the image is NUL-terminated PTX text.
    unsafe { call!(api, module_load_data(&mut module, image.as_ptr().cast())) }
        .with_context(|| format!("the kernel {name:?} could not be loaded"))?;
    let mut function = std::ptr::null_mut();
    // SAFETY: a live out-parameter, a loaded module, a NUL-terminated name.
    unsafe {
        call!(
            api,
            module_get_function(&mut function, module, name.as_ptr())
        )
    }?;
    Ok(function)
}
