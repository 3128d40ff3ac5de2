//! As much of Level Zero as the workbench needs: [`LevelZero`].

use fcsp_backend_intel::queue::{Driver, driver};
use level_zero_sys::{
    fn_types, result_name, ze_device_handle_t, ze_device_properties_t, ze_device_type_t,
    ze_driver_handle_t, ze_result_t, ze_structure_type_t,
};
use libloading::Library;
use std::ffi::CStr;

/// Drivers, and devices of one, that are looked at.
const LIST_MAX: usize = 64;

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
                        // SAFETY: the type is the one the header gives this name.
                        let function = unsafe { library.get(stringify!($name).as_bytes()) };
                        *function.map_err(|_| concat!("this loader has no ", stringify!($name)))?
                    },)*
                })
            }
        }
    };
}

functions! {
    zeInit,
    zeDriverGet,
    zeDriverGetExtensionFunctionAddress,
    zeDeviceGet,
    zeDeviceGetProperties,
    zeContextCreate,
    zeModuleCreate,
    zeKernelCreate,
    zeKernelSetGroupSize,
    zeKernelSetArgumentValue,
    zeMemAllocHost,
    zeCommandQueueCreate,
    zeCommandQueueExecuteCommandLists,
    zeCommandListCreate,
    zeCommandListCreateImmediate,
    zeCommandListClose,
    zeCommandListAppendLaunchKernel,
}

/// Calls a function and turns a code other than success into text that names it. Unsafe, as the call is.
macro_rules! call {
    ($ze:expr, $name:ident($($argument:expr),* $(,)?)) => {
        $crate::ze::api::check(stringify!($name), ($ze.functions.$name)($($argument),*))
    };
}
pub(super) use call;

/// The loader. Its functions may be called from any thread.
pub struct LevelZero {
    /// What is called from here.
    pub functions: Functions,
    /// What the gate calls, but for what is known of queues.
    pub gate: Driver,
}

impl LevelZero {
    /// Loads the loader, for the life of the process, and starts the drivers.
    pub fn load() -> Result<Self, String> {
        // SAFETY: running the constructors of the loader is what every program that uses it does.
        let library = unsafe { Library::new("libze_loader.so.1") };
        // The functions are called until the process ends.
        let library: &'static Library =
            Box::leak(Box::new(library.map_err(|error| error.to_string())?));
        let ze = Self {
            functions: Functions::find(library)?,
            gate: driver(library),
        };
        // SAFETY: no requirements.
        unsafe { call!(ze, zeInit(0)) }?;
        Ok(ze)
    }

    /// Every GPU, with its driver.
    pub fn gpus(&self) -> Result<Vec<(ze_driver_handle_t, ze_device_handle_t)>, String> {
        let mut drivers = [std::ptr::null_mut(); LIST_MAX];
        let mut count = LIST_MAX as u32;
        // SAFETY: room for as many as the count says.
        unsafe { call!(self, zeDriverGet(&mut count, drivers.as_mut_ptr())) }?;
        let mut found = Vec::new();
        for driver in &drivers[..count as usize] {
            let mut devices = [std::ptr::null_mut(); LIST_MAX];
            let mut count = LIST_MAX as u32;
            // SAFETY: as above.
            unsafe { call!(self, zeDeviceGet(*driver, &mut count, devices.as_mut_ptr())) }?;
            for device in &devices[..count as usize] {
                if self.properties(*device)?.type_ == ze_device_type_t::ZE_DEVICE_TYPE_GPU {
                    found.push((*driver, *device));
                }
            }
        }
        Ok(found)
    }

    /// What the driver says of a device.
    pub fn properties(&self, device: ze_device_handle_t) -> Result<ze_device_properties_t, String> {
        let mut properties = ze_device_properties_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES_1_2,
            ..Default::default()
        };
        // SAFETY: the driver writes one structure.
        unsafe { call!(self, zeDeviceGetProperties(device, &mut properties)) }?;
        Ok(properties)
    }

    /// A device's name.
    pub fn name(&self, device: ze_device_handle_t) -> Result<String, String> {
        let properties = self.properties(device)?;
        // SAFETY: the driver ends the name within its field.
        let name = unsafe { CStr::from_ptr(properties.name.as_ptr()) };
        Ok(name.to_string_lossy().into_owned())
    }
}

/// Success, or which call failed and how.
pub fn check(name: &str, result: ze_result_t) -> Result<(), String> {
    match result {
        ze_result_t::ZE_RESULT_SUCCESS => Ok(()),
        _ => Err(format!("{name} gave {}", result_name(result.0))),
    }
}
