//! The vendor-neutral core of FCSP: what a program may have, and when.
//!
//! It builds and tests without a GPU and without any vendor's header, and calls no vendor: preload
//! libraries turn a vendor's calls into the few questions below, and answer them in the vendor's own
//! terms. Who is new here reads this page, then the module that owns the step.
//!
//! # The path of a call
//!
//! ```text
//! application
//!   └─ preload library       one row per intercepted function; C arguments → bytes, queue, cost key
//!        └─ this crate       may it? → reserve bytes, or join a segment
//!             └─ the driver  only if it may
//!        └─ this crate       settle: keep the charge, or give it back if the driver refused
//!   └─ the driver's own status code, or the vendor's own out-of-memory code
//! ```
//!
//! **The first context on a device.** [`policy::resolve()`] makes limits out of the policy file and
//! the environment. [`region::Region::create_or_open`] maps the device's shared file, in which all
//! programs on it meet. [`region::Attachment::join`] finds or makes the tenant and takes a slot. A
//! thread of the preload library then runs [`sched::observer::run`] for as long as the process lives.
//!
//! **An allocation.** [`region::Attachment::reserve`] adds the bytes to the tenant's account, or
//! refuses them before the driver has been asked. If the driver refuses, [`ledger::Ledger::release`]
//! gives them back; if it agrees, [`ledger::live::LiveMap`] remembers what the address was charged,
//! which is what a free gives back.
//!
//! **A launch.** [`sched::producer::Producer::gated`] is one load: false, and the launch goes straight
//! to the driver. Otherwise [`sched::producer::Producer::enter`] puts it into the open segment, and a
//! wait for that segment's turn into the queue through the vendor's [`backend::StreamGate`]; the
//! driver is called at once, and [`sched::producer::Producer::leave`] completes it. A call that is
//! about to wait for the device announces it with [`sched::producer::Producer::sync`], which ends the
//! segment.
//!
//! **Meanwhile**, the observer of one process arbitrates for all: [`sched::view`] reads the region
//! into plain data, [`sched::arbiter::Arbiter::step`] decides without touching anything, and the plan
//! is written back: a grant word is raised, and the device goes on.
//!
//! **The end.** A process leaves by dropping its attachment, or dies, and is found by
//! [`region::liveness`] and cleared away by [`region::reclaim`], with whatever it held.
//!
//! # What is where
//!
//! | Module | Owns | Does not know |
//! |---|---|---|
//! | [`backend`] | what is asked of a vendor | any vendor |
//! | [`policy`] | what a tenant is entitled to | what it uses |
//! | [`region`] | the shared file, who is in it, who is gone | what a limit means |
//! | [`ledger`] | bytes: reserved, given back, recovered | who is alive |
//! | [`sched`] | device time: segments, turns, shares | any vendor |
//! | [`sync`], [`futex`] | atomics (loom's, under loom), sleeping across processes | |
//! | [`mod@failpoint`] | places where crash tests kill a process | |
//!
//! # Rules
//!
//! The crate lives inside other people's programs. On the path of an allocation or a launch nothing
//! allocates, and there is no system call but where there is something to wait for or somebody to
//! wake: a thread that is too far ahead of the device, an arbiter that sleeps, another thread of the
//! same process in the same segment; and before memory is refused, a search for the dead. Nothing
//! writes to stdout or takes a signal. Any process may be killed between any two instructions:
//! nothing is lost, and nobody waits for the dead.
#![warn(missing_docs)]

pub mod backend;
pub mod failpoint;
#[cfg_attr(loom, path = "futex_loom.rs")]
pub mod futex;
pub mod ledger;
pub mod policy;
pub mod region;
pub mod sched;
pub mod sync;
