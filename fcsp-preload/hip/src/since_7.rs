//! Functions that the driver has since version 7, whose header the bindings do not have: signatures and structures as
//! in hip_runtime_api.h 7.2.4 (Debian's `libamdhip64-dev` 7.2.4-1~exp2). All other structures that are read here lie there as in
//! the bindings' 6.4.3, the record layouts of both headers compared: so version 7 is of the family of 6.
//!
//! `hipMemcpyBatchAsync` and `hipMemcpy3DBatchAsync` are there since 7.1, with the same arguments there as in 7.2.

#![allow(
    non_camel_case_types,
    non_snake_case,
    reason = "the vendor's spellings"
)]

use core::ffi::{c_int, c_uint, c_void};

use hip_sys::{dim3, hipArray_t, hipExtent, hipPitchedPtr, hipPos, hipStream_t};

/// `hipLaunchConfig_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hipLaunchConfig_t {
    /// Blocks.
    pub gridDim: dim3,
    /// Threads of a block.
    pub blockDim: dim3,
    /// Bytes.
    pub dynamicSmemBytes: usize,
    /// The stream.
    pub stream: hipStream_t,
    attributes: usize,
    attribute_count: c_uint,
}

/// `HIP_LAUNCH_CONFIG`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HIP_LAUNCH_CONFIG {
    /// Blocks.
    pub grid: [c_uint; 3],
    /// Threads of a block.
    pub block: [c_uint; 3],
    /// Bytes.
    pub sharedMemBytes: c_uint,
    /// The stream.
    pub hStream: hipStream_t,
    attributes: usize,
    attribute_count: c_uint,
}

/// `hipMemcpy3DPeerParms`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hipMemcpy3DPeerParms {
    /// Null if the source is linear.
    pub srcArray: hipArray_t,
    srcPos: hipPos,
    /// The linear source.
    pub srcPtr: hipPitchedPtr,
    srcDevice: c_int,
    /// Null if the destination is linear.
    pub dstArray: hipArray_t,
    dstPos: hipPos,
    /// The linear destination.
    pub dstPtr: hipPitchedPtr,
    dstDevice: c_int,
    /// How much.
    pub extent: hipExtent,
}

/// `hipMemcpy3DOperand`: an address or an array, and where it begins.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hipMemcpy3DOperand {
    kind: c_int,
    place: *mut c_void,
    more: [usize; 3],
}

impl hipMemcpy3DOperand {
    /// `hipMemcpyOperandTypePointer`.
    const POINTER: c_int = 1;

    /// The address, unless it is an array.
    pub fn address(&self) -> Option<*mut c_void> {
        (self.kind == Self::POINTER).then_some(self.place)
    }
}

/// `hipMemcpy3DBatchOp`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct hipMemcpy3DBatchOp {
    /// The source.
    pub src: hipMemcpy3DOperand,
    /// The destination.
    pub dst: hipMemcpy3DOperand,
    /// How much.
    pub extent: hipExtent,
    order: c_int,
    flags: c_uint,
}

#[cfg(test)]
impl hipMemcpy3DBatchOp {
    /// A copy from nowhere to an array.
    pub fn from_pointer_to_array(extent: hipExtent) -> Self {
        let operand = |kind| hipMemcpy3DOperand {
            kind,
            place: core::ptr::null_mut(),
            more: [0; 3],
        };
        Self {
            src: operand(hipMemcpy3DOperand::POINTER),
            dst: operand(hipMemcpy3DOperand::POINTER + 1),
            extent,
            order: 0,
            flags: 0,
        }
    }
}

// Sizes and places in hip_runtime_api.h 7.2.4, as clang lays them out.
const _: () = {
    assert!(size_of::<hipLaunchConfig_t>() == 56);
    assert!(core::mem::offset_of!(hipLaunchConfig_t, stream) == 32);
    assert!(size_of::<HIP_LAUNCH_CONFIG>() == 56);
    assert!(core::mem::offset_of!(HIP_LAUNCH_CONFIG, hStream) == 32);
    assert!(size_of::<hipMemcpy3DPeerParms>() == 168);
    assert!(core::mem::offset_of!(hipMemcpy3DPeerParms, extent) == 144);
    assert!(size_of::<hipMemcpy3DOperand>() == 40);
    assert!(core::mem::offset_of!(hipMemcpy3DOperand, place) == 8);
    assert!(size_of::<hipMemcpy3DBatchOp>() == 112);
    assert!(core::mem::offset_of!(hipMemcpy3DBatchOp, extent) == 80);
};

/// What bindings have for each function: a type, and a macro that hands its signature to a callback. Types are named from
/// the root, because the callback expands elsewhere.
macro_rules! declare {
    ($d:tt $(fn $name:ident($($argument:ident: $ty:ty),*);)*) => {
        /// Types of the functions.
        pub mod fn_types {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub type $name = unsafe extern "C" fn($($ty),*) -> ::hip_sys::hipError_t;
            )*
        }

        /// Signatures of the functions.
        pub mod signature {
            $(
                macro_rules! $name {
                    ($d callback:path, $d($d head:tt)*) => {
                        $d callback! {
                            $d($d head)* fn $name($($argument: $ty),*) -> ::hip_sys::hipError_t
                        }
                    };
                }
                pub(crate) use $name;
            )*
        }
    };
}

declare! {$
    fn hipLaunchKernelExC(config: *const crate::since_7::hipLaunchConfig_t, function: *const ::core::ffi::c_void, args: *mut *mut ::core::ffi::c_void);
    fn hipDrvLaunchKernelEx(config: *const crate::since_7::HIP_LAUNCH_CONFIG, f: ::hip_sys::hipFunction_t, params: *mut *mut ::core::ffi::c_void, extra: *mut *mut ::core::ffi::c_void);
    fn hipGetDriverEntryPoint(symbol: *const ::core::ffi::c_char, function: *mut *mut ::core::ffi::c_void, flags: ::core::ffi::c_ulonglong, status: *mut ::core::ffi::c_int);
    fn hipGetDriverEntryPoint_spt(symbol: *const ::core::ffi::c_char, function: *mut *mut ::core::ffi::c_void, flags: ::core::ffi::c_ulonglong, status: *mut ::core::ffi::c_int);
    fn hipModuleLoadFatBinary(module: *mut ::hip_sys::hipModule_t, image: *const ::core::ffi::c_void);
    fn hipLibraryLoadData(library: *mut *mut ::core::ffi::c_void, code: *const ::core::ffi::c_void, jit_options: *mut ::hip_sys::hipJitOption, jit_values: *mut *mut ::core::ffi::c_void, jit_count: ::core::ffi::c_uint, options: *mut ::core::ffi::c_int, values: *mut *mut ::core::ffi::c_void, count: ::core::ffi::c_uint);
    fn hipLibraryLoadFromFile(library: *mut *mut ::core::ffi::c_void, path: *const ::core::ffi::c_char, jit_options: *mut ::hip_sys::hipJitOption, jit_values: *mut *mut ::core::ffi::c_void, jit_count: ::core::ffi::c_uint, options: *mut ::core::ffi::c_int, values: *mut *mut ::core::ffi::c_void, count: ::core::ffi::c_uint);
    fn hipLibraryUnload(library: *mut ::core::ffi::c_void);
    fn hipMemcpy3DPeer(what: *mut crate::since_7::hipMemcpy3DPeerParms);
    fn hipMemcpy3DPeerAsync(what: *mut crate::since_7::hipMemcpy3DPeerParms, stream: ::hip_sys::hipStream_t);
    fn hipMemcpyBatchAsync(to: *mut *mut ::core::ffi::c_void, from: *mut *mut ::core::ffi::c_void, sizes: *mut usize, count: usize, attributes: *mut ::core::ffi::c_void, attribute_indices: *mut usize, attribute_count: usize, failed: *mut usize, stream: ::hip_sys::hipStream_t);
    fn hipMemcpy3DBatchAsync(count: usize, list: *mut crate::since_7::hipMemcpy3DBatchOp, failed: *mut usize, flags: ::core::ffi::c_ulonglong, stream: ::hip_sys::hipStream_t);
    fn hipGraphExecExternalSemaphoresSignalNodeSetParams(exec: ::hip_sys::hipGraphExec_t, node: ::hip_sys::hipGraphNode_t, params: *const ::core::ffi::c_void);
    fn hipGraphExecExternalSemaphoresWaitNodeSetParams(exec: ::hip_sys::hipGraphExec_t, node: ::hip_sys::hipGraphNode_t, params: *const ::core::ffi::c_void);
    fn hipMemsetD2D8(to: ::hip_sys::hipDeviceptr_t, pitch: usize, value: ::core::ffi::c_uchar, width: usize, height: usize);
    fn hipMemsetD2D8Async(to: ::hip_sys::hipDeviceptr_t, pitch: usize, value: ::core::ffi::c_uchar, width: usize, height: usize, stream: ::hip_sys::hipStream_t);
    fn hipMemsetD2D16(to: ::hip_sys::hipDeviceptr_t, pitch: usize, value: ::core::ffi::c_ushort, width: usize, height: usize);
    fn hipMemsetD2D16Async(to: ::hip_sys::hipDeviceptr_t, pitch: usize, value: ::core::ffi::c_ushort, width: usize, height: usize, stream: ::hip_sys::hipStream_t);
    fn hipMemsetD2D32(to: ::hip_sys::hipDeviceptr_t, pitch: usize, value: ::core::ffi::c_uint, width: usize, height: usize);
    fn hipMemsetD2D32Async(to: ::hip_sys::hipDeviceptr_t, pitch: usize, value: ::core::ffi::c_uint, width: usize, height: usize, stream: ::hip_sys::hipStream_t);
}
