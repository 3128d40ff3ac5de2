//! How the functions of a driver are looked up and called: by name with `dlsym`, as a program that opens the library finds
//! them. What is preloaded is found first. Nothing here knows of any sharing system.

use super::Trouble;
use libloading::Library;
use std::ffi::c_void;

/// A function of the driver, or the knowledge that this driver lacks it.
pub(super) struct Entry<T> {
    /// Its symbol.
    pub(super) name: &'static str,
    function: Option<T>,
}

impl<T: Copy> Entry<T> {
    /// The function of that name in a library.
    ///
    /// # Safety
    /// `T` is the type of that function.
    pub(super) unsafe fn find(library: &Library, name: &'static str) -> Self {
        // SAFETY: the address is only carried; the caller gives it its type.
        let address = unsafe { library.get::<*mut c_void>(format!("{name}\0").as_bytes()) }
            .ok()
            .map(|found| *found)
            .filter(|address| !address.is_null());
        Self {
            name,
            // SAFETY: a function pointer, by the caller's contract, has the size of an address.
            function: address
                .map(|address| unsafe { std::mem::transmute_copy::<*mut c_void, T>(&address) }),
        }
    }

    /// The function, to be called many times without looking whether it is there.
    #[inline]
    pub(super) fn get(&self) -> Result<T, Trouble> {
        self.function
            .ok_or_else(|| Trouble::new(format!("this driver has no {}", self.name)))
    }

    /// Whether this driver has it.
    pub(super) fn is_there(&self) -> bool {
        self.function.is_some()
    }
}

/// What a driver's functions return.
pub(super) trait Status: Copy {
    /// Turns anything but success into an error that names the function.
    fn check(self, name: &str) -> Result<(), Trouble>;
}

/// Calls an entry of a table of functions and turns a status other than success into an error that names it.
/// The call is unsafe: write it inside an `unsafe` block that says why the arguments hold.
macro_rules! call {
    ($api:expr, $entry:ident($($argument:expr),* $(,)?)) => {
        $crate::driver::api::Status::check(($api.$entry.get()?)($($argument),*), $api.$entry.name)
    };
}
pub(super) use call;

/// A table of a driver's functions: `field = symbol` with the types of a crate of bindings.
macro_rules! functions {
    ($sys:ident: $($field:ident = $symbol:ident,)*) => {
        /// Functions of the driver that are called here.
        struct Api {
            $($field: $crate::driver::api::Entry<$sys::fn_types::$symbol>,)*
            // Last: the functions above point into it.
            _library: libloading::Library,
        }

        impl Api {
            /// Loads the first of these libraries that is there and looks everything up.
            fn load(names: &[&str]) -> Result<Self, $crate::driver::Trouble> {
                let library = $crate::driver::api::open(names)?;
                // SAFETY: the types are generated from the header's declarations of the symbols.
                unsafe {
                    Ok(Self {
                        $($field: $crate::driver::api::Entry::find(&library, stringify!($symbol)),)*
                        _library: library,
                    })
                }
            }
        }
    };
}
pub(super) use functions;

/// Opens the first of these libraries that is there.
pub(super) fn open(names: &[&str]) -> Result<Library, Trouble> {
    let mut refused = Trouble::new("no library is named");
    for name in names {
        // SAFETY: loading the vendor's library runs its initializers, which is its purpose.
        match unsafe { Library::new(name) } {
            Ok(library) => return Ok(library),
            Err(error) => refused = Trouble::new(format!("{name} cannot be loaded: {error}")),
        }
    }
    Err(refused)
}

/// The text that a driver wrote into a buffer and ended with a NUL.
pub(super) fn text(buffer: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
