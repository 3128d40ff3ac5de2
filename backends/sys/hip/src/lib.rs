//! HIP bindings, generated from the vendor's headers.
//!
//! Everything below `generated` is written by `cargo xtask codegen` and compared with the headers in CI.
//!
//! - Types and constants of HIP 6.4.3 are at the root. C enums are newtypes with associated constants
//!   (`hipError_t::hipSuccess`), so a value the header does not name is an ordinary value.
//! - [`v5`] holds what HIP 5 has differently, most of all `hipDeviceProp_t`, which has 792 bytes there and 1472 since
//!   HIP 6, and the values of `hipMemoryType`. What is not there is as at the root.
//! - [`fn_types`] holds the type of every function that HIP 5.2 to 6.4 export, by its exported name: the header's
//!   `hipGetDeviceProperties` is `hipGetDevicePropertiesR0600` here, and `hipGetDeviceProperties` has the layout of HIP
//!   5. The `_spt` variants (per-thread default stream), what clang calls for kernels (`__hip…`), and C++ names included.
//! - [`signature`] holds one macro per function, which hands the signature to a callback, as in `cuda_sys`.
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
    pub mod hip;
    pub mod hip5;
    pub mod hip_signatures;
}

pub use generated::hip::*;

/// What HIP 5 (`libamdhip64.so.5`) has differently from the root of this crate. Source: the headers of 5.7.1.
pub mod v5 {
    pub use crate::generated::hip5::*;
}

pub use generated::hip_signatures::fn_types;
pub use generated::hip_signatures::signature;

pub mod dispatch;

/// The null stream, which waits for the streams that did not ask to be left alone.
pub const HIP_STREAM_NULL: hipStream_t = core::ptr::null_mut();

/// The legacy default stream by name, `hipStreamLegacy` in hip_runtime_api.h since HIP 6.2.
pub const HIP_STREAM_LEGACY: hipStream_t = core::ptr::without_provenance_mut(1);

/// The calling thread's own default stream, `hipStreamPerThread` in hip_runtime_api.h.
pub const HIP_STREAM_PER_THREAD: hipStream_t = core::ptr::without_provenance_mut(2);

/// The marker before a packed argument buffer in a launch's `extra`.
pub const HIP_LAUNCH_PARAM_BUFFER_POINTER: *mut core::ffi::c_void =
    core::ptr::without_provenance_mut(1);

/// The marker before the size of that buffer.
pub const HIP_LAUNCH_PARAM_BUFFER_SIZE: *mut core::ffi::c_void =
    core::ptr::without_provenance_mut(2);

/// The marker that ends `extra`.
pub const HIP_LAUNCH_PARAM_END: *mut core::ffi::c_void = core::ptr::without_provenance_mut(3);

// The sizes both families of the real library use; bindgen asserts every other layout beside its type.
const _: () = assert!(size_of::<hipDeviceProp_tR0600>() == 1472);
const _: () = assert!(size_of::<hipDeviceProp_tR0000>() == 792);
const _: () = assert!(size_of::<v5::hipDeviceProp_t>() == 792);

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
        signature::hipModuleLaunchKernel! { argument_count, 11; }
        signature::hipMemGetInfo! { argument_count, 2; }
        signature::hipLaunchKernel_spt! { argument_count, 6; }
        signature::__hipRegisterFunction! { argument_count, 10; }
        signature::hiprtcVersion! { argument_count, 2; }
    }

    #[test]
    fn each_name_has_the_layout_of_its_version() {
        macro_rules! first_argument_is {
            ($ty:ty; fn $n:ident($a:ident : $t:ty, $b:ident : $t2:ty) -> $r:ty) => {
                let value: $t = core::ptr::null_mut();
                let _: $ty = value;
            };
        }
        signature::hipGetDeviceProperties! { first_argument_is, *mut hipDeviceProp_tR0000; }
        signature::hipGetDevicePropertiesR0600! { first_argument_is, *mut hipDeviceProp_tR0600; }
    }

    #[test]
    fn values_that_changed_with_version_6_are_told_apart() {
        assert_eq!(hipMemoryType::hipMemoryTypeDevice.0, 2);
        assert_eq!(v5::hipMemoryType::hipMemoryTypeDevice.0, 1);
    }

    #[test]
    fn error_names_cover_known_and_unknown_values() {
        assert_eq!(
            error_name(hipError_t::hipErrorOutOfMemory.0),
            "hipErrorOutOfMemory"
        );
        assert_eq!(error_name(31_337), "unknown");
    }
}
