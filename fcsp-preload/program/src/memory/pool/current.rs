//! Which memory pool stream-ordered allocations of a device come from now.
//!
//! The program may change that at any time, so the answer of the driver is kept by device until it does
//! ([`changed`]). On the path of every stream-ordered allocation: some loads of the [line](crate::line), and with several
//! devices a question whose stream it is.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::device::{self, Device};
use crate::driver::{Driver, StreamOf};
use crate::line::LINE;
use crate::memory::pool::table::{Found, find_or_enter, tagged};
use crate::queue::is_default;

/// A word of [`LINE`]'s is a number that changes whenever another pool is current, above the pool's tag, which is 0 while
/// it is not known. The tag has so many bits.
const TAG_BITS: u32 = 8;

/// The driver's ordinal of the device a stream is of. With one device there is nothing to ask.
#[inline(always)]
fn ordinal_of<D: Driver>(stream: StreamOf<D>) -> Option<i32> {
    match device::is_only::<D>() {
        // Relaxed: there is one, which was published with its ordinal.
        true => Some(LINE.first_ordinal.load(Ordering::Relaxed)),
        false => one_of_several::<D>(stream),
    }
}

#[cold]
#[inline(never)]
fn one_of_several<D: Driver>(stream: StreamOf<D>) -> Option<i32> {
    let of_stream = match is_default::<D>(stream) {
        true => None,
        false => ask_stream::<D>(stream),
    };
    Some(of_stream.or_else(device::current::<D>)?.ordinal)
}

fn ask_stream<D: Driver>(stream: StreamOf<D>) -> Option<&'static Device> {
    device::at::<D>(D::ordinal_of_stream(stream)?)
}

/// The pool stream-ordered allocation uses now for `stream`: that of the stream's device.
#[inline(always)]
pub fn of<D: Driver>(stream: StreamOf<D>) -> Option<Found> {
    let ordinal = ordinal_of::<D>(stream)?;
    let place = LINE.current_pools.get(usize::try_from(ordinal).ok()?)?;
    // Acquire pairs with the release in `ask_current`: the pool is entered.
    let word = place.load(Ordering::Acquire);
    let tag = word as u8;
    match tagged(tag) {
        Some(pool) => Some((tag, pool)),
        None => ask_current::<D>(ordinal, place, word),
    }
}

#[cold]
#[inline(never)]
fn ask_current<D: Driver>(ordinal: i32, place: &AtomicU64, word: u64) -> Option<Found> {
    let found = find_or_enter::<D>(D::current_pool(ordinal)?)?;
    // Fails if the program has chosen another one since the driver was asked.
    let _kept = place.compare_exchange(
        word,
        word | u64::from(found.0),
        Ordering::Release,
        Ordering::Relaxed,
    );
    Some(found)
}

/// The pool that stream-ordered allocation uses on that device, on every device for `None`, is another now.
pub fn changed(ordinal: Option<i32>) {
    for (at, place) in LINE.current_pools.iter().enumerate() {
        if ordinal.is_none_or(|ordinal| usize::try_from(ordinal) == Ok(at)) {
            let next = |word: u64| Some(((word >> TAG_BITS) + 1) << TAG_BITS);
            let _always = place.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
        }
    }
}
