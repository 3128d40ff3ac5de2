//! Functions of the driver by its own table of symbols, past whatever is preloaded.
//!
//! What a preload library adds to a call is less than what two processes differ by, since each lies in memory in its own
//! way. Within one process the same call can be made both ways, one after the other.

use anyhow::{Context, Result};
use cuda_sys::fn_types;
use libc::{c_int, c_void, dl_phdr_info, size_t};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSymbol};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::api::Entry;

/// `cuLaunchKernel` of the loaded driver itself.
pub fn launch_kernel() -> Result<Entry<fn_types::cuLaunchKernel>> {
    const NAME: &str = "cuLaunchKernel";
    let driver = Driver::find().context("no libcuda.so is loaded")?;
    let address = driver.address(NAME)?;
    // SAFETY: the driver exports this function at that address; the type is generated from its declaration.
    let function = unsafe { std::mem::transmute::<usize, fn_types::cuLaunchKernel>(address) };
    Ok(Entry::new(NAME, function))
}

/// The driver in this process's memory.
struct Driver {
    path: PathBuf,
    /// What is added to the addresses in its file.
    bias: usize,
}

impl Driver {
    fn find() -> Option<Self> {
        let mut found: Option<Self> = None;
        // SAFETY: `look` takes the data for what it is, and both live for the call.
        unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
        found
    }

    fn address(&self, name: &str) -> Result<usize> {
        let shown = || self.path.display().to_string();
        let bytes = std::fs::read(&self.path).with_context(shown)?;
        let file: ElfFile64 = ElfFile64::parse(&*bytes).with_context(shown)?;
        let symbol = file.dynamic_symbols().find(|it| it.name() == Ok(name));
        let symbol = symbol.filter(|it| it.is_definition());
        let symbol = symbol.with_context(|| format!("{} exports no {name}", shown()))?;
        Ok(self.bias + usize::try_from(symbol.address())?)
    }
}

/// Notes the driver if this is it, and ends the search then.
///
/// # Safety
/// `info` is valid, and `found` is a `*mut Option<Driver>`.
unsafe extern "C" fn look(info: *mut dl_phdr_info, _: size_t, found: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Option<Driver>>()) };
    if info.dlpi_name.is_null() {
        return 0;
    }
    // SAFETY: the linker's own string.
    let name = unsafe { CStr::from_ptr(info.dlpi_name) };
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    let is_driver = path.file_name().is_some_and(is_driver_name);
    if is_driver {
        *found = Some(Driver {
            path: path.to_owned(),
            bias: info.dlpi_addr as usize,
        });
    }
    is_driver.into()
}

fn is_driver_name(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"libcuda.so")
}
