//! What is known of kernels by their names: whether they wait for other devices ([`crate::communication`]), and
//! else what their time counts as ([`crate::class`]).
//!
//! A name is read once, when the program looks the kernel up or when a handle is first launched; what
//! was found stays in a table of fixed size, and is forgotten when code is unloaded. Nothing here
//! allocates or locks.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicU64, Ordering};

use fcsp_core::sched::class::Class;

use crate::capture::Undisturbed;
use crate::class::class;
use crate::communication::communicates;
use crate::driver::{CodeOf, Driver};

const ENTRIES: usize = 8192;
const PROBES: usize = 8;
/// Bits of a word that hold the kind.
const KIND_BITS: u32 = 3;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
/// What stands there for kernels that communicate; the others have their class's number.
const COMMUNICATES: u64 = KIND_MASK;

const _: () = {
    let mut at = 0;
    while at < Class::ALL.len() {
        assert!((Class::ALL[at].number() as u64) < COMMUNICATES);
        at += 1;
    }
};

/// Handles with what is known of them: the address, shifted, and the kind. 0 is free.
static KNOWN: [AtomicU64; ENTRIES] = [const { AtomicU64::new(0) }; ENTRIES];

/// What is known of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It waits for other devices.
    Communicates,
    /// It does not.
    Works(Class),
}

impl Kind {
    fn of<D: Driver>(name: &[u8]) -> Self {
        if communicates(D::COLLECTIVES, name) {
            Self::Communicates
        } else {
            Self::Works(class(name))
        }
    }

    const fn bits(self) -> u64 {
        match self {
            Self::Communicates => COMMUNICATES,
            Self::Works(class) => class.number() as u64,
        }
    }

    #[inline(always)]
    const fn from_bits(bits: u64) -> Self {
        match bits & KIND_MASK {
            COMMUNICATES => Self::Communicates,
            number => Self::Works(Class::from_number(number as u32)),
        }
    }
}

/// A handle's own place in the table.
#[inline]
fn place(handle: u64) -> usize {
    // Handles are addresses of objects some hundred bytes apart.
    ((handle >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % ENTRIES
}

fn places(handle: u64) -> impl Iterator<Item = &'static AtomicU64> {
    (0..PROBES).map(move |i| &KNOWN[(place(handle) + i) % ENTRIES])
}

fn find(handle: u64) -> Option<Kind> {
    // Relaxed: what is known of a handle is in the one word.
    places(handle)
        .map(|place| place.load(Ordering::Relaxed))
        .find(|word| word >> KIND_BITS == handle)
        .map(Kind::from_bits)
}

fn remember(handle: u64, kind: Kind) {
    let word = handle << KIND_BITS | kind.bits();
    let is_free = |place: &&AtomicU64| {
        let here = place.load(Ordering::Relaxed);
        here == 0 || here >> KIND_BITS == handle
    };
    // A full neighbourhood forgets whoever stands at the handle's own place.
    if let Some(place) = places(handle).find(is_free).or(places(handle).next()) {
        place.store(word, Ordering::Relaxed);
    }
}

/// What is known of the kernel. A load for a known one.
#[inline]
pub fn kind<D: Driver>(kernel: u64) -> Kind {
    // Relaxed: as in `find`. Most stand at their own place.
    let word = KNOWN[place(kernel)].load(Ordering::Relaxed);
    if word >> KIND_BITS == kernel {
        return Kind::from_bits(word);
    }
    look_further::<D>(kernel)
}

/// What the kernel's time counts as, if it stands at its own place and waits for no other device: the usual answer.
#[inline(always)]
pub fn known_class(kernel: u64) -> Option<Class> {
    // Relaxed: as in `find`.
    let word = KNOWN[place(kernel)].load(Ordering::Relaxed);
    match Kind::from_bits(word) {
        Kind::Works(class) if word >> KIND_BITS == kernel => Some(class),
        _ => None,
    }
}

#[cold]
#[inline(never)]
fn look_further<D: Driver>(kernel: u64) -> Kind {
    find(kernel).unwrap_or_else(|| ask::<D>(kernel))
}

/// Asks the driver for the name. A driver that does not say has kernels that nobody recognises but by the name they
/// were looked up by.
fn ask<D: Driver>(kernel: u64) -> Kind {
    let _quiet = Undisturbed::<D>::enter();
    let found = match D::kernel_name(kernel) {
        Some(name) => Kind::of::<D>(name.to_bytes()),
        None => Kind::Works(Class::Other),
    };
    remember(kernel, found);
    found
}

/// Handles may come back for other kernels.
pub fn forget() {
    for place in &KNOWN {
        // Relaxed: whoever launches what is loaded next has ordered that after this.
        place.store(0, Ordering::Relaxed);
    }
}

/// Notes a kernel that the program looked up by `name`, at `place`.
///
/// # Safety
///
/// Both are the program's own arguments, valid if the driver accepted them.
pub unsafe fn looked_up<D: Driver, T>(
    result: CodeOf<D>,
    place: *mut *mut T,
    name: *const c_char,
) -> CodeOf<D> {
    if result == D::SUCCESS && !name.is_null() {
        // SAFETY: by the caller's contract.
        let (handle, name) = unsafe { (*place, CStr::from_ptr(name)) };
        remember(
            handle.expose_provenance() as u64,
            Kind::of::<D>(name.to_bytes()),
        );
    }
    result
}

/// Notes that the kernel with the handle `known` has another one.
pub fn also(known: u64, other: u64) {
    if let Some(kind) = find(known) {
        remember(other, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_handle_is_kept_until_it_is_forgotten() {
        let (attention, other) = (Kind::Works(Class::Attention), Kind::Works(Class::Other));
        assert_eq!(find(0x1230), None);
        remember(0x1230, Kind::Communicates);
        remember(0x4560, attention);
        assert_eq!(
            (find(0x1230), find(0x4560)),
            (Some(Kind::Communicates), Some(attention))
        );
        also(0x4560, 0x7890);
        assert_eq!(find(0x7890), Some(attention));
        // Found again for another kernel.
        remember(0x1230, other);
        assert_eq!(find(0x1230), Some(other));
        forget();
        assert_eq!(find(0x1230), None);
    }
}
