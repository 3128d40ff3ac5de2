//! Sysman, started: [`Sysman`].

use crate::driver;
use crate::library::{self, call, function, list};
use fcsp_core::backend::BackendError;
use level_zero_sys::{
    fn_types, ze_device_type_t, zes_device_handle_t, zes_device_properties_t, zes_structure_type_t,
};
use libloading::Library;
use std::ptr;

/// What starts Sysman with the core interface.
const TOGETHER: &str = "ZES_ENABLE_SYSMAN";

/// The loader after Sysman was started, with the GPUs that it found.
pub(crate) struct Sysman {
    pub(crate) library: Library,
    devices: Vec<zes_device_handle_t>,
}

// SAFETY: handles are opaque names, which only the library looks behind; it may be called from any thread.
unsafe impl Send for Sysman {}
// SAFETY: as above.
unsafe impl Sync for Sysman {}

impl Sysman {
    pub(crate) fn open() -> Result<Self, BackendError> {
        let library = library::open()?;
        // The loader leaves threads and handles that its unloading would not wait for.
        let mut sysman = Self {
            devices: Vec::new(),
            library,
        };
        let all = if function::<fn_types::zesInit>(&sysman.library, "zesInit").is_ok() {
            sysman.start()?
        } else {
            sysman.start_with_core()?
        };
        for device in all {
            if sysman.properties(device)?.core.type_ == ze_device_type_t::ZE_DEVICE_TYPE_GPU {
                sysman.devices.push(device);
            }
        }
        Ok(sysman)
    }

    fn start(&self) -> Result<Vec<zes_device_handle_t>, BackendError> {
        let library = &self.library;
        call!(library, zesInit(0)).map_err(driver::or_none)?;
        let mut found = Vec::new();
        for driver in list(ptr::null_mut(), |count, place| {
            call!(library, zesDriverGet(count, place))
        })? {
            found.extend(list(ptr::null_mut(), |count, place| {
                call!(library, zesDeviceGet(driver, count, place))
            })?);
        }
        Ok(found)
    }

    /// Devices have one handle in both interfaces then.
    fn start_with_core(&self) -> Result<Vec<zes_device_handle_t>, BackendError> {
        if std::env::var_os(TOGETHER).is_none_or(|value| value != "1") {
            // SAFETY: `Intel::open` says when it may be called.
            unsafe { std::env::set_var(TOGETHER, "1") };
        }
        let library = &self.library;
        call!(library, zeInit(0)).map_err(driver::or_none)?;
        let mut found = Vec::new();
        for driver in list(ptr::null_mut(), |count, place| {
            call!(library, zeDriverGet(count, place))
        })? {
            found.extend(list(ptr::null_mut(), |count, place| {
                call!(library, zeDeviceGet(driver, count, place))
            })?);
        }
        Ok(found.into_iter().map(|device| device.cast()).collect())
    }

    /// The GPUs, in the order of the drivers.
    pub(crate) fn devices(&self) -> &[zes_device_handle_t] {
        &self.devices
    }

    /// What Sysman says of a device.
    pub(crate) fn properties(
        &self,
        device: zes_device_handle_t,
    ) -> Result<zes_device_properties_t, BackendError> {
        let mut properties = zes_device_properties_t {
            stype: zes_structure_type_t::ZES_STRUCTURE_TYPE_DEVICE_PROPERTIES,
            ..Default::default()
        };
        call!(
            &self.library,
            zesDeviceGetProperties(device, &mut properties)
        )?;
        Ok(properties)
    }
}
