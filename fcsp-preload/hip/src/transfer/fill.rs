//! Handlers of fills. All are asynchronous to the host. Those without a stream run in the default stream.

use core::ffi::{c_int, c_uchar, c_uint, c_ushort, c_void};
use core::ptr;

use fcsp_program::transfer::{Kind, local};
use hip_sys::{hipDeviceptr_t, hipError_t, hipExtent, hipPitchedPtr, hipStream_t};

use crate::driver::Hip;
use crate::errors::kept;

/// The types of all versions' functions.
mod types {
    pub use crate::since_7::fn_types::*;
    pub use hip_sys::fn_types::*;
}

/// One handler a line: name, the driver's function, arguments, stream, and the factors of the bytes.
macro_rules! fills {
    ($($name:ident: $real:ident($($arg:ident: $ty:ty),*), $stream:expr, $($factor:expr),*;)*) => {$(
        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real), "`, or its variant for per-thread default streams.")]
        pub unsafe fn $name<const PER_THREAD: bool>(
            real: types::$real,
            $($arg: $ty),*
        ) -> hipError_t {
            let bytes = [$($factor as u64),*].into_iter().fold(1, u64::saturating_mul);
            // SAFETY: the program's own call, passed on.
            local::<Hip, PER_THREAD>(Kind::Fill, bytes, $stream, || kept(unsafe { real($($arg),*) }))
        }
    )*};
}

fills! {
    linear: hipMemset(to: *mut c_void, value: c_int, bytes: usize), ptr::null_mut(), bytes;
    linear_async: hipMemsetAsync(to: *mut c_void, value: c_int, bytes: usize, stream: hipStream_t), stream, bytes;
    d8: hipMemsetD8(to: hipDeviceptr_t, value: c_uchar, n: usize), ptr::null_mut(), n;
    d8_async: hipMemsetD8Async(to: hipDeviceptr_t, value: c_uchar, n: usize, stream: hipStream_t), stream, n;
    d16: hipMemsetD16(to: hipDeviceptr_t, value: c_ushort, n: usize), ptr::null_mut(), n, 2;
    d16_async: hipMemsetD16Async(to: hipDeviceptr_t, value: c_ushort, n: usize, stream: hipStream_t), stream, n, 2;
    d32: hipMemsetD32(to: hipDeviceptr_t, value: c_int, n: usize), ptr::null_mut(), n, 4;
    d32_async: hipMemsetD32Async(to: hipDeviceptr_t, value: c_int, n: usize, stream: hipStream_t), stream, n, 4;
    flat: hipMemset2D(to: *mut c_void, pitch: usize, value: c_int, width: usize, height: usize), ptr::null_mut(), width, height;
    flat_async: hipMemset2DAsync(to: *mut c_void, pitch: usize, value: c_int, width: usize, height: usize, stream: hipStream_t), stream, width, height;
    deep: hipMemset3D(to: hipPitchedPtr, value: c_int, extent: hipExtent), ptr::null_mut(), extent.width, extent.height, extent.depth;
    deep_async: hipMemset3DAsync(to: hipPitchedPtr, value: c_int, extent: hipExtent, stream: hipStream_t), stream, extent.width, extent.height, extent.depth;
    d2d8: hipMemsetD2D8(to: hipDeviceptr_t, pitch: usize, value: c_uchar, width: usize, height: usize), ptr::null_mut(), width, height, 1;
    d2d8_async: hipMemsetD2D8Async(to: hipDeviceptr_t, pitch: usize, value: c_uchar, width: usize, height: usize, stream: hipStream_t), stream, width, height, 1;
    d2d16: hipMemsetD2D16(to: hipDeviceptr_t, pitch: usize, value: c_ushort, width: usize, height: usize), ptr::null_mut(), width, height, 2;
    d2d16_async: hipMemsetD2D16Async(to: hipDeviceptr_t, pitch: usize, value: c_ushort, width: usize, height: usize, stream: hipStream_t), stream, width, height, 2;
    d2d32: hipMemsetD2D32(to: hipDeviceptr_t, pitch: usize, value: c_uint, width: usize, height: usize), ptr::null_mut(), width, height, 4;
    d2d32_async: hipMemsetD2D32Async(to: hipDeviceptr_t, pitch: usize, value: c_uint, width: usize, height: usize, stream: hipStream_t), stream, width, height, 4;
}
