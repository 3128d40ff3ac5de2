//! Is device memory charged, refused and given back, whichever way a program gets it?
//!
//! Each test is a program of its own under the preload library, nearly all on the simulated driver. What it is
//! charged it reads as any program does: by `cuMemGetInfo`.

#[macro_use]
mod support;

mod agreement;
mod arrays;
mod code;
mod contexts;
mod graphs;
mod killed;
mod legacy;
mod linear;
mod management;
mod mps;
mod policy;
mod pools;
mod pools_devices;
mod rest;
mod shared;
mod vmm;
