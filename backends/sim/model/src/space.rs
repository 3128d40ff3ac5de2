//! Address space without memory, and memory mapped into it.
//!
//! Owns: reservations. Does not own: what is mapped into one.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard};

/// Reserved addresses: each range by its beginning.
#[derive(Default)]
pub struct Reservations {
    all: Mutex<BTreeMap<u64, u64>>,
}

impl Reservations {
    /// No reservations.
    pub const fn new() -> Self {
        Self {
            all: Mutex::new(BTreeMap::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.all.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Reserves addresses that fault. `align` is a power of two and at least a page, `bytes` whole pages.
    ///
    /// # Errors
    /// There is no address space left.
    pub fn reserve(&self, bytes: u64, align: u64) -> io::Result<u64> {
        let room = bytes
            .checked_add(align)
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: at an address of the kernel's choice.
        let start = unsafe { no_access(0, room, 0) }?;
        let base = start.next_multiple_of(align);
        // SAFETY: the parts of our own fresh mapping before and after the aligned range.
        unsafe {
            if base > start {
                libc::munmap(start as *mut libc::c_void, (base - start) as usize);
            }
            let end = base + bytes;
            libc::munmap(end as *mut libc::c_void, (start + room - end) as usize);
        }
        self.lock().insert(base, bytes);
        Ok(base)
    }

    /// Whether a range lies in one reservation.
    pub fn contains(&self, address: u64, bytes: u64) -> bool {
        let all = self.lock();
        let found = all.range(..=address).next_back();
        let end = address.checked_add(bytes);
        end.is_some_and(|end| found.is_some_and(|(base, length)| end <= base + length))
    }

    /// Gives a whole reservation back. False if there is none of this beginning and length.
    ///
    /// # Safety
    /// Nobody uses what is mapped into it.
    pub unsafe fn free(&self, address: u64, bytes: u64) -> bool {
        let mut all = self.lock();
        if all.get(&address) != Some(&bytes) {
            return false;
        }
        all.remove(&address);
        // SAFETY: reserved by us with this length; unused by the caller's contract.
        unsafe { libc::munmap(address as *mut libc::c_void, bytes as usize) };
        true
    }
}

/// Maps part of a memory file over reserved addresses.
///
/// # Errors
/// The kernel refuses.
///
/// # Safety
/// The range is reserved and nobody uses what was there.
pub unsafe fn map(
    address: u64,
    bytes: u64,
    protection: libc::c_int,
    fd: RawFd,
    offset: u64,
) -> io::Result<()> {
    let flags = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let at = address as *mut libc::c_void;
    // SAFETY: the caller's contract.
    let mapped = unsafe { libc::mmap(at, bytes as usize, protection, flags, fd, offset as i64) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets reserved addresses fault again.
///
/// # Errors
/// The kernel refuses.
///
/// # Safety
/// As for [`map`].
pub unsafe fn clear(address: u64, bytes: u64) -> io::Result<()> {
    // SAFETY: the caller's contract.
    unsafe { no_access(address, bytes, libc::MAP_FIXED) }.map(drop)
}

/// Maps nothing: at an address of the kernel's choice, or over what is there.
///
/// # Safety
/// With `MAP_FIXED`, as for [`map`].
unsafe fn no_access(address: u64, bytes: u64, fixed: libc::c_int) -> io::Result<u64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed;
    let at = address as *mut libc::c_void;
    // SAFETY: the caller's contract.
    let mapped = unsafe { libc::mmap(at, bytes as usize, libc::PROT_NONE, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(mapped as u64)
}
