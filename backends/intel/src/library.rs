//! The Level Zero loader, loaded at run time.
//!
//! Functions are looked up when they are called: these calls are rare, and an old loader then lacks only what it lacks.

use fcsp_core::backend::{BackendError, Vendor};
use libloading::Library;
use std::ffi::c_char;

/// The loader's name.
pub(crate) const LOADER: &str = "libze_loader.so.1";

/// The loader.
pub(crate) fn open() -> Result<Library, BackendError> {
    // SAFETY: running the constructors of the loader is what every program that uses it does.
    unsafe { Library::new(LOADER) }.map_err(|error| BackendError::NoLibrary {
        vendor: Vendor::Intel,
        reason: error.to_string(),
    })
}

/// The function of that name, typed as the caller says: use [`call`], which takes the type from the bindings.
pub(crate) fn function<T: Copy>(library: &Library, name: &'static str) -> Result<T, BackendError> {
    // SAFETY: callers name a `fn_types` type of the same name, which is the header's own prototype.
    let symbol = unsafe { library.get::<T>(name.as_bytes()) };
    symbol
        .map(|symbol| *symbol)
        .map_err(|_| BackendError::Absent {
            vendor: Vendor::Intel,
            call: name,
        })
}

/// Calls the function of that name: its type comes from the bindings, its code becomes a `Result`.
macro_rules! call {
    ($library:expr, $name:ident($($argument:expr),* $(,)?)) => {
        $crate::library::function::<level_zero_sys::fn_types::$name>($library, stringify!($name))
            .and_then(|function| {
                // SAFETY: the type is the one the header gives this name, the loader is thread-safe and initialized, and
                // the arguments are handles of its own and pointers to live values of the caller.
                let result = unsafe { function($($argument),*) };
                $crate::error::check(stringify!($name), result)
            })
    };
}
pub(crate) use call;

/// Level Zero's way to return a list: asked without room, it says how many there are.
pub(crate) fn list<T: Copy>(
    empty: T,
    ask: impl Fn(*mut u32, *mut T) -> Result<(), BackendError>,
) -> Result<Vec<T>, BackendError> {
    let mut count = 0;
    ask(&mut count, std::ptr::null_mut())?;
    let mut found = vec![empty; count as usize];
    if count > 0 {
        ask(&mut count, found.as_mut_ptr())?;
        found.truncate(count as usize);
    }
    Ok(found)
}

/// The text that a library wrote into `buffer`.
pub(crate) fn text(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
