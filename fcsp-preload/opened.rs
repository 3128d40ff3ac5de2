// A driver, opened as a program opens it. Included by the tests of the preload libraries; not part of any crate.

use std::ffi::{CStr, CString, c_void};

/// A library, opened.
pub struct Library(*mut c_void);

// SAFETY: a handle of dlopen belongs to the process, not to a thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// Opens a library by name or path.
    pub fn open(name: &CStr) -> Self {
        // SAFETY: a name; the library's initializers are the Rust runtime's.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{name:?} cannot be opened");
        Self(handle)
    }

    /// A function by name; `F` is its type in the bindings.
    pub fn function<F: Copy>(&self, name: &str) -> F {
        let symbol = CString::new(name).expect("no NUL");
        // SAFETY: an open handle and a NUL-terminated name.
        let address = unsafe { libc::dlsym(self.0, symbol.as_ptr()) };
        assert!(!address.is_null(), "{name} is not there");
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: both are pointers; the caller names the type generated for this symbol.
        unsafe { std::mem::transmute_copy(&address) }
    }
}
