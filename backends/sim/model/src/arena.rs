//! Device memory with real contents.
//!
//! Owns: one sparse memory file per device and process, mapped once, and which extents of it are
//! taken. Pages appear when touched and go back when an extent is freed. Does not own: the physical
//! limit ([`crate::Device::charge`]).
//!
//! Device pointers are addresses of this mapping, so they are unique in the process and copies are
//! plain copies. Unlike on hardware, the host can touch device memory without a fault.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

/// Address space per device: enough for the largest board several times over.
const ARENA_BYTES: u64 = 1 << 40;

/// Granularity of physical allocations, to which device addresses must be able to align.
const BASE_ALIGN: u64 = 2 << 20;

/// The sparse memory file and its mapping.
pub struct Arena {
    file: OwnedFd,
    base: u64,
    free: Mutex<BTreeMap<u64, u64>>,
}

impl Arena {
    /// Makes an empty arena.
    ///
    /// # Errors
    /// The kernel refuses the file or the address space.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the name is a NUL-terminated literal.
        let fd = unsafe { libc::memfd_create(c"fcsp-sim".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just created, owned by nobody else.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: an open descriptor of a memory file.
        if unsafe { libc::ftruncate(fd, ARENA_BYTES as i64) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh reservation at an address of the kernel's choice.
        let reserved = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                (ARENA_BYTES + BASE_ALIGN) as usize,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if reserved == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = (reserved as u64).next_multiple_of(BASE_ALIGN);
        // SAFETY: the fixed range lies inside the reservation just made.
        let mapped = unsafe {
            libc::mmap(
                base as *mut libc::c_void,
                ARENA_BYTES as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_FIXED,
                fd,
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            file,
            base,
            free: Mutex::new(BTreeMap::from([(0, ARENA_BYTES)])),
        })
    }

    /// The file behind the memory; an extent lies at its address minus [`Arena::base`].
    pub fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Address of the first byte.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Takes `bytes` (rounded up to `align`, a power of two) of zeroed memory.
    pub fn alloc(&self, bytes: u64, align: u64) -> Option<u64> {
        let bytes = bytes.checked_next_multiple_of(align)?;
        let mut free = self.free.lock().unwrap_or_else(|e| e.into_inner());
        let (start, length, at) = free.iter().find_map(|(start, length)| {
            let at = start.next_multiple_of(align);
            let end = at.checked_add(bytes)?;
            (end <= start + length).then_some((*start, *length, at))
        })?;
        free.remove(&start);
        if at > start {
            free.insert(start, at - start);
        }
        if at + bytes < start + length {
            free.insert(at + bytes, start + length - at - bytes);
        }
        Some(self.base + at)
    }

    /// Gives an extent back; its contents are lost.
    pub fn free(&self, address: u64, bytes: u64, align: u64) {
        let bytes = bytes.next_multiple_of(align);
        let mut start = address - self.base;
        // SAFETY: our own file, a range inside it; the call changes no mapping.
        unsafe {
            libc::fallocate(
                self.file.as_raw_fd(),
                libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                start as i64,
                bytes as i64,
            )
        };
        let mut length = bytes;
        let mut free = self.free.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(next) = free.remove(&(start + length)) {
            length += next;
        }
        if let Some((before, size)) = free.range(..start).next_back().map(|(s, l)| (*s, *l))
            && before + size == start
        {
            free.remove(&before);
            start = before;
            length += size;
        }
        free.insert(start, length);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours; whoever drops the arena has given up its addresses.
        unsafe { libc::munmap(self.base as *mut libc::c_void, ARENA_BYTES as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_do_not_overlap_and_merge_when_freed() {
        let arena = Arena::new().expect("memory file");
        let a = arena.alloc(1000, 512).expect("space");
        let b = arena.alloc(1, 1 << 21).expect("space");
        let c = arena.alloc(4096, 512).expect("space");
        assert!(b % (1 << 21) == arena.base() % (1 << 21) && a + 1024 <= c || c + 4096 <= b);
        arena.free(a, 1000, 512);
        arena.free(c, 4096, 512);
        arena.free(b, 1, 1 << 21);
        let all = arena.free.lock().expect("not poisoned");
        assert_eq!(all.iter().collect::<Vec<_>>(), [(&0, &ARENA_BYTES)]);
    }

    #[test]
    fn freed_memory_comes_back_zeroed() {
        let arena = Arena::new().expect("memory file");
        let a = arena.alloc(4096, 4096).expect("space") as *mut u8;
        // SAFETY: a page that was just allocated.
        unsafe { a.write(7) };
        arena.free(a as u64, 4096, 4096);
        let b = arena.alloc(4096, 4096).expect("space") as *mut u8;
        assert_eq!(a, b);
        // SAFETY: as above.
        assert_eq!(unsafe { b.read() }, 0);
    }

    #[test]
    fn more_than_the_arena_is_refused() {
        let arena = Arena::new().expect("memory file");
        assert_eq!(arena.alloc(ARENA_BYTES + 1, 512), None);
        assert_eq!(arena.alloc(u64::MAX, 512), None);
        assert_eq!(arena.alloc(u64::MAX - 1023, 512), None);
    }
}
