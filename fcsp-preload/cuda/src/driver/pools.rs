//! Memory pools.

use core::ffi::c_void;

use cuda_sys::{
    CUdevice, CUdeviceptr, CUmemPool_attribute, CUmemoryPool, CUpointer_attribute, CUresult,
    CUstream,
};
use fcsp_gate::Handle;
use fcsp_program::driver::Pools;

use crate::driver::Cuda;
use crate::hooks::cuda;

impl Pools for Cuda {
    /// Whole chunks of 32 MiB (measured on an H100, driver 580.159, November 2026: 1 byte and 3 MiB take 32 MiB, 33 MiB
    /// take 64, 1000 MiB take 1024).
    const GRANULE_BYTES: u64 = 32 << 20;
    /// The driver's pages.
    const BLOCK_ALIGN_BYTES: u64 = 2 << 20;

    #[inline]
    fn pool_reserved(pool: u64) -> Option<u64> {
        ask(
            pool,
            CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
        )
    }

    fn pool_used(pool: u64) -> Option<u64> {
        ask(pool, CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
    }

    fn trim_pool(pool: u64) {
        if let Some(trim) = cuda::cuMemPoolTrimTo.get() {
            // SAFETY: a pool of the program's, which is not destroyed meanwhile, by the caller's word.
            let _figure_tells = unsafe { trim(Handle::from_number(pool), 0) };
        }
    }

    fn default_pool(ordinal: i32) -> Option<u64> {
        pool_of(cuda::cuDeviceGetDefaultMemPool.get()?, ordinal)
    }

    fn current_pool(ordinal: i32) -> Option<u64> {
        pool_of(cuda::cuDeviceGetMemPool.get()?, ordinal)
    }

    fn block_at(address: u64) -> Option<(u64, u64)> {
        let mut pool: CUmemoryPool = core::ptr::null_mut();
        let mut bytes = 0_usize;
        let place = (&raw mut pool).cast::<c_void>();
        let which = CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE;
        // SAFETY: the driver checks the address and writes a handle and a size, or fails.
        let results = unsafe {
            [
                cuda::cuPointerGetAttribute.get()?(place, which, address),
                cuda::cuMemGetAddressRange_v2.get()?(core::ptr::null_mut(), &mut bytes, address),
            ]
        };
        results
            .iter()
            .all(|result| *result == CUresult::CUDA_SUCCESS)
            .then(|| (pool.number(), bytes as u64))
    }

    fn free_in_order<const PER_THREAD: bool>(address: CUdeviceptr, stream: CUstream) -> bool {
        let free = if PER_THREAD {
            cuda::cuMemFreeAsync_ptsz.get()
        } else {
            cuda::cuMemFreeAsync.get()
        };
        // SAFETY: the driver has just given it, and nobody else knows of it, by the caller's word.
        free.is_some_and(|free| unsafe { free(address, stream) } == CUresult::CUDA_SUCCESS)
    }
}

type PoolOf = unsafe extern "C" fn(*mut CUmemoryPool, CUdevice) -> CUresult;

fn pool_of(get: PoolOf, ordinal: CUdevice) -> Option<u64> {
    let mut pool = core::ptr::null_mut();
    // SAFETY: the driver writes a handle there, or fails.
    let result = unsafe { get(&mut pool, ordinal) };
    (result == CUresult::CUDA_SUCCESS).then(|| pool.number())
}

/// A number of bytes that the driver knows about a pool.
#[inline]
fn ask(pool: u64, attribute: CUmemPool_attribute) -> Option<u64> {
    let mut bytes = 0_u64;
    let ask = cuda::cuMemPoolGetAttribute.get()?;
    // SAFETY: a pool of the program's, which whoever destroys it keeps until nobody settles, or what the program
    // is about to hand to the driver as one; the driver writes a 64-bit number for these attributes.
    let result = unsafe {
        ask(
            Handle::from_number(pool),
            attribute,
            (&raw mut bytes).cast(),
        )
    };
    (result == CUresult::CUDA_SUCCESS).then_some(bytes)
}
