//! The machinery of a preload library: how calls get in, how they get out, and what must never happen in between.
//!
//! The path of a call, for a program that calls `cuMemAlloc_v2`:
//!
//! 1. The program finds our function: directly through the dynamic linker (we are preloaded, so our export comes
//!    first), through `dlsym` ([`dlsym`](mod@dlsym)), or through the vendor's own lookup ([`procaddr`]).
//! 2. The wrapper that [`hooks!`] generated finds the driver's function ([`real`]), checks that the driver is not
//!    calling itself ([`guard`]), and calls the row's handler behind a panic border ([`border`]).
//! 3. The handler asks the core, calls the driver through the function pointer it was given, and settles.
//!
//! This crate owns the mechanism and knows no vendor: names, signatures, decisions and error codes come from the crate
//! that writes a table. It exports no symbol by itself; the macros expand in the one shared library that wants them,
//! because an interposing symbol in an ordinary library would be exported by everything that links it.

pub mod border;
pub mod dlsym;
mod elf;
pub mod fork;
pub mod guard;
mod hooks;
pub mod log;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod old_glibc;
pub mod procaddr;
pub mod real;
pub mod resolve;
pub mod table;

pub use real::{Library, Real};
pub use table::{Hook, Table, Verb};
