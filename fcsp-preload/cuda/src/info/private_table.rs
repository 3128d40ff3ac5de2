//! The management library's private table, by which `nvidia-smi` asks for processes: its lists hold the tenant's
//! own only.
//!
//! The program gets a copy of the table in which those functions are ours; all others stay the library's.
//! Which places of the table the lists are at, and what their entries look like, is no promise of the vendor: with a
//! driver of which nobody has described it the program gets the table as it is.

use core::ffi::{CStr, c_uint, c_void};
use core::ptr;
use std::sync::OnceLock;

use cuda_sys::undeclared::{ListProcesses, PROCESS_LISTS, ProcessEntry, TABLE_ID};
use cuda_sys::{fn_types, nvmlDevice_t, nvmlReturn_t};
use fcsp_preload::{Verb, border, guard};

use crate::hooks::nvml;
use crate::info::view::view_of;

/// Branches of drivers whose table is as described.
const BRANCHES: [u32; 1] = [580];
/// `NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE` in nvml.h 13.0.
const VERSION_BYTES: usize = 80;
/// Most words of a table that is taken for one: drivers have some 300.
const WORDS_MAX: usize = 4096;

/// The table that programs get: a copy of the library's with our lists.
struct OwnTable {
    words: Box<[usize]>,
    /// The library's own lists.
    lists: [ListProcesses; PROCESS_LISTS.len()],
}

/// Made once: the library stays loaded, and so its table stays where it is.
static OWN_TABLE: OnceLock<OwnTable> = OnceLock::new();

/// # Safety
///
/// As `nvmlInternalGetExportTable`.
pub unsafe fn export_table(
    real: fn_types::nvmlInternalGetExportTable,
    table: *mut *const c_void,
    id: *const [u8; 16],
) -> nvmlReturn_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(table, id) };
    // SAFETY: the library accepted them.
    if result == nvmlReturn_t::NVML_SUCCESS && unsafe { *id } == TABLE_ID {
        // SAFETY: the library put it there.
        let found = unsafe { (*table).cast::<usize>() };
        if OWN_TABLE.get().is_none()
            && !found.is_null()
            && is_described()
            // SAFETY: the library's table, of a driver whose table is as described.
            && let Some(own) = unsafe { OwnTable::of(found) }
        {
            // Another thread may have been faster, with the same.
            OWN_TABLE.set(own).ok();
        }
        if let Some(own) = OWN_TABLE.get() {
            // SAFETY: the library wrote there.
            unsafe { *table = own.words.as_ptr().cast() };
        }
    }
    result
}

/// Whether the driver is one whose table is as described. Asked of a function that answers before the library is
/// initialised.
fn is_described() -> bool {
    let mut text = [0; VERSION_BYTES];
    let Some(version) = nvml::nvmlSystemGetNVMLVersion.get() else {
        return false;
    };
    // SAFETY: the library writes a string within the length.
    let result = unsafe { version(text.as_mut_ptr(), VERSION_BYTES as c_uint) };
    // SAFETY: zeros at first, and the library ends what it writes with a NUL.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    result == nvmlReturn_t::NVML_SUCCESS
        && text
            .to_str()
            .ok()
            .and_then(branch)
            .is_some_and(|it| BRANCHES.contains(&it))
}

/// The driver's branch in a version of the management library, `13.580.159`.
fn branch(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

impl OwnTable {
    /// Nothing if the table is not of a size that it can have.
    ///
    /// # Safety
    ///
    /// `table` is the library's, of a driver whose table is as described.
    unsafe fn of(table: *const usize) -> Option<Self> {
        // SAFETY: the first word is the size.
        let size_bytes = unsafe { *table };
        let count = size_bytes / size_of::<usize>();
        if !size_bytes.is_multiple_of(size_of::<usize>())
            || !(PROCESS_LISTS[2] + 1..=WORDS_MAX).contains(&count)
        {
            return None;
        }
        // SAFETY: so many words.
        let mut words: Box<[usize]> = unsafe { core::slice::from_raw_parts(table, count) }.into();
        let lists = PROCESS_LISTS.map(|at| words[at]);
        if lists.contains(&0) {
            return None;
        }
        let ours: [ListProcesses; PROCESS_LISTS.len()] = [list::<0>, list::<1>, list::<2>];
        for (at, list) in PROCESS_LISTS.into_iter().zip(ours) {
            words[at] = list as usize;
        }
        // SAFETY: the words are addresses of functions of this type.
        let lists = lists.map(|list| unsafe {
            core::mem::transmute::<*const c_void, ListProcesses>(ptr::with_exposed_provenance(list))
        });
        Some(Self { words, lists })
    }
}

/// What stands in the table for the list of that number.
unsafe extern "C" fn list<const NUMBER: usize>(
    device: nvmlDevice_t,
    count: *mut c_uint,
    entries: *mut ProcessEntry,
    fourth: usize,
    fifth: usize,
    sixth: usize,
) -> nvmlReturn_t {
    let Some(own) = OWN_TABLE.get() else {
        return nvmlReturn_t::NVML_ERROR_UNKNOWN;
    };
    // SAFETY: the program's own call, passed on.
    let real = || unsafe { own.lists[NUMBER](device, count, entries, fourth, fifth, sixth) };
    border::cross(
        Verb::Virtualize,
        "a private list of processes",
        nvmlReturn_t::NVML_ERROR_UNKNOWN,
        || {
            guard::note_driver_call();
            let result = real();
            if result == nvmlReturn_t::NVML_SUCCESS {
                // SAFETY: the library has just filled the list.
                unsafe { leave_own(device, count, entries) };
            }
            result
        },
        real,
    )
}

/// Takes out of a list whoever is not the tenant's.
///
/// # Safety
///
/// `count` is null or says how many `entries` there are.
unsafe fn leave_own(device: nvmlDevice_t, count: *mut c_uint, entries: *mut ProcessEntry) {
    // SAFETY: by the caller's contract.
    let Some(count) = (unsafe { count.as_mut() }).filter(|count| **count > 0) else {
        return;
    };
    if entries.is_null() {
        return;
    }
    let Some(pids) = view_of(device).and_then(|view| view.own_pids()) else {
        return;
    };
    let mut kept = 0;
    for at in 0..*count as usize {
        // SAFETY: both are within the list, by the caller's contract.
        unsafe {
            let entry = entries.add(at);
            if pids.contains(&(*entry).detail.pid) {
                ptr::copy(entry, entries.add(kept), 1);
                kept += 1;
            }
        }
    }
    *count = kept as c_uint;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_of_a_driver_is_in_the_librarys_version() {
        assert_eq!(branch("13.580.159"), Some(580));
        assert_eq!(branch("12.535.104.05"), Some(535));
        assert_eq!(branch("580"), None);
    }

    #[test]
    fn a_table_of_another_size_is_left_alone() {
        let short = [8 * 100_usize; 300];
        let crooked = [2001_usize; 300];
        let empty = {
            let mut words = [0_usize; 300];
            words[0] = size_of_val(&words);
            words
        };
        for table in [&short, &crooked, &empty] {
            // SAFETY: as many words as are read.
            assert!(unsafe { OwnTable::of(table.as_ptr()) }.is_none());
        }
    }
}
