//! CUDA driver and NVML bindings, generated from the vendor's headers.
//!
//! Everything below `generated` is written by `cargo xtask codegen` and compared with the headers in CI. This file adds
//! the few constants the headers express as C casts or `sizeof` macros, and [`undeclared`] what no header has.
//!
//! - Types and constants of both headers are at the root; their prefixes keep them apart. C enums are newtypes with
//!   associated constants (`CUresult::CUDA_SUCCESS`), so a value the header does not name is an ordinary value.
//! - [`fn_types`] holds the type of every function, by the symbol's real exported name: the header's `cuMemAlloc` is
//!   `cuMemAlloc_v2` here, old versions and the `_ptds`/`_ptsz` (per-thread default stream) variants included.
//! - [`signature`] and [`nvml_signature`] hold one macro per function, which hands the signature to a callback:
//!   `signature::cuMemFree_v2! { my_callback, some tokens }` expands to
//!   `my_callback! { some tokens fn cuMemFree_v2(dptr: CUdeviceptr) -> CUresult }`.
//!
//! Nothing here links to a vendor library: functions are looked up at run time.
#![no_std]

#[rustfmt::skip]
#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    ambiguous_glob_reexports,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod generated {
    pub mod cuda;
    pub mod cuda_signatures;
    pub mod nvml;
    pub mod nvml_signatures;
}

pub use generated::cuda::*;
pub use generated::cuda_signatures::signature;
pub use generated::nvml::*;

pub mod undeclared;

/// The signature of every function of the management library.
pub mod nvml_signature {
    pub use crate::generated::nvml_signatures::signature::*;
    pub use crate::undeclared::signature::*;
}

/// The type of every function of both headers, named like the symbol.
pub mod fn_types {
    pub use crate::generated::cuda_signatures::fn_types::*;
    pub use crate::generated::nvml_signatures::fn_types::*;
    pub use crate::undeclared::fn_types::*;
}

/// The legacy default stream, `CU_STREAM_LEGACY` in cuda.h.
pub const CU_STREAM_LEGACY: CUstream = core::ptr::without_provenance_mut(1);

/// The calling thread's own default stream, `CU_STREAM_PER_THREAD` in cuda.h.
pub const CU_STREAM_PER_THREAD: CUstream = core::ptr::without_provenance_mut(2);

/// The marker before a packed argument buffer in a launch's `extra`, `CU_LAUNCH_PARAM_BUFFER_POINTER` in cuda.h.
pub const CU_LAUNCH_PARAM_BUFFER_POINTER: *mut core::ffi::c_void =
    core::ptr::without_provenance_mut(1);

/// The marker before the size of that buffer, `CU_LAUNCH_PARAM_BUFFER_SIZE` in cuda.h.
pub const CU_LAUNCH_PARAM_BUFFER_SIZE: *mut core::ffi::c_void =
    core::ptr::without_provenance_mut(2);

/// The marker that ends `extra`, `CU_LAUNCH_PARAM_END` in cuda.h.
pub const CU_LAUNCH_PARAM_END: *mut core::ffi::c_void = core::ptr::null_mut();

/// The number a caller puts into the `version` field of a versioned NVML structure: its size and its version, as
/// `NVML_STRUCT_VERSION` in nvml.h computes them.
pub const fn structure_version<T>(version: u32) -> u32 {
    size_of::<T>() as u32 | version << 24
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! argument_count {
        ($expected:literal; fn $name:ident($($argument:ident : $ty:ty),*) -> $result:ty) => {
            let _: Option<fn_types::$name> = None;
            assert_eq!([$(stringify!($argument)),*].len(), $expected, stringify!($name));
        };
    }

    #[test]
    fn a_signature_reaches_its_callback() {
        signature::cuLaunchKernel! { argument_count, 11; }
        signature::cuMemGetInfo_v2! { argument_count, 2; }
        nvml_signature::nvmlDeviceGetMemoryInfo_v2! { argument_count, 2; }
    }

    #[test]
    fn versioned_names_keep_their_own_signature() {
        // The first CUDA releases had 32-bit device pointers and sizes; the unversioned symbol still has them.
        macro_rules! second_argument_is {
            ($ty:ty; fn $n:ident($a:ident : $t1:ty, $b:ident : $t2:ty) -> $r:ty) => {
                let value: $t2 = 0;
                let _: $ty = value;
            };
        }
        signature::cuMemAlloc! { second_argument_is, core::ffi::c_uint; }
        signature::cuMemAlloc_v2! { second_argument_is, usize; }
    }

    #[test]
    fn result_names_cover_known_and_unknown_values() {
        assert_eq!(result_name(CUresult::CUDA_SUCCESS.0), "CUDA_SUCCESS");
        assert_eq!(
            result_name(CUresult::CUDA_ERROR_OUT_OF_MEMORY.0),
            "CUDA_ERROR_OUT_OF_MEMORY"
        );
        assert_eq!(result_name(31_337), "unknown");
        assert_eq!(
            nvml_return_name(nvmlReturn_t::NVML_ERROR_NOT_SUPPORTED.0),
            "NVML_ERROR_NOT_SUPPORTED"
        );
    }

    #[test]
    fn nvml_structure_versions_hold_size_and_version() {
        assert_eq!(nvmlMemory_v2, 0x0200_0028, "40 bytes, version 2");
    }
}
