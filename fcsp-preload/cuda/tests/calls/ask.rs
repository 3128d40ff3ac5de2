//! What a driver says that its pools and graphs have: asked after every call, so looked up once.

use cuda_sys::{CUgraphMem_attribute, CUmemPool_attribute, CUmemoryPool, CUresult, fn_types};

use crate::support::library::Library;

/// The two questions to one driver.
#[derive(Clone, Copy)]
pub struct Ask {
    pool: fn_types::cuMemPoolGetAttribute,
    graphs: fn_types::cuDeviceGetGraphMemAttribute,
}

impl Ask {
    /// Finds the functions.
    pub fn of(driver: &Library) -> Self {
        Self {
            pool: driver.function("cuMemPoolGetAttribute"),
            graphs: driver.function("cuDeviceGetGraphMemAttribute"),
        }
    }

    /// Bytes that a pool has of its device; `None` if it is none.
    pub fn pool(&self, pool: u64) -> Option<u64> {
        let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT;
        let mut bytes = 0_u64;
        // SAFETY: the driver checks the handle, and writes a 64-bit number.
        let result =
            unsafe { (self.pool)(pool as CUmemoryPool, attribute, (&raw mut bytes).cast()) };
        (result == CUresult::CUDA_SUCCESS).then_some(bytes)
    }

    /// Bytes that a device's graphs have of it.
    pub fn graphs(&self, device: usize) -> u64 {
        let attribute = CUgraphMem_attribute::CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT;
        let mut bytes = 0_u64;
        // SAFETY: an ordinal; the driver writes a 64-bit number.
        let result = unsafe { (self.graphs)(device as i32, attribute, (&raw mut bytes).cast()) };
        assert_eq!(result, CUresult::CUDA_SUCCESS);
        bytes
    }
}
