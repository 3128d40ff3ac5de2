//! Level Zero bindings: the core, Sysman, tools and runtime interfaces, the loader's own functions, and the tables
//! through which a loader calls a driver.
//!
//! Generated from the headers of release 1.32.0 (specification 1.17) and checked in, so that neither a header nor
//! libclang is needed to build. Nothing here links to a library: whoever calls Level Zero opens `libze_loader.so.1`,
//! and whoever *is* a driver exports the functions that fill the tables. The crate is `no_std` and has no features.
//!
//! - Types and constants have the C names. An enum is a newtype with associated constants
//!   ([`ze_result_t`]`::ZE_RESULT_SUCCESS`), so a value that the header does not name is an ordinary value; of a bit
//!   of flags (`ze_event_scope_flag_t`) the number is `.0`. Sizes and offsets are asserted when the crate is compiled.
//! - [`fn_types`] has the type of every function.
//! - [`signature`] has one macro per function, which hands the signature to a callback:
//!   `signature::zeFenceReset! { my_callback, some tokens }` expands to
//!   `my_callback! { some tokens fn zeFenceReset(hFence: ze_fence_handle_t) -> ze_result_t }`.
//! - [`ddi_tables!`] hands every table of function pointers to a callback, and [`TABLES`] lists them as data.
//!
//! What each function does, which pointers may be null, and what may be called from several threads at once is in the
//! [specification](https://oneapi-src.github.io/level-zero-spec/).
//!
//! # Calling Level Zero
//!
//! ```no_run
//! use level_zero_sys::{fn_types, result_name};
//!
//! # fn main() -> Result<(), libloading::Error> {
//! // SAFETY: the loader's initializers have no requirements; the types are those of the header.
//! unsafe {
//!     let loader = libloading::Library::new("libze_loader.so.1")?;
//!     let init = loader.get::<fn_types::zeInit>(b"zeInit\0")?;
//!     println!("{}", result_name(init(0).0));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Being a driver
//!
//! A driver exports each [`Table::getter`]. It is given the version of the loader and a table the loader allocated, which
//! has only the fields of that version: fill those whose [`Entry::since`] is not above it, and touch nothing else.
#![no_std]

pub mod intel;

#[rustfmt::skip]
#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod generated {
    pub mod level_zero;
    pub mod level_zero_signatures;
    pub mod level_zero_tables;
}

pub use generated::level_zero::*;
pub use generated::level_zero_signatures::{fn_types, signature};

/// A version of the specification as [`ze_api_version_t`] has it: `ZE_MAKE_VERSION` in ze_api.h.
pub const fn version(major: u32, minor: u32) -> ze_api_version_t {
    ze_api_version_t(major << 16 | minor)
}

/// `zeDefaultGPUImmediateCommandQueueDesc` of zer_api.h: an asynchronous in-order list that may copy elsewhere.
pub const DEFAULT_IMMEDIATE_QUEUE: ze_command_queue_desc_t = ze_command_queue_desc_t {
    stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC,
    pNext: core::ptr::null(),
    ordinal: 0,
    index: 0,
    flags: ze_command_queue_flag_t::ZE_COMMAND_QUEUE_FLAG_IN_ORDER.0
        | ze_command_queue_flag_t::ZE_COMMAND_QUEUE_FLAG_COPY_OFFLOAD_HINT.0,
    mode: ze_command_queue_mode_t::ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS,
    priority: ze_command_queue_priority_t::ZE_COMMAND_QUEUE_PRIORITY_NORMAL,
};

/// `zeDefaultGPUDeviceMemAllocDesc` of zer_api.h.
pub const DEFAULT_DEVICE_MEMORY: ze_device_mem_alloc_desc_t = ze_device_mem_alloc_desc_t {
    stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC,
    pNext: core::ptr::null(),
    flags: ze_device_mem_alloc_flag_t::ZE_DEVICE_MEM_ALLOC_FLAG_BIAS_CACHED.0,
    ordinal: 0,
};

/// `zeDefaultGPUHostMemAllocDesc` of zer_api.h.
pub const DEFAULT_HOST_MEMORY: ze_host_mem_alloc_desc_t = ze_host_mem_alloc_desc_t {
    stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC,
    pNext: core::ptr::null(),
    flags: ze_host_mem_alloc_flag_t::ZE_HOST_MEM_ALLOC_FLAG_BIAS_CACHED.0
        | ze_host_mem_alloc_flag_t::ZE_HOST_MEM_ALLOC_FLAG_BIAS_INITIAL_PLACEMENT.0,
};

/// A table of function pointers.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its type.
    pub name: &'static str,
    /// The function of a driver that fills it.
    pub getter: &'static str,
    /// Its fields, in their order.
    pub entries: &'static [Entry],
}

/// A field of a table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name of the field.
    pub field: &'static str,
    /// The function it points to.
    pub function: &'static str,
    /// The version of the specification since which it is there.
    pub since: ze_api_version_t,
}

macro_rules! list {
    ($(table $table:ident from $getter:ident {
        $($field:ident $function:ident since $major:literal $minor:literal;)*
    })*) => {
        /// Every table of every interface.
        pub const TABLES: &[Table] = &[$(Table {
            name: stringify!($table),
            getter: stringify!($getter),
            entries: &[$(Entry {
                field: stringify!($field),
                function: stringify!($function),
                since: version($major, $minor),
            }),*],
        }),*];
    };
}
ddi_tables! { list, }

/// The README's example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
