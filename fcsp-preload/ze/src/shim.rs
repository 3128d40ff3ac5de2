//! The shim driver: the functions that a loader asks a driver's tables of, and the tables.
//!
//! The real driver fills a table; then every function that has a row in [`crate::hooks`] is replaced by our wrapper, and
//! the wrapper learns where the real one is. What the driver lacks stays lacking.
//!
//! The loader exports functions of the same names, by which it asks itself. Where this library is preloaded such a call
//! arrives here and goes back to the loader. What a loader wants of a *driver* it looks up by `dlsym`, which is ours as
//! well then, and answers with functions of another name ([`GETTERS`]). Where it is not preloaded nobody but a loader
//! comes here.

use core::cell::Cell;
use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::CString;
use std::sync::OnceLock;

use fcsp_preload::table::{self, Wrapper};
use fcsp_preload::{Hook, Library, Table, Verb, log, real::RealSymbol, resolve};
use level_zero_sys::{ddi_tables, ze_api_version_t, ze_result_t};

use crate::hooks::below::DRIVER;
use crate::hooks::loader;

/// Names the driver to stand before, by name or path.
const VARIABLE: &CStr = c"FCSP_ZE_DRIVER";
/// The driver of Intel's GPUs.
const DEFAULT_DRIVER: &CStr = c"libze_intel_gpu.so.1";
/// Of all versions the first half of the number is the same.
const MAJOR: u32 = 1;

static IN_USE: AtomicBool = AtomicBool::new(false);

/// True once a loader has this library as a driver.
#[inline(always)]
pub fn in_use() -> bool {
    // Relaxed: the loader calls nothing in a table before it was filled, and knows when that was.
    IN_USE.load(Ordering::Relaxed)
}

/// This library by its own name: what it exports is what a loader finds when it looks a driver's functions up.
static OWN: Library = Library::new(&[c"libfcsp-ze.so"]);

/// The real driver's handle, kept for ever; null if there is none.
fn driver() -> Option<*mut c_void> {
    static DRIVER: OnceLock<usize> = OnceLock::new();
    let handle = *DRIVER.get_or_init(|| {
        // SAFETY: a C string; programs that change their environment while a loader starts have no luck with loaders.
        let named = unsafe { libc::getenv(VARIABLE.as_ptr()) };
        let name: CString = if named.is_null() {
            DEFAULT_DRIVER.to_owned()
        } else {
            // SAFETY: a C string of the environment.
            unsafe { CStr::from_ptr(named) }.to_owned()
        };
        let opened = resolve::dlopen(&name, libc::RTLD_LAZY | libc::RTLD_LOCAL);
        if opened.is_none() {
            log::info!("there is no Level Zero driver named {name:?}");
        }
        opened.map_or(0, |handle| handle.expose_provenance())
    });
    (handle != 0).then(|| core::ptr::with_exposed_provenance_mut(handle))
}

type Getter<T> = unsafe extern "C" fn(ze_api_version_t, *mut T) -> ze_result_t;

/// A library's function that fills tables of this type.
fn getter_of<T>(library: *mut c_void, name: &CStr) -> Option<Getter<T>> {
    // SAFETY: a handle that is never closed.
    let found = unsafe { resolve::dlsym(library, name) }?;
    // SAFETY: what has this name has this type, in drivers as in the loader.
    Some(unsafe { core::mem::transmute::<*mut c_void, Getter<T>>(found) })
}

thread_local! {
    static ASKING_LOADER: Cell<bool> = const { Cell::new(false) };
}

/// Fills a table for whoever called the export of that name.
fn answer<T>(
    name: &CStr,
    version: ze_api_version_t,
    table: *mut T,
    fill: Getter<T>,
) -> ze_result_t {
    if is_preloaded()
        && !ASKING_LOADER.get()
        && let Some(loaders) = loader::LIBRARY
            .loaded()
            .and_then(|it| getter_of::<T>(it, name))
    {
        ASKING_LOADER.set(true);
        // SAFETY: the loader's own call of its own function.
        let result = unsafe { loaders(version, table) };
        ASKING_LOADER.set(false);
        return result;
    }
    // SAFETY: the caller's own table.
    unsafe { fill(version, table) }
}

/// True if names are looked up here before they are in the loader: then the dynamic linker finds our marks by itself.
fn is_preloaded() -> bool {
    static PRELOADED: OnceLock<bool> = OnceLock::new();
    *PRELOADED.get_or_init(|| {
        let first = resolve::in_program(c"zeGetGlobalProcAddrTable");
        let ours = exports::zeGetGlobalProcAddrTable as *const () as *mut c_void;
        first == Some(ours)
    })
}

/// Has the driver fill a table. An error if there is no driver, or none of that table.
fn fill<T>(name: &CStr, version: ze_api_version_t, table: *mut T) -> ze_result_t {
    if table.is_null() {
        return ze_result_t::ZE_RESULT_ERROR_INVALID_NULL_POINTER;
    }
    if version.0 >> 16 != MAJOR {
        return ze_result_t::ZE_RESULT_ERROR_UNSUPPORTED_VERSION;
    }
    let Some(driver) = driver() else {
        return ze_result_t::ZE_RESULT_ERROR_UNINITIALIZED;
    };
    match getter_of::<T>(driver, name) {
        // SAFETY: the loader's own table, of that version.
        Some(getter) => unsafe { getter(version, table) },
        // As a driver that is older than the table: the loader goes on without it.
        None => ze_result_t::ZE_RESULT_ERROR_UNSUPPORTED_VERSION,
    }
}

/// Replaces a function in a table, if it is there and has a row.
///
/// # Safety
///
/// `field` is a field of a table that the driver has filled.
unsafe fn replace(name: &CStr, field: *mut *const c_void) {
    // SAFETY: by the caller's contract.
    let found = unsafe { *field };
    let Some(hook) = DRIVER.row(name).filter(|_| !found.is_null()) else {
        return;
    };
    let ours = hook.wrapper.map(Wrapper::address);
    if ours == Some(found) {
        return;
    }
    if let Some(real) = hook.real {
        real.found_at(found.cast_mut());
    }
    if let Some(ours) = ours {
        // SAFETY: as above.
        unsafe { *field = ours };
    }
}

macro_rules! name {
    ($name:ident) => {
        const {
            match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("an identifier holds no NUL"),
            }
        }
    };
}

macro_rules! getters {
    ($(table $table:ident from $getter:ident {
        $($field:ident $function:ident since $major:literal $minor:literal;)*
    })*) => {
        /// What drivers export.
        #[allow(non_snake_case)]
        #[cfg_attr(test, allow(dead_code, reason = "tests export nothing"))]
        mod exports {
            use super::*;

            $(
                /// Fills the table of this name, as a driver or as the loader.
                ///
                /// # Safety
                ///
                /// `table` is null or as long as a table of `version` is.
                #[cfg_attr(not(test), unsafe(no_mangle))]
                pub unsafe extern "C" fn $getter(
                    version: ze_api_version_t,
                    table: *mut level_zero_sys::$table,
                ) -> ze_result_t {
                    answer(name!($getter), version, table, fillers::$getter)
                }
            )*
        }

        /// What a loader gets that looks up what we export.
        #[allow(non_snake_case)]
        mod fillers {
            use super::*;

            $(
                /// Fills the table of this name, as a driver.
                ///
                /// # Safety
                ///
                /// `table` is null or as long as a table of `version` is.
                pub unsafe extern "C" fn $getter(
                    version: ze_api_version_t,
                    table: *mut level_zero_sys::$table,
                ) -> ze_result_t {
                    let result = fill(name!($getter), version, table);
                    if result == ze_result_t::ZE_RESULT_SUCCESS {
                        $(if version.0 >= level_zero_sys::version($major, $minor).0 {
                            // SAFETY: a table of this version has the field. Every field is a function's address or
                            // null.
                            unsafe { replace(name!($function), (&raw mut (*table).$field).cast()) };
                        })*
                        IN_USE.store(true, Ordering::Relaxed);
                    }
                    result
                }
            )*
        }

        /// The functions that a loader looks up in a driver.
        pub static GETTERS: Table = {
            const NAMES: &[&str] = &[$(stringify!($getter)),*];
            static ROWS: &[Hook] = &[$(Hook {
                name: name!($getter),
                verb: Verb::Virtualize,
                reason: "the tables of a driver, with our functions in them",
                wrapper: Some(Wrapper::new(fillers::$getter as *const ())),
                real: Some({
                    static EXPORTED: RealSymbol = RealSymbol::new(name!($getter), &OWN);
                    &EXPORTED
                }),
            }),*];
            static INDEX: [u16; table::slots(NAMES.len())] = table::index(NAMES);
            Table::new(&OWN, ROWS, &INDEX)
        };
    };
}
ddi_tables! { getters, }
