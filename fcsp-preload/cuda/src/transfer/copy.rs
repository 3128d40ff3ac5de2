//! Handlers of copies: arguments to bytes and ends. What becomes of them: [`fcsp_program::transfer`].
//!
//! A handler without a stream is of a call that may wait for what it copies.

use core::ffi::{c_uint, c_void};

use cuda_sys::{
    CUDA_MEMCPY2D, CUDA_MEMCPY2D_v1, CUDA_MEMCPY3D, CUDA_MEMCPY3D_PEER, CUDA_MEMCPY3D_v1, CUarray,
    CUcontext, CUdeviceptr, CUdeviceptr_v1, CUresult, CUstream, fn_types,
};
use fcsp_program::transfer::{End, copy};

use crate::driver::Cuda;
use crate::transfer::end_of;

/// An end at a device's or any address.
fn at(address: impl Into<u64>) -> End {
    End::Address(address.into())
}

/// An end in host memory.
fn host(address: *const c_void) -> End {
    End::Address(address.addr() as u64)
}

/// One handler a line: name, the driver's function, arguments, stream, bytes, from, to.
macro_rules! copies {
    ($($name:ident: $real:ident($($arg:ident: $ty:ty),*), $stream:expr, $bytes:expr, $from:expr => $to:expr;)*) => {$(
        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real), "` and its per-thread variant.")]
        pub unsafe fn $name<const PER_THREAD: bool>(
            real: fn_types::$real,
            $($arg: $ty),*
        ) -> CUresult {
            // SAFETY: the program's own call, passed on.
            copy::<Cuda, PER_THREAD>($bytes as u64, $from, $to, $stream, || unsafe { real($($arg),*) })
        }
    )*};
}

copies! {
    any: cuMemcpy(to: CUdeviceptr, from: CUdeviceptr, bytes: usize), None, bytes, at(from) => at(to);
    any_async: cuMemcpyAsync(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream), Some(stream), bytes, at(from) => at(to);
    to_device_v1: cuMemcpyHtoD(to: CUdeviceptr_v1, from: *const c_void, bytes: c_uint), None, bytes, host(from) => at(to);
    to_device_async_v1: cuMemcpyHtoDAsync(to: CUdeviceptr_v1, from: *const c_void, bytes: c_uint, stream: CUstream), Some(stream), bytes, host(from) => at(to);
    to_host_v1: cuMemcpyDtoH(to: *mut c_void, from: CUdeviceptr_v1, bytes: c_uint), None, bytes, at(from) => host(to);
    to_host_async_v1: cuMemcpyDtoHAsync(to: *mut c_void, from: CUdeviceptr_v1, bytes: c_uint, stream: CUstream), Some(stream), bytes, at(from) => host(to);
    inside_v1: cuMemcpyDtoD(to: CUdeviceptr_v1, from: CUdeviceptr_v1, bytes: c_uint), None, bytes, at(from) => at(to);
    inside_async_v1: cuMemcpyDtoDAsync(to: CUdeviceptr_v1, from: CUdeviceptr_v1, bytes: c_uint, stream: CUstream), Some(stream), bytes, at(from) => at(to);
    device_to_array_v1: cuMemcpyDtoA(to: CUarray, offset: c_uint, from: CUdeviceptr_v1, bytes: c_uint), None, bytes, at(from) => End::Array;
    array_to_device_v1: cuMemcpyAtoD(to: CUdeviceptr_v1, from: CUarray, offset: c_uint, bytes: c_uint), None, bytes, End::Array => at(to);
    array_to_array_v1: cuMemcpyAtoA(to: CUarray, to_offset: c_uint, from: CUarray, from_offset: c_uint, bytes: c_uint), None, bytes, End::Array => End::Array;
    host_to_array_v1: cuMemcpyHtoA(to: CUarray, offset: c_uint, from: *const c_void, bytes: c_uint), None, bytes, host(from) => End::Array;
    host_to_array_async_v1: cuMemcpyHtoAAsync(to: CUarray, offset: c_uint, from: *const c_void, bytes: c_uint, stream: CUstream), Some(stream), bytes, host(from) => End::Array;
    array_to_host_v1: cuMemcpyAtoH(to: *mut c_void, from: CUarray, offset: c_uint, bytes: c_uint), None, bytes, End::Array => host(to);
    array_to_host_async_v1: cuMemcpyAtoHAsync(to: *mut c_void, from: CUarray, offset: c_uint, bytes: c_uint, stream: CUstream), Some(stream), bytes, End::Array => host(to);
    to_device: cuMemcpyHtoD_v2(to: CUdeviceptr, from: *const c_void, bytes: usize), None, bytes, host(from) => at(to);
    to_device_async: cuMemcpyHtoDAsync_v2(to: CUdeviceptr, from: *const c_void, bytes: usize, stream: CUstream), Some(stream), bytes, host(from) => at(to);
    to_host: cuMemcpyDtoH_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize), None, bytes, at(from) => host(to);
    to_host_async: cuMemcpyDtoHAsync_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize, stream: CUstream), Some(stream), bytes, at(from) => host(to);
    inside: cuMemcpyDtoD_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize), None, bytes, at(from) => at(to);
    inside_async: cuMemcpyDtoDAsync_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream), Some(stream), bytes, at(from) => at(to);
    device_to_array: cuMemcpyDtoA_v2(to: CUarray, offset: usize, from: CUdeviceptr, bytes: usize), None, bytes, at(from) => End::Array;
    array_to_device: cuMemcpyAtoD_v2(to: CUdeviceptr, from: CUarray, offset: usize, bytes: usize), None, bytes, End::Array => at(to);
    array_to_array: cuMemcpyAtoA_v2(to: CUarray, to_offset: usize, from: CUarray, from_offset: usize, bytes: usize), None, bytes, End::Array => End::Array;
    host_to_array: cuMemcpyHtoA_v2(to: CUarray, offset: usize, from: *const c_void, bytes: usize), None, bytes, host(from) => End::Array;
    host_to_array_async: cuMemcpyHtoAAsync_v2(to: CUarray, offset: usize, from: *const c_void, bytes: usize, stream: CUstream), Some(stream), bytes, host(from) => End::Array;
    array_to_host: cuMemcpyAtoH_v2(to: *mut c_void, from: CUarray, offset: usize, bytes: usize), None, bytes, End::Array => host(to);
    array_to_host_async: cuMemcpyAtoHAsync_v2(to: *mut c_void, from: CUarray, offset: usize, bytes: usize, stream: CUstream), Some(stream), bytes, End::Array => host(to);
    peer: cuMemcpyPeer(to: CUdeviceptr, to_context: CUcontext, from: CUdeviceptr, from_context: CUcontext, bytes: usize), None, bytes, at(from) => at(to);
    peer_async: cuMemcpyPeerAsync(to: CUdeviceptr, to_context: CUcontext, from: CUdeviceptr, from_context: CUcontext, bytes: usize, stream: CUstream), Some(stream), bytes, at(from) => at(to);
}

/// What a description of a box says: bytes and ends.
type Box3 = (u64, End, End);

/// Reads a description: bytes from the factors named, ends from its fields.
macro_rules! describe {
    ($copy:expr, $($factor:ident),*) => {{
        // SAFETY: null, or the program's own description, which the driver reads as well.
        unsafe { $copy.as_ref() }.map(|c| -> Box3 {
            let bytes = [$(c.$factor as u64),*].into_iter().fold(1, u64::saturating_mul);
            let from = end_of(c.srcMemoryType, c.srcHost, c.srcDevice.into());
            let to = end_of(c.dstMemoryType, c.dstHost, c.dstDevice.into());
            (bytes, from, to)
        })
    }};
}

/// Submits what was described; what cannot be read is the driver's to refuse.
fn described<const PER_THREAD: bool>(
    what: Option<Box3>,
    stream: Option<CUstream>,
    call: impl FnOnce() -> CUresult,
) -> CUresult {
    match what {
        Some((bytes, from, to)) => copy::<Cuda, PER_THREAD>(bytes, from, to, stream, call),
        None => call(),
    }
}

/// Two handlers a line: names with and without a stream, the driver's functions, the description.
macro_rules! boxes {
    ($($wait:ident: $real:ident, $async:ident: $real_async:ident, $ty:ty, $($factor:ident),*;)*) => {$(
        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real), "`, its like and their per-thread variants.")]
        pub unsafe fn $wait<const PER_THREAD: bool>(real: fn_types::$real, what: *const $ty) -> CUresult {
            let described_as = describe!(what, $($factor),*);
            // SAFETY: the program's own call, passed on.
            described::<PER_THREAD>(described_as, None, || unsafe { real(what) })
        }

        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real_async), "` and its per-thread variant.")]
        pub unsafe fn $async<const PER_THREAD: bool>(
            real: fn_types::$real_async,
            what: *const $ty,
            stream: CUstream,
        ) -> CUresult {
            let described_as = describe!(what, $($factor),*);
            // SAFETY: the program's own call, passed on.
            described::<PER_THREAD>(described_as, Some(stream), || unsafe { real(what, stream) })
        }
    )*};
}

boxes! {
    flat_v1: cuMemcpy2D, flat_async_v1: cuMemcpy2DAsync, CUDA_MEMCPY2D_v1, WidthInBytes, Height;
    flat: cuMemcpy2D_v2, flat_async: cuMemcpy2DAsync_v2, CUDA_MEMCPY2D, WidthInBytes, Height;
    deep_v1: cuMemcpy3D, deep_async_v1: cuMemcpy3DAsync, CUDA_MEMCPY3D_v1, WidthInBytes, Height, Depth;
    deep: cuMemcpy3D_v2, deep_async: cuMemcpy3DAsync_v2, CUDA_MEMCPY3D, WidthInBytes, Height, Depth;
    deep_peer: cuMemcpy3DPeer, deep_peer_async: cuMemcpy3DPeerAsync, CUDA_MEMCPY3D_PEER, WidthInBytes, Height, Depth;
}
