//! Which kernels wait for other devices: those of NCCL, RCCL and their like, known by their names.
//!
//! Such a kernel runs on every device of a job at once or on none. It is never held back, and nothing
//! is put into its queue in front of it but the end of the segment before, so that no turn waits for
//! it ([`crate::turn`], and "Work that waits for others" in docs/ARCHITECTURE.md).
//!
//! A name is read once, when the program looks the kernel up or when a handle is first launched; what
//! was found stays in a table of fixed size, and is forgotten when code is unloaded. Nothing here
//! allocates or locks.

use core::ffi::{CStr, c_char};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use cuda_sys::{CUfunction, CUkernel, CUlibrary, CUmodule, CUresult, fn_types};

use crate::capture::Undisturbed;
use crate::hooks::cuda;
use crate::memory;

/// Kernels whose names in the source begin like this: NCCL (`ncclDevKernel_…`, `ncclKernel_…`,
/// `ncclSymkDevKernel_…`), RCCL, which has taken over NCCL's names and had its own, and NVSHMEM.
const BEGINNINGS: &[&[u8]] = &[b"nccl", b"rccl", b"nvshmem"];
/// Kernels whose (mangled) names hold this: all-reduce of vLLM and SGLang, and of PyTorch's symmetric
/// memory.
const PARTS: &[&[u8]] = &[
    b"cross_device_reduce",
    b"_shot_all_reduce_kernel",
    b"multimem_all_reduce_kernel",
];

const ENTRIES: usize = 8192;
const PROBES: usize = 8;

/// Handles with what is known of them: the address times two, plus one if it communicates. 0 is free.
static KNOWN: [AtomicU64; ENTRIES] = [const { AtomicU64::new(0) }; ENTRIES];

/// Whether a kernel of that name waits for other devices.
fn communicates(name: &[u8]) -> bool {
    let holds = |part: &&[u8]| name.windows(part.len()).any(|window| window == *part);
    let source_name = source_name(name);
    BEGINNINGS.iter().any(|it| source_name.starts_with(it)) || PARTS.iter().any(holds)
}

/// A name as it stands in the source, up to its parameters; the name itself if it is not that of a C++
/// function in no namespace (Itanium C++ ABI, 5.1.3: `_Z`, the length in decimal, the name).
fn source_name(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"_Z").map_or(name, |rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        &rest[digits..]
    })
}

/// A handle's own place in the table.
#[inline]
fn place(handle: u64) -> usize {
    // Handles are addresses of objects some hundred bytes apart.
    ((handle >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % ENTRIES
}

fn places(handle: u64) -> impl Iterator<Item = &'static AtomicU64> {
    (0..PROBES).map(move |i| &KNOWN[(place(handle) + i) % ENTRIES])
}

fn find(handle: u64) -> Option<bool> {
    // Relaxed: what is known of a handle is in the one word.
    places(handle)
        .map(|place| place.load(Ordering::Relaxed))
        .find(|word| word >> 1 == handle)
        .map(|word| word & 1 != 0)
}

fn remember(handle: u64, communicates: bool) {
    let word = handle << 1 | u64::from(communicates);
    let is_free = |place: &&AtomicU64| {
        let here = place.load(Ordering::Relaxed);
        here == 0 || here >> 1 == handle
    };
    // A full neighbourhood forgets whoever stands at the handle's own place.
    if let Some(place) = places(handle).find(is_free).or(places(handle).next()) {
        place.store(word, Ordering::Relaxed);
    }
}

/// True if the kernel waits for other devices. A load for a known one.
#[inline]
pub fn is(f: CUfunction) -> bool {
    let handle = f.expose_provenance() as u64;
    // Relaxed: as in `find`. Most stand at their own place.
    let word = KNOWN[place(handle)].load(Ordering::Relaxed);
    if word >> 1 == handle {
        return word & 1 != 0;
    }
    look_further(f)
}

#[cold]
#[inline(never)]
fn look_further(f: CUfunction) -> bool {
    find(f.addr() as u64).unwrap_or_else(|| ask(f))
}

/// Asks the driver for the name. A driver without such a call (before 12.3) has kernels that nobody
/// recognises but by the name they were looked up by.
fn ask(f: CUfunction) -> bool {
    let _quiet = Undisturbed::enter();
    let mut name: *const c_char = ptr::null();
    let mut result = CUresult::CUDA_ERROR_NOT_FOUND;
    if let Some(get) = cuda::cuFuncGetName.get() {
        // SAFETY: the driver writes a pointer to a name that lives as long as the function.
        result = unsafe { get(&mut name, f) };
    }
    if result != CUresult::CUDA_SUCCESS
        && let Some(get) = cuda::cuKernelGetName.get()
    {
        // SAFETY: as above; a launch takes the handle of a library's kernel as well.
        result = unsafe { get(&mut name, f.cast()) };
    }
    let known = result == CUresult::CUDA_SUCCESS && !name.is_null();
    // SAFETY: the driver wrote it.
    let found = known && communicates(unsafe { CStr::from_ptr(name) }.to_bytes());
    remember(f.expose_provenance() as u64, found);
    found
}

/// Handles may come back for other kernels.
pub fn forget() {
    for place in &KNOWN {
        // Relaxed: whoever launches what is loaded next has ordered that after this.
        place.store(0, Ordering::Relaxed);
    }
}

/// Notes a kernel that the program looked up by `name`, at `place`.
///
/// # Safety
///
/// Both are the program's own arguments, valid if the driver accepted them.
unsafe fn looked_up<T>(result: CUresult, place: *mut *mut T, name: *const c_char) -> CUresult {
    if result == CUresult::CUDA_SUCCESS && !name.is_null() {
        // SAFETY: by the caller's contract.
        let (handle, name) = unsafe { (*place, CStr::from_ptr(name)) };
        remember(
            handle.expose_provenance() as u64,
            communicates(name.to_bytes()),
        );
    }
    result
}

/// # Safety
///
/// As `cuModuleGetFunction`.
pub unsafe fn function(
    real: fn_types::cuModuleGetFunction,
    function: *mut CUfunction,
    module: CUmodule,
    name: *const c_char,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { looked_up(real(function, module, name), function, name) }
}

/// # Safety
///
/// As `cuLibraryGetKernel`.
pub unsafe fn kernel(
    real: fn_types::cuLibraryGetKernel,
    kernel: *mut CUkernel,
    library: CUlibrary,
    name: *const c_char,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { looked_up(real(kernel, library, name), kernel, name) }
}

/// # Safety
///
/// As `cuKernelGetFunction`: the same kernel by another handle.
pub unsafe fn kernel_function(
    real: fn_types::cuKernelGetFunction,
    function: *mut CUfunction,
    kernel: CUkernel,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(function, kernel) };
    if result == CUresult::CUDA_SUCCESS
        && let Some(known) = find(kernel.expose_provenance() as u64)
    {
        // SAFETY: the driver accepted and filled the pointer.
        remember(unsafe { *function }.expose_provenance() as u64, known);
    }
    result
}

/// # Safety
///
/// As `cuModuleUnload`.
pub unsafe fn unload(real: fn_types::cuModuleUnload, module: CUmodule) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { memory::code::unload(real, module) };
    forget();
    result
}

/// # Safety
///
/// As `cuLibraryUnload`.
pub unsafe fn unload_library(real: fn_types::cuLibraryUnload, library: CUlibrary) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { memory::code::unload_library(real, library) };
    forget();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectives_are_known_by_name() {
        for name in [
            // As libnccl 2.32 has it.
            "_Z32ncclDevKernel_AllReduce_f32_RING24ncclDevKernelArgsStorageILm4096EE",
            "ncclDevKernel_AllReduce_Sum_f32_RING_LL",
            "ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t",
            "ncclSymkDevKernel_AllGather_LL",
            "rcclGenericKernel_1",
            "nvshmemi_barrier_all",
            "_ZN4vllm26cross_device_reduce_1stageIfLi2EEEvPNS_8RankDataE",
            "_ZN4c10d24two_shot_all_reduce_kernelIfEEvv",
        ] {
            assert!(communicates(name.as_bytes()), "{name}");
        }
        for name in [
            "fcsp_work",
            "",
            "_Z",
            "_Z16my_ncclDevKernelv",
            "my_ncclDevKernel",
            "warpAllReduce",
            "ncc",
        ] {
            assert!(!communicates(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_is_known_of_a_handle_is_kept_until_it_is_forgotten() {
        assert_eq!(find(0x1230), None);
        remember(0x1230, true);
        remember(0x4560, false);
        assert_eq!((find(0x1230), find(0x4560)), (Some(true), Some(false)));
        // Found again for another kernel.
        remember(0x1230, false);
        assert_eq!(find(0x1230), Some(false));
        forget();
        assert_eq!(find(0x1230), None);
    }
}
