//! The management library, loaded at run time.
//!
//! Functions are looked up when they are called: these calls are rare, and an old driver then lacks
//! only what it lacks.

use crate::error;
use cuda_sys::{fn_types, nvmlDevice_t};
use fcsp_core::backend::{BackendError, Vendor};
use libloading::Library;
use std::ffi::CString;
use std::ptr;

/// The name under which NVIDIA installs NVML.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// NVML between `nvmlInit` and `nvmlShutdown`.
pub(crate) struct Nvml {
    library: Library,
}

/// Calls the NVML function of that name: its type comes from the bindings, its status becomes a
/// `Result`.
macro_rules! call {
    ($nvml:expr, $name:ident($($argument:expr),* $(,)?)) => {
        $nvml
            .function::<cuda_sys::fn_types::$name>(stringify!($name))
            .and_then(|function| {
                // SAFETY: the type is the one NVIDIA's header gives this name, NVML is initialized
                // for as long as `Nvml` lives and is thread-safe, and the arguments are pointers to
                // live values of the caller and their sizes.
                let status = unsafe { function($($argument),*) };
                $crate::error::nvml(stringify!($name), status)
            })
    };
}
pub(crate) use call;

impl Nvml {
    pub(crate) fn open() -> Result<Self, BackendError> {
        // SAFETY: running the constructors of the vendor's own library is what every program that
        // uses it does.
        let library =
            unsafe { Library::new(LIBRARY) }.map_err(|error| BackendError::NoLibrary {
                vendor: Vendor::Nvidia,
                reason: error.to_string(),
            })?;
        // Not a `Nvml` before it is initialized, or the drop would shut down what never began.
        let init = lookup::<fn_types::nvmlInit_v2>(&library, "nvmlInit_v2")?;
        // SAFETY: `nvmlInit_v2` takes nothing and may be called from any thread.
        error::nvml("nvmlInit_v2", unsafe { init() })?;
        Ok(Self { library })
    }

    /// The function of that name, typed as the caller says: use [`call`], which takes the type from
    /// the bindings.
    pub(crate) fn function<T: Copy>(&self, name: &'static str) -> Result<T, BackendError> {
        lookup(&self.library, name)
    }

    /// The device with that identity (`GPU-<uuid>`).
    pub(crate) fn device(&self, id: &str) -> Result<nvmlDevice_t, BackendError> {
        let mut device: nvmlDevice_t = ptr::null_mut();
        // An identity with a zero byte in it is no device's; the empty one is refused by NVML.
        let id = CString::new(id).unwrap_or_default();
        call!(self, nvmlDeviceGetHandleByUUID(id.as_ptr(), &mut device))?;
        Ok(device)
    }
}

impl Drop for Nvml {
    fn drop(&mut self) {
        // NVML counts initializations; a failure here leaves nothing to be done.
        let _status = call!(self, nvmlShutdown());
    }
}

fn lookup<T: Copy>(library: &Library, name: &'static str) -> Result<T, BackendError> {
    // SAFETY: callers name a `fn_types` type of the same name, which is NVIDIA's own prototype.
    let symbol = unsafe { library.get::<T>(name.as_bytes()) };
    symbol
        .map(|symbol| *symbol)
        .map_err(|_| BackendError::Absent {
            vendor: Vendor::Nvidia,
            call: name,
        })
}

/// The text NVML wrote into `buffer`.
pub(crate) fn text(buffer: &[core::ffi::c_char]) -> String {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
