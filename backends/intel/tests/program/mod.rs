//! A Level Zero program, which is this process.

use level_zero_sys::{
    fn_types, ze_context_desc_t, ze_context_handle_t, ze_device_handle_t,
    ze_device_mem_alloc_desc_t, ze_device_properties_t, ze_driver_handle_t, ze_result_t,
    ze_structure_type_t,
};
use libloading::Library;
use std::ptr::null_mut;

/// The loader, in use.
pub struct Program {
    loader: Library,
    driver: ze_driver_handle_t,
}

/// Looks a function up and calls it, which must succeed.
macro_rules! ze {
    ($loader:expr, $name:ident($($argument:expr),*)) => {{
        // SAFETY: the type is the header's; the arguments are what the specification asks for.
        let result = unsafe {
            let function = $loader.get::<fn_types::$name>(stringify!($name).as_bytes());
            function.expect("exported")($($argument),*)
        };
        assert_eq!(result, ze_result_t::ZE_RESULT_SUCCESS, stringify!($name));
    }};
}

impl Program {
    /// Loads the loader and finds the driver; nothing where there is no loader.
    pub fn start() -> Option<Self> {
        // SAFETY: the loader's initializers have no requirements.
        let loader = unsafe { Library::new("libze_loader.so.1") }.ok()?;
        ze!(loader, zeInit(0));
        let (mut driver, mut count) = (null_mut(), 1);
        ze!(loader, zeDriverGet(&mut count, &mut driver));
        Some(Self { loader, driver })
    }

    fn device(&self, ordinal: usize) -> ze_device_handle_t {
        let (mut devices, mut count) = ([null_mut(); 16], 16);
        ze!(
            self.loader,
            zeDeviceGet(self.driver, &mut count, devices.as_mut_ptr())
        );
        devices[ordinal]
    }

    /// What Level Zero calls a device.
    pub fn uuid_of(&self, ordinal: usize) -> [u8; 16] {
        let mut properties = ze_device_properties_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES,
            ..Default::default()
        };
        ze!(
            self.loader,
            zeDeviceGetProperties(self.device(ordinal), &mut properties)
        );
        properties.uuid.id
    }

    /// Allocates on the first device, and gives what was asked for.
    pub fn allocate(&self, bytes: u64) -> u64 {
        let desc = ze_context_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_CONTEXT_DESC,
            ..Default::default()
        };
        let mut context: ze_context_handle_t = null_mut();
        ze!(
            self.loader,
            zeContextCreate(self.driver, &desc, &mut context)
        );
        let desc = ze_device_mem_alloc_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC,
            ..Default::default()
        };
        let mut address = null_mut();
        ze!(
            self.loader,
            zeMemAllocDevice(
                context,
                &desc,
                bytes as usize,
                0,
                self.device(0),
                &mut address
            )
        );
        bytes
    }
}
