//! The table that exported functions hand their calls on to, since version 6, as the real library's has it.
//!
//! It is filled by the first call, and handed to `rocprofiler_register_library_api_table` if somebody exports that: the real
//! library is linked to the one that does.

use crate::{exports, own};
use hip_sys::dispatch::{COUNT, NAMES};
use std::mem::size_of;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

#[repr(C)]
struct Table {
    bytes: usize,
    functions: [AtomicPtr<()>; COUNT],
}

static TABLE: Table = Table {
    bytes: size_of::<Table>(),
    functions: [const { AtomicPtr::new(ptr::null_mut()) }; COUNT],
};

/// The first version with a table.
const SINCE: i32 = 6;

/// What stands at a place of the table; nothing in a version without one.
pub fn function(place: usize) -> Option<*mut ()> {
    static FILLED: Once = Once::new();
    if own::major() < SINCE {
        return None;
    }
    FILLED.call_once(fill);
    let function = TABLE.functions[place].load(Acquire);
    (!function.is_null()).then_some(function)
}

fn fill() {
    for (place, name) in TABLE.functions.iter().zip(NAMES) {
        place.store(exports::own(name).unwrap_or(ptr::null_mut()), Release);
    }
    // SAFETY: a table that lives for ever, of plain words that may be written from elsewhere.
    unsafe { own::register(ptr::from_ref(&TABLE).cast_mut().cast()) };
}
