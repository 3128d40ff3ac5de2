//! The runtime's dispatch table as a second way in: for calls that reach an exported function of the driver by neither the
//! linker nor `dlsym`.
//!
//! The driver hands its table to `rocprofiler_register_library_api_table`, a function of librocprofiler-register that it
//! is linked to, when it is called for the first time. Ours stands before that. It passes the table on, so that a profiler
//! wraps the driver's functions first, and then puts our wrappers into it. What stood there is what handlers call from
//! then on: a call comes through a wrapper once, whichever way it came, and through the profiler's after that. The one
//! call that is under way then is inside a wrapper, and the guard passes it on.
//!
//! Nothing here makes us a tool: a library that exports `rocprofiler_configure` has the whole profiler loaded into every
//! program. A driver that is built without rocprofiler-register (Debian's is) has no such table.

use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicBool, Ordering};

use fcsp_preload::{Library, Real, log, resolve};
use hip_sys::dispatch::{NAME, NAMES, NO_TOOLS, Register};

use crate::hooks::{HIP, HIP_7, hip};

static REGISTER_LIBRARY: Library = Library::new(&[c"librocprofiler-register.so.0"]);
// SAFETY: its declaration in rocprofiler-register.h.
static REGISTER: Real<Register> =
    unsafe { Real::new(c"rocprofiler_register_library_api_table", &REGISTER_LIBRARY) };

/// Versions of the driver whose table is known, of which a number is made by multiplying with [`VERSION_UNIT`].
const MAJORS: core::ops::RangeInclusive<u32> = 6..=7;
const VERSION_UNIT: u32 = 10_000;

/// Hands a library's tables to whoever wants them; into the driver's own we put our wrappers.
///
/// # Safety
///
/// As rocprofiler-register.h says of `rocprofiler_register_library_api_table`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rocprofiler_register_library_api_table(
    name: *const c_char,
    import: *const c_void,
    version: u32,
    tables: *mut *mut c_void,
    count: u64,
    identifier: *mut u64,
) -> u32 {
    let behind_us = REGISTER.symbol().address_if_loaded().and(REGISTER.get());
    // SAFETY: the caller's own call, passed on.
    let answer = behind_us
        .map(|register| unsafe { register(name, import, version, tables, count, identifier) });
    // SAFETY: by the contract, a string and `count` tables.
    unsafe {
        let is_ours = !name.is_null() && CStr::from_ptr(name) == NAME;
        if is_ours && MAJORS.contains(&(version / VERSION_UNIT)) && count > 0 && !tables.is_null() {
            enter((*tables).cast(), import);
        }
    }
    answer.unwrap_or(NO_TOOLS)
}

/// Puts our wrappers into the table of the driver that our functions are looked up in; into the first of them, should a
/// process have several.
///
/// # Safety
///
/// `table` is null or the driver's, and no other thread goes through it before this returns.
unsafe fn enter(table: *mut usize, import: *const c_void) {
    static ENTERED: AtomicBool = AtomicBool::new(false);
    // Relaxed: nothing is published by it.
    if table.is_null() || !is_of_the_driver(import) || ENTERED.swap(true, Ordering::Relaxed) {
        return;
    }
    // SAFETY: its size in bytes, the size itself included, stands before the functions.
    let (bytes, functions) = unsafe { (*table, table.add(1).cast::<*mut c_void>()) };
    let places = bytes / size_of::<usize>();
    let mut entered = 0;
    for (at, name) in NAMES.iter().enumerate().take(places.saturating_sub(1)) {
        let rows = HIP.rows.iter().chain(HIP_7.rows);
        let row = rows
            .into_iter()
            .find(|it| it.name.to_bytes() == name.as_bytes());
        let Some((wrapper, real)) = row.and_then(|it| it.wrapper.zip(it.real)) else {
            continue;
        };
        // SAFETY: within the table, by its size.
        let place = unsafe { &mut *functions.add(at) };
        if place.is_null() {
            continue;
        }
        real.calls_go_to(*place);
        *place = wrapper.address().cast_mut();
        entered += 1;
    }
    log::debug!("{entered} functions of the driver's dispatch table come to us");
}

/// Whether a function lies in the library that our rows are looked up in.
fn is_of_the_driver(function: *const c_void) -> bool {
    let exported = hip::hipMalloc.symbol().address_if_loaded();
    exported.is_some_and(|it| resolve::in_one_object(function, it))
}
