//! What Intel's driver has beyond the specification: waiting on a word in memory and writing one, and the import of memory
//! that the program has from elsewhere. `FCSP_SIM_ZE_NO_MEMORY_WAITS=1` makes a driver without it.

use crate::border::{Outcome, rc, read, require};
use crate::command::Action;
use crate::driver::{check, gpus};
use crate::list::append;
use crate::memory;
use fcsp_sim::{Comparison, Gate, Ranges, Width};
use fcsp_sim_driver::pinning;
use level_zero_sys::intel::*;
use level_zero_sys::*;
use std::ffi::c_void;
use std::ptr::null_mut;

/// Memory that was imported.
static IMPORTED: Ranges<()> = Ranges::new();

macro_rules! functions {
    ($($name:ident => $handler:path;)*) => {
        /// The address of such a function; null if there is none of that name.
        pub fn address(name: &str) -> *const c_void {
            if std::env::var_os("FCSP_SIM_ZE_NO_MEMORY_WAITS").is_some() {
                return std::ptr::null();
            }
            match name {
                $(stringify!($name) => {
                    let function: $name = $handler;
                    function as *const c_void
                })*
                _ => std::ptr::null(),
            }
        }
    };
}

functions! {
    zexCommandListAppendWaitOnMemory => wait_on_memory;
    zexCommandListAppendWriteToMemory => write_to_memory;
    zexDriverImportExternalPointer => import;
    zexDriverReleaseImportedPointer => release;
}

fn code(outcome: impl FnOnce() -> Outcome) -> ze_result_t {
    crate::border::call(outcome)
}

/// The word that a device uses for an address: where it is, if the driver knows the memory, and else a copy that nobody
/// else sees.
fn seen_at(address: u64, bytes: u64) -> u64 {
    if memory::contains(address, bytes) || IMPORTED.contains(address, bytes) {
        return address;
    }
    // SAFETY: the program's own word.
    let copied = unsafe { std::ptr::with_exposed_provenance::<u32>(address as usize).read() };
    Box::leak(Box::new(u64::from(copied))) as *const u64 as u64
}

unsafe extern "C" fn wait_on_memory(
    list: ze_command_list_handle_t,
    desc: *mut zex_wait_on_mem_desc_t,
    word: *mut c_void,
    value: u32,
    signal: ze_event_handle_t,
) -> ze_result_t {
    code(|| {
        // SAFETY: the caller's descriptor.
        let action = unsafe { read(desc) }?.actionFlag;
        let comparison = match action {
            ZEX_WAIT_ON_MEMORY_FLAG_GREATER_THAN_EQUAL => Comparison::NotLess,
            _ => return Err(rc::UNSUPPORTED_ENUMERATION),
        };
        require(!word.is_null(), rc::NULL_POINTER)?;
        let gate = Gate {
            address: seen_at(word as u64, Width::Bits32.bytes()),
            width: Width::Bits32,
            comparison,
            value: value.into(),
            mask: u64::MAX,
        };
        // SAFETY: no events to wait for.
        unsafe { append(list, |_| Ok(Action::Wait(gate)), signal, 0, null_mut()) }
    })
}

unsafe extern "C" fn write_to_memory(
    list: ze_command_list_handle_t,
    desc: *mut zex_write_to_mem_desc_t,
    word: *mut c_void,
    value: u64,
) -> ze_result_t {
    code(|| {
        // SAFETY: the caller's descriptor.
        unsafe { read(desc) }?;
        let width = Width::Bits64.bytes();
        require(!word.is_null(), rc::NULL_POINTER)?;
        require(
            (word as u64).is_multiple_of(width),
            rc::UNSUPPORTED_ALIGNMENT,
        )?;
        let address = seen_at(word as u64, width);
        let write = |_: &_| Ok(Action::Write { address, value });
        // SAFETY: no events to wait for.
        unsafe { append(list, write, null_mut(), 0, null_mut()) }
    })
}

unsafe extern "C" fn import(
    driver: ze_driver_handle_t,
    address: *mut c_void,
    bytes: usize,
) -> ze_result_t {
    code(|| {
        check(driver)?;
        require(!address.is_null() && bytes > 0, rc::INVALID_ARGUMENT)?;
        let refuses = gpus().iter().any(|gpu| gpu.device.config().no_pin);
        let allowed = !refuses && pinning::allowed(address as u64, bytes);
        require(allowed, rc::INVALID_ARGUMENT)?;
        require(
            IMPORTED.insert(address as u64, bytes as u64, ()),
            rc::INVALID_ARGUMENT,
        )
    })
}

unsafe extern "C" fn release(driver: ze_driver_handle_t, address: *mut c_void) -> ze_result_t {
    code(|| {
        check(driver)?;
        let taken = IMPORTED.remove(address as u64, |_| true);
        require(taken.is_some(), rc::INVALID_ARGUMENT)
    })
}
