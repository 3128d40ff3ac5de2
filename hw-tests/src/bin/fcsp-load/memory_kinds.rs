//! Device memory that takes more than one call: from pools, mapped, as arrays, by graphs.
//!
//! What a later call refuses is undone, so that a refusal leaves nothing behind.

use anyhow::Result;
use cuda_sys::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY3D_DESCRIPTOR, CUDA_MEM_ALLOC_NODE_PARAMS, CUarray_format,
    CUgraph, CUgraphExec, CUgraphNode, CUmemAllocationType, CUmemLocationType, CUmemPool_attribute,
    CUmemPoolProps, CUmemoryPool, CUresult,
};
use std::ptr::{null, null_mut};

use crate::api::call;
use crate::memory::{Allocator, Asked, What};

/// What a pool of [`Allocator::pooled`] keeps.
const KEPT_BYTES: u64 = 64 << 20;
/// Texels in a row of an array, of four floats each.
const ROW_TEXELS: usize = 1_024;
const TEXEL_BYTES: usize = 16;
const MIPMAP_LEVELS: u32 = 3;

fn rows(bytes: u64) -> usize {
    (bytes as usize / (ROW_TEXELS * TEXEL_BYTES)).max(1)
}

impl Allocator<'_> {
    /// From the device's current pool, in stream order.
    pub(crate) fn ordered(&self, bytes: u64) -> Result<Asked> {
        let api = &self.gpu.api;
        let mut pointer = 0;
        // SAFETY: a live out-parameter, a current context, a live stream.
        let status =
            unsafe { (api.mem_alloc_async.get()?)(&mut pointer, bytes as usize, self.stream) };
        Ok((
            api.mem_alloc_async.name(),
            status,
            (bytes, What::Ordered(pointer)),
        ))
    }

    /// From a pool of this thread's own.
    pub(crate) fn pooled(&self, bytes: u64) -> Result<Asked> {
        if self.pool.get().is_null() {
            self.pool.set(self.new_pool()?);
        }
        let entry = &self.gpu.api.mem_alloc_from_pool_async;
        let mut pointer = 0;
        // SAFETY: a live out-parameter, a pool that is never destroyed, a live stream.
        let status =
            unsafe { (entry.get()?)(&mut pointer, bytes as usize, self.pool.get(), self.stream) };
        Ok((entry.name(), status, (bytes, What::Ordered(pointer))))
    }

    fn new_pool(&self) -> Result<CUmemoryPool> {
        let api = &self.gpu.api;
        let mut properties = CUmemPoolProps {
            allocType: CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED,
            ..Default::default()
        };
        properties.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        properties.location.id = self.gpu.device;
        let (mut pool, mut kept_bytes) = (null_mut(), KEPT_BYTES);
        let threshold = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: a live out-parameter and properties that live for the call; then the new pool and a 64-bit
        // number, which is what this attribute takes.
        unsafe {
            call!(api, mem_pool_create(&mut pool, &properties))?;
            call!(
                api,
                mem_pool_set_attribute(pool, threshold, (&raw mut kept_bytes).cast())
            )?;
        }
        Ok(pool)
    }

    /// Physical memory, unmapped.
    pub(crate) fn create(&self, bytes: u64) -> Result<Asked> {
        let api = &self.gpu.api;
        let rounded = bytes.div_ceil(self.granularity) * self.granularity;
        let mut handle = 0;
        // SAFETY: a live out-parameter; the properties live for the call.
        let status = unsafe {
            (api.mem_create.get()?)(&mut handle, rounded as usize, &self.properties(), 0)
        };
        Ok((
            api.mem_create.name(),
            status,
            (rounded, What::Handle(handle)),
        ))
    }

    /// Physical memory at an address.
    pub(crate) fn map(&self, bytes: u64) -> Result<Asked> {
        let api = &self.gpu.api;
        let (name, status, (rounded, what)) = self.create(bytes)?;
        let (CUresult::CUDA_SUCCESS, What::Handle(handle)) = (status, what) else {
            return Ok((name, status, (rounded, what)));
        };
        let (size, mut address) = (rounded as usize, 0);
        // SAFETY: a live out-parameter; then an address range and a handle of this size, just made.
        unsafe {
            call!(api, mem_address_reserve(&mut address, size, 0, 0, 0))?;
            call!(api, mem_map(address, size, 0, handle, 0))?;
        }
        let mapped = What::Mapped(address, size, handle);
        Ok((api.mem_map.name(), status, (rounded, mapped)))
    }

    /// A plane of texels.
    pub(crate) fn array(&self, bytes: u64) -> Result<Asked> {
        let entry = &self.gpu.api.array_create;
        let descriptor = CUDA_ARRAY_DESCRIPTOR {
            Width: ROW_TEXELS,
            Height: rows(bytes),
            Format: CUarray_format::CU_AD_FORMAT_FLOAT,
            NumChannels: 4,
        };
        let mut array = null_mut();
        // SAFETY: a live out-parameter; the descriptor lives for the call.
        let status = unsafe { (entry.get()?)(&mut array, &descriptor) };
        let given = (ROW_TEXELS * TEXEL_BYTES * descriptor.Height) as u64;
        Ok((entry.name(), status, (given, What::Array(array))))
    }

    /// A plane of texels with smaller copies, which are not counted in what was given.
    pub(crate) fn mipmap(&self, bytes: u64) -> Result<Asked> {
        let entry = &self.gpu.api.mipmapped_array_create;
        let descriptor = CUDA_ARRAY3D_DESCRIPTOR {
            Width: ROW_TEXELS,
            Height: rows(bytes),
            Depth: 0,
            Format: CUarray_format::CU_AD_FORMAT_FLOAT,
            NumChannels: 4,
            Flags: 0,
        };
        let mut array = null_mut();
        // SAFETY: as above.
        let status = unsafe { (entry.get()?)(&mut array, &descriptor, MIPMAP_LEVELS) };
        let given = (ROW_TEXELS * TEXEL_BYTES * descriptor.Height) as u64;
        Ok((entry.name(), status, (given, What::Mipmap(array))))
    }

    /// A graph that allocates and frees, launched once: the driver keeps its memory.
    pub(crate) fn graph(&self, bytes: u64) -> Result<Asked> {
        let api = &self.gpu.api;
        let graph = self.allocating_graph(bytes)?;
        let mut exec: CUgraphExec = null_mut();
        // SAFETY: a graph and a live out-parameter.
        let mut status = unsafe { (api.graph_instantiate.get()?)(&mut exec, graph, 0) };
        // SAFETY: made above and used for nothing else.
        unsafe { call!(api, graph_destroy(graph)) }?;
        if status == CUresult::CUDA_SUCCESS {
            // SAFETY: an instantiated graph, a live stream.
            status = unsafe { (api.graph_launch.get()?)(exec, self.stream) };
            if status != CUresult::CUDA_SUCCESS {
                // SAFETY: instantiated above, and not launched.
                unsafe { call!(api, graph_exec_destroy(exec)) }?;
            }
        }
        Ok((
            api.graph_instantiate.name(),
            status,
            (bytes, What::Graph(exec)),
        ))
    }

    fn allocating_graph(&self, bytes: u64) -> Result<CUgraph> {
        let api = &self.gpu.api;
        let mut params = CUDA_MEM_ALLOC_NODE_PARAMS {
            bytesize: bytes as usize,
            ..Default::default()
        };
        params.poolProps.allocType = CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
        params.poolProps.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        params.poolProps.location.id = self.gpu.device;
        let mut graph: CUgraph = null_mut();
        let (mut alloc, mut free): (CUgraphNode, CUgraphNode) = (null_mut(), null_mut());
        // SAFETY: live out-parameters; parameters that live for the call; one dependency, the node just made.
        unsafe {
            call!(api, graph_create(&mut graph, 0))?;
            call!(
                api,
                graph_add_mem_alloc_node(&mut alloc, graph, null(), 0, &mut params)
            )?;
            call!(
                api,
                graph_add_mem_free_node(&mut free, graph, &alloc, 1, params.dptr)
            )?;
        }
        Ok(graph)
    }
}
