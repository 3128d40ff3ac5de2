//! Copies and fills: which of them take the device's time, and which only wait for it.
//!
//! | what | then |
//! |---|---|
//! | a fill, or a copy inside the device, of [`LARGE_BYTES`](crate::driver::Transfers::LARGE_BYTES) or more | submitted in its turn |
//! | a smaller one | passes; [`RUN`] of them without other work between are submitted as one |
//! | a copy to or from the host or another device | passes: copy engines and the bus do it, beside other tenants' kernels; what it waits for in its stream it waits for |
//! | the same, by a call that waits | the scheduler is told before, so that the segment it waits for ends |
//!
//! Why small ones pass: they cost about what starting a kernel costs, and programs use them to raise
//! flags that work already granted waits for.
//!
//! What costs what is the vendor's to say ([`crate::driver::Transfers`]), and its handlers' to find out how many bytes go from
//! where to where.

use core::sync::atomic::Ordering;

use fcsp_core::sched::class::Class;
use fcsp_core::sched::cost::CostKey;
use fcsp_gate::Handle;

use crate::capture::Undisturbed;
use crate::driver::{CodeOf, Driver, StreamOf};
use crate::line::LINE;
use crate::turn::{self, Of, Work};

/// Small ones in a row that count as one submission: 0.2 ms.
pub const RUN: u32 = 64;
/// Entries of a batch that are looked at to find where most of it goes.
const BATCH_LOOK: usize = 64;

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Writes a value over and over.
    Fill = 1,
    /// Reads and writes.
    Copy = 2,
    /// Reads, decompresses and writes, by an engine of its own where the device has one, through the
    /// same memory; the guess is a copy's.
    Decompress = 3,
}

impl Kind {
    /// Costs are learnt by kind and size, four sizes to a doubling.
    fn key(self, bytes: u64) -> CostKey {
        const TRANSFER: u64 = 0x7472_616e_7366_6572;
        let log = bytes.max(4).ilog2();
        let quarter = bytes >> (log - 2) & 3;
        CostKey::new(&[TRANSFER, self as u64, u64::from(log) << 2 | quarter])
    }
}

/// Work inside the device of so many bytes, if it is to be submitted in its turn.
pub fn work<D: Driver>(kind: Kind, bytes: u64) -> Option<Work<impl FnOnce() -> u64>> {
    let (key, guess_ns) = if bytes >= D::LARGE_BYTES {
        (kind.key(bytes), D::guess_ns(kind, bytes))
    } else if LINE.passed.fetch_add(1, Ordering::Relaxed) < RUN - 1 {
        // Relaxed: a count that need not be exact. Any gated submission sets it to 0.
        return None;
    } else {
        (CostKey::UNMEASURED, u64::from(RUN) * D::SMALL_NS)
    };
    Some(Work {
        key,
        guess_ns: move || guess_ns,
        of: Of::Class(Class::Copy),
    })
}

/// Submits work inside the device of so many bytes.
pub fn local<D: Driver, const PER_THREAD: bool>(
    kind: Kind,
    bytes: u64,
    stream: StreamOf<D>,
    call: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    match work::<D>(kind, bytes) {
        Some(work) => turn::submit_outlined::<D, PER_THREAD>(stream, work, call),
        None => call(),
    }
}

/// One end of a copy, as the call names it.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// An address of whatever kind of memory.
    Address(u64),
    /// A texture's memory.
    Array,
}

/// Where an end lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the device with that ordinal.
    Device(i32),
    /// An array: on the device of the context.
    Array,
    /// Host memory that the device can reach.
    Pinned,
    /// Other host memory.
    Pageable,
}

impl Place {
    fn of<D: Driver>(end: End) -> Self {
        let End::Address(address) = end else {
            return Self::Array;
        };
        let _quiet = Undisturbed::<D>::enter();
        D::place_of(address)
    }

    const fn is_host(self) -> bool {
        matches!(self, Self::Pinned | Self::Pageable)
    }

    /// Whether a copy between the two stays inside one device.
    const fn beside(self, other: Self) -> bool {
        match (self, other) {
            (Self::Device(one), Self::Device(two)) => one == two,
            _ => !self.is_host() && !other.is_host(),
        }
    }
}

/// Submits a copy of so many bytes; `stream` is `None` for a call that may wait for it.
pub fn copy<D: Driver, const PER_THREAD: bool>(
    bytes: u64,
    from: End,
    to: End,
    stream: Option<StreamOf<D>>,
    call: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    let target = stream.unwrap_or(Handle::NULL);
    if turn::gated::<D, PER_THREAD>(target).is_none() {
        return call();
    }
    let (from, to) = (Place::of::<D>(from), Place::of::<D>(to));
    if from.beside(to) {
        return local::<D, PER_THREAD>(Kind::Copy, bytes, target, call);
    }
    let staged = from == Place::Pageable && bytes <= D::STAGED_BYTES_MAX;
    let waits = match stream {
        None => true,
        Some(_) => to == Place::Pageable || (from == Place::Pageable && !staged),
    };
    if waits {
        turn::waiting::<D>(call)
    } else {
        call()
    }
}

/// Submits a batch of copies, given by bytes and ends.
pub fn batch<D: Driver, const PER_THREAD: bool>(
    copies: impl Iterator<Item = (u64, End, End)>,
    stream: StreamOf<D>,
    call: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    if turn::gated::<D, PER_THREAD>(stream).is_none() {
        return call();
    }
    let (mut inside, mut waits) = (0_u64, false);
    for (bytes, from, to) in copies.take(BATCH_LOOK) {
        let (from, to) = (Place::of::<D>(from), Place::of::<D>(to));
        if from.beside(to) {
            inside = inside.saturating_add(bytes);
        }
        waits |= from == Place::Pageable || to == Place::Pageable;
    }
    match (inside, waits) {
        (0, true) => turn::waiting::<D>(call),
        (0, false) => call(),
        (bytes, _) => local::<D, PER_THREAD>(Kind::Copy, bytes, stream, call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_sizes_have_one_cost_and_others_do_not() {
        let key = |bytes| Kind::Fill.key(bytes);
        assert_eq!(key(1 << 20), key((1 << 20) + 4096));
        assert_ne!(key(1 << 20), key(5 << 18));
        assert_ne!(key(1 << 20), key(1 << 21));
        assert_ne!(key(1 << 20), Kind::Copy.key(1 << 20));
    }

    #[test]
    fn a_copy_is_inside_a_device_only_if_both_ends_are() {
        let [here, there, array] = [Place::Device(0), Place::Device(1), Place::Array];
        assert!(here.beside(here) && here.beside(array) && array.beside(array));
        assert!(!here.beside(there));
        for host in [Place::Pinned, Place::Pageable] {
            assert!(!here.beside(host) && !host.beside(array) && !host.beside(host));
        }
    }
}
