//! The exported `dlsym` and `dlvsym`: programs that look a driver's functions up get our wrappers.
//!
//! Both entries are a few instructions that ask [`enter`] where to go and then *jump* there. For every name that is not
//! in a table that is the C library's own function, which then sees the caller's return address as if we did not exist;
//! `RTLD_NEXT`, which is defined by who calls, works for everybody. Where a second preload library of ours is loaded, it
//! is that one's entry, which does the same for its own tables.
//!
//! For a name in a table, [`answer`] asks the C library first. Only if what it finds is the vendor's own function for
//! that row, compared by address, does the program get our wrapper. So a function the driver lacks is still missing,
//! another interposer's function is still its own, and cuDNN's `cu…` names are none of our business.
//!
//! [`export_dlsym!`](crate::export_dlsym) puts the two entries into a library. They hold no lock and do not allocate.

use core::ffi::{CStr, c_char, c_void};
use core::ops::ControlFlow;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::table::{Hook, Table};
use crate::{elf, resolve};

/// Where one of the exported entries jumps to.
pub type Target = *const c_void;

/// Decides a lookup: the C library's function `real` for a stranger's name, else `answer`, which takes the same
/// arguments.
///
/// # Safety
///
/// `name` is null or a NUL-terminated string; `answer` and `real` are code addresses.
pub unsafe fn enter(
    tables: &[&Table],
    handle: *mut c_void,
    name: *const c_char,
    caller: *const c_void,
    answer: Target,
    real: Target,
) -> Target {
    if real.is_null() {
        // Nothing was found to jump to: `answer` then answers null to everything.
        return answer;
    }
    if name.is_null() {
        return real;
    }
    // SAFETY: a string, by contract.
    let Some((_, hook)) = (unsafe { find(tables, name) }) else {
        return real;
    };
    if handle == libc::RTLD_NEXT && !next_is_ours_to_give(hook, caller) {
        return real;
    }
    answer
}

/// Answers a lookup of a name in a table; `real` does the same lookup in the C library, called from this library.
///
/// # Safety
///
/// `name` is a NUL-terminated string, `real` returns what the C library finds for the program's handle and `name`.
pub unsafe fn answer(
    tables: &[&Table],
    name: *const c_char,
    real: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    let found = real();
    if found.is_null() {
        return found;
    }
    // SAFETY: a string, by contract.
    let Some((table, hook)) = (unsafe { find(tables, name) }) else {
        return found;
    };
    substitute(table, hook, found)
}

/// What a program gets that was to get `found` for the name of `hook`.
fn substitute(table: &Table, hook: &Hook, found: *mut c_void) -> *mut c_void {
    let (Some(wrapper), Some(real)) = (hook.wrapper, hook.real) else {
        return found;
    };
    let wrapper = wrapper.address().cast_mut();
    if found == wrapper {
        // A lookup in the global scope, where we come first. Without us it would have found the driver's function,
        // if the driver is there and has it, or what another library defines, or nothing.
        return match real.address_if_loaded() {
            Some(_) => wrapper,
            None if table.library.loaded().is_some() => ptr::null_mut(),
            None => next_after_us(hook.name),
        };
    }
    if real.address_if_loaded() == Some(found) {
        wrapper
    } else {
        found
    }
}

/// The row of a name that we have a wrapper for.
unsafe fn find<'a>(
    tables: &[&'a Table],
    name: *const c_char,
) -> Option<(&'a Table, &'static Hook)> {
    tables.iter().find_map(|table| {
        // SAFETY: passed on from the caller.
        let hook = unsafe { table.find(name) }?;
        hook.wrapper.is_some().then_some((*table, hook))
    })
}

/// What the global scope holds for a name behind this library.
fn next_after_us(name: &CStr) -> *mut c_void {
    // SAFETY: a special handle, which every caller may use.
    unsafe { resolve::dlsym(libc::RTLD_NEXT, name) }.unwrap_or(ptr::null_mut())
}

/// Whether `RTLD_NEXT`, asked by the object that holds `caller`, would come upon the driver's function or our export
/// of it, so that the answer may be ours. Anything else that would be found is another interposer's business.
fn next_is_ours_to_give(hook: &Hook, caller: *const c_void) -> bool {
    let ours = next_is_ours_to_give as *const c_void;
    let driver = hook.real.and_then(|real| real.address_if_loaded());
    let behind_us = next_after_us(hook.name);
    let mut caller_seen = false;
    elf::visit(|object| {
        if object.contains(ours) {
            // A caller before us reaches our export first; what it stands for is what comes behind us. A caller behind
            // us must also be before the driver, and nothing may stand between.
            return if caller_seen {
                ControlFlow::Break(true)
            } else if driver.is_some_and(|driver| driver == behind_us) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(false)
            };
        }
        if object.contains(caller) {
            caller_seen = true;
        } else if driver.is_some_and(|driver| object.contains(driver)) {
            return ControlFlow::Break(caller_seen);
        } else if caller_seen && object.defines(hook.name) {
            return ControlFlow::Break(false);
        }
        ControlFlow::Continue(())
    })
    .unwrap_or(false)
}

/// Exported by every preload library of ours, so that those before it know it.
const MARK: &CStr = c"fcsp_preload_library";

/// Where names that are in no table of ours go: to the next preload library of ours behind this one, which has tables of
/// its own and jumps on, else to the C library. Null until it is looked up.
struct Beyond {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

impl Beyond {
    const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            address: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn target(&self, of_c_library: impl FnOnce() -> Target) -> Target {
        // Relaxed: the address of code that has been mapped since the process started.
        let known = self.address.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        let found = self.next_of_ours().unwrap_or_else(of_c_library);
        self.address.store(found.cast_mut(), Ordering::Relaxed);
        found
    }

    /// The function of the next library of ours. Two of them serve programs on machines with devices of two vendors.
    #[cold]
    fn next_of_ours(&self) -> Option<Target> {
        let ours = ptr::from_ref(self).cast();
        let mut passed = false;
        elf::visit(|object| {
            if object.contains(ours) {
                passed = true;
            } else if passed
                && object.defines(MARK)
                && let Some(next) = object.function(self.name)
            {
                return ControlFlow::Break(next.cast_const());
            }
            ControlFlow::Continue(())
        })
    }
}

static DLSYM: Beyond = Beyond::new(c"dlsym");
static DLVSYM: Beyond = Beyond::new(c"dlvsym");

/// Where a lookup by `dlsym` goes that is none of ours: a jump target.
pub fn real_dlsym() -> Target {
    DLSYM.target(|| resolve::real_dlsym().map_or(ptr::null(), |dlsym| dlsym as Target))
}

/// Where a lookup by `dlvsym` goes that is none of ours: a jump target.
pub fn real_dlvsym() -> Target {
    DLVSYM.target(|| resolve::real_dlvsym().map_or(ptr::null(), |dlvsym| dlvsym as Target))
}

/// Exports `dlsym` and `dlvsym` from the library this expands in, answering for the given tables.
///
/// Once per shared library, at module level: `fcsp_preload::export_dlsym!(&CUDA, &NVML);`. In unit tests nothing is
/// exported. The library must be linked with `-Bsymbolic-functions` (from its `build.rs`): else the tables' own
/// references to the wrappers could be taken over by another preloaded tool that exports the same names.
#[macro_export]
macro_rules! export_dlsym {
    ($($table:expr),+ $(,)?) => {
        #[cfg(not(test))]
        #[allow(non_upper_case_globals)]
        mod exported_dlsym {
            use super::*;
            use ::core::ffi::{c_char, c_void};

            static TABLES: &[&$crate::Table] = &[$($table),+];

            /// Tells preload libraries of ours before this one that it is another.
            #[unsafe(no_mangle)]
            #[used]
            pub static fcsp_preload_library: u8 = 0;

            extern "C" fn enter_dlsym(handle: *mut c_void, name: *const c_char, caller: *const c_void) -> *const c_void {
                let real = $crate::dlsym::real_dlsym();
                // SAFETY: the program's own arguments to `dlsym`; both targets take them as they are.
                unsafe { $crate::dlsym::enter(TABLES, handle, name, caller, answer_dlsym as *const c_void, real) }
            }

            extern "C" fn answer_dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
                let Some(real) = $crate::resolve::real_dlsym() else { return ::core::ptr::null_mut() };
                // SAFETY: `name` is in a table, so it is a string.
                unsafe { $crate::dlsym::answer(TABLES, name, || real(handle, name)) }
            }

            extern "C" fn enter_dlvsym(
                handle: *mut c_void,
                name: *const c_char,
                _version: *const c_char,
                caller: *const c_void,
            ) -> *const c_void {
                let real = $crate::dlsym::real_dlvsym();
                // SAFETY: the program's own arguments to `dlvsym`; both targets take them as they are.
                unsafe { $crate::dlsym::enter(TABLES, handle, name, caller, answer_dlvsym as *const c_void, real) }
            }

            extern "C" fn answer_dlvsym(
                handle: *mut c_void,
                name: *const c_char,
                version: *const c_char,
            ) -> *mut c_void {
                let Some(real) = $crate::resolve::real_dlvsym() else { return ::core::ptr::null_mut() };
                // SAFETY: `name` is in a table, so it is a string.
                unsafe { $crate::dlsym::answer(TABLES, name, || real(handle, name, version)) }
            }

            /// `dlsym(3)`, aware of the hook tables.
            ///
            /// # Safety
            ///
            /// As `dlsym(3)`.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
                $crate::dlsym_entry!(enter_dlsym, 2)
            }

            /// `dlvsym(3)`, aware of the hook tables.
            ///
            /// # Safety
            ///
            /// As `dlvsym(3)`.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn dlvsym(
                handle: *mut c_void,
                name: *const c_char,
                version: *const c_char,
            ) -> *mut c_void {
                $crate::dlsym_entry!(enter_dlvsym, 3)
            }
        }
    };
}

/// The body of an exported entry with that many arguments: keep them, call `$enter` with the return address as one more,
/// jump to what it returned.
#[doc(hidden)]
#[macro_export]
#[cfg(target_arch = "x86_64")]
macro_rules! dlsym_entry {
    ($enter:ident, 2) => {
        $crate::dlsym_entry!(@body $enter, "mov rdx, [rsp + 24]")
    };
    ($enter:ident, 3) => {
        $crate::dlsym_entry!(@body $enter, "mov rcx, [rsp + 24]")
    };
    (@body $enter:ident, $caller:literal) => {
        ::core::arch::naked_asm!(
            "endbr64",
            // At entry the stack is 8 bytes off its alignment; three words make it right for the call.
            "push rdi",
            "push rsi",
            "push rdx",
            $caller,
            "call {enter}",
            "pop rdx",
            "pop rsi",
            "pop rdi",
            "jmp rax",
            enter = sym $enter,
        )
    };
}

/// The body of an exported entry with that many arguments: keep them, call `$enter` with the return address as one more,
/// jump to what it returned.
#[doc(hidden)]
#[macro_export]
#[cfg(target_arch = "aarch64")]
macro_rules! dlsym_entry {
    ($enter:ident, 2) => {
        $crate::dlsym_entry!(@body $enter, "mov x2, x30")
    };
    ($enter:ident, 3) => {
        $crate::dlsym_entry!(@body $enter, "mov x3, x30")
    };
    (@body $enter:ident, $caller:literal) => {
        ::core::arch::naked_asm!(
            "hint 34", // bti c
            "stp x29, x30, [sp, #-48]!",
            "mov x29, sp",
            "stp x0, x1, [sp, #16]",
            "str x2, [sp, #32]",
            $caller,
            "bl {enter}",
            // An indirect branch through x16 may land on any function's first instruction.
            "mov x16, x0",
            "ldp x0, x1, [sp, #16]",
            "ldr x2, [sp, #32]",
            "ldp x29, x30, [sp], #48",
            "br x16",
            enter = sym $enter,
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Library, Real, Verb, table};

    static LIBC: Library = Library::new(&[c"libc.so.6"]);
    type Abs = unsafe extern "C" fn(i32) -> i32;
    // SAFETY: the C library's declarations.
    static ABS: Real<Abs> = unsafe { Real::new(c"abs", &LIBC) };
    // SAFETY: never called, since it does not exist.
    static LACKING: Real<Abs> = unsafe { Real::new(c"fcsp_lacking", &LIBC) };

    unsafe extern "C" fn wrapper(value: i32) -> i32 {
        value
    }

    const fn hook(real: &'static Real<Abs>, wrapper: Option<table::Wrapper>) -> Hook {
        let symbol = real.symbol();
        Hook {
            name: symbol.name(),
            verb: Verb::Virtualize,
            reason: "test",
            wrapper,
            real: Some(symbol),
        }
    }

    static ROWS: &[Hook] = &[
        hook(&ABS, Some(table::Wrapper::new(wrapper as *const ()))),
        hook(&LACKING, Some(table::Wrapper::new(wrapper as *const ()))),
    ];
    static TABLE: Table = Table::new(
        &LIBC,
        ROWS,
        &table::index::<{ table::slots(2) }>(&["abs", "fcsp_lacking"]),
    );

    fn ours() -> *mut c_void {
        wrapper as *mut c_void
    }

    fn answered(name: &CStr, found: *mut c_void) -> *mut c_void {
        // SAFETY: a valid name; what the C library finds is made up.
        unsafe { answer(&[&TABLE], name.as_ptr(), || found) }
    }

    #[test]
    fn only_the_drivers_own_function_is_replaced() {
        let driver = ABS.symbol().address().expect("abs exists");
        assert_eq!(answered(c"abs", driver), ours());
        let stranger = libc::labs as *mut c_void;
        assert_eq!(
            answered(c"abs", stranger),
            stranger,
            "another library's function of the same name"
        );
        assert_eq!(
            answered(c"abs", ptr::null_mut()),
            ptr::null_mut(),
            "not found stays not found"
        );
    }

    #[test]
    fn our_own_export_does_not_hide_that_the_driver_lacks_the_function() {
        assert_eq!(answered(c"abs", ours()), ours());
        assert_eq!(answered(c"fcsp_lacking", ours()), ptr::null_mut());
    }

    #[test]
    fn strangers_names_jump_to_the_c_library() {
        let (answer, real) = (1 as Target, 2 as Target);
        let go = |name: *const c_char, handle| {
            // SAFETY: null or a valid name; the targets are only compared.
            unsafe { enter(&[&TABLE], handle, name, ptr::null(), answer, real) }
        };
        assert_eq!(go(c"malloc".as_ptr(), libc::RTLD_DEFAULT), real);
        assert_eq!(go(c"abs".as_ptr(), libc::RTLD_DEFAULT), answer);
        assert_eq!(go(ptr::null(), libc::RTLD_DEFAULT), real);
        assert_eq!(
            go(c"abs".as_ptr(), libc::RTLD_NEXT),
            real,
            "an unknown caller's RTLD_NEXT is left alone"
        );
    }
}
