//! Bindings of AMD's two management libraries, generated from the vendor's headers: ROCm SMI (`rsmi_…`, 6.1.2) and its
//! successor AMD SMI (`amdsmi_…`, 10.1).
//!
//! Everything below `generated` is written by `cargo xtask codegen` and compared with the headers in CI. Types and
//! constants are at the root; their prefixes keep the two apart. C enums are newtypes. [`fn_types`] and [`signature`] are
//! as in `cuda_sys`. Nothing here links to a vendor library: functions are looked up at run time.
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
    pub mod amd_smi;
    pub mod amd_smi_signatures;
    pub mod rocm_smi;
    pub mod rocm_smi_signatures;
}

pub use generated::amd_smi::*;
pub use generated::rocm_smi::*;

/// The signature of every function of both libraries.
pub mod signature {
    pub use crate::generated::amd_smi_signatures::signature::*;
    pub use crate::generated::rocm_smi_signatures::signature::*;
}

/// The type of every function of both libraries, named like the symbol.
pub mod fn_types {
    pub use crate::generated::amd_smi_signatures::fn_types::*;
    pub use crate::generated::rocm_smi_signatures::fn_types::*;
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
    fn a_signature_of_each_library_reaches_its_callback() {
        signature::rsmi_dev_memory_total_get! { argument_count, 3; }
        signature::amdsmi_get_gpu_vram_usage! { argument_count, 2; }
    }

    #[test]
    fn status_names_cover_known_and_unknown_values() {
        assert_eq!(
            rsmi_status_name(rsmi_status_t::RSMI_STATUS_SUCCESS.0),
            "RSMI_STATUS_SUCCESS"
        );
        assert_eq!(
            amdsmi_status_name(amdsmi_status_t::AMDSMI_STATUS_SUCCESS.0),
            "AMDSMI_STATUS_SUCCESS"
        );
        assert_eq!(rsmi_status_name(31_337), "unknown");
    }
}
