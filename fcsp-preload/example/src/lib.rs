//! A complete preload library over a toy vendor, small enough to read in one go.
//!
//! The toy driver (`tests/c/toy.c`) has what makes real drivers hard: versioned symbols, a lookup function of its own,
//! public functions that call each other, a function the table names and the driver lacks. `tests/preload.rs` loads this
//! library into C programs with `LD_PRELOAD` and looks at what they see.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// What a bindings crate generates from a vendor's header.
mod toy_sys {
    macro_rules! declare {
        ($(fn $name:ident($($argument:ident: $ty:ty),*) -> $result:ty;)*) => {
            #[allow(non_camel_case_types)]
            pub mod fn_types {
                use core::ffi::{c_char, c_int, c_void};
                $( pub type $name = unsafe extern "C" fn($($ty),*) -> $result; )*
            }
            #[allow(unused_macros, unused_imports)]
            pub mod signature {
                $( declare!(@signature ($) $name ($($argument: $ty),*) $result); )*
            }
        };
        (@signature ($d:tt) $name:ident ($($argument:ident: $ty:ty),*) $result:ty) => {
            macro_rules! $name {
                ($d callback:path, $d($d head:tt)*) => {
                    $d callback! { $d($d head)* fn $name($($argument: $ty),*) -> $result }
                };
            }
            pub(crate) use $name;
        };
    }
    declare! {
        fn toyAlloc(pointer: *mut u64, bytes: usize) -> c_int;
        fn toyAllocTwice(pointer: *mut u64, bytes: usize) -> c_int;
        fn toyFree(pointer: u64) -> c_int;
        fn toyLaunch(kernel: c_int) -> c_int;
        fn toyQuickLaunch(kernel: c_int) -> c_int;
        fn toyFind(name: *const c_char, function: *mut *mut c_void) -> c_int;
        fn toyCharged() -> usize;
        fn toyLacking(value: c_int) -> c_int;
        fn toyDriverCalls() -> c_int;
    }
}

/// Most a program may allocate at once.
const QUOTA_BYTES: usize = 1 << 20;
/// The toy vendor's codes.
const OUT_OF_MEMORY: c_int = 2;
const ABSENT: c_int = 500;
const FAILED: c_int = 999;
/// A kernel that makes the launch handler panic before it calls the driver, and one for after.
const PANIC_BEFORE: c_int = 13;
const PANIC_AFTER: c_int = 14;

static CHARGED_BYTES: AtomicUsize = AtomicUsize::new(0);

unsafe fn alloc(real: toy_sys::fn_types::toyAlloc, pointer: *mut u64, bytes: usize) -> c_int {
    if bytes > QUOTA_BYTES {
        return OUT_OF_MEMORY;
    }
    CHARGED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    // SAFETY: the program's own arguments.
    unsafe { real(pointer, bytes) }
}

unsafe fn free(real: toy_sys::fn_types::toyFree, pointer: u64) -> c_int {
    assert!(pointer != PANIC_BEFORE as u64, "a bug, for the test");
    // SAFETY: the program's own argument.
    unsafe { real(pointer) }
}

unsafe fn launch(real: toy_sys::fn_types::toyLaunch, kernel: c_int) -> c_int {
    assert!(kernel != PANIC_BEFORE, "a bug, for the test");
    // SAFETY: the program's own argument.
    let result = unsafe { real(kernel) };
    assert!(kernel != PANIC_AFTER, "a bug, for the test");
    result
}

unsafe fn slow_launch(_: toy_sys::fn_types::toyQuickLaunch, _: c_int) -> c_int {
    FAILED
}

fn nobody_else_is_active() -> bool {
    true
}

unsafe fn find(
    real: toy_sys::fn_types::toyFind,
    name: *const c_char,
    function: *mut *mut c_void,
) -> c_int {
    // SAFETY: the program's own arguments; the driver has checked them when it returns success.
    unsafe {
        let result = real(name, function);
        if result == 0 {
            *function =
                fcsp_preload::procaddr::substitute(&TOY, *function, Some(CStr::from_ptr(name)));
        }
        result
    }
}

unsafe fn charged(_: toy_sys::fn_types::toyCharged) -> usize {
    CHARGED_BYTES.load(Ordering::Relaxed)
}

unsafe fn lacking(real: toy_sys::fn_types::toyLacking, value: c_int) -> c_int {
    // SAFETY: the program's own argument.
    unsafe { real(value) }
}

fcsp_preload::hooks! {
    /// The toy vendor's functions.
    pub static TOY;
    /// The toy driver's own functions.
    pub mod toy;
    library c"libtoy.so.1";
    types crate::toy_sys::fn_types;
    signatures crate::toy_sys::signature;
    absent ABSENT as _;
    failed FAILED as _;

    account toyAlloc => alloc, "bytes are charged before the driver sees them";
    account toyAllocTwice => alloc, "the driver calls its public toyAlloc for this";
    account toyFree => free, "fails closed";
    gate toyLaunch => launch, "fails open";
    gate toyQuickLaunch => slow_launch, unless nobody_else_is_active, "goes past the handler when alone";
    virtualize toyFind => find, "hands out our wrappers";
    virtualize toyCharged => charged, "lets a program see what was charged";
    virtualize toyLacking => lacking, "this driver does not have it";
    forward toyDriverCalls, "tells a program how often the driver was called";
    opaque toyInternal, "not in the header";
}

fcsp_preload::export_dlsym!(&TOY);
