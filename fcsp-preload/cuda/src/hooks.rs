//! The hook tables: every decision about an intercepted call, and nothing else.
//!
//! Handlers live in `memory`, `launch`, `sync`, `info` and `procaddr`. `_ptsz` and `_ptds` are the variants a program
//! compiled for per-thread default streams calls: the same call, where stream 0 means the calling thread's own stream.

use cuda_sys::{CUresult, nvmlReturn_t};

use crate::{info, launch, memory, procaddr, sync};

fcsp_preload::hooks! {
    /// The CUDA driver API. Source: cuda.h 13.0.
    pub static CUDA;
    /// The driver's own functions.
    pub mod cuda;
    library c"libcuda.so.1";
    types cuda_sys::fn_types;
    signatures cuda_sys::signature;
    absent CUresult::CUDA_ERROR_NOT_FOUND;
    failed CUresult::CUDA_ERROR_UNKNOWN;

    account cuMemAlloc_v2 => memory::alloc, "device memory";
    account cuMemAllocPitch_v2 => memory::alloc_pitch, "device memory, rows padded by the driver";
    account cuMemAllocManaged => memory::alloc_managed, "memory that may live on the device";
    account cuMemAllocAsync => memory::alloc_async, "device memory in stream order";
    account cuMemAllocAsync_ptsz => memory::alloc_async, "device memory in stream order";
    account cuMemAllocFromPoolAsync => memory::alloc_from_pool, "device memory from a pool";
    account cuMemAllocFromPoolAsync_ptsz => memory::alloc_from_pool, "device memory from a pool";
    account cuMemCreate => memory::create, "physical device memory, to be mapped";
    account cuMemRelease => memory::release, "gives physical memory back";
    account cuMemFree_v2 => memory::free, "gives device memory back";
    account cuMemFreeAsync => memory::free_async, "gives device memory back in stream order";
    account cuMemFreeAsync_ptsz => memory::free_async, "gives device memory back in stream order";

    virtualize cuMemGetInfo_v2 => info::memory, "the tenant's quota is the whole device";
    virtualize cuDeviceTotalMem_v2 => info::total, "the tenant's quota is the whole device";
    virtualize cuGetProcAddress => procaddr::get, "hands out our wrappers";
    virtualize cuGetProcAddress_v2 => procaddr::get_v2, "hands out our wrappers";

    gate cuLaunchKernel => launch::kernel::<false>, "device time";
    gate cuLaunchKernel_ptsz => launch::kernel::<true>, "device time";
    gate cuLaunchKernelEx => launch::kernel_ex::<false>, "device time";
    gate cuLaunchKernelEx_ptsz => launch::kernel_ex::<true>, "device time";
    gate cuLaunchCooperativeKernel => launch::cooperative::<false>, "device time";
    gate cuLaunchCooperativeKernel_ptsz => launch::cooperative::<true>, "device time";
    gate cuGraphLaunch => launch::graph::<false>, "device time of a whole graph";
    gate cuGraphLaunch_ptsz => launch::graph::<true>, "device time of a whole graph";

    sync cuCtxSynchronize => sync::context, "waits for the device";
    sync cuStreamSynchronize => sync::stream::<false>, "waits for a stream";
    sync cuStreamSynchronize_ptsz => sync::stream::<true>, "waits for a stream";
    sync cuEventSynchronize => sync::event, "waits for an event";
    sync cuStreamQuery => sync::stream::<false>, "polling is waiting";
    sync cuStreamQuery_ptsz => sync::stream::<true>, "polling is waiting";
    sync cuEventQuery => sync::event, "polling is waiting";
    sync cuMemcpyDtoH_v2 => sync::device_to_host::<false>, "waits for the data";
    sync cuMemcpyDtoH_v2_ptds => sync::device_to_host::<true>, "waits for the data";
    sync cuMemcpyHtoD_v2 => sync::host_to_device::<false>, "waits for work queued before";
    sync cuMemcpyHtoD_v2_ptds => sync::host_to_device::<true>, "waits for work queued before";
    sync cuMemcpy => sync::copy::<false>, "may wait, depending on the kinds of memory";
    sync cuMemcpy_ptds => sync::copy::<true>, "may wait, depending on the kinds of memory";
}

fcsp_preload::hooks! {
    /// The management library. Source: nvml.h 13.0.
    pub static NVML;
    /// The library's own functions.
    pub mod nvml;
    library c"libnvidia-ml.so.1";
    types cuda_sys::fn_types;
    signatures cuda_sys::nvml_signature;
    absent nvmlReturn_t::NVML_ERROR_FUNCTION_NOT_FOUND;
    failed nvmlReturn_t::NVML_ERROR_UNKNOWN;

    virtualize nvmlDeviceGetMemoryInfo => info::nvml_memory, "the tenant's quota is the whole device";
    virtualize nvmlDeviceGetMemoryInfo_v2 => info::nvml_memory_v2, "the tenant's quota is the whole device";
}
