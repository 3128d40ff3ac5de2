//! Which kernels wait for other devices: those of collective libraries, known by their names.
//!
//! Such a kernel runs on every device of a job at once or on none. It is never held back, and nothing
//! is put into its queue in front of it but the end of the segment before, so that no turn waits for
//! it ([`crate::turn`], and "Work that waits for others" in docs/ARCHITECTURE.md).
//!
//! A name is read once, when the program looks the kernel up or when a handle is first launched; what
//! was found stays in a table of fixed size, and is forgotten when code is unloaded. Nothing here
//! allocates or locks.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::capture::Undisturbed;
use crate::driver::{CodeOf, Driver};

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

/// Whether a kernel of that name waits for other devices; `beginnings` are what names of the vendor's own begin with in
/// the source.
pub fn communicates(beginnings: &[&[u8]], name: &[u8]) -> bool {
    let holds = |part: &&[u8]| name.windows(part.len()).any(|window| window == *part);
    let source_name = source_name(name);
    beginnings.iter().any(|it| source_name.starts_with(it)) || PARTS.iter().any(holds)
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
pub fn is<D: Driver>(kernel: u64) -> bool {
    // Relaxed: as in `find`. Most stand at their own place.
    let word = KNOWN[place(kernel)].load(Ordering::Relaxed);
    if word >> 1 == kernel {
        return word & 1 != 0;
    }
    look_further::<D>(kernel)
}

#[cold]
#[inline(never)]
fn look_further<D: Driver>(kernel: u64) -> bool {
    find(kernel).unwrap_or_else(|| ask::<D>(kernel))
}

/// Asks the driver for the name. A driver that does not say has kernels that nobody recognises but by the name they
/// were looked up by.
fn ask<D: Driver>(kernel: u64) -> bool {
    let _quiet = Undisturbed::<D>::enter();
    let found =
        D::kernel_name(kernel).is_some_and(|name| communicates(D::COLLECTIVES, name.to_bytes()));
    remember(kernel, found);
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
pub unsafe fn looked_up<D: Driver, T>(
    result: CodeOf<D>,
    place: *mut *mut T,
    name: *const c_char,
) -> CodeOf<D> {
    if result == D::SUCCESS && !name.is_null() {
        // SAFETY: by the caller's contract.
        let (handle, name) = unsafe { (*place, CStr::from_ptr(name)) };
        remember(
            handle.expose_provenance() as u64,
            communicates(D::COLLECTIVES, name.to_bytes()),
        );
    }
    result
}

/// Notes that the kernel with the handle `known` has another one.
pub fn also(known: u64, other: u64) {
    if let Some(communicates) = find(known) {
        remember(other, communicates);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTIVES: &[&[u8]] = &[b"ccl", b"shmem"];

    #[test]
    fn collectives_are_known_by_name() {
        for name in [
            "ccl_AllReduce_Sum_f32",
            "_Z17ccl_AllReduce_f3224cclArgsStorageILm4096EE",
            "shmem_barrier_all",
            "_ZN4vllm26cross_device_reduce_1stageIfLi2EEEvPNS_8RankDataE",
            "_ZN4c10d24two_shot_all_reduce_kernelIfEEvv",
        ] {
            assert!(communicates(COLLECTIVES, name.as_bytes()), "{name}");
        }
        for name in [
            "fcsp_work",
            "",
            "_Z",
            "_Z9my_cclKerv",
            "my_ccl_AllReduce",
            "warpAllReduce",
            "cc",
        ] {
            assert!(!communicates(COLLECTIVES, name.as_bytes()), "{name}");
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
