//! A vendor library, loaded at run time.
//!
//! Functions are looked up when they are called: these calls are rare, and an old library then lacks only what it lacks.

use fcsp_core::backend::{BackendError, Vendor};
use std::ffi::c_char;

/// The first of those libraries that is installed.
pub(crate) fn open(names: &[&str]) -> Result<libloading::Library, BackendError> {
    let mut first = None;
    for name in names {
        // SAFETY: running the constructors of the vendor's own library is what every program that uses it does.
        match unsafe { libloading::Library::new(name) } {
            Ok(library) => return Ok(library),
            Err(error) => first.get_or_insert(error.to_string()),
        };
    }
    Err(BackendError::NoLibrary {
        vendor: Vendor::Amd,
        reason: first.unwrap_or_default(),
    })
}

/// The function of that name, typed as the caller says: use [`call`], which takes the type from the bindings.
pub(crate) fn function<T: Copy>(
    library: &libloading::Library,
    name: &'static str,
) -> Result<T, BackendError> {
    // SAFETY: callers name a `fn_types` type of the same name, which is the vendor's own prototype.
    let symbol = unsafe { library.get::<T>(name.as_bytes()) };
    symbol
        .map(|symbol| *symbol)
        .map_err(|_| BackendError::Absent {
            vendor: Vendor::Amd,
            call: name,
        })
}

/// Calls the function of that name: its type comes from the bindings, its status becomes a `Result`.
macro_rules! call {
    ($library:expr, $name:ident($($argument:expr),* $(,)?)) => {
        $crate::library::function::<rocm_smi_sys::fn_types::$name>($library, stringify!($name))
            .and_then(|function| {
                // SAFETY: the type is the one the vendor's header gives this name, the library is thread-safe and
                // initialized for as long as it is asked, and the arguments are pointers to live values of the caller
                // and their sizes.
                let status = unsafe { function($($argument),*) };
                $crate::error::check(stringify!($name), status)
            })
    };
}
pub(crate) use call;

/// The text that a library wrote into `buffer`.
pub(crate) fn text(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
