//! What copies and fills cost, and which memory they are between.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use fcsp_gate::Handle;
use fcsp_program::driver::Transfers;
use fcsp_program::transfer::{Kind, Place};
use hip_sys::{hipError_t, hipMemoryType, hipPointerAttribute_t, v5};

use crate::driver::Hip;
use crate::errors::quietly;
use crate::hooks::hip;
use crate::version::is_5;

impl Transfers for Hip {
    /// Not measured on this vendor's devices: as on others of their class.
    const LARGE_BYTES: u64 = 1 << 20;
    const SMALL_NS: u64 = 3_000;
    /// What the runtime copies through its staging buffer at most, as far as is known, without waiting.
    const STAGED_BYTES_MAX: u64 = 64 << 10;

    /// Not measured: as on other devices with high-bandwidth memory. What is learnt replaces it.
    fn guess_ns(kind: Kind, bytes: u64) -> u64 {
        let (start_ns, bytes_per_us) = match kind {
            Kind::Fill => (5_000, 1_600_000),
            Kind::Copy | Kind::Decompress => (6_000, 800_000),
        };
        start_ns + bytes.saturating_mul(1000) / bytes_per_us
    }

    fn place_of(address: u64) -> Place {
        let mut attributes = MaybeUninit::<hipPointerAttribute_t>::zeroed();
        let pointer: *const c_void = <*mut c_void>::from_number(address);
        let result = hip::hipPointerGetAttributes.get().map(|ask| {
            // SAFETY: the driver writes the structure, whose size is the same in all versions, or fails.
            quietly(|| unsafe { ask(attributes.as_mut_ptr(), pointer) })
        });
        if result != Some(hipError_t::hipSuccess) {
            return Place::Pageable;
        }
        // SAFETY: zeros are a value of it, and the driver wrote one.
        let attributes = unsafe { attributes.assume_init() };
        place(attributes.type_, attributes.device, is_5())
    }
}

/// Where memory of that type lies; types had other numbers in version 5.
fn place(kind: hipMemoryType, device: i32, is_5: bool) -> Place {
    let (host, unregistered) = if is_5 {
        (v5::hipMemoryType::hipMemoryTypeHost.0, None)
    } else {
        (
            hipMemoryType::hipMemoryTypeHost.0,
            Some(hipMemoryType::hipMemoryTypeUnregistered.0),
        )
    };
    if Some(kind.0) == unregistered {
        Place::Pageable
    } else if kind.0 == host {
        Place::Pinned
    } else {
        Place::Device(device)
    }
}

const _: () = assert!(size_of::<hipPointerAttribute_t>() == size_of::<v5::hipPointerAttribute_t>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_memory_are_read_as_their_version_numbers_them() {
        let at = |number, is_5| place(hipMemoryType(number), 3, is_5);
        assert_eq!(at(0, false), Place::Pageable);
        assert_eq!(at(1, false), Place::Pinned);
        assert_eq!(at(2, false), Place::Device(3));
        assert_eq!(at(0, true), Place::Pinned);
        assert_eq!(at(1, true), Place::Device(3));
    }
}
