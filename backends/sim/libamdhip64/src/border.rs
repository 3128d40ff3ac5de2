//! The border between C and Rust, in HIP's terms.
//!
//! Owns: results as `hipError_t`, the thread's last error, the device a thread has chosen, and how the header's types
//! become those of the shared driver.

use crate::driver;
pub use fcsp_sim_driver::border::*;
use fcsp_sim_driver::{Failure, context};
use hip_sys::hipError_t;
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

thread_local! {
    static LAST: Cell<hipError_t> = const { Cell::new(hipError_t::hipSuccess) };
    static DEVICE: Cell<c_int> = const { Cell::new(0) };
    static ENTERED: Cell<(c_int, u64)> = const { Cell::new((-1, 0)) };
}

/// Counts resets of devices, after which contexts have to be entered again.
static RESETS: AtomicU64 = AtomicU64::new(0);

/// The device the thread has chosen.
pub fn chosen_device() -> c_int {
    DEVICE.get()
}

/// Chooses a device for this thread; it exists.
pub fn choose_device(ordinal: c_int) {
    DEVICE.set(ordinal);
}

/// A device was reset: its contexts are gone.
pub fn was_reset() {
    RESETS.fetch_add(1, AcqRel);
}

/// Makes the primary context of the thread's device current.
pub fn enter() -> Outcome {
    let now = (DEVICE.get(), RESETS.load(Acquire));
    if ENTERED.get() != now {
        // SAFETY: a handle that was just made or found.
        unsafe { context::set_current(driver::primary(now.0)?)? };
        ENTERED.set(now);
    }
    Ok(())
}

/// What the thread's last call returned, and what is to be reported from now on.
pub fn exchange_last(new: Option<hipError_t>) -> hipError_t {
    let last = LAST.get();
    if let Some(new) = new {
        LAST.set(new);
    }
    last
}

fn code(outcome: Outcome) -> hipError_t {
    let code = match outcome {
        Ok(()) => hipError_t::hipSuccess,
        Err(failure) => hipError_t(failure.0),
    };
    LAST.set(code);
    code
}

/// A call that works without a device.
pub fn early(handler: impl FnOnce() -> Outcome) -> hipError_t {
    code(guarded(handler))
}

/// A call that asks for devices and touches none.
pub fn ask(handler: impl FnOnce() -> Outcome) -> hipError_t {
    early(|| {
        driver::ensure()?;
        handler()
    })
}

/// Any other call.
pub fn call(handler: impl FnOnce() -> Outcome) -> hipError_t {
    ask(|| {
        enter()?;
        handler()
    })
}

/// A `_spt` call: the null stream is the thread's own.
pub fn call_per_thread(handler: impl FnOnce() -> Outcome) -> hipError_t {
    with_own_default_stream(|| call(handler))
}

/// A call that returns no code.
pub fn silent(handler: impl FnOnce() -> Outcome) {
    // Such a call has no way to say that it failed; the real library's end the process, or say nothing.
    let _ = guarded(handler);
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

impl<A> Pass<u64> for *mut A {
    fn pass(self) -> u64 {
        self as u64
    }
}

impl<A> Pass<u64> for *const A {
    fn pass(self) -> u64 {
        self as u64
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
    u8, u16, i32, u32, u64, usize, f32,
    hip_sys::dim3, hip_sys::hipExtent, hip_sys::hipPitchedPtr, hip_sys::hipIpcMemHandle_t, hip_sys::hipHostFn_t,
    hip_sys::hipStreamCallback_t, hip_sys::hipError_t, hip_sys::hipDriverProcAddressQueryResult,
}

macro_rules! numbers {
    ($($ty:ident),* $(,)?) => {
        $(impl Pass<u32> for hip_sys::$ty {
            fn pass(self) -> u32 {
                self.0
            }
        })*
    };
}

numbers! {
    hipMemcpyKind, hipLimit_t, hipStreamCaptureMode, hipMemPoolAttr, hipGraphMemAttributeType,
    hipMemAllocationHandleType, hipDeviceAttribute_t, hipFuncCache_t, hipSharedMemConfig, hipMemoryAdvise,
    hipMemAllocationGranularity_flags, hipFunction_attribute, hipFuncAttribute, hipDeviceP2PAttr, hipPointer_attribute,
}

/// Refuses with a code of HIP's.
pub fn refuse<T>(code: hipError_t) -> Result<T, Failure> {
    Err(Failure(code.0))
}
