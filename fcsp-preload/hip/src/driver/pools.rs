//! Memory pools.

use core::ffi::c_void;
use core::ptr;

use fcsp_gate::Handle;
use fcsp_program::driver::Pools;
use hip_sys::{hipError_t, hipMemPool_t, hipMemPoolAttr, hipStream_t};

use crate::driver::Hip;
use crate::driver::gate::succeeded;
use crate::errors::quietly;
use crate::hooks::hip;

impl Pools for Hip {
    /// Not measured, and rather too much: as another vendor's driver takes. It is charged for the time of the call only, and
    /// what a pool grows by beyond it is seen when it is there already.
    const GRANULE_BYTES: u64 = 32 << 20;
    const BLOCK_ALIGN_BYTES: u64 = 4 << 10;

    #[inline]
    fn pool_reserved(pool: u64) -> Option<u64> {
        ask(pool, hipMemPoolAttr::hipMemPoolAttrReservedMemCurrent)
    }

    fn pool_used(pool: u64) -> Option<u64> {
        ask(pool, hipMemPoolAttr::hipMemPoolAttrUsedMemCurrent)
    }

    fn trim_pool(pool: u64) {
        if let Some(trim) = hip::hipMemPoolTrimTo.get() {
            // SAFETY: a pool of the program's, which is not destroyed meanwhile, by the caller's word.
            let _figure_tells = quietly(|| unsafe { trim(Handle::from_number(pool), 0) });
        }
    }

    fn default_pool(ordinal: i32) -> Option<u64> {
        pool_of(hip::hipDeviceGetDefaultMemPool.get()?, ordinal)
    }

    fn current_pool(ordinal: i32) -> Option<u64> {
        pool_of(hip::hipDeviceGetMemPool.get()?, ordinal)
    }

    /// The driver does not say of which pool a block is, so none is relied on.
    fn block_at(_address: u64) -> Option<(u64, u64)> {
        None
    }

    fn free_in_order<const PER_THREAD: bool>(address: u64, stream: hipStream_t) -> bool {
        // There is no variant for per-thread default streams: their null stream is called by its own name.
        let stream = if PER_THREAD && stream.is_null() {
            hip_sys::HIP_STREAM_PER_THREAD
        } else {
            stream
        };
        hip::hipFreeAsync.get().is_some_and(|free| {
            let address: *mut c_void = Handle::from_number(address);
            // SAFETY: the driver has just given it, and nobody else knows of it, by the caller's word.
            succeeded(quietly(|| unsafe { free(address, stream) }))
        })
    }
}

type PoolOf = unsafe extern "C" fn(*mut hipMemPool_t, i32) -> hipError_t;

fn pool_of(get: PoolOf, ordinal: i32) -> Option<u64> {
    let mut pool = ptr::null_mut();
    // SAFETY: the driver writes a handle there, or fails.
    let result = quietly(|| unsafe { get(&mut pool, ordinal) });
    succeeded(result).then(|| pool.number())
}

/// A number of bytes that the driver knows about a pool.
#[inline]
fn ask(pool: u64, attribute: hipMemPoolAttr) -> Option<u64> {
    let mut bytes = 0_u64;
    let ask = hip::hipMemPoolGetAttribute.get()?;
    let place = (&raw mut bytes).cast();
    // SAFETY: a pool of the program's, which whoever destroys it keeps until nobody settles, or what the program
    // is about to hand to the driver as one; the driver writes a 64-bit number for these attributes.
    let result = quietly(|| unsafe { ask(Handle::from_number(pool), attribute, place) });
    succeeded(result).then_some(bytes)
}
