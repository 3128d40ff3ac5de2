//! Handlers of batches: many copies by one call, which is submitted as one, by the bytes that stay inside the device.
//!
//! Where lists and stream stand among the arguments is known of version 7. A later driver gets them as they came, and nothing
//! of it is gated.

use core::ffi::{c_ulonglong, c_void};

use fcsp_program::transfer::{End, batch};
use hip_sys::{hipError_t, hipStream_t};

use crate::driver::Hip;
use crate::errors::kept;
use crate::since_7::{fn_types, hipMemcpy3DBatchOp, hipMemcpy3DOperand};
use crate::transfer::copy::{at, volume};
use crate::version::is_7;

/// Entry `at` of a list of the program's; nothing if there is no list, which the driver refuses.
///
/// # Safety
///
/// `list` is null, or has an entry there.
unsafe fn entry<T: Copy>(list: *const T, at: usize) -> Option<T> {
    // SAFETY: by the caller's contract.
    (!list.is_null()).then(|| unsafe { *list.add(at) })
}

/// # Safety
///
/// The lists are null or have `count` entries.
unsafe fn addresses(
    to: *const *mut c_void,
    from: *const *mut c_void,
    sizes: *const usize,
    count: usize,
) -> impl Iterator<Item = (u64, End, End)> {
    (0..count).map_while(move |place| {
        // SAFETY: by the caller's contract.
        let (bytes, from, to) =
            unsafe { (entry(sizes, place)?, entry(from, place)?, entry(to, place)?) };
        Some((bytes as u64, at(from), at(to)))
    })
}

/// # Safety
///
/// As `hipMemcpyBatchAsync`.
#[expect(clippy::too_many_arguments, reason = "the driver's")]
pub unsafe fn linear(
    real: fn_types::hipMemcpyBatchAsync,
    to: *mut *mut c_void,
    from: *mut *mut c_void,
    sizes: *mut usize,
    count: usize,
    attributes: *mut c_void,
    attribute_indices: *mut usize,
    attribute_count: usize,
    failed: *mut usize,
    stream: hipStream_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe {
        real(
            to,
            from,
            sizes,
            count,
            attributes,
            attribute_indices,
            attribute_count,
            failed,
            stream,
        )
    };
    if !is_7() {
        return call();
    }
    // SAFETY: the program's own lists.
    let copies = unsafe { addresses(to, from, sizes, count) };
    batch::<Hip, false>(copies, stream, || kept(call()))
}

fn end_of(operand: &hipMemcpy3DOperand) -> End {
    match operand.address() {
        Some(address) => at(address),
        None => End::Array,
    }
}

/// # Safety
///
/// `list` is null or has `count` entries.
unsafe fn described(
    list: *const hipMemcpy3DBatchOp,
    count: usize,
) -> impl Iterator<Item = (u64, End, End)> {
    (0..count).map_while(move |place| {
        // SAFETY: by the caller's contract.
        let it = unsafe { entry(list, place)? };
        // In elements where an array takes part: fewer than bytes, as a guess.
        let bytes = volume([it.extent.width, it.extent.height, it.extent.depth]);
        Some((bytes, end_of(&it.src), end_of(&it.dst)))
    })
}

/// # Safety
///
/// As `hipMemcpy3DBatchAsync`.
pub unsafe fn boxes(
    real: fn_types::hipMemcpy3DBatchAsync,
    count: usize,
    list: *mut hipMemcpy3DBatchOp,
    failed: *mut usize,
    flags: c_ulonglong,
    stream: hipStream_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(count, list, failed, flags, stream) };
    if !is_7() {
        return call();
    }
    // SAFETY: the program's own list.
    let copies = unsafe { described(list, count) };
    batch::<Hip, false>(copies, stream, || kept(call()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::{null, null_mut};
    use hip_sys::hipExtent;

    /// Bytes, and whether the ends are arrays.
    fn read(copies: impl Iterator<Item = (u64, End, End)>) -> Vec<(u64, [bool; 2])> {
        let is_array = |end: End| matches!(end, End::Array);
        let read = copies.map(|(bytes, from, to)| (bytes, [is_array(from), is_array(to)]));
        read.collect()
    }

    #[test]
    fn every_entry_of_a_batch_is_read_and_a_missing_list_has_none() {
        let places = [null_mut(); 3];
        let sizes = [1, 2, 3];
        // SAFETY: three entries each, or none.
        let (all, none) = unsafe {
            (
                read(addresses(
                    places.as_ptr(),
                    places.as_ptr(),
                    sizes.as_ptr(),
                    3,
                )),
                read(addresses(null(), places.as_ptr(), sizes.as_ptr(), 3)),
            )
        };
        let linear = [false, false];
        assert_eq!(all, [(1, linear), (2, linear), (3, linear)]);
        assert_eq!(none, []);
    }

    #[test]
    fn a_box_has_the_ends_that_its_operands_are() {
        let extent = hipExtent {
            width: 4,
            height: 3,
            depth: 2,
        };
        let list = [hipMemcpy3DBatchOp::from_pointer_to_array(extent)];
        // SAFETY: one entry.
        let all = unsafe { read(described(list.as_ptr(), 1)) };
        assert_eq!(all, [(24, [false, true])]);
    }
}
