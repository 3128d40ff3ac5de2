//! Many copies by one call, one after the other in the stream.

use crate::border::{Outcome, put_optional, rc, require};
use crate::copy;
use crate::types::*;
use cuda_sys::CUmemcpyAttributes;

/// `cuMemcpyBatchAsync_v2`. The attributes are hints about the order of reads and where memory lies;
/// here every copy reads in stream order.
#[expect(clippy::too_many_arguments, reason = "the driver's signature")]
pub unsafe fn linear(
    to: *mut Address,
    from: *mut Address,
    sizes: *mut usize,
    count: usize,
    attributes: *mut CUmemcpyAttributes,
    attribute_indices: *mut usize,
    attribute_count: usize,
    stream: StreamHandle,
) -> Outcome {
    let lists = !to.is_null() && !from.is_null() && !sizes.is_null();
    require(lists && count > 0, rc::INVALID_VALUE)?;
    let described = attribute_count > 0 && !attributes.is_null() && !attribute_indices.is_null();
    require(described, rc::INVALID_VALUE)?;
    // A batch does not run in the legacy default stream.
    require(!stream.is_null(), rc::INVALID_VALUE)?;
    for at in 0..count {
        // SAFETY: the caller's lists have `count` entries.
        unsafe { copy::any_async(*to.add(at), *from.add(at), *sizes.add(at), stream)? };
    }
    Ok(())
}

/// `cuMemcpyBatchAsync`, the first version, which says which copy failed: here always the whole batch.
#[expect(clippy::too_many_arguments, reason = "the driver's signature")]
pub unsafe fn linear_v1(
    to: *mut Address,
    from: *mut Address,
    sizes: *mut usize,
    count: usize,
    attributes: *mut CUmemcpyAttributes,
    attribute_indices: *mut usize,
    attribute_count: usize,
    failed: *mut usize,
    stream: StreamHandle,
) -> Outcome {
    // SAFETY: the same contract; null is allowed for the last.
    unsafe {
        put_optional(failed, usize::MAX);
        linear(
            to,
            from,
            sizes,
            count,
            attributes,
            attribute_indices,
            attribute_count,
            stream,
        )
    }
}
