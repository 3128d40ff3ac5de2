//! Device memory by any of the driver's ways to get it; those beyond a single call are in
//! [`crate::memory_kinds`].

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use cuda_sys::{
    CUarray, CUdeviceptr, CUgraphExec, CUmemAllocationGranularity_flags, CUmemAllocationProp,
    CUmemAllocationType, CUmemAttach_flags, CUmemGenericAllocationHandle, CUmemLocationType,
    CUmemoryPool, CUmipmappedArray, CUresult, CUstream,
};
use std::cell::Cell;

use crate::api::{call, check};
use crate::gpu::Gpu;

/// A way to get device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// `cuMemAlloc`
    Malloc,
    /// `cuMemAllocAsync`
    Async,
    /// `cuMemAllocFromPoolAsync`, from a pool of the thread's own that keeps 64 MiB
    FromPool,
    /// `cuMemAllocPitch`
    Pitch,
    /// `cuMemAllocManaged`
    Managed,
    /// `cuMemCreate`, unmapped
    Create,
    /// `cuMemCreate` and `cuMemMap`
    Map,
    /// `cuArrayCreate`
    Array,
    /// `cuMipmappedArrayCreate`
    Mipmap,
    /// A graph whose node allocates, launched once
    Graph,
}

/// Memory that is held.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// How much the driver really gave, padding it told us of included.
    pub bytes: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    Pointer(CUdeviceptr),
    Ordered(CUdeviceptr),
    Handle(CUmemGenericAllocationHandle),
    Mapped(CUdeviceptr, usize, CUmemGenericAllocationHandle),
    Array(CUarray),
    Mipmap(CUmipmappedArray),
    Graph(CUgraphExec),
}

/// What came of asking for memory.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Here it is.
    Granted(Held),
    /// The driver's out-of-memory code.
    Refused,
}

/// Which function answered what, and what was given if it was success: bytes and what they are.
pub(crate) type Asked = (&'static str, CUresult, (u64, What));

/// Asks for memory on behalf of one thread.
pub struct Allocator<'a> {
    pub(crate) gpu: &'a Gpu,
    pub(crate) stream: CUstream,
    pub(crate) granularity: u64,
    /// Made when it is first needed.
    pub(crate) pool: Cell<CUmemoryPool>,
}

impl<'a> Allocator<'a> {
    /// Stream-ordered requests go to `stream`.
    pub fn new(gpu: &'a Gpu, stream: CUstream) -> Result<Self> {
        let mut allocator = Self {
            gpu,
            stream,
            granularity: 1,
            pool: Cell::new(std::ptr::null_mut()),
        };
        allocator.granularity = allocator.granularity()?;
        Ok(allocator)
    }

    /// Asks for `bytes`. Any answer but success and out of memory is an error.
    pub fn alloc(&self, family: Family, bytes: u64) -> Result<Answer> {
        let (name, status, held) = match family {
            Family::Malloc | Family::Managed | Family::Pitch => self.plain(family, bytes)?,
            Family::Async => self.ordered(bytes)?,
            Family::FromPool => self.pooled(bytes)?,
            Family::Create => self.create(bytes)?,
            Family::Map => self.map(bytes)?,
            Family::Array => self.array(bytes)?,
            Family::Mipmap => self.mipmap(bytes)?,
            Family::Graph => self.graph(bytes)?,
        };
        match status {
            CUresult::CUDA_SUCCESS => Ok(Answer::Granted(Held {
                bytes: held.0,
                what: held.1,
            })),
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => Ok(Answer::Refused),
            other => Err(check(name, other)
                .err()
                .unwrap_or_else(|| anyhow!("{name}"))
                .context(format!(
                    "a request for {bytes} bytes must succeed or be refused as out of memory"
                ))),
        }
    }

    fn plain(&self, family: Family, bytes: u64) -> Result<Asked> {
        let (api, size) = (&self.gpu.api, bytes as usize);
        let mut pointer: CUdeviceptr = 0;
        let (name, status, bytes) = match family {
            Family::Pitch => {
                let (width, height) = rectangle(bytes);
                let mut pitch = 0;
                // SAFETY: two live out-parameters, a current context.
                let status = unsafe {
                    (api.mem_alloc_pitch.get()?)(&mut pointer, &mut pitch, width, height, 16)
                };
                (api.mem_alloc_pitch.name(), status, (pitch * height) as u64)
            }
            Family::Managed => {
                let flags = CUmemAttach_flags::CU_MEM_ATTACH_GLOBAL.0;
                // SAFETY: a live out-parameter, a current context.
                let status = unsafe { (api.mem_alloc_managed.get()?)(&mut pointer, size, flags) };
                (api.mem_alloc_managed.name(), status, bytes)
            }
            _ => {
                // SAFETY: as above.
                let status = unsafe { (api.mem_alloc.get()?)(&mut pointer, size) };
                (api.mem_alloc.name(), status, bytes)
            }
        };
        Ok((name, status, (bytes, What::Pointer(pointer))))
    }

    /// Gives memory back.
    pub fn free(&self, held: Held) -> Result<()> {
        let api = &self.gpu.api;
        // SAFETY: each was granted by the matching call and is freed once: `Held` is given up by
        // every caller when it calls this.
        unsafe {
            match held.what {
                What::Pointer(pointer) => call!(api, mem_free(pointer)),
                What::Ordered(pointer) => call!(api, mem_free_async(pointer, self.stream)),
                What::Handle(handle) => call!(api, mem_release(handle)),
                What::Mapped(address, bytes, handle) => {
                    call!(api, mem_unmap(address, bytes))?;
                    call!(api, mem_address_free(address, bytes))?;
                    call!(api, mem_release(handle))
                }
                What::Array(array) => call!(api, array_destroy(array)),
                What::Mipmap(array) => call!(api, mipmapped_array_destroy(array)),
                What::Graph(exec) => call!(api, graph_exec_destroy(exec)),
            }
        }
    }

    fn granularity(&self) -> Result<u64> {
        let mut granularity = 0;
        let option = CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
        // SAFETY: a live out-parameter and properties that live for the call.
        unsafe {
            call!(
                self.gpu.api,
                mem_granularity(&mut granularity, &self.properties(), option)
            )
        }?;
        Ok(granularity.max(1) as u64)
    }

    pub(crate) fn properties(&self) -> CUmemAllocationProp {
        let mut properties = CUmemAllocationProp {
            type_: CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED,
            ..Default::default()
        };
        properties.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        properties.location.id = self.gpu.device;
        properties
    }
}

/// Width and height of a rectangle of about `bytes`; odd widths make the driver pad.
fn rectangle(bytes: u64) -> (usize, usize) {
    let width = 1_000;
    (width, (bytes as usize / width).max(1))
}

/// A size between half of `upper_bytes` and all of it, chosen by `random`.
pub fn size_up_to(upper_bytes: u64, random: u64) -> u64 {
    let half = upper_bytes / 2;
    (half + random % (upper_bytes - half).max(1) + 1).min(upper_bytes.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stay_in_the_upper_half() {
        for random in 0..10_000 {
            let bytes = size_up_to(4_096, random);
            assert!((2_049..=4_096).contains(&bytes), "{bytes}");
        }
        assert_eq!(size_up_to(1, 7), 1);
    }

    #[test]
    fn rectangles_hold_at_least_a_row() {
        assert_eq!(rectangle(1), (1_000, 1));
        assert_eq!(rectangle(10_000), (1_000, 10));
    }
}
