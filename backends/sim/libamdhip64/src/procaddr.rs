//! `hipGetProcAddress`.

use crate::border::{Outcome, put, put_optional, rc, refuse, require};
use hip_sys::{hipDriverProcAddressQueryResult, hipError_t};
use std::ffi::{CStr, CString, c_char, c_int, c_void};

/// Since this version, names whose structures changed with HIP 6 mean their successors.
const RENAMED_SINCE: c_int = 600;

/// `hipGetProcAddress`: an address of this library, whoever else exports the name.
pub unsafe fn get(
    symbol: *const c_char,
    place: *mut *mut c_void,
    version: c_int,
    _flags: u64,
    status: *mut hipDriverProcAddressQueryResult,
) -> Outcome {
    require(!symbol.is_null() && !place.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's NUL-terminated name.
    let name = unsafe { CStr::from_ptr(symbol) }.to_string_lossy();
    let renamed = matches!(&*name, "hipGetDeviceProperties" | "hipChooseDevice");
    let name = match renamed && version >= RENAMED_SINCE {
        true => format!("{name}R0600"),
        false => name.into_owned(),
    };
    let address = own_symbol(&name).unwrap_or(std::ptr::null_mut());
    // SAFETY: the caller's pointers, null allowed for the status.
    unsafe {
        put_optional(
            status,
            match address.is_null() {
                true => hipDriverProcAddressQueryResult::HIP_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND,
                false => hipDriverProcAddressQueryResult::HIP_GET_PROC_ADDRESS_SUCCESS,
            },
        );
        put(place, address)?;
    }
    if address.is_null() {
        return refuse(hipError_t::hipErrorInvalidValue);
    }
    Ok(())
}

/// The address of what this library exports by that name.
fn own_symbol(name: &str) -> Option<*mut c_void> {
    let name = CString::new(name).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: an address in this library, and a place for the answer; the answer is read only if there is one. The
    // library is loaded already, and stays so.
    unsafe {
        if libc::dladdr(get as *const c_void, found.as_mut_ptr()) == 0 {
            return None;
        }
        let handle = libc::dlopen(
            found.assume_init().dli_fname,
            libc::RTLD_LAZY | libc::RTLD_NOLOAD,
        );
        if handle.is_null() {
            return None;
        }
        let address = libc::dlsym(handle, name.as_ptr());
        libc::dlclose(handle);
        Some(address)
    }
}
