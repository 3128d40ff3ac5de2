//! Handlers of fills: arguments to bytes. What becomes of them: [`fcsp_program::transfer`].
//!
//! All are asynchronous to the host. Those without a stream run in the default stream.

use core::ffi::{c_uchar, c_uint, c_ushort};
use core::ptr;

use cuda_sys::{CUdeviceptr, CUdeviceptr_v1, CUresult, CUstream, fn_types};
use fcsp_program::transfer::{Kind, local};

use crate::driver::Cuda;

/// One handler a line: name, the driver's function, arguments, stream, and the factors of the bytes.
macro_rules! fills {
    ($($name:ident: $real:ident($($arg:ident: $ty:ty),*), $stream:expr, $($factor:expr),*;)*) => {$(
        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real), "` and its per-thread variant.")]
        pub unsafe fn $name<const PER_THREAD: bool>(
            real: fn_types::$real,
            $($arg: $ty),*
        ) -> CUresult {
            let bytes = [$($factor as u64),*].into_iter().fold(1, u64::saturating_mul);
            // SAFETY: the program's own call, passed on.
            local::<Cuda, PER_THREAD>(Kind::Fill, bytes, $stream, || unsafe { real($($arg),*) })
        }
    )*};
}

fills! {
    d8_v1: cuMemsetD8(dst: CUdeviceptr_v1, value: c_uchar, n: c_uint), ptr::null_mut(), n, 1;
    d8: cuMemsetD8_v2(dst: CUdeviceptr, value: c_uchar, n: usize), ptr::null_mut(), n, 1;
    d8_async: cuMemsetD8Async(dst: CUdeviceptr, value: c_uchar, n: usize, stream: CUstream), stream, n, 1;
    d2d8_v1: cuMemsetD2D8(dst: CUdeviceptr_v1, pitch: c_uint, value: c_uchar, width: c_uint, height: c_uint), ptr::null_mut(), width, height, 1;
    d2d8: cuMemsetD2D8_v2(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize), ptr::null_mut(), width, height, 1;
    d2d8_async: cuMemsetD2D8Async(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize, stream: CUstream), stream, width, height, 1;
    d16_v1: cuMemsetD16(dst: CUdeviceptr_v1, value: c_ushort, n: c_uint), ptr::null_mut(), n, 2;
    d16: cuMemsetD16_v2(dst: CUdeviceptr, value: c_ushort, n: usize), ptr::null_mut(), n, 2;
    d16_async: cuMemsetD16Async(dst: CUdeviceptr, value: c_ushort, n: usize, stream: CUstream), stream, n, 2;
    d2d16_v1: cuMemsetD2D16(dst: CUdeviceptr_v1, pitch: c_uint, value: c_ushort, width: c_uint, height: c_uint), ptr::null_mut(), width, height, 2;
    d2d16: cuMemsetD2D16_v2(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize), ptr::null_mut(), width, height, 2;
    d2d16_async: cuMemsetD2D16Async(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize, stream: CUstream), stream, width, height, 2;
    d32_v1: cuMemsetD32(dst: CUdeviceptr_v1, value: c_uint, n: c_uint), ptr::null_mut(), n, 4;
    d32: cuMemsetD32_v2(dst: CUdeviceptr, value: c_uint, n: usize), ptr::null_mut(), n, 4;
    d32_async: cuMemsetD32Async(dst: CUdeviceptr, value: c_uint, n: usize, stream: CUstream), stream, n, 4;
    d2d32_v1: cuMemsetD2D32(dst: CUdeviceptr_v1, pitch: c_uint, value: c_uint, width: c_uint, height: c_uint), ptr::null_mut(), width, height, 4;
    d2d32: cuMemsetD2D32_v2(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize), ptr::null_mut(), width, height, 4;
    d2d32_async: cuMemsetD2D32Async(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize, stream: CUstream), stream, width, height, 4;
}
