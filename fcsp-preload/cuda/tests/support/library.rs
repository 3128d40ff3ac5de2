//! A driver, opened as a program opens it, with typed functions.

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

#[path = "../../../opened.rs"]
mod opened;

pub use opened::Library;
