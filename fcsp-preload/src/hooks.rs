//! [`hooks!`](crate::hooks!): from rows of names to exported, typed wrappers.
//!
//! The vendor's header is the only place for a signature and the table the only place for a decision; this macro joins
//! them. Bindings carry, for each function, a macro that hands its signature to a callback (`signatures`) and a function
//! pointer type (`types`). What each row becomes is written in `__hook_wrapper`.

/// Declares a vendor library's hook table.
///
/// ```
/// // What a generated bindings crate provides for each function.
/// mod toy_sys {
///     pub mod fn_types {
///         #![allow(non_camel_case_types)]
///         pub type toyAlloc = unsafe extern "C" fn(*mut u64, usize) -> i32;
///         pub type toyVersion = unsafe extern "C" fn() -> i32;
///     }
///     pub mod signature {
///         macro_rules! toyAlloc { ($callback:path, $($head:tt)*) => { $callback! {
///             $($head)* fn toyAlloc(pointer: *mut u64, bytes: usize) -> i32
///         } } }
///         pub(crate) use toyAlloc;
///     }
/// }
///
/// /// Handlers get the driver's function and the call's arguments, and return what the program gets.
/// unsafe fn alloc(real: toy_sys::fn_types::toyAlloc, pointer: *mut u64, bytes: usize) -> i32 {
///     // SAFETY: the program's own arguments.
///     if bytes > 1 << 20 { 2 } else { unsafe { real(pointer, bytes) } }
/// }
///
/// fcsp_preload::hooks! {
///     /// The rows.
///     pub static TOY;
///     /// The driver's own functions.
///     pub mod toy;
///     library c"libtoy.so.1"; // by several names, newest first, if its versions have names of their own
///     types toy_sys::fn_types;
///     signatures toy_sys::signature;
///     absent -1;   // what a program gets when the driver lacks the function
///     failed -2;   // what it gets when a handler panics and must not be replaced by the driver
///
///     account toyAlloc => alloc, "bytes are charged before the driver sees them";
///     forward toyVersion, "says nothing about the tenant";
///     opaque  toyInternal, "not in the header";
/// }
///
/// # fn main() {
/// assert_eq!(TOY.rows.len(), 3);
/// assert!(TOY.row(c"toyAlloc").is_some_and(|row| row.wrapper.is_some()));
/// assert!(toy::toyVersion.get().is_none(), "there is no libtoy.so.1 here");
/// # }
/// ```
///
/// A row is `verb name => handler, "reason";` with the verbs of [`Verb`](crate::Verb): `account`, `gate`, `sync`,
/// `virtualize`. `forward name, "reason";` exports nothing, but makes the driver's function callable for handlers.
/// `opaque name, "reason";` is `forward` for a function without a known signature.
///
/// A row may name a fast path: `gate name => handler, unless check, "reason";`. The wrapper calls `check()`, a
/// `fn() -> bool`, and when it is true goes straight to the driver, outside guard and panic border. The check must not
/// panic and must not call the driver; it should be one load.
///
/// A library whose functions come in tables of pointers has no name (`library;`), and its functions are where whoever is
/// given the tables says ([`RealSymbol::found_at`](crate::real::RealSymbol::found_at)). The wrappers for such tables are
/// not exported: `unexported;` before all else. Where calls come in by two libraries at once, one of the two tables says
/// before `library` when they go straight through it: `passed check;`, a `fn() -> bool` as that of a fast path.
///
/// What must not compile, does not. A name the header does not have:
///
/// ```compile_fail
/// # fn main() {}
/// # fn main() {}
/// # mod sys { pub mod fn_types {} pub mod signature {} }
/// fcsp_preload::hooks! {
///     pub static T; pub mod t; library c"l"; types sys::fn_types; signatures sys::signature; absent 0; failed 0;
///     forward toyVersoin, "misspelt";
/// }
/// ```
///
/// A function named twice:
///
/// ```compile_fail
/// # fn main() {}
/// # fn main() {}
/// # mod sys { pub mod fn_types {} pub mod signature {} }
/// fcsp_preload::hooks! {
///     pub static T; pub mod t; library c"l"; types sys::fn_types; signatures sys::signature; absent 0; failed 0;
///     opaque toyInternal, "once"; opaque toyInternal, "twice";
/// }
/// ```
///
/// A handler with another signature than the header's:
///
/// ```compile_fail
/// # fn main() {}
/// # fn main() {}
/// # mod sys {
/// #     pub mod fn_types { pub type toyOne = unsafe extern "C" fn(u64) -> i32; }
/// #     pub mod signature {
/// #         macro_rules! toyOne { ($c:path, $($h:tt)*) => { $c! { $($h)* fn toyOne(a: u64) -> i32 } } }
/// #         pub(crate) use toyOne;
/// #     }
/// # }
/// unsafe fn one(real: sys::fn_types::toyOne, a: u32) -> i32 { unsafe { real(a.into()) } }
/// fcsp_preload::hooks! {
///     pub static T; pub mod t; library c"l"; types sys::fn_types; signatures sys::signature; absent 0; failed 0;
///     gate toyOne => one, "takes a u64";
/// }
/// ```
#[macro_export]
macro_rules! hooks {
    (unexported; $($rest:tt)*) => {
        $crate::hooks! { @[unexported] $($rest)* }
    };
    (
        @$export:tt
        $(#[$table_meta:meta])* $table_vis:vis static $table:ident;
        $(#[$real_meta:meta])* $real_vis:vis mod $real:ident;
        $(passed $passed:path;)?
        library $($soname:expr),*;
        types $($types:ident)::+;
        signatures $($signatures:ident)::+;
        absent $absent:expr;
        failed $failed:expr;
        $( $verb:ident $name:ident $(=> $handler:path)? $(, unless $fast:path)?, $reason:literal; )*
    ) => {
        $(#[$real_meta])*
        #[allow(non_upper_case_globals, unused_imports)]
        $real_vis mod $real {
            use super::*;
            use $($types)::+ as types;
            pub(super) use $($signatures)::+ as signatures;

            /// The library these functions live in.
            pub static LIBRARY: $crate::Library = $crate::Library::new(&[$($soname),*]);
            $( $crate::__hook_real! { $verb $name } )*
            $crate::__hook_passed! { $($passed)? }
        }

        $( $crate::__hook_dispatch! {
            $export $real $verb $name, ($absent), ($failed) $(=> $handler)? $(, unless $fast)?
        } )*

        $(#[$table_meta])*
        $table_vis static $table: $crate::Table = {
            const NAMES: &[&str] = &[$( ::core::stringify!($name) ),*];
            static ROWS: &[$crate::Hook] = &[$( $crate::__hook_row!($real $verb $name, $reason) ),*];
            static INDEX: [u16; $crate::table::slots(NAMES.len())] = $crate::table::index(NAMES);
            $crate::Table::new(&$real::LIBRARY, ROWS, &INDEX)
        };
    };
    ($($rest:tt)*) => {
        $crate::hooks! { @[] $($rest)* }
    };
}

/// What says that calls go straight through, for all wrappers beside it.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_passed {
    () => {
        #[inline(always)]
        pub(super) const fn passed() -> bool {
            false
        }
    };
    ($passed:path) => {
        #[inline(always)]
        pub(super) fn passed() -> bool {
            const PASSED: fn() -> bool = $passed;
            PASSED()
        }
    };
}

/// Exports a wrapper, or not.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_item {
    ([] $($item:tt)*) => {
        #[cfg_attr(not(test), unsafe(no_mangle))]
        $($item)*
    };
    ([unexported] $($item:tt)*) => {
        $($item)*
    };
}

/// A symbol's name as the dynamic linker wants it.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_name {
    ($name:ident) => {
        const {
            match ::core::ffi::CStr::from_bytes_with_nul(
                ::core::concat!(::core::stringify!($name), "\0").as_bytes(),
            ) {
                Ok(name) => name,
                Err(_) => panic!("an identifier holds no NUL"),
            }
        }
    };
}

/// The driver's function of a row, typed by the bindings: a name they do not have does not compile.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_real {
    (opaque $name:ident) => {};
    ($verb:ident $name:ident) => {
        #[doc = ::core::concat!("The driver's own `", ::core::stringify!($name), "`.")]
        // SAFETY: the bindings declare this symbol with this type.
        pub static $name: $crate::Real<types::$name> =
            unsafe { $crate::Real::new($crate::__hook_name!($name), &LIBRARY) };
    };
}

/// Fetches the signature of a row that has a handler.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_dispatch {
    ($export:tt $real:ident forward $name:ident, $absent:tt, $failed:tt) => {};
    ($export:tt $real:ident opaque $name:ident, $absent:tt, $failed:tt) => {};
    ($export:tt $real:ident $verb:ident $name:ident, $absent:tt, $failed:tt => $handler:path $(, unless $fast:path)?) => {
        $real::signatures::$name! {
            $crate::__hook_wrapper, $export $real $verb, $absent, $failed, $handler, [$($fast)?];
        }
    };
}

/// The exported function of a row.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_wrapper {
    (
        $export:tt $real:ident $verb:ident, $absent:tt, $failed:tt, $handler:path, [$($fast:path)?];
        fn $name:ident($($argument:ident: $ty:ty),* $(,)?) -> $result:ty
    ) => {
        $crate::__hook_item! { $export
        #[doc = ::core::concat!("The wrapper of `", ::core::stringify!($name), "`.\n\n# Safety\n\nAs the driver's.")]
        #[allow(non_snake_case, clippy::too_many_arguments)]
        pub unsafe extern "C" fn $name($($argument: $ty),*) -> $result {
            /// What the handler gets as the driver's function: the same, and it is on record that it was called.
            unsafe extern "C" fn noted($($argument: $ty),*) -> $result {
                $crate::guard::note_driver_call();
                match $real::$name.get() {
                    // SAFETY: the handler passes on what the program passed, or as good.
                    Some(driver) => unsafe { driver($($argument),*) },
                    None => $absent,
                }
            }
            // A handler whose signature is not the header's does not compile.
            const HANDLER: unsafe fn(unsafe extern "C" fn($($ty),*) -> $result, $($ty),*) -> $result = $handler;
            /// All but the fast path. A function of its own, which takes the wrapper's arguments where they are: so the
            /// wrapper saves nothing, and its fast path is two loads, two comparisons and a jump.
            #[inline(never)]
            unsafe extern "C" fn handled($($argument: $ty),*) -> $result {
                let Some(driver) = $real::$name.get() else { return $absent };
                if $real::passed() || $crate::__hook_unless!($($fast)?) {
                    // SAFETY: the program's own call, passed on.
                    return unsafe { driver($($argument),*) };
                }
                $crate::border::cross(
                    $crate::__hook_verb!($verb),
                    ::core::stringify!($name),
                    $failed,
                    // SAFETY: the program's own arguments, and the driver's function for them.
                    move || unsafe { HANDLER(noted, $($argument),*) },
                    // SAFETY: the program's own call, passed on.
                    move || unsafe { driver($($argument),*) },
                )
            }
            // One call, so that it is a jump.
            let next = match $real::passed() || $crate::__hook_unless!($($fast)?) {
                true => $real::$name.known().unwrap_or(handled),
                false => handled,
            };
            // SAFETY: the program's own call, passed on.
            unsafe { next($($argument),*) }
        }}
    };
}

/// Whether a row's fast path applies; never, when it has none.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_unless {
    () => {
        false
    };
    ($fast:path) => {{
        const UNLESS: fn() -> bool = $fast;
        UNLESS()
    }};
}

/// A verb as a value.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_verb {
    (account) => {
        $crate::Verb::Account
    };
    (gate) => {
        $crate::Verb::Gate
    };
    (sync) => {
        $crate::Verb::Sync
    };
    (virtualize) => {
        $crate::Verb::Virtualize
    };
    (forward) => {
        $crate::Verb::Forward
    };
    (opaque) => {
        $crate::Verb::Forward
    };
}

/// A row as a value.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook_row {
    ($real:ident opaque $name:ident, $reason:literal) => {
        $crate::__hook_row!(@ opaque $name, $reason, None, None)
    };
    ($real:ident forward $name:ident, $reason:literal) => {
        $crate::__hook_row!(@ forward $name, $reason, None, Some($real::$name.symbol()))
    };
    ($real:ident $verb:ident $name:ident, $reason:literal) => {
        $crate::__hook_row!(
            @ $verb $name, $reason, Some($crate::table::Wrapper::new($name as *const ())), Some($real::$name.symbol())
        )
    };
    (@ $verb:ident $name:ident, $reason:literal, $wrapper:expr, $real:expr) => {
        $crate::Hook {
            name: $crate::__hook_name!($name),
            verb: $crate::__hook_verb!($verb),
            reason: $reason,
            wrapper: $wrapper,
            real: $real,
        }
    };
}
