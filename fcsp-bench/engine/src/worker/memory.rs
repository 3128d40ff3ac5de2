//! Device memory, asked for in every way a program can.

use super::gpu::Gpu;
use crate::driver::{Trouble, call};
use crate::protocol::{Answer, Way};
use cuda_sys::{
    CUDA_ARRAY_DESCRIPTOR, CUarray, CUarray_format, CUdeviceptr, CUmemAccess_flags,
    CUmemAccessDesc, CUmemAllocationGranularity_flags, CUmemAllocationProp, CUmemAllocationType,
    CUmemAttach_flags, CUmemGenericAllocationHandle, CUmemLocation, CUmemLocationType,
};
use fcsp_measure::clock::now_ns;

/// A block of device memory, whatever way it came.
pub(crate) enum Block {
    Plain(CUdeviceptr),
    Pool(CUdeviceptr),
    Virtual {
        handle: CUmemGenericAllocationHandle,
        address: CUdeviceptr,
        bytes: usize,
    },
    Array(CUarray),
}

/// Bytes of a row of pitched memory and of an array: wide enough that no driver pads it.
const ROW_BYTES: u64 = 64 << 10;

impl Block {
    /// Asks for it.
    pub(crate) fn allocate(gpu: &Gpu, way: Way, bytes: u64) -> Result<Self, Trouble> {
        let api = &gpu.api;
        let mut address = 0;
        match way {
            Way::Plain => gpu.allocate(bytes).map(Block::Plain),
            Way::Pitch => {
                let mut pitch = 0;
                let rows = bytes.div_ceil(ROW_BYTES) as usize;
                // SAFETY: two live out-parameters, a current context.
                unsafe {
                    call!(
                        api,
                        mem_alloc_pitch(&mut address, &mut pitch, ROW_BYTES as usize, rows, 4)
                    )
                }?;
                Ok(Block::Plain(address))
            }
            Way::Pool => {
                // SAFETY: a live out-parameter, a live stream.
                unsafe {
                    call!(
                        api,
                        mem_alloc_async(&mut address, bytes as usize, gpu.stream)
                    )
                }?;
                Ok(Block::Pool(address))
            }
            Way::Virtual => Self::map(gpu, bytes),
            Way::Array => {
                let shape = CUDA_ARRAY_DESCRIPTOR {
                    Width: (ROW_BYTES / 16) as usize,
                    Height: bytes.div_ceil(ROW_BYTES) as usize,
                    Format: CUarray_format::CU_AD_FORMAT_UNSIGNED_INT32,
                    NumChannels: 4,
                };
                let mut array = std::ptr::null_mut();
                // SAFETY: a live out-parameter and a live description.
                unsafe { call!(api, array_create(&mut array, &shape)) }?;
                Ok(Block::Array(array))
            }
            Way::Managed => {
                let flags = CUmemAttach_flags::CU_MEM_ATTACH_GLOBAL.0;
                // SAFETY: a live out-parameter, a current context.
                unsafe { call!(api, mem_alloc_managed(&mut address, bytes as usize, flags)) }?;
                Ok(Block::Plain(address))
            }
        }
    }

    fn map(gpu: &Gpu, bytes: u64) -> Result<Self, Trouble> {
        let api = &gpu.api;
        let location = CUmemLocation {
            type_: CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE,
            id: gpu.device,
        };
        let properties = CUmemAllocationProp {
            type_: CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED,
            location,
            ..CUmemAllocationProp::default()
        };
        let mut granularity = 0;
        let least = CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
        // SAFETY: a live out-parameter and live properties.
        unsafe { call!(api, mem_granularity(&mut granularity, &properties, least)) }?;
        let bytes = (bytes as usize).next_multiple_of(granularity.max(1));
        let mut handle = 0;
        // SAFETY: as above.
        unsafe { call!(api, mem_create(&mut handle, bytes, &properties, 0)) }?;
        let mapped = (|| {
            let mut address = 0;
            // SAFETY: a live out-parameter.
            unsafe { call!(api, mem_address_reserve(&mut address, bytes, 0, 0, 0)) }?;
            // SAFETY: reserved above, of that size; a live handle.
            unsafe { call!(api, mem_map(address, bytes, 0, handle, 0)) }?;
            let access = CUmemAccessDesc {
                location,
                flags: CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
            };
            // SAFETY: mapped above; one live description.
            unsafe { call!(api, mem_set_access(address, bytes, &access, 1)) }?;
            Ok(address)
        })();
        match mapped {
            Ok(address) => Ok(Block::Virtual {
                handle,
                address,
                bytes,
            }),
            Err(trouble) => {
                // SAFETY: created above and used by nobody. That it fails is less than what went wrong.
                let _released = unsafe { call!(api, mem_release(handle)) };
                Err(trouble)
            }
        }
    }

    /// Gives it back.
    pub(crate) fn free(self, gpu: &Gpu) -> Result<(), Trouble> {
        let api = &gpu.api;
        match self {
            Block::Plain(address) => gpu.free(address),
            // SAFETY: from this stream's pool, freed once.
            Block::Pool(address) => unsafe { call!(api, mem_free_async(address, gpu.stream)) },
            Block::Virtual {
                handle,
                address,
                bytes,
            } => {
                // SAFETY: mapped by `map`, each undone once.
                unsafe {
                    call!(api, mem_unmap(address, bytes))?;
                    call!(api, mem_address_free(address, bytes))?;
                    call!(api, mem_release(handle))
                }
            }
            // SAFETY: created by `allocate`, destroyed once.
            Block::Array(array) => unsafe { call!(api, array_destroy(array)) },
        }
    }
}

/// Pairs of allocation and free.
pub(crate) fn allocate(gpu: &Gpu, way: Way, bytes: u64, count: u32) -> Result<Answer, Trouble> {
    let (mut alloc_us, mut free_us) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let began_ns = now_ns();
        let block = Block::allocate(gpu, way, bytes)?;
        let had_ns = now_ns();
        block.free(gpu)?;
        let freed_ns = now_ns();
        alloc_us.push((had_ns - began_ns) as f64 / 1e3);
        free_us.push((freed_ns - had_ns) as f64 / 1e3);
    }
    gpu.wait(gpu.stream)?;
    Ok(Answer::default()
        .with_all("alloc_us", alloc_us)
        .with_all("free_us", free_us))
}

/// Large blocks until one is refused, then small ones, so that little is left over.
const FILL_BYTES: [u64; 2] = [64 << 20, 2 << 20];

/// Blocks until one is refused.
pub(crate) fn fill(gpu: &Gpu, way: Way, most_bytes: u64) -> Result<Answer, Trouble> {
    let (free, total) = gpu.memory_info()?;
    let (granted, refused) = fill_bytes(gpu, way, most_bytes)?;
    Ok(Answer::default()
        .with("granted_bytes", granted as f64)
        .with("used_bytes", total.saturating_sub(free) as f64)
        .with("refused", f64::from(u8::from(refused))))
}

/// How much could be had, and whether more was refused.
pub(crate) fn fill_bytes(gpu: &Gpu, way: Way, most_bytes: u64) -> Result<(u64, bool), Trouble> {
    let mut blocks = Vec::new();
    let (mut granted, mut refused) = (0, false);
    for block_bytes in FILL_BYTES {
        refused = false;
        while granted + block_bytes <= most_bytes {
            match Block::allocate(gpu, way, block_bytes) {
                Ok(block) => blocks.push(block),
                Err(trouble) if trouble.is_out_of_memory() => {
                    refused = true;
                    break;
                }
                Err(trouble) => {
                    release(gpu, way, blocks)?;
                    return Err(trouble);
                }
            }
            granted += block_bytes;
        }
    }
    release(gpu, way, blocks)?;
    Ok((granted, refused))
}

fn release(gpu: &Gpu, way: Way, blocks: Vec<Block>) -> Result<(), Trouble> {
    for block in blocks {
        block.free(gpu)?;
    }
    gpu.synchronize()?;
    match way {
        Way::Pool => trim(gpu),
        _ => Ok(()),
    }
}

/// Memory from a pool, and whether anybody counts it.
pub(crate) fn pool(gpu: &Gpu, bytes: u64) -> Result<Answer, Trouble> {
    trim(gpu)?;
    let (before, _) = gpu.memory_info()?;
    let block = Block::allocate(gpu, Way::Pool, bytes)?;
    gpu.wait(gpu.stream)?;
    let (held, _) = gpu.memory_info()?;
    release(gpu, Way::Pool, vec![block])?;
    Ok(Answer::default().with("charged_bytes", before as f64 - held as f64))
}

/// Makes the default pool give back what it does not use.
pub(crate) fn trim(gpu: &Gpu) -> Result<(), Trouble> {
    let mut pool = std::ptr::null_mut();
    // SAFETY: a live out-parameter.
    unsafe { call!(gpu.api, default_pool(&mut pool, gpu.device)) }?;
    // SAFETY: the pool of this device.
    unsafe { call!(gpu.api, pool_trim(pool, 0)) }
}

/// Requests that must be refused.
pub(crate) fn refuse(
    gpu: &Gpu,
    way: Way,
    beyond_bytes: u64,
    count: u32,
) -> Result<Answer, Trouble> {
    let (free, _) = gpu.memory_info()?;
    let mut answer = Answer::default();
    for _ in 0..count {
        let began_ns = now_ns();
        let result = Block::allocate(gpu, way, free + beyond_bytes);
        let us = (now_ns() - began_ns) as f64 / 1e3;
        let refused = match result {
            Ok(block) => {
                block.free(gpu)?;
                false
            }
            Err(trouble) if trouble.is_out_of_memory() => true,
            Err(trouble) => return Err(trouble),
        };
        answer = answer
            .with("refused", f64::from(u8::from(refused)))
            .with("refusal_us", us);
    }
    Ok(answer)
}

/// Requests that come, grow block by block and go: always the oldest block goes once `held_max` are held.
pub(crate) fn cache_trace(
    gpu: &Gpu,
    way: Way,
    block_bytes: u64,
    count: u32,
    held_max: u32,
) -> Result<Answer, Trouble> {
    let mut held = std::collections::VecDeque::new();
    // The first ones fill the pool, which is no part of the steady state.
    for _ in 0..held_max {
        held.push_back(Block::allocate(gpu, way, block_bytes)?);
    }
    let began_ns = now_ns();
    for _ in 0..count {
        if let Some(oldest) = held.pop_front() {
            oldest.free(gpu)?;
        }
        held.push_back(Block::allocate(gpu, way, block_bytes)?);
    }
    gpu.wait(gpu.stream)?;
    let seconds = (now_ns() - began_ns) as f64 / 1e9;
    release(gpu, way, held.into())?;
    Ok(Answer::default().with("rate", f64::from(count) / seconds))
}
