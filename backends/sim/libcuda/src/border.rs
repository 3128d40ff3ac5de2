//! The border between C and Rust, in CUDA's terms.
//!
//! Owns: results as `CUresult`, and how the header's types become those of the shared driver.

use cuda_sys::CUresult;
pub use fcsp_sim_driver::border::*;

fn code(outcome: Outcome) -> CUresult {
    match outcome {
        Ok(()) => CUresult::CUDA_SUCCESS,
        Err(failure) => CUresult(failure.0),
    }
}

/// A call that works before `cuInit`.
pub fn early(handler: impl FnOnce() -> Outcome) -> CUresult {
    code(guarded(handler))
}

/// Any other call.
pub fn call(handler: impl FnOnce() -> Outcome) -> CUresult {
    if !ready() {
        return CUresult::CUDA_ERROR_NOT_INITIALIZED;
    }
    early(handler)
}

/// A call through a `_ptsz` or `_ptds` symbol: the default stream is the thread's own.
pub fn call_per_thread(handler: impl FnOnce() -> Outcome) -> CUresult {
    with_own_default_stream(|| call(handler))
}

/// An argument as a handler wants it: a handle by its neutral type, an enum by its number.
pub trait Pass<T> {
    /// The same value.
    fn pass(self) -> T;
}

impl<A, B> Pass<*mut B> for *mut A {
    fn pass(self) -> *mut B {
        self.cast()
    }
}

impl<A, B> Pass<*const B> for *const A {
    fn pass(self) -> *const B {
        self.cast()
    }
}

macro_rules! plain {
    ($($ty:ty),* $(,)?) => {
        $(impl Pass<$ty> for $ty {
            fn pass(self) -> $ty {
                self
            }
        })*
    };
}

plain! {
    i8, u8, i16, u16, i32, u32, i64, u64, usize, f32,
    cuda_sys::CUmemAllocationGranularity_flags, cuda_sys::CUfunction_attribute, cuda_sys::CUpointer_attribute,
    cuda_sys::CUdevice_attribute, cuda_sys::CUipcMemHandle, cuda_sys::CUhostFn, cuda_sys::CUstreamCallback,
    cuda_sys::CUoccupancyB2DSize,
}

macro_rules! numbers {
    ($($ty:ident),* $(,)?) => {
        $(impl Pass<u32> for cuda_sys::$ty {
            fn pass(self) -> u32 {
                self.0
            }
        })*
    };
}

numbers! {
    CUlimit, CUstreamCaptureMode, CUmemPool_attribute, CUgraphMem_attribute, CUmemAllocationHandleType,
}

impl Pass<fcsp_sim_driver::Failure> for CUresult {
    fn pass(self) -> fcsp_sim_driver::Failure {
        fcsp_sim_driver::Failure(self.0)
    }
}
