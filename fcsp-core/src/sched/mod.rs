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
//! While nobody else is active and no ceiling applies, a submission reads one word
//! ([`crate::region::layout::SlotGate::gated`]) and goes on; none of this runs.
//!
//! What this module does not do: call a vendor (the [`crate::backend::StreamGate`] it is given
//! does), decide limits ([`crate::policy`] does), or account memory ([`crate::ledger`] does).

mod account;
pub mod arbiter;
pub mod clock;
pub mod cost;
pub mod lanes;
pub mod observer;
pub mod plan;
pub mod producer;
mod sampler;
pub mod segment;
pub mod shares;
pub mod tuning;
pub mod view;

pub use segment::SegmentState;

#[cfg(all(test, not(loom)))]
mod tests;
