//! Which memory pool stream-ordered allocations of a device come from now.
//!
//! The program may change that at any time, so the answer of the driver is kept by device until it does
//! ([`changed`]). On the path of every stream-ordered allocation: two loads, and with several devices a question whose
//! stream it is.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::device::{self, DEVICES_MAX, Device};
use crate::driver::{Driver, StreamOf};
use crate::memory::pool::table::{Found, find_or_enter, tagged};
use crate::queue::is_default;

/// The pool stream-ordered allocation takes from, by device: a number that changes whenever that does, above the
/// pool's tag, which is 0 while it is not known.
static CURRENT: [AtomicU64; DEVICES_MAX] = [const { AtomicU64::new(0) }; DEVICES_MAX];
const TAG_BITS: u32 = 8;

/// The device a stream is of. With one device there is nothing to ask.
#[inline]
fn device_of_stream<D: Driver>(stream: StreamOf<D>) -> Option<&'static Device> {
    if is_default::<D>(stream) || device::is_only::<D>() {
        return device::current::<D>();
    }
    ask_stream::<D>(stream).or_else(device::current::<D>)
}

#[cold]
fn ask_stream<D: Driver>(stream: StreamOf<D>) -> Option<&'static Device> {
    device::at::<D>(D::ordinal_of_stream(stream)?)
}

/// The pool stream-ordered allocation uses now for `stream`: that of the stream's device.
#[inline]
pub fn of<D: Driver>(stream: StreamOf<D>) -> Option<Found> {
    let device = device_of_stream::<D>(stream)?;
    let place = CURRENT.get(usize::try_from(device.ordinal).ok()?)?;
    // Acquire pairs with the release in `ask_current`: the pool is entered.
    let word = place.load(Ordering::Acquire);
    let tag = word as u8;
    match tagged(tag) {
        Some(pool) => Some((tag, pool)),
        None => ask_current::<D>(device, place, word),
    }
}

#[cold]
fn ask_current<D: Driver>(device: &Device, place: &AtomicU64, word: u64) -> Option<Found> {
    let found = find_or_enter::<D>(D::current_pool(device.ordinal)?)?;
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
    for (at, place) in CURRENT.iter().enumerate() {
        if ordinal.is_none_or(|ordinal| usize::try_from(ordinal) == Ok(at)) {
            let next = |word: u64| Some(((word >> TAG_BITS) + 1) << TAG_BITS);
            let _always = place.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
        }
    }
}
