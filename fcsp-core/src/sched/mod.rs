//! Compute: who may run on the device, when, and what it costs them.
//!
//! ```text
//! program's threads                         observer thread of one process
//! ─────────────────                         ───────────────────────────────
//! Producer::submit  ── segment opened ──▶   view::read      region → plain data
//!   wait(grant ≥ n) put into the queue      Arbiter::step   plain data → plan   (pure)
//!   the vendor's own launch                 view::apply     plan → region
//! Producer::sync    ── segment closed ──▶     grant word written: the device goes on
//!   write(done = n) put into the queue  ◀──   done word read: the segment is charged
//! ```
//!
//! A process's submissions form *segments*. A segment is granted and charged as one. The device
//! itself waits for the grant word, so the program's threads prepare the next batch meanwhile; they
//! block only when they are [`producer::AHEAD`] segments ahead.
//!
//! Work that stands behind something only others can end (a collective, a word that the program
//! writes) is not shown to the arbiter before the device has come to it ([`producer::Producer::stall`]).
//!
//! While nobody else is active and no ceiling applies, a submission reads one word
//! ([`crate::region::layout::SlotGate::gated`]) and goes on; none of this runs. Under a ceiling, one that finds the device
//! idle passes within an allowance ([`crate::region::layout::SlotGate::allowed_ns`]).
//!
//! What this module does not do: call a vendor (the [`crate::backend::StreamGate`] it is given
//! does), decide limits ([`crate::policy`] does), or account memory ([`crate::ledger`] does).

#[cfg(not(loom))]
mod account;
#[cfg(not(loom))]
pub mod arbiter;
mod biased;
pub mod class;
#[cfg(not(loom))]
pub mod clock;
#[cfg(not(loom))]
pub mod cost;
#[cfg(not(loom))]
mod foresight;
#[cfg(not(loom))]
pub mod gang;
#[cfg(not(loom))]
mod handover;
mod handshake;
#[cfg(not(loom))]
pub mod lanes;
#[cfg(all(test, loom))]
mod loom_biased;
#[cfg(all(test, loom))]
mod loom_handshake;
#[cfg(all(test, loom))]
mod loom_trace;
#[cfg(not(loom))]
mod margin;
#[cfg(not(loom))]
pub mod observer;
pub mod plan;
#[cfg(not(loom))]
mod preempt;
#[cfg(not(loom))]
pub mod producer;
#[cfg(not(loom))]
mod sampler;
pub mod segment;
pub mod shares;
#[cfg(not(loom))]
mod stalls;
#[cfg(not(loom))]
mod ticks;
pub mod trace;
#[cfg(not(loom))]
pub mod tuning;
#[cfg(not(loom))]
pub mod view;
#[cfg(not(loom))]
mod watch;

pub use segment::SegmentState;

#[cfg(all(test, not(loom)))]
mod tests;
