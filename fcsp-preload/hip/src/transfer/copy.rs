//! Handlers of copies: arguments to bytes and ends. A handler without a stream is of a call that may wait for what it
//! copies.

use core::ffi::{c_int, c_void};

use fcsp_program::transfer::{End, copy};
use fcsp_program::turn::waiting;
use hip_sys::{
    HIP_MEMCPY3D, fn_types, hip_Memcpy2D, hipArray_const_t, hipArray_t, hipDeviceptr_t, hipError_t,
    hipMemcpy3DParms, hipMemcpyKind, hipMemoryType, hipStream_t, v5,
};

use crate::driver::Hip;
use crate::errors::kept;
use crate::since_7::{fn_types as since_7, hipMemcpy3DPeerParms};
use crate::version::is_5;

/// An end at any address.
pub(super) fn at(address: *const c_void) -> End {
    End::Address(address.expose_provenance() as u64)
}

/// One handler a line: name, the driver's function, arguments, stream, factors of the bytes, from, to.
macro_rules! copies {
    ($($name:ident: $real:ident($($arg:ident: $ty:ty),*), $stream:expr, [$($factor:expr),*], $from:expr => $to:expr;)*) => {$(
        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real), "`, or its variant for per-thread default streams.")]
        #[allow(clippy::too_many_arguments, reason = "the driver's")]
        pub unsafe fn $name<const PER_THREAD: bool>(
            real: fn_types::$real,
            $($arg: $ty),*
        ) -> hipError_t {
            let bytes = [$($factor as u64),*].into_iter().fold(1, u64::saturating_mul);
            // SAFETY: the program's own call, passed on.
            copy::<Hip, PER_THREAD>(bytes, $from, $to, $stream, || kept(unsafe { real($($arg),*) }))
        }
    )*};
}

copies! {
    any: hipMemcpy(to: *mut c_void, from: *const c_void, bytes: usize, kind: hipMemcpyKind), None, [bytes], at(from) => at(to);
    any_async: hipMemcpyAsync(to: *mut c_void, from: *const c_void, bytes: usize, kind: hipMemcpyKind, stream: hipStream_t), Some(stream), [bytes], at(from) => at(to);
    to_device: hipMemcpyHtoD(to: hipDeviceptr_t, from: *mut c_void, bytes: usize), None, [bytes], at(from) => at(to);
    to_device_async: hipMemcpyHtoDAsync(to: hipDeviceptr_t, from: *mut c_void, bytes: usize, stream: hipStream_t), Some(stream), [bytes], at(from) => at(to);
    to_host: hipMemcpyDtoH(to: *mut c_void, from: hipDeviceptr_t, bytes: usize), None, [bytes], at(from) => at(to);
    to_host_async: hipMemcpyDtoHAsync(to: *mut c_void, from: hipDeviceptr_t, bytes: usize, stream: hipStream_t), Some(stream), [bytes], at(from) => at(to);
    inside: hipMemcpyDtoD(to: hipDeviceptr_t, from: hipDeviceptr_t, bytes: usize), None, [bytes], at(from) => at(to);
    inside_async: hipMemcpyDtoDAsync(to: hipDeviceptr_t, from: hipDeviceptr_t, bytes: usize, stream: hipStream_t), Some(stream), [bytes], at(from) => at(to);
    peer: hipMemcpyPeer(to: *mut c_void, to_device: c_int, from: *const c_void, from_device: c_int, bytes: usize), None, [bytes], at(from) => at(to);
    peer_async: hipMemcpyPeerAsync(to: *mut c_void, to_device: c_int, from: *const c_void, from_device: c_int, bytes: usize, stream: hipStream_t), Some(stream), [bytes], at(from) => at(to);
    to_symbol: hipMemcpyToSymbol(symbol: *const c_void, from: *const c_void, bytes: usize, offset: usize, kind: hipMemcpyKind), None, [bytes], at(from) => End::Array;
    to_symbol_async: hipMemcpyToSymbolAsync(symbol: *const c_void, from: *const c_void, bytes: usize, offset: usize, kind: hipMemcpyKind, stream: hipStream_t), Some(stream), [bytes], at(from) => End::Array;
    from_symbol: hipMemcpyFromSymbol(to: *mut c_void, symbol: *const c_void, bytes: usize, offset: usize, kind: hipMemcpyKind), None, [bytes], End::Array => at(to);
    from_symbol_async: hipMemcpyFromSymbolAsync(to: *mut c_void, symbol: *const c_void, bytes: usize, offset: usize, kind: hipMemcpyKind, stream: hipStream_t), Some(stream), [bytes], End::Array => at(to);
    flat: hipMemcpy2D(to: *mut c_void, to_pitch: usize, from: *const c_void, from_pitch: usize, width: usize, height: usize, kind: hipMemcpyKind), None, [width, height], at(from) => at(to);
    flat_async: hipMemcpy2DAsync(to: *mut c_void, to_pitch: usize, from: *const c_void, from_pitch: usize, width: usize, height: usize, kind: hipMemcpyKind, stream: hipStream_t), Some(stream), [width, height], at(from) => at(to);
    flat_to_array: hipMemcpy2DToArray(to: hipArray_t, x: usize, y: usize, from: *const c_void, pitch: usize, width: usize, height: usize, kind: hipMemcpyKind), None, [width, height], at(from) => End::Array;
    flat_to_array_async: hipMemcpy2DToArrayAsync(to: hipArray_t, x: usize, y: usize, from: *const c_void, pitch: usize, width: usize, height: usize, kind: hipMemcpyKind, stream: hipStream_t), Some(stream), [width, height], at(from) => End::Array;
    flat_from_array: hipMemcpy2DFromArray(to: *mut c_void, pitch: usize, from: hipArray_const_t, x: usize, y: usize, width: usize, height: usize, kind: hipMemcpyKind), None, [width, height], End::Array => at(to);
    flat_from_array_async: hipMemcpy2DFromArrayAsync(to: *mut c_void, pitch: usize, from: hipArray_const_t, x: usize, y: usize, width: usize, height: usize, kind: hipMemcpyKind, stream: hipStream_t), Some(stream), [width, height], End::Array => at(to);
    flat_between_arrays: hipMemcpy2DArrayToArray(to: hipArray_t, to_x: usize, to_y: usize, from: hipArray_const_t, from_x: usize, from_y: usize, width: usize, height: usize, kind: hipMemcpyKind), None, [width, height], End::Array => End::Array;
    to_array: hipMemcpyToArray(to: hipArray_t, x: usize, y: usize, from: *const c_void, bytes: usize, kind: hipMemcpyKind), None, [bytes], at(from) => End::Array;
    from_array: hipMemcpyFromArray(to: *mut c_void, from: hipArray_const_t, x: usize, y: usize, bytes: usize, kind: hipMemcpyKind), None, [bytes], End::Array => at(to);
    array_to_array: hipMemcpyAtoA(to: hipArray_t, to_offset: usize, from: hipArray_t, from_offset: usize, bytes: usize), None, [bytes], End::Array => End::Array;
    array_to_device: hipMemcpyAtoD(to: hipDeviceptr_t, from: hipArray_t, offset: usize, bytes: usize), None, [bytes], End::Array => at(to);
    device_to_array: hipMemcpyDtoA(to: hipArray_t, offset: usize, from: hipDeviceptr_t, bytes: usize), None, [bytes], at(from) => End::Array;
    array_to_host: hipMemcpyAtoH(to: *mut c_void, from: hipArray_t, offset: usize, bytes: usize), None, [bytes], End::Array => at(to);
    array_to_host_async: hipMemcpyAtoHAsync(to: *mut c_void, from: hipArray_t, offset: usize, bytes: usize, stream: hipStream_t), Some(stream), [bytes], End::Array => at(to);
    host_to_array: hipMemcpyHtoA(to: hipArray_t, offset: usize, from: *const c_void, bytes: usize), None, [bytes], at(from) => End::Array;
    host_to_array_async: hipMemcpyHtoAAsync(to: hipArray_t, offset: usize, from: *const c_void, bytes: usize, stream: hipStream_t), Some(stream), [bytes], at(from) => End::Array;
}

/// # Safety
///
/// As `hipMemcpyWithStream`: in a stream, and waits for it.
pub unsafe fn any_waiting(
    real: fn_types::hipMemcpyWithStream,
    to: *mut c_void,
    from: *const c_void,
    bytes: usize,
    kind: hipMemcpyKind,
    stream: hipStream_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let call = || kept(unsafe { real(to, from, bytes, kind, stream) });
    waiting::<Hip>(|| copy::<Hip, false>(bytes as u64, at(from), at(to), Some(stream), call))
}

/// The end that a description of a box means; types of memory had other numbers in version 5.
fn end_of(kind: hipMemoryType, host: *const c_void, device: hipDeviceptr_t) -> End {
    let (is_host, is_array) = if is_5() {
        (
            kind.0 == v5::hipMemoryType::hipMemoryTypeHost.0,
            kind.0 == v5::hipMemoryType::hipMemoryTypeArray.0,
        )
    } else {
        (
            kind == hipMemoryType::hipMemoryTypeHost,
            kind == hipMemoryType::hipMemoryTypeArray,
        )
    };
    match (is_host, is_array) {
        (true, _) => at(host),
        (_, true) => End::Array,
        _ => at(device),
    }
}

/// Bytes of a box, and its ends.
type Box3 = (u64, End, End);

pub(super) fn volume(sides: [usize; 3]) -> u64 {
    sides
        .iter()
        .fold(1, |all: u64, side| all.saturating_mul(*side as u64))
}

fn flat_box(it: &hip_Memcpy2D) -> Box3 {
    (
        volume([it.WidthInBytes, it.Height, 1]),
        end_of(it.srcMemoryType, it.srcHost, it.srcDevice),
        end_of(it.dstMemoryType, it.dstHost, it.dstDevice),
    )
}

fn deep_box(it: &HIP_MEMCPY3D) -> Box3 {
    (
        volume([it.WidthInBytes, it.Height, it.Depth]),
        end_of(it.srcMemoryType, it.srcHost, it.srcDevice),
        end_of(it.dstMemoryType, it.dstHost, it.dstDevice),
    )
}

/// The array, if it is one, else what is at the address.
fn array_or(array: hipArray_t, address: *const c_void) -> End {
    if array.is_null() {
        at(address)
    } else {
        End::Array
    }
}

fn runtime_box(it: &hipMemcpy3DParms) -> Box3 {
    // In elements where an array takes part: fewer than bytes, as a guess.
    (
        volume([it.extent.width, it.extent.height, it.extent.depth]),
        array_or(it.srcArray, it.srcPtr.ptr),
        array_or(it.dstArray, it.dstPtr.ptr),
    )
}

/// Submits what was described; what cannot be read is the driver's to refuse.
fn described<const PER_THREAD: bool>(
    what: Option<Box3>,
    stream: Option<hipStream_t>,
    call: impl FnOnce() -> hipError_t,
) -> hipError_t {
    match what {
        Some((bytes, from, to)) => {
            copy::<Hip, PER_THREAD>(bytes, from, to, stream, || kept(call()))
        }
        None => call(),
    }
}

/// Two handlers a line: names with and without a stream, the driver's functions, the description and how it is read.
macro_rules! boxes {
    ($($wait:ident: $real:ident, $async:ident: $real_async:ident, $ty:ty, $read:ident;)*) => {$(
        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real), "`, or its variant for per-thread default streams.")]
        pub unsafe fn $wait<const PER_THREAD: bool>(real: fn_types::$real, what: *const $ty) -> hipError_t {
            // SAFETY: null, or the program's own description, which the driver reads as well.
            let described_as = unsafe { what.as_ref() }.map($read);
            // SAFETY: the program's own call, passed on.
            described::<PER_THREAD>(described_as, None, || unsafe { real(what) })
        }

        /// # Safety
        ///
        #[doc = concat!("As `", stringify!($real_async), "`, or its variant for per-thread default streams.")]
        pub unsafe fn $async<const PER_THREAD: bool>(
            real: fn_types::$real_async,
            what: *const $ty,
            stream: hipStream_t,
        ) -> hipError_t {
            // SAFETY: null, or the program's own description, which the driver reads as well.
            let described_as = unsafe { what.as_ref() }.map($read);
            // SAFETY: the program's own call, passed on.
            described::<PER_THREAD>(described_as, Some(stream), || unsafe { real(what, stream) })
        }
    )*};
}

boxes! {
    parameters: hipMemcpyParam2D, parameters_async: hipMemcpyParam2DAsync, hip_Memcpy2D, flat_box;
    deep: hipMemcpy3D, deep_async: hipMemcpy3DAsync, hipMemcpy3DParms, runtime_box;
    driver_deep: hipDrvMemcpy3D, driver_deep_async: hipDrvMemcpy3DAsync, HIP_MEMCPY3D, deep_box;
}

fn peer_box(it: &hipMemcpy3DPeerParms) -> Box3 {
    // In elements where an array takes part: fewer than bytes, as a guess.
    (
        volume([it.extent.width, it.extent.height, it.extent.depth]),
        array_or(it.srcArray, it.srcPtr.ptr),
        array_or(it.dstArray, it.dstPtr.ptr),
    )
}

/// # Safety
///
/// As `hipMemcpy3DPeer`.
pub unsafe fn deep_peer<const PER_THREAD: bool>(
    real: since_7::hipMemcpy3DPeer,
    what: *mut hipMemcpy3DPeerParms,
) -> hipError_t {
    // SAFETY: null, or the program's own description, which the driver reads as well.
    let described_as = unsafe { what.as_ref() }.map(peer_box);
    // SAFETY: the program's own call, passed on.
    described::<PER_THREAD>(described_as, None, || unsafe { real(what) })
}

/// # Safety
///
/// As `hipMemcpy3DPeerAsync`.
pub unsafe fn deep_peer_async<const PER_THREAD: bool>(
    real: since_7::hipMemcpy3DPeerAsync,
    what: *mut hipMemcpy3DPeerParms,
    stream: hipStream_t,
) -> hipError_t {
    // SAFETY: null, or the program's own description, which the driver reads as well.
    let described_as = unsafe { what.as_ref() }.map(peer_box);
    // SAFETY: the program's own call, passed on.
    described::<PER_THREAD>(described_as, Some(stream), || unsafe { real(what, stream) })
}
