//! Virtual memory management: physical memory, reserved addresses, mappings.
//!
//! Physical memory lives until its last handle and its last mapping are gone. Memory that can be
//! exported has a memory file of its own, which is what a POSIX file descriptor handle is.

use crate::border::{Outcome, put, rc, require};
use crate::driver::Gpu;
use crate::handles::Table;
use crate::memory::{self, Allocation, Kind};
use crate::types::*;
use fcsp_sim::space::{self, Reservations};
use std::collections::BTreeMap;
use std::ffi::c_uint;
use std::ffi::{c_int, c_ulonglong, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};

/// What physical memory is counted in.
/// Sizes and addresses of physical memory are multiples of this.
pub const GRANULARITY_BYTES: u64 = 2 << 20;
const POSIX_FD: u32 = 1;
/// The name of exportable memory files, by which an import recognises them.
const FILE_NAME: &str = "fcsp-sim-vmm";

/// Physical memory.
pub struct Physical {
    gpu: &'static Gpu,
    bytes: u64,
    backing: Backing,
    handle_types: u32,
    charged_bytes: u64,
}

enum Backing {
    /// An extent of the device's arena.
    Arena(u64),
    /// A file of its own.
    File(OwnedFd),
}

struct Mapping {
    bytes: u64,
    physical: Arc<Physical>,
}

static PHYSICAL: Table<Physical> = Table::new(11);
static RESERVED: Reservations = Reservations::new();
static MAPPED: Mutex<BTreeMap<u64, Mapping>> = Mutex::new(BTreeMap::new());

impl Physical {
    fn file(&self) -> Result<(RawFd, u64), Failure> {
        match &self.backing {
            Backing::Arena(address) => {
                let arena = self.gpu.arena()?;
                Ok((arena.raw_fd(), address - arena.base()))
            }
            Backing::File(file) => Ok((file.as_raw_fd(), 0)),
        }
    }
}

impl Drop for Physical {
    fn drop(&mut self) {
        if let (Backing::Arena(address), Ok(arena)) = (&self.backing, self.gpu.arena()) {
            arena.free(*address, self.bytes, GRANULARITY_BYTES);
        }
        self.gpu.device.release(self.charged_bytes);
    }
}

fn memory_file(gpu: &Gpu, bytes: u64) -> Result<OwnedFd, Failure> {
    let name = format!("{FILE_NAME}-{}\0", gpu.device.index());
    // SAFETY: a NUL-terminated name.
    let fd = unsafe { libc::memfd_create(name.as_ptr().cast(), libc::MFD_CLOEXEC) };
    require(fd >= 0, rc::OPERATING_SYSTEM)?;
    // SAFETY: just created, owned by nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: an open descriptor of a memory file.
    let sized = unsafe { libc::ftruncate(file.as_raw_fd(), bytes as i64) } == 0;
    require(sized, rc::OUT_OF_MEMORY)?;
    Ok(file)
}

fn physical(handle: u64) -> Result<Arc<Physical>, Failure> {
    PHYSICAL.get(handle as *mut c_void).ok_or(rc::INVALID_VALUE)
}

/// `cuMemRelease`.
pub unsafe fn release(handle: u64) -> Outcome {
    PHYSICAL
        .remove(handle as *mut c_void)
        .map(drop)
        .ok_or(rc::INVALID_VALUE)
}

/// `cuMemRetainAllocationHandle`: another handle of what is mapped at an address.
pub unsafe fn retain(place: *mut u64, address: *mut c_void) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let mapped = MAPPED.lock().unwrap_or_else(|e| e.into_inner());
    let found = mapped.range(..=address as u64).next_back();
    let found = found.filter(|(base, mapping)| address as u64 - **base < mapping.bytes);
    let (_, mapping) = found.ok_or(rc::INVALID_VALUE)?;
    // SAFETY: checked above.
    unsafe { put(place, PHYSICAL.insert_arc(Arc::clone(&mapping.physical))) }
}

/// `cuMemAddressReserve`.
pub unsafe fn reserve(
    place: *mut Address,
    bytes: usize,
    align: usize,
    _wanted: Address,
    flags: c_ulonglong,
) -> Outcome {
    require(!place.is_null() && flags == 0, rc::INVALID_VALUE)?;
    let bytes = bytes as u64;
    require(
        bytes > 0 && bytes.is_multiple_of(GRANULARITY_BYTES),
        rc::INVALID_VALUE,
    )?;
    require(align == 0 || align.is_power_of_two(), rc::INVALID_VALUE)?;
    let align = (align as u64).max(GRANULARITY_BYTES);
    let base = RESERVED
        .reserve(bytes, align)
        .map_err(|_| rc::OUT_OF_MEMORY)?;
    // SAFETY: checked above.
    unsafe { put(place, base) }
}

/// `cuMemAddressFree`.
pub unsafe fn address_free(address: Address, bytes: usize) -> Outcome {
    let mapped = MAPPED.lock().unwrap_or_else(|e| e.into_inner());
    let end = address.checked_add(bytes as u64).ok_or(rc::INVALID_VALUE)?;
    require(
        mapped.range(address..end).next().is_none(),
        rc::INVALID_VALUE,
    )?;
    // SAFETY: nothing is mapped into it.
    let freed = unsafe { RESERVED.free(address, bytes as u64) };
    require(freed, rc::INVALID_VALUE)
}

/// `cuMemMap`: whole allocations only, as in the driver.
pub unsafe fn map(
    address: Address,
    bytes: usize,
    offset: usize,
    handle: u64,
    flags: c_ulonglong,
) -> Outcome {
    require(flags == 0 && offset == 0, rc::INVALID_VALUE)?;
    let physical = physical(handle)?;
    let bytes = bytes as u64;
    require(
        bytes == physical.bytes && address.is_multiple_of(GRANULARITY_BYTES),
        rc::INVALID_VALUE,
    )?;
    require(RESERVED.contains(address, bytes), rc::INVALID_VALUE)?;
    let mut mapped = MAPPED.lock().unwrap_or_else(|e| e.into_inner());
    let group = crate::context::current().map_or(0, |context| context.group);
    let entered = memory::insert(address, bytes, Kind::Mapped, physical.gpu, group, 0);
    require(entered, rc::INVALID_VALUE)?;
    let (fd, start) = physical.file()?;
    // SAFETY: over a range that is reserved by us and has no mapping. No access until granted.
    let placed = unsafe { space::map(address, bytes, libc::PROT_NONE, fd, start) };
    if placed.is_err() {
        memory::remove(address, |_| true);
        return Err(rc::OUT_OF_MEMORY);
    }
    mapped.insert(address, Mapping { bytes, physical });
    Ok(())
}

/// `cuMemUnmap`: one or several whole mappings.
pub unsafe fn unmap(address: Address, bytes: usize) -> Outcome {
    let end = address.checked_add(bytes as u64).ok_or(rc::INVALID_VALUE)?;
    {
        let mapped = MAPPED.lock().unwrap_or_else(|e| e.into_inner());
        let mut at = address;
        while at < end {
            at += mapped.get(&at).ok_or(rc::INVALID_VALUE)?.bytes;
        }
        require(at == end && bytes > 0, rc::INVALID_VALUE)?;
    }
    if let Ok(context) = crate::context::current() {
        // Work that uses the memory may still be under way.
        context.gpu.queues()?.wait_group(context.group);
    }
    let mut mapped = MAPPED.lock().unwrap_or_else(|e| e.into_inner());
    let mut at = address;
    while at < end {
        let Some(mapping) = mapped.remove(&at) else {
            break;
        };
        memory::remove(at, |a: &Allocation| a.kind == Kind::Mapped);
        // SAFETY: a mapping in a reservation of ours, which has been taken out.
        unsafe { space::clear(at, mapping.bytes) }.map_err(|_| rc::OUT_OF_MEMORY)?;
        at += mapping.bytes;
    }
    Ok(())
}

/// `cuMemExportToShareableHandle`.
pub unsafe fn export(place: *mut c_void, handle: u64, kind: c_uint, flags: c_ulonglong) -> Outcome {
    require(!place.is_null() && flags == 0, rc::INVALID_VALUE)?;
    let physical = physical(handle)?;
    require(kind == POSIX_FD, rc::NOT_SUPPORTED)?;
    let Backing::File(file) = &physical.backing else {
        return Err(rc::INVALID_VALUE);
    };
    // SAFETY: an open descriptor of ours.
    let copy = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    require(copy >= 0, rc::OPERATING_SYSTEM)?;
    // SAFETY: checked above; for this handle type the caller's pointer is to an int.
    unsafe { put(place.cast::<c_int>(), copy) }
}

/// `cuMemImportFromShareableHandle`. The exporter has paid for the memory.
pub unsafe fn import(place: *mut u64, handle: *mut c_void, kind: c_uint) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    require(kind == POSIX_FD, rc::NOT_SUPPORTED)?;
    let fd = handle as usize as c_int;
    let name = std::fs::read_link(format!("/proc/self/fd/{fd}")).map_err(|_| rc::INVALID_VALUE)?;
    let name = name.to_string_lossy().into_owned();
    let marker = format!("/memfd:{FILE_NAME}-");
    let index: String = name
        .strip_prefix(&marker)
        .ok_or(rc::INVALID_VALUE)?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let index: u32 = index.parse().map_err(|_| rc::INVALID_VALUE)?;
    let same = |gpu: &&Gpu| gpu.device.index() == index;
    let gpu = crate::driver::gpus()
        .iter()
        .find(same)
        .ok_or(rc::INVALID_DEVICE)?;
    // SAFETY: the link above says that the descriptor is open.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    let file = file
        .try_clone_to_owned()
        .map_err(|_| rc::OPERATING_SYSTEM)?;
    let bytes = std::fs::File::from(file.try_clone().map_err(|_| rc::OPERATING_SYSTEM)?)
        .metadata()
        .map_err(|_| rc::INVALID_VALUE)?
        .len();
    let backing = Backing::File(file);
    let physical = Physical {
        gpu,
        bytes,
        backing,
        handle_types: POSIX_FD,
        charged_bytes: 0,
    };
    // SAFETY: checked above.
    unsafe { put(place, PHYSICAL.insert(physical)) }
}

/// Takes physical memory of a device; its handle. `handle_types` says how it can be shared: not, or as a descriptor.
///
/// # Errors
/// A size that is no multiple of [`GRANULARITY_BYTES`], another way of sharing, or no room.
pub fn make(gpu: &'static Gpu, bytes: u64, handle_types: u32) -> Result<u64, Failure> {
    require(
        bytes > 0 && bytes.is_multiple_of(GRANULARITY_BYTES),
        rc::INVALID_VALUE,
    )?;
    require(handle_types & !POSIX_FD == 0, rc::NOT_SUPPORTED)?;
    memory::charge(gpu, bytes)?;
    let backing = match handle_types {
        0 => gpu
            .arena()
            .and_then(|arena| {
                arena
                    .alloc(bytes, GRANULARITY_BYTES)
                    .ok_or(rc::OUT_OF_MEMORY)
            })
            .map(Backing::Arena),
        _ => memory_file(gpu, bytes).map(Backing::File),
    };
    let backing = backing.inspect_err(|_| gpu.device.release(bytes))?;
    Ok(PHYSICAL.insert(Physical {
        gpu,
        bytes,
        backing,
        handle_types,
        charged_bytes: bytes,
    }))
}

/// The device's ordinal of physical memory, and how it can be shared.
///
/// # Errors
/// The handle names none.
pub fn facts(handle: u64) -> Result<(c_int, u32), Failure> {
    let physical = physical(handle)?;
    Ok((physical.gpu.ordinal, physical.handle_types))
}

/// Allows access to mapped memory, for each of `flags`: 0 none, 1 read, 3 read and write.
///
/// # Errors
/// Nothing is mapped there, or an unknown flag.
pub fn protect(address: u64, bytes: usize, flags: impl IntoIterator<Item = u32>) -> Outcome {
    require(memory::contains(address, bytes as u64), rc::INVALID_VALUE)?;
    let mut protection: c_int = libc::PROT_NONE;
    for flags in flags {
        protection |= match flags {
            0 => libc::PROT_NONE,
            1 => libc::PROT_READ,
            3 => libc::PROT_READ | libc::PROT_WRITE,
            _ => return Err(rc::INVALID_VALUE),
        };
    }
    // Only mapped ranges are ours to protect.
    let ours = memory::find(address).is_some_and(|found| found.kind == Kind::Mapped);
    require(ours, rc::INVALID_VALUE)?;
    // SAFETY: the range consists of ranges we know and have mapped.
    let done = unsafe { libc::mprotect(address as *mut c_void, bytes, protection) } == 0;
    require(done, rc::INVALID_VALUE)
}
