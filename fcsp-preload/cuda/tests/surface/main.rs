//! Does work get to the device in its turn, whichever call submits it, and does every call that waits
//! say so?
//!
//! Each test is a program of its own under the preload library on the simulated driver, held to half of
//! the device, so that it is gated though it is alone. What was gated it reads in the region, as the
//! operator's tools do.

#[path = "../memory/support.rs"]
#[macro_use]
#[allow(dead_code, reason = "each test program uses its part")]
mod support;
mod seen;

mod classes;
mod collectives;
mod graphs;
mod launches;
mod order;
mod transfers;
mod utilization;
