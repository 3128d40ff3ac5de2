//! One initialized driver for all tests of a program.

#![allow(dead_code, reason = "each program uses its part")]

use crate::support::Cuda;
use crate::{cu, ok};
use cuda_sys::{CUresult, CUstream};
use std::ptr::null_mut;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Mutex, MutexGuard, OnceLock};

/// The driver with a current context; one test at a time, since the device is one.
pub fn driver() -> (&'static Cuda, MutexGuard<'static, ()>) {
    static CUDA: OnceLock<(Cuda, tempfile::TempDir)> = OnceLock::new();
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let (cuda, _) = CUDA.get_or_init(|| {
        let dir = tempfile::tempdir_in("/dev/shm").expect("shared memory");
        // SAFETY: the other tests of this program wait in `driver` at this time.
        unsafe {
            std::env::set_var("FCSP_SIM_DIR", dir.path());
            std::env::set_var("FCSP_SIM_DEVICES", "2");
        }
        let cuda = Cuda::open();
        assert_eq!(
            cu!(cuda, cuDeviceGet(&mut 0, 0)),
            CUresult::CUDA_ERROR_NOT_INITIALIZED
        );
        assert_eq!(cu!(cuda, cuInit(1)), CUresult::CUDA_ERROR_INVALID_VALUE);
        ok!(cuda, cuInit(0));
        (cuda, dir)
    });
    let mut context = null_mut();
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
    ok!(cuda, cuCtxSetCurrent(context));
    (cuda, alone)
}

/// A created stream.
pub fn stream(cuda: &Cuda, flags: u32) -> CUstream {
    let mut stream = null_mut();
    ok!(cuda, cuStreamCreate(&mut stream, flags));
    stream
}

/// The value of a counter.
pub fn count(address: u64) -> u64 {
    // SAFETY: page-locked memory of a test, aligned.
    unsafe { std::sync::atomic::AtomicU64::from_ptr(address as *mut u64) }.load(Acquire)
}

/// A word in page-locked memory.
pub fn word(address: u64) -> &'static AtomicU32 {
    // SAFETY: page-locked memory of a test that is never freed, aligned.
    unsafe { AtomicU32::from_ptr(address as *mut u32) }
}
