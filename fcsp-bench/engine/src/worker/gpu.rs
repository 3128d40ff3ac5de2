//! The device of a worker: its context, the kernels, and the word that kernels credit their work to.
//!
//! Made with the first task and never torn down: the process ends instead, as most programs do.

use crate::driver::{Api, Trouble, call};
use crate::protocol::Answer;
use cuda_sys::{
    CU_MEMHOSTALLOC_DEVICEMAP, CU_MEMHOSTALLOC_PORTABLE, CUcontext, CUdevice, CUdevice_attribute,
    CUdeviceptr, CUfunction, CUmodule, CUstream, CUstream_flags,
};
use fcsp_measure::clock::now_ns;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads of a block of every kernel but attention.
pub(crate) const BLOCK_THREADS: u32 = 256;

/// The kernels, as text.
const PTX: &CStr = match CStr::from_bytes_with_nul(
    concat!(include_str!("../kernels/kernels.ptx"), "\0").as_bytes(),
) {
    Ok(text) => text,
    Err(_) => panic!("kernels.ptx contains a NUL byte"),
};

/// The device and all that a task needs of it.
pub(crate) struct Gpu {
    /// The driver.
    pub(crate) api: Api,
    /// Handle of the device.
    pub(crate) device: CUdevice,
    /// Its primary context.
    pub(crate) context: CUcontext,
    /// A stream of its own, not the default one.
    pub(crate) stream: CUstream,
    /// `fcsp_work`.
    pub(crate) work: CUfunction,
    /// `fcsp_read`.
    pub(crate) read: CUfunction,
    /// `fcsp_write`.
    pub(crate) write: CUfunction,
    /// `fcsp_chase`.
    pub(crate) chase: CUfunction,
    /// `fcsp_stamped`.
    pub(crate) stamped: CUfunction,
    /// `fcsp_attention`.
    pub(crate) attention: CUfunction,
    /// Blocks of [`BLOCK_THREADS`] that fill the device in one wave.
    pub(crate) wave_blocks: u32,
    /// Where kernels credit their work.
    pub(crate) counter: Counter,
    /// Rounds of `fcsp_work` in a microsecond; 0 before anybody has said.
    pub(crate) iters_per_us: f64,
    /// Whether the device says that it is simulated.
    pub(crate) simulated: bool,
    open_ns: u64,
    context_ns: u64,
}

/// A word of pinned host memory.
#[derive(Clone, Copy)]
pub(crate) struct Counter {
    host: *const AtomicU64,
    /// Where a kernel finds it.
    pub(crate) device: CUdeviceptr,
}

// SAFETY: the word is pinned for the life of the process and only read and written atomically on this side.
unsafe impl Send for Counter {}

impl Counter {
    /// What has been credited so far.
    pub(crate) fn value(self) -> u64 {
        // SAFETY: allocated in `Counter::new`, aligned, never freed.
        unsafe { &*self.host }.load(Ordering::Relaxed)
    }

    /// Credits something from this side.
    pub(crate) fn add(self, value: u64) {
        // SAFETY: as above. No kernel that credits runs meanwhile: a load counts on one side only.
        unsafe { &*self.host }.fetch_add(value, Ordering::Relaxed);
    }

    fn new(api: &Api) -> Result<Self, Trouble> {
        let host = pinned(api, size_of::<u64>())?;
        // SAFETY: the driver just gave us this many bytes, page aligned.
        unsafe { host.cast::<u64>().write(0) };
        let mut device = 0;
        // SAFETY: mapped pinned memory and a live out-parameter.
        unsafe { call!(api, mem_host_device_pointer(&mut device, host, 0)) }?;
        Ok(Self {
            host: host.cast(),
            device,
        })
    }
}

/// Pinned host memory, which is never freed.
pub(crate) fn pinned(api: &Api, bytes: usize) -> Result<*mut c_void, Trouble> {
    let mut host = std::ptr::null_mut();
    let flags = CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE;
    // SAFETY: a live out-parameter; a context is current.
    unsafe { call!(api, mem_host_alloc(&mut host, bytes, flags)) }?;
    Ok(host)
}

impl Gpu {
    /// Loads the driver, makes the first device's primary context current, loads the kernels.
    pub(crate) fn open() -> Result<Self, Trouble> {
        let opened_ns = now_ns();
        let api = Api::load()?;
        // SAFETY: no pointers.
        unsafe { call!(api, init(0)) }?;
        let mut device = 0;
        // SAFETY: a live out-parameter.
        unsafe { call!(api, device_get(&mut device, 0)) }?;
        let mut context = std::ptr::null_mut();
        let began_ns = now_ns();
        // SAFETY: a live out-parameter, a device that the driver named.
        unsafe { call!(api, primary_ctx_retain(&mut context, device)) }?;
        let context_ns = now_ns() - began_ns;
        // SAFETY: just retained.
        unsafe { call!(api, ctx_set_current(context)) }?;
        let open_ns = now_ns() - opened_ns;
        let module = load(&api)?;
        let kernel = |name: &CStr| kernel(&api, module, name);
        let work = kernel(c"fcsp_work")?;
        let mut each = 0;
        // SAFETY: a live out-parameter, a loaded function.
        unsafe { call!(api, occupancy(&mut each, work, BLOCK_THREADS as i32, 0)) }?;
        let multiprocessors = attribute(
            &api,
            device,
            CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
        )?;
        let name = device_name(&api, device)?;
        Ok(Self {
            work,
            read: kernel(c"fcsp_read")?,
            write: kernel(c"fcsp_write")?,
            chase: kernel(c"fcsp_chase")?,
            stamped: kernel(c"fcsp_stamped")?,
            attention: kernel(c"fcsp_attention")?,
            wave_blocks: multiprocessors * each.max(1) as u32,
            counter: Counter::new(&api)?,
            stream: stream(&api)?,
            iters_per_us: 0.0,
            simulated: name.to_lowercase().contains("simulated"),
            open_ns,
            context_ns,
            device,
            context,
            api,
        })
    }

    /// What the program sees of the device.
    pub(crate) fn describe(&self) -> Result<Answer, Trouble> {
        let api = &self.api;
        let (free_bytes, total_bytes) = self.memory_info()?;
        let mut device_bytes = 0;
        // SAFETY: a live out-parameter.
        unsafe { call!(api, device_total_mem(&mut device_bytes, self.device)) }?;
        let (mut count, mut cuda) = (0, 0);
        // SAFETY: live out-parameters.
        unsafe { call!(api, device_count(&mut count)) }?;
        // SAFETY: as above.
        unsafe { call!(api, driver_version(&mut cuda)) }?;
        let attribute = |which| attribute(api, self.device, which).map(f64::from);
        use CUdevice_attribute as A;
        Ok(Answer::default()
            .with_text("name", device_name(api, self.device)?)
            .with("free_bytes", free_bytes as f64)
            .with("total_bytes", total_bytes as f64)
            .with("device_bytes", device_bytes as f64)
            .with("devices", f64::from(count))
            .with("cuda", f64::from(cuda))
            .with(
                "multiprocessors",
                attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            )
            .with(
                "major",
                attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            )
            .with(
                "minor",
                attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            )
            .with(
                "cache_bytes",
                attribute(A::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?,
            )
            .with("wave_blocks", f64::from(self.wave_blocks))
            .with("open_us", self.open_ns as f64 / 1e3)
            .with("context_us", self.context_ns as f64 / 1e3))
    }

    /// Rounds of the work kernel in a microsecond of a device that is this program's alone: the fastest of several runs of
    /// some milliseconds, so that a slow clock at the beginning does not count.
    pub(crate) fn calibrate(&mut self) -> Result<Answer, Trouble> {
        let mut iters = 20_000_u32;
        let mut best = 0.0_f64;
        for _ in 0..12 {
            let began_ns = now_ns();
            self.launch_work(self.stream, self.wave_blocks, iters, 0)?;
            self.synchronize()?;
            let us = (now_ns() - began_ns) as f64 / 1e3;
            // A launch and its wait are some 10 microseconds of that, so short runs only find the length.
            if us > 4_000.0 {
                best = best.max(f64::from(iters) / us);
            } else {
                iters = (f64::from(iters) * (6_000.0 / us).clamp(1.5, 8.0)) as u32;
            }
        }
        if best == 0.0 {
            return Err(Trouble::new(
                "the work kernel's speed could not be found out",
            ));
        }
        self.iters_per_us = best;
        Ok(Answer::default().with("iters_per_us", best))
    }

    /// Launches `fcsp_work`, which credits `add` unless that is 0.
    #[inline]
    pub(crate) fn launch_work(
        &self,
        stream: CUstream,
        blocks: u32,
        mut iters: u32,
        mut add: u64,
    ) -> Result<(), Trouble> {
        let mut counter = if add == 0 { 0 } else { self.counter.device };
        let mut arguments = [
            (&raw mut iters).cast(),
            (&raw mut counter).cast(),
            (&raw mut add).cast(),
        ];
        self.launch(
            self.work,
            stream,
            [blocks, 1],
            BLOCK_THREADS,
            &mut arguments,
        )
    }

    /// Launches that `fcsp_work` of another context, filling a device like this one, without credit.
    pub(crate) fn launch_in(
        &self,
        work: CUfunction,
        stream: CUstream,
        mut iters: u32,
    ) -> Result<(), Trouble> {
        let (mut counter, mut add) = (0_u64, 0_u64);
        let mut arguments = [
            (&raw mut iters).cast(),
            (&raw mut counter).cast(),
            (&raw mut add).cast(),
        ];
        self.launch(
            work,
            stream,
            [self.wave_blocks, 1],
            BLOCK_THREADS,
            &mut arguments,
        )
    }

    /// Launches a kernel.
    #[inline]
    pub(crate) fn launch(
        &self,
        kernel: CUfunction,
        stream: CUstream,
        blocks: [u32; 2],
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), Trouble> {
        // SAFETY: a loaded kernel, a live stream, and one pointer for each of its parameters, which live for the call.
        unsafe {
            call!(
                self.api,
                launch(
                    kernel,
                    blocks[0],
                    blocks[1],
                    1,
                    threads,
                    1,
                    1,
                    0,
                    stream,
                    arguments.as_mut_ptr(),
                    std::ptr::null_mut()
                )
            )
        }
    }

    /// Rounds of `fcsp_work` that take that long; an error before [`Gpu::iters_per_us`] is known.
    pub(crate) fn iters(&self, us: f64) -> Result<u32, Trouble> {
        if self.iters_per_us <= 0.0 {
            return Err(Trouble::new("nobody has said how fast the device is"));
        }
        Ok((us * self.iters_per_us)
            .round()
            .clamp(1.0, f64::from(u32::MAX)) as u32)
    }

    /// Waits for everything that was submitted.
    pub(crate) fn synchronize(&self) -> Result<(), Trouble> {
        // SAFETY: no pointers; a context is current.
        unsafe { call!(self.api, ctx_synchronize()) }
    }

    /// Waits for a stream.
    pub(crate) fn wait(&self, stream: CUstream) -> Result<(), Trouble> {
        // SAFETY: a live stream.
        unsafe { call!(self.api, stream_synchronize(stream)) }
    }

    /// Free and total bytes.
    pub(crate) fn memory_info(&self) -> Result<(u64, u64), Trouble> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: two live out-parameters.
        unsafe { call!(self.api, mem_get_info(&mut free, &mut total)) }?;
        Ok((free as u64, total as u64))
    }

    /// Device memory.
    pub(crate) fn allocate(&self, bytes: u64) -> Result<CUdeviceptr, Trouble> {
        let mut address = 0;
        // SAFETY: a live out-parameter, a current context.
        unsafe { call!(self.api, mem_alloc(&mut address, bytes as usize)) }?;
        Ok(address)
    }

    /// Gives it back.
    pub(crate) fn free(&self, address: CUdeviceptr) -> Result<(), Trouble> {
        // SAFETY: allocated by `allocate`, freed once.
        unsafe { call!(self.api, mem_free(address)) }
    }
}

/// The kernels, loaded into the current context.
fn load(api: &Api) -> Result<CUmodule, Trouble> {
    let mut module = std::ptr::null_mut();
    // SAFETY: a live out-parameter, NUL-terminated PTX.
    unsafe { call!(api, module_load_data(&mut module, PTX.as_ptr().cast())) }?;
    Ok(module)
}

fn kernel(api: &Api, module: CUmodule, name: &CStr) -> Result<CUfunction, Trouble> {
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

/// `fcsp_work` in another device's context, which is current.
pub(crate) fn load_work(api: &Api) -> Result<CUfunction, Trouble> {
    kernel(api, load(api)?, c"fcsp_work")
}

/// A stream that does not wait for the default one.
pub(crate) fn stream(api: &Api) -> Result<CUstream, Trouble> {
    let mut stream = std::ptr::null_mut();
    let flags = CUstream_flags::CU_STREAM_NON_BLOCKING.0;
    // SAFETY: a live out-parameter, a current context.
    unsafe { call!(api, stream_create(&mut stream, flags)) }?;
    Ok(stream)
}

fn device_name(api: &Api, device: CUdevice) -> Result<String, Trouble> {
    let mut name = [0 as c_char; 128];
    // SAFETY: the buffer's true length is given.
    unsafe {
        call!(
            api,
            device_name(name.as_mut_ptr(), name.len() as i32, device)
        )
    }?;
    // SAFETY: the driver ends the name within that length.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Ok(name.to_string_lossy().into_owned())
}

pub(crate) fn attribute(
    api: &Api,
    device: CUdevice,
    which: CUdevice_attribute,
) -> Result<u32, Trouble> {
    let mut value = 0;
    // SAFETY: a live out-parameter, a device that the driver named.
    unsafe { call!(api, device_attribute(&mut value, which, device)) }?;
    Ok(value.max(0) as u32)
}
