//! The simulated driver, opened as a program opens it: by `dlopen`, with typed functions.
//!
//! Shared by the tests and the tenant program they start. Builds the library first, because cargo
//! does not build a package's cdylib for its tests.

#![allow(dead_code, reason = "each program uses its part")]

use cuda_sys::{CUcontext, CUdeviceptr, CUfunction, CUmodule, CUresult, CUstream};
use std::ffi::{CStr, CString, c_void};
use std::path::PathBuf;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::OnceLock;

/// The kernel every test launches.
pub const PTX: &CStr = c".version 6.0
.target sm_50
.address_size 64
.visible .entry fcsp_work(.param .u32 iters, .param .u64 counter, .param .u64 add) { ret; }
.visible .entry fcsp_read(.param .u32 iters, .param .u64 counter, .param .u64 add, .param .u64 from, .param .u64 mask) { ret; }
.visible .entry fcsp_stamped(.param .u32 iters, .param .u64 words) { ret; }
.visible .entry fcsp_chase(.param .u64 set, .param .u32 hops, .param .u32 hit_cycles, .param .u64 words) { ret; }
.visible .entry other(.param .u64 x) { ret; }
.visible .entry ncclDevKernel_Simulated(.param .u64 mine, .param .u64 theirs, .param .u32 n) { ret; }
.visible .global .align 8 .u64 total;
";

/// Calls a function of the driver by its C name.
#[macro_export]
macro_rules! cu {
    ($cuda:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        let function: cuda_sys::fn_types::$name = $cuda.function(stringify!($name));
        #[allow(clippy::macro_metavars_in_unsafe, reason = "a call is all the macro makes")]
        // SAFETY: the arguments are what cuda.h wants of this function.
        unsafe { function($($arg),*) }
    }};
}

/// Calls a function that must succeed.
#[macro_export]
macro_rules! ok {
    ($cuda:expr, $name:ident($($arg:expr),* $(,)?)) => {
        assert_eq!($crate::cu!($cuda, $name($($arg),*)), cuda_sys::CUresult::CUDA_SUCCESS, stringify!($name))
    };
}

/// The library, opened.
pub struct Cuda {
    handle: *mut c_void,
}

// SAFETY: a handle of dlopen belongs to the process, not to a thread.
unsafe impl Send for Cuda {}
// SAFETY: as above.
unsafe impl Sync for Cuda {}

/// Path of the library, built if need be.
pub fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("FCSP_SIM_TEST_LIBRARY") {
            return path.into();
        }
        let exe = std::env::current_exe().expect("own path");
        // <target>/<profile>/deps/<test>
        let profile = exe
            .ancestors()
            .nth(2)
            .expect("profile directory")
            .to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "-p",
            "fcsp-sim-cuda",
            "--lib",
            "--target-dir",
        ]);
        build.arg(profile.parent().expect("target directory"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo runs").success(),
            "the library does not build"
        );
        profile.join("libfcsp_sim_cuda.so")
    })
}

impl Cuda {
    /// Opens the library.
    pub fn open() -> Self {
        let path = CString::new(library().to_str().expect("plain path")).expect("no NUL");
        // SAFETY: a path; the library's initializers are the Rust runtime's.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(
            !handle.is_null(),
            "{} cannot be opened",
            library().display()
        );
        Self { handle }
    }

    /// Address of a symbol, or null.
    pub fn symbol(&self, name: &str) -> *mut c_void {
        let name = CString::new(name).expect("no NUL");
        // SAFETY: an open handle and a NUL-terminated name.
        unsafe { libc::dlsym(self.handle, name.as_ptr()) }
    }

    /// A function by name; `F` is its type in `cuda_sys::fn_types`.
    pub fn function<F: Copy>(&self, name: &str) -> F {
        let address = self.symbol(name);
        assert!(!address.is_null(), "{name} is not exported");
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: both are pointers; the caller names the type generated for this symbol.
        unsafe { std::mem::transmute_copy(&address) }
    }

    /// Initializes and makes the primary context of device 0 current.
    pub fn with_context() -> (Self, CUcontext) {
        let cuda = Self::open();
        ok!(cuda, cuInit(0));
        let mut context = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        (cuda, context)
    }

    /// Loads [`PTX`] and finds a kernel.
    pub fn kernel(&self, name: &CStr) -> CUfunction {
        let (mut module, mut function): (CUmodule, CUfunction) = (null_mut(), null_mut());
        ok!(self, cuModuleLoadData(&mut module, PTX.as_ptr().cast()));
        ok!(
            self,
            cuModuleGetFunction(&mut function, module, name.as_ptr())
        );
        function
    }

    /// Page-locked zeroed memory.
    pub fn pinned(&self, bytes: usize) -> u64 {
        let mut place = null_mut();
        ok!(self, cuMemHostAlloc(&mut place, bytes, 0));
        place as u64
    }

    /// Launches `fcsp_work` for so many microseconds, adding its nanoseconds to the counter.
    pub fn work(
        &self,
        function: CUfunction,
        us: u32,
        counter: CUdeviceptr,
        stream: CUstream,
    ) -> CUresult {
        let (mut iterations, mut counter, mut add) = (us * 100, counter, u64::from(us) * 1000);
        let mut params: [*mut c_void; 3] = [
            (&raw mut iterations).cast(),
            (&raw mut counter).cast(),
            (&raw mut add).cast(),
        ];
        let launch: cuda_sys::fn_types::cuLaunchKernel = self.function("cuLaunchKernel");
        // SAFETY: three parameters, as the kernel declares.
        unsafe {
            launch(
                function,
                132,
                1,
                1,
                256,
                1,
                1,
                0,
                stream,
                params.as_mut_ptr(),
                null_mut(),
            )
        }
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until a time of `CLOCK_MONOTONIC`.
pub fn sleep_until(ns: u64) {
    std::thread::sleep(std::time::Duration::from_nanos(ns.saturating_sub(now_ns())));
}
