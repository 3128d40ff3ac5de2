//! Device memory: what is allocated and freed, by kind.
//!
//! [`charge`] charges and gives back, whatever the kind; [`pool`] is allocation in stream order, [`physical`] memory that
//! is mapped apart from its allocation, [`graph`] nodes that allocate. What a call means in bytes is its vendor's handler's.

pub mod charge;
pub mod graph;
pub mod physical;
pub mod pool;

use crate::driver::{CodeOf, Driver};
use crate::memory::charge::{charged, key_at};
use crate::memory::pool::Address;
use crate::{device, usage};

/// Tag of what belongs to no context that is known: it is swept with the device's last one.
pub const NO_CONTEXT: u8 = 0;
/// Tags from 1 to this are for the vendor's contexts, to tell what ends with each. Those beyond are [`pool::table`]'s.
pub const TAGS_MAX: u8 = 127;

/// An allocation on the calling thread's device, whose address the driver writes to `address`; `tag` says what it
/// ends with.
///
/// # Safety
///
/// `address` is the program's own argument, valid after the driver accepted it.
#[inline]
pub unsafe fn at_address<D: Driver, A: Address>(
    address: *mut A,
    bytes: u64,
    tag: impl FnOnce() -> u8,
    allocate: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    let Some(device) = device::current::<D>() else {
        return allocate();
    };
    charged::<D>(device, &device.allocations, bytes, tag(), || {
        let result = allocate();
        // SAFETY: the driver has answered.
        (result, unsafe {
            key_at::<D, A>(result, address, A::number)
        })
    })
}

/// Passes the answer of a call on that may have the driver take memory of its own for code, stacks or heaps; if it did
/// something, its memory is looked at.
///
/// How much that is, drivers do not say before, and with lazy loading not even after. So nothing is refused here;
/// [`crate::usage`] is told to look at the driver's own figure, and what it finds is charged and counts against the next
/// allocation.
pub fn noticed<D: Driver>(result: CodeOf<D>) -> CodeOf<D> {
    if result == D::SUCCESS {
        // Code may be loaded for all devices, and without a context.
        device::attached().for_each(usage::changed);
    }
    result
}
