//! Memory that another process opens: a name of an extent of a memory file, small enough for any vendor's handle.
//!
//! The opener maps the same pages; the exporter has paid for them. The exporter must be alive when it is opened.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

const MAGIC: [u8; 8] = *b"fcspipc1";
const PAGE_BYTES: u64 = 4096;

/// An extent of a memory file of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The process, in its own PID namespace.
    pub pid: u32,
    /// Number of the device, or whatever else tells one kind of memory from another.
    pub device: u32,
    /// Descriptor of the file in that process.
    pub fd: RawFd,
    /// Where the extent begins in the file.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
}

impl Extent {
    /// An extent of this process.
    pub fn own(device: u32, fd: RawFd, offset: u64, bytes: u64) -> Self {
        let pid = std::process::id();
        Self {
            pid,
            device,
            fd,
            offset,
            bytes,
        }
    }

    /// What travels to the other process.
    pub fn to_handle(self) -> [u8; 64] {
        let numbers = [
            u64::from(self.pid) << 32 | u64::from(self.device),
            self.fd as u64,
            self.offset,
            self.bytes,
        ];
        let mut handle = [0; 64];
        handle[..8].copy_from_slice(&MAGIC);
        for (at, number) in numbers.iter().enumerate() {
            handle[8 + at * 8..16 + at * 8].copy_from_slice(&number.to_ne_bytes());
        }
        handle
    }

    /// Reads a handle; nothing if it is none of ours.
    pub fn from_handle(handle: &[u8; 64]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = handle.get(8 + at * 8..16 + at * 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        (handle[..8] == MAGIC).then_some(())?;
        Some(Self {
            pid: (number(0)? >> 32) as u32,
            device: number(0)? as u32,
            fd: number(1)? as RawFd,
            offset: number(2)?,
            bytes: number(3)?,
        })
    }

    /// Maps the extent into this process and returns the address of its first byte.
    ///
    /// # Errors
    /// The exporter is gone or may not be looked into, or there is no address space left.
    pub fn map(&self) -> io::Result<u64> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{}/fd/{}", self.pid, self.fd))?;
        // Extents begin anywhere, mappings at pages.
        let start = self.offset / PAGE_BYTES * PAGE_BYTES;
        let span = (self.offset + self.bytes - start).next_multiple_of(PAGE_BYTES);
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                span as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                start as i64,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(mapped as u64 + (self.offset - start))
    }
}

/// Unmaps what [`Extent::map`] returned.
///
/// # Safety
/// `address` and `bytes` are of one mapping, which nobody uses any more.
pub unsafe fn unmap(address: u64, bytes: u64) {
    let start = address / PAGE_BYTES * PAGE_BYTES;
    let span = (address + bytes - start).next_multiple_of(PAGE_BYTES);
    // SAFETY: whole pages of the mapping, by the caller's contract.
    unsafe { libc::munmap(start as *mut libc::c_void, span as usize) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_says_what_was_exported_and_nothing_else_is_one() {
        let extent = Extent::own(3, 7, 512, 4096);
        assert_eq!(Extent::from_handle(&extent.to_handle()), Some(extent));
        assert_eq!(Extent::from_handle(&[0; 64]), None);
    }
}
