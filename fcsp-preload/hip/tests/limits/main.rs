//! What a program under the preload library is charged, refused, told and held back from, on the simulated driver of
//! HIP 5 and of HIP 6.

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod compiled;
mod dispatch;
mod info;
mod management;
mod memory;
mod partitions;
mod turns;
mod vendors;
