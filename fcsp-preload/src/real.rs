//! The driver's own functions: found once, typed, called from then on through one load and one indirect call.
//!
//! Functions are looked up in the vendor's library itself, not with `RTLD_NEXT`: programs load drivers with
//! `RTLD_LOCAL`, which `RTLD_NEXT` does not see.

use core::ffi::{CStr, c_void};
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::resolve;

/// A vendor library, by the names programs load it under: one for each version of its interface, newest first. None for
/// a library whose functions are handed over in tables.
#[derive(Debug)]
pub struct Library {
    sonames: &'static [&'static CStr],
    handle: AtomicPtr<c_void>,
}

impl Library {
    /// Names a library. Nothing is loaded.
    pub const fn new(sonames: &'static [&'static CStr]) -> Self {
        Self {
            sonames,
            handle: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The handle, if the program has loaded the library already. Never loads it.
    ///
    /// The handle keeps the library loaded for the life of the process: functions in it are cached.
    pub fn loaded(&self) -> Option<*mut c_void> {
        self.handle_by(libc::RTLD_LAZY | libc::RTLD_NOLOAD)
    }

    /// The handle; loads the library if nobody has yet.
    pub fn open(&self) -> Option<*mut c_void> {
        self.loaded()
            .or_else(|| self.handle_by(libc::RTLD_LAZY | libc::RTLD_LOCAL))
    }

    fn handle_by(&self, flags: libc::c_int) -> Option<*mut c_void> {
        // Relaxed: the value is the dynamic linker's, which does its own locking; no memory of ours is published.
        let handle = self.handle.load(Ordering::Relaxed);
        if !handle.is_null() {
            return Some(handle);
        }
        let mut sonames = self.sonames.iter();
        let handle = sonames.find_map(|soname| resolve::dlopen(soname, flags))?;
        // Two threads may both get here: both got the same handle, whose count is then one higher than needed.
        self.handle.store(handle, Ordering::Relaxed);
        Some(handle)
    }
}

/// An entry point of a vendor library, without its type.
#[derive(Debug)]
pub struct RealSymbol {
    name: &'static CStr,
    library: &'static Library,
    /// Null until looked up; `ABSENT` when the loaded library has no such function.
    address: AtomicPtr<c_void>,
    /// What a lookup finds, where calls go past it. Null where they do not.
    exported: AtomicPtr<c_void>,
}

/// No function lives at address 1.
const ABSENT: usize = 1;

impl RealSymbol {
    /// The symbol.
    pub const fn name(&self) -> &'static CStr {
        self.name
    }

    /// Says where the function is, if whoever asks has it from a table of pointers.
    pub fn found_at(&self, address: *mut c_void) {
        // Relaxed: as in `address`.
        self.address.store(address, Ordering::Relaxed);
    }

    /// Has calls go to `address`, which is what the exported function hands them on to. Lookups of the name find what they
    /// found before.
    pub fn calls_go_to(&self, address: *mut c_void) {
        if let Some(exported) = self.address_if_loaded() {
            // Relaxed: both are addresses of code that is mapped already, and a thread that sees one of the two only
            // calls the same function.
            self.exported.store(exported, Ordering::Relaxed);
        }
        self.address.store(address, Ordering::Relaxed);
    }

    /// Names an entry point without its type.
    pub const fn new(name: &'static CStr, library: &'static Library) -> Self {
        Self {
            name,
            library,
            address: AtomicPtr::new(ptr::null_mut()),
            exported: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The address, or `None` when the library or the function is missing. Loads the library if need be.
    #[inline(always)]
    pub fn address(&self) -> Option<*mut c_void> {
        // Relaxed: the address of code that was mapped before anybody could learn the address.
        let address = self.address.load(Ordering::Relaxed);
        if address.addr() > ABSENT {
            Some(address)
        } else {
            self.look_up(address, Library::open)
        }
    }

    /// What a lookup of the name finds if the program has loaded the library already. Never loads it.
    #[inline]
    pub fn address_if_loaded(&self) -> Option<*mut c_void> {
        let exported = self.exported.load(Ordering::Relaxed);
        if !exported.is_null() {
            return Some(exported);
        }
        let address = self.address.load(Ordering::Relaxed);
        if address.addr() > ABSENT {
            Some(address)
        } else {
            self.look_up(address, Library::loaded)
        }
    }

    #[cold]
    #[inline(never)]
    fn look_up(
        &self,
        known: *mut c_void,
        handle: fn(&Library) -> Option<*mut c_void>,
    ) -> Option<*mut c_void> {
        if known.addr() == ABSENT {
            return None;
        }
        // SAFETY: a library's handle, which is never closed.
        let found = unsafe { resolve::dlsym(handle(self.library)?, self.name) };
        let cached = found.unwrap_or(ptr::without_provenance_mut(ABSENT));
        self.address.store(cached, Ordering::Relaxed);
        found
    }
}

/// An entry point of a vendor library, with its type.
///
/// Tables make one for every row, forwarded rows included, so that handlers can call any function the table names:
/// `cuda::cuCtxGetDevice.get()`.
#[derive(Debug)]
pub struct Real<F> {
    symbol: RealSymbol,
    function: PhantomData<fn() -> F>,
}

impl<F: Copy> Real<F> {
    /// Names an entry point.
    ///
    /// # Safety
    ///
    /// `F` is the `extern "C"` function pointer type that the vendor's header declares for `name`.
    pub const unsafe fn new(name: &'static CStr, library: &'static Library) -> Self {
        const {
            assert!(
                size_of::<F>() == size_of::<*mut c_void>(),
                "a function pointer is one word"
            )
        };
        Self {
            symbol: RealSymbol::new(name, library),
            function: PhantomData,
        }
    }

    /// The driver's function, or `None` when the driver is not there or lacks it.
    ///
    /// After the first call: one load, one comparison.
    #[inline(always)]
    pub fn get(&self) -> Option<F> {
        // SAFETY: `new`'s caller vouched that this is the symbol's type; both are one word.
        self.symbol
            .address()
            .map(|address| unsafe { core::mem::transmute_copy::<*mut c_void, F>(&address) })
    }

    /// The driver's function, if it was looked up before.
    #[inline(always)]
    pub fn known(&self) -> Option<F> {
        // Relaxed: as in `RealSymbol::address`.
        let address = self.symbol.address.load(Ordering::Relaxed);
        // SAFETY: as in `get`.
        (address.addr() > ABSENT)
            .then(|| unsafe { core::mem::transmute_copy::<*mut c_void, F>(&address) })
    }

    /// The same entry point without its type.
    pub const fn symbol(&self) -> &RealSymbol {
        &self.symbol
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LIBC: Library = Library::new(&[c"libfcsp-no-such-library.so.2", c"libc.so.6"]);
    static MISSING: Library = Library::new(&[c"libfcsp-no-such-library.so.1"]);

    #[test]
    fn a_function_is_found_and_called() {
        // SAFETY: the C library's declaration of `abs`.
        static ABS: Real<unsafe extern "C" fn(i32) -> i32> = unsafe { Real::new(c"abs", &LIBC) };
        let abs = ABS.get().expect("the C library has abs");
        // SAFETY: `abs` takes any value but the smallest.
        assert_eq!(unsafe { abs(-7) }, 7);
        assert_eq!(
            ABS.symbol().address_if_loaded(),
            ABS.symbol().address(),
            "cached"
        );
    }

    #[test]
    fn calls_go_past_what_lookups_find() {
        // SAFETY: the C library's declaration of `labs`, and of the function below.
        static LABS: Real<unsafe extern "C" fn(i64) -> i64> = unsafe { Real::new(c"labs", &LIBC) };
        unsafe extern "C" fn twice(number: i64) -> i64 {
            2 * number
        }
        let exported = LABS.symbol().address_if_loaded();
        assert!(exported.is_some());
        LABS.symbol().calls_go_to(twice as *mut c_void);
        let called = LABS.get().expect("set");
        // SAFETY: the function above.
        assert_eq!(unsafe { called(-4) }, -8);
        assert_eq!(LABS.symbol().address_if_loaded(), exported);
    }

    #[test]
    fn a_missing_function_stays_missing() {
        // SAFETY: never called, since it does not exist.
        static NONE: Real<unsafe extern "C" fn()> =
            unsafe { Real::new(c"fcsp_no_such_function", &LIBC) };
        assert!(NONE.get().is_none());
        assert!(NONE.get().is_none(), "the cached absence answers the same");
    }

    #[test]
    fn a_missing_library_is_asked_for_again() {
        // SAFETY: never called, since it does not exist.
        static NONE: Real<unsafe extern "C" fn()> = unsafe { Real::new(c"anything", &MISSING) };
        assert!(NONE.get().is_none());
        assert!(MISSING.loaded().is_none());
        assert!(
            NONE.symbol().address.load(Ordering::Relaxed).is_null(),
            "it may be loaded later"
        );
    }
}
