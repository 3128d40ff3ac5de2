//! Finds the C library's own `dlsym`, `dlvsym` and `dlopen`.
//!
//! Our library exports `dlsym` and `dlvsym`, so the names alone lead back to us; other preloaded tools export them too.
//! The real ones are read from the C library's symbol table. That also keeps newer symbol versions (`dlopen` moved into
//! libc in glibc 2.34) out of our import list, so the library loads in old containers.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ops::ControlFlow;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::elf;

/// Type of `dlsym`.
pub type DlSym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
/// Type of `dlvsym`.
pub type DlVSym = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> *mut c_void;
type DlOpen = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;

/// A function of the C library's, looked up on first use.
struct LinkerFunction {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

impl LinkerFunction {
    const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            address: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn address(&self) -> Option<*mut c_void> {
        // Relaxed: the address of code that has been mapped since the process started.
        let address = self.address.load(Ordering::Relaxed);
        if !address.is_null() {
            return Some(address);
        }
        let address = find(self.name)?;
        self.address.store(address, Ordering::Relaxed);
        Some(address)
    }
}

static DLSYM: LinkerFunction = LinkerFunction::new(c"dlsym");
static DLVSYM: LinkerFunction = LinkerFunction::new(c"dlvsym");
static DLOPEN: LinkerFunction = LinkerFunction::new(c"dlopen");

/// Before glibc 2.34 these functions lived in libdl; in musl everything is in the loader.
const C_LIBRARIES: &[&[u8]] = &[b"libc.so", b"libdl.so", b"ld-musl-", b"libc.musl-"];

fn find(name: &CStr) -> Option<*mut c_void> {
    elf::visit(|object| {
        let file = object.file_name();
        if !C_LIBRARIES.iter().any(|library| file.starts_with(library)) {
            return ControlFlow::Continue(());
        }
        match object.function(name) {
            Some(address) => ControlFlow::Break(address),
            None => ControlFlow::Continue(()),
        }
    })
}

/// Whether two addresses lie in one loaded object.
pub fn in_one_object(one: *const c_void, other: *const c_void) -> bool {
    elf::visit(|object| {
        if object.contains(one) {
            return ControlFlow::Break(object.contains(other));
        }
        ControlFlow::Continue(())
    })
    .unwrap_or(false)
}

/// The C library's `dlsym`.
pub fn real_dlsym() -> Option<DlSym> {
    // SAFETY: the C library's declaration of `dlsym`.
    DLSYM
        .address()
        .map(|address| unsafe { core::mem::transmute::<*mut c_void, DlSym>(address) })
}

/// The C library's `dlvsym`.
pub fn real_dlvsym() -> Option<DlVSym> {
    // SAFETY: the C library's declaration of `dlvsym`.
    DLVSYM
        .address()
        .map(|address| unsafe { core::mem::transmute::<*mut c_void, DlVSym>(address) })
}

/// Looks a name up in a handle, past every interposer.
///
/// # Safety
///
/// `handle` is one that the dynamic linker gave out, or one of its special handles.
pub unsafe fn dlsym(handle: *mut c_void, name: &CStr) -> Option<*mut c_void> {
    let dlsym = real_dlsym()?;
    // SAFETY: the handle by contract; `name` is a string.
    // The dynamic linker looks at its caller's address, so this must stay a call and not become a jump.
    let found = core::hint::black_box(unsafe { dlsym(handle, name.as_ptr()) });
    (!found.is_null()).then_some(found)
}

/// Looks a name up in the program, what it is linked to and what is preloaded: not in the library that asks, unless it is
/// one of these.
pub fn in_program(name: &CStr) -> Option<*mut c_void> {
    let address = DLOPEN.address()?;
    // SAFETY: the C library's declaration of `dlopen`.
    let dlopen = unsafe { core::mem::transmute::<*mut c_void, DlOpen>(address) };
    // SAFETY: without a name it gives the program's handle and loads nothing.
    let program = core::hint::black_box(unsafe { dlopen(ptr::null(), libc::RTLD_LAZY) });
    // SAFETY: a handle that the dynamic linker gave out.
    unsafe { dlsym(program, name) }
}

/// Opens a library, past every interposer.
pub fn dlopen(soname: &CStr, flags: c_int) -> Option<*mut c_void> {
    let address = DLOPEN.address()?;
    // SAFETY: the C library's declaration of `dlopen`.
    let dlopen = unsafe { core::mem::transmute::<*mut c_void, DlOpen>(address) };
    // SAFETY: `soname` is a string; initializers of a vendor library may run, as if the program had opened it.
    let handle = core::hint::black_box(unsafe { dlopen(soname.as_ptr(), flags) });
    (!handle.is_null()).then_some(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_functions_are_the_c_librarys() {
        // Nothing interposes on this test, so the plain names lead to the same place.
        assert_eq!(
            real_dlsym().map(|f| f as usize),
            Some(libc::dlsym as *const () as usize)
        );
        assert_eq!(
            real_dlvsym().map(|f| f as usize),
            Some(libc::dlvsym as *const () as usize)
        );
        assert_eq!(
            DLOPEN.address().map(|f| f.addr()),
            Some(libc::dlopen as *const () as usize)
        );
    }

    #[test]
    fn functions_of_one_library_lie_in_one_object() {
        let (open, close) = (libc::dlopen as *const (), libc::dlclose as *const ());
        assert!(in_one_object(open.cast(), close.cast()));
        let ours = in_one_object as *const ();
        assert!(!in_one_object(ours.cast(), open.cast()));
        assert!(!in_one_object(ptr::null(), open.cast()));
    }

    #[test]
    fn a_library_that_is_not_loaded_is_not_loaded_by_asking() {
        assert!(
            dlopen(
                c"libfcsp-no-such-library.so",
                libc::RTLD_LAZY | libc::RTLD_NOLOAD
            )
            .is_none()
        );
        assert!(dlopen(c"libc.so.6", libc::RTLD_LAZY | libc::RTLD_NOLOAD).is_some());
    }
}
