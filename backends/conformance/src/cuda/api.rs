//! As much of the CUDA driver as the workbench needs: [`Cuda`].

use cuda_sys::{CUdevice, CUresult, CUstream, CUstream_flags, fn_types, result_name};
use fcsp_backend_nvidia::queue::{Driver, driver};
use libloading::Library;
use std::ffi::{CStr, c_char};

/// The name under which NVIDIA installs the driver library.
const LIBRARY: &str = "libcuda.so.1";

macro_rules! functions {
    ($($name:ident,)*) => {
        /// The functions that are called from here.
        #[allow(non_snake_case)]
        pub struct Functions {
            $(pub $name: fn_types::$name,)*
        }

        impl Functions {
            fn find(library: &Library) -> Result<Self, String> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is the one NVIDIA's header gives this name.
                        let function = unsafe { library.get(stringify!($name).as_bytes()) };
                        *function.map_err(|_| concat!("this driver has no ", stringify!($name)))?
                    },)*
                })
            }
        }
    };
}

functions! {
    cuInit,
    cuDeviceGetCount,
    cuDeviceGet,
    cuDeviceGetName,
    cuDevicePrimaryCtxRetain,
    cuCtxSetCurrent,
    cuStreamCreate,
    cuStreamSynchronize,
    cuModuleLoadData,
    cuModuleGetFunction,
    cuLaunchKernel,
}

/// Calls a function and turns a status other than success into text that names it. Unsafe, as the call is.
macro_rules! call {
    ($cuda:expr, $name:ident($($argument:expr),* $(,)?)) => {
        $crate::cuda::api::check(stringify!($name), ($cuda.functions.$name)($($argument),*))
    };
}
pub(super) use call;

/// The driver, initialized. Its functions may be called from any thread.
pub struct Cuda {
    pub functions: Functions,
    /// What the gate calls.
    pub gate: Driver,
}

impl Cuda {
    /// Loads and initializes the driver, for the life of the process.
    pub fn load() -> Result<Self, String> {
        // SAFETY: running the constructors of the vendor's own library is what every program that
        // uses it does.
        let library = unsafe { Library::new(LIBRARY) }.map_err(|error| error.to_string())?;
        // The functions are called until the process ends.
        let library = Box::leak(Box::new(library));
        let cuda = Self {
            functions: Functions::find(library)?,
            gate: driver(library),
        };
        // SAFETY: takes no pointers.
        unsafe { call!(cuda, cuInit(0)) }?;
        Ok(cuda)
    }

    /// Devices that CUDA shows to this process.
    pub fn device_count(&self) -> Result<i32, String> {
        let mut count = 0;
        // SAFETY: the driver writes one number.
        unsafe { call!(self, cuDeviceGetCount(&mut count)) }?;
        Ok(count)
    }

    /// The device with that ordinal.
    pub fn device(&self, ordinal: i32) -> Result<CUdevice, String> {
        let mut device = 0;
        // SAFETY: the driver writes one handle.
        unsafe { call!(self, cuDeviceGet(&mut device, ordinal)) }?;
        Ok(device)
    }

    /// A device's name.
    pub fn name(&self, device: CUdevice) -> Result<String, String> {
        let mut name = [0 as c_char; 128];
        let room = name.len() as i32;
        // SAFETY: the buffer's true length is given.
        unsafe { call!(self, cuDeviceGetName(name.as_mut_ptr(), room, device)) }?;
        // SAFETY: the driver terminates the name within the length it was given.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        Ok(name.to_string_lossy().into_owned())
    }

    /// Makes the device's primary context the calling thread's, and keeps it.
    pub fn enter_primary_context(&self, device: CUdevice) -> Result<(), String> {
        let mut context = std::ptr::null_mut();
        // SAFETY: the driver writes one handle.
        unsafe { call!(self, cuDevicePrimaryCtxRetain(&mut context, device)) }?;
        // SAFETY: a context that was just retained.
        unsafe { call!(self, cuCtxSetCurrent(context)) }
    }

    /// A new stream that the legacy default stream does not wait for.
    pub fn stream(&self) -> Result<CUstream, String> {
        let mut stream = std::ptr::null_mut();
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING.0;
        // SAFETY: the driver writes one handle.
        unsafe { call!(self, cuStreamCreate(&mut stream, flags)) }?;
        Ok(stream)
    }
}

pub fn check(name: &str, result: CUresult) -> Result<(), String> {
    match result {
        CUresult::CUDA_SUCCESS => Ok(()),
        _ => Err(format!("{name} gave {}", result_name(result.0))),
    }
}
