//! A driver, opened as a program opens it, with typed functions.

use std::ffi::{CStr, CString, c_void};

/// Calls a function of a driver by its exported name.
#[macro_export]
macro_rules! cu {
    ($cuda:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        let function: cuda_sys::fn_types::$name = $cuda.function(stringify!($name));
        #[allow(clippy::macro_metavars_in_unsafe, reason = "a call is all the macro makes")]
        // SAFETY: the arguments are what the vendor's header wants of this function, or what it refuses.
        unsafe { function($($arg),*) }
    }};
}

/// Calls a function that must succeed.
#[macro_export]
macro_rules! ok {
    ($cuda:expr, $name:ident($($arg:expr),* $(,)?)) => {
        assert_eq!($crate::cu!($cuda, $name($($arg),*)), cuda_sys::CUresult::CUDA_SUCCESS, stringify!($name))
    };
}

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

    /// A function by name; `F` is its type in `cuda_sys::fn_types`.
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
