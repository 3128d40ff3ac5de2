//! Opens the Level Zero loader and lists drivers, devices and their memory.

use level_zero_sys::{
    fn_types, result_name, ze_device_handle_t, ze_device_memory_properties_t,
    ze_device_properties_t, ze_driver_handle_t, ze_result_t, ze_structure_type_t,
};
use libloading::Library;
use std::error::Error;
use std::ffi::CStr;
use std::ptr::null_mut;

/// Looks a function up and calls it.
macro_rules! ze {
    ($loader:expr, $name:ident($($argument:expr),*)) => {{
        // SAFETY: the type is the header's; the arguments are what the specification asks for.
        let code = unsafe {
            let symbol = concat!(stringify!($name), "\0");
            $loader.get::<fn_types::$name>(symbol.as_bytes())?($($argument),*)
        };
        match code {
            ze_result_t::ZE_RESULT_SUCCESS => Ok(()),
            code => Err(format!("{}: {}", stringify!($name), result_name(code.0))),
        }
    }};
}

fn main() -> Result<(), Box<dyn Error>> {
    // SAFETY: the loader's initializers have no requirements.
    let loader = unsafe { Library::new("libze_loader.so.1") }?;
    ze!(loader, zeInit(0))?;
    let mut count = 0;
    ze!(loader, zeDriverGet(&mut count, null_mut()))?;
    let mut drivers: Vec<ze_driver_handle_t> = vec![null_mut(); count as usize];
    ze!(loader, zeDriverGet(&mut count, drivers.as_mut_ptr()))?;
    for (number, driver) in drivers.into_iter().enumerate() {
        let mut count = 0;
        ze!(loader, zeDeviceGet(driver, &mut count, null_mut()))?;
        println!("driver {number}: {count} devices");
        let mut devices: Vec<ze_device_handle_t> = vec![null_mut(); count as usize];
        ze!(
            loader,
            zeDeviceGet(driver, &mut count, devices.as_mut_ptr())
        )?;
        for device in devices {
            describe(&loader, device)?;
        }
    }
    Ok(())
}

fn describe(loader: &Library, device: ze_device_handle_t) -> Result<(), Box<dyn Error>> {
    let mut properties = ze_device_properties_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES,
        ..Default::default()
    };
    ze!(loader, zeDeviceGetProperties(device, &mut properties))?;
    // SAFETY: the driver ends the name with a NUL.
    let name = unsafe { CStr::from_ptr(properties.name.as_ptr()) };
    println!("  {}", name.to_string_lossy());
    let mut count = 0;
    ze!(
        loader,
        zeDeviceGetMemoryProperties(device, &mut count, null_mut())
    )?;
    let empty = ze_device_memory_properties_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_MEMORY_PROPERTIES,
        ..Default::default()
    };
    let mut memories = vec![empty; count as usize];
    ze!(
        loader,
        zeDeviceGetMemoryProperties(device, &mut count, memories.as_mut_ptr())
    )?;
    for memory in memories {
        println!("    {} MiB", memory.totalSize >> 20);
    }
    Ok(())
}
