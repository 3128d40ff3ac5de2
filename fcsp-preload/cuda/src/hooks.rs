//! The hook tables: every decision about an intercepted call, and nothing else.
//!
//! Handlers live where a row says: in the folders `memory`, `info` and `transfer` (copies and fills), and in the
//! files `context`, `launch`, `launch_legacy`, `graph`, `order`, `communication`, `capture`, `sync` and
//! `procaddr`. A row with `unless` costs one check while nobody else uses the device. `_ptsz` and `_ptds` are the variants a program
//! compiled for per-thread default streams calls: the same call, where stream 0 means the calling thread's own stream.

use core::ffi::{c_char, c_void};

use cuda_sys::{
    CUresult, nvmlProcessInfo_t, nvmlProcessInfo_v1_t, nvmlProcessInfo_v2_t, nvmlReturn_t,
};
use fcsp_program::device::passes;
use fcsp_program::waiting::{nothing_to_do, unnoticed};

use crate::{
    capture, communication, context, graph, info, launch, launch_legacy, memory, order, procaddr,
    sync, transfer,
};

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

    account cuMemAlloc => memory::alloc_v1, "device memory";
    account cuMemAlloc_v2 => memory::alloc, "device memory";
    account cuMemAllocPitch => memory::alloc_pitch_v1, "device memory, rows padded by the driver";
    account cuMemAllocPitch_v2 => memory::alloc_pitch, "device memory, rows padded by the driver";
    account cuMemAllocManaged => memory::alloc_managed, "memory that may live on the device";
    account cuMemFree => memory::free_v1, "gives device memory back";
    account cuMemFree_v2 => memory::free, "gives device memory back";

    account cuMemAllocAsync => memory::pool::alloc_async::<false>, "device memory in stream order";
    account cuMemAllocAsync_ptsz => memory::pool::alloc_async::<true>, "device memory in stream order";
    account cuMemAllocFromPoolAsync => memory::pool::alloc_from_pool::<false>, "device memory from a pool";
    account cuMemAllocFromPoolAsync_ptsz => memory::pool::alloc_from_pool::<true>, "device memory from a pool";
    account cuMemFreeAsync => memory::pool::free_async::<false>, "gives device memory back in stream order";
    account cuMemFreeAsync_ptsz => memory::pool::free_async::<true>, "gives device memory back in stream order";
    account cuMemPoolCreate => memory::pool::create, "whose memory is allocated from it";
    account cuMemPoolDestroy => memory::pool::destroy, "gives back what the pool kept";
    account cuMemGetDefaultMemPool => memory::pool::get_of, "tells pools of host memory";
    account cuMemGetMemPool => memory::pool::get_of, "tells pools of host memory";
    account cuMemPoolTrimTo => memory::pool::trim_to, "gives back what the pool kept";
    account cuDeviceSetMemPool => memory::pool::set_current, "which pool stream-ordered allocations come from";
    account cuMemSetMemPool => memory::pool::set_current_of, "which pool stream-ordered allocations come from";

    account cuMemCreate => memory::vmm::create, "physical device memory, to be mapped";
    account cuMemRelease => memory::vmm::release, "may give physical memory back";
    account cuMemRetainAllocationHandle => memory::vmm::retain, "keeps physical memory alive";
    account cuMemMap => memory::vmm::map, "keeps physical memory alive";
    account cuMemUnmap => memory::vmm::unmap, "may give physical memory back";

    account cuArrayCreate => memory::array::create_v1, "device memory for textures";
    account cuArrayCreate_v2 => memory::array::create, "device memory for textures";
    account cuArray3DCreate => memory::array::create_3d_v1, "device memory for textures";
    account cuArray3DCreate_v2 => memory::array::create_3d, "device memory for textures";
    account cuArrayDestroy => memory::array::destroy, "gives device memory back";
    account cuMipmappedArrayCreate => memory::array::create_mipmapped, "device memory for textures";
    account cuMipmappedArrayDestroy => memory::array::destroy_mipmapped, "gives device memory back";

    account cuGraphAddMemAllocNode => memory::graph::add_alloc_node, "its graph takes memory when instantiated";
    account cuGraphAddNode => memory::graph::add_node, "may be a node that allocates";
    account cuGraphAddNode_v2 => memory::graph::add_node_v2, "may be a node that allocates";
    account cuGraphInstantiate => memory::graph::instantiate_v2, "charged what its nodes allocate";
    account cuGraphInstantiate_v2 => memory::graph::instantiate_v2, "charged what its nodes allocate";
    account cuGraphInstantiateWithFlags => memory::graph::instantiate_with_flags, "charged what its nodes allocate";
    account cuGraphInstantiateWithParams => memory::graph::instantiate_with_params, "charged what its nodes allocate";
    account cuGraphInstantiateWithParams_ptsz => memory::graph::instantiate_with_params, "charged what its nodes allocate";
    account cuGraphExecDestroy => graph::destroy, "gives back what its nodes allocated";
    account cuDeviceGraphMemTrim => memory::graph::trim, "gives back what graphs kept";

    account cuModuleLoad => memory::code::load, "code and its variables take memory, which is reconciled";
    account cuModuleLoadData => memory::code::load_data, "code and its variables take memory, which is reconciled";
    account cuModuleLoadDataEx => memory::code::load_data_ex, "code and its variables take memory, which is reconciled";
    account cuModuleLoadFatBinary => memory::code::load_data, "code and its variables take memory, which is reconciled";
    account cuModuleUnload => communication::unload, "gives back what code took";
    account cuLibraryLoadData => memory::code::load_library::<c_void>, "code and its variables take memory, which is reconciled";
    account cuLibraryLoadFromFile => memory::code::load_library::<c_char>, "code and its variables take memory, which is reconciled";
    account cuLibraryUnload => communication::unload_library, "gives back what code took";
    account cuCtxSetLimit => memory::code::set_limit, "stacks and heaps take memory, which is reconciled";

    virtualize cuMemGetInfo => info::memory_v1, "the tenant's quota is the whole device";
    virtualize cuMemGetInfo_v2 => info::memory, "the tenant's quota is the whole device";
    virtualize cuDeviceTotalMem => info::total_v1, "the tenant's quota is the whole device";
    virtualize cuDeviceTotalMem_v2 => info::total, "the tenant's quota is the whole device";
    virtualize cuGetProcAddress => procaddr::get, "hands out our wrappers";
    virtualize cuGetProcAddress_v2 => procaddr::get_v2, "hands out our wrappers";

    account cuDevicePrimaryCtxRetain => context::retain, "a context takes memory, and its device is attached";
    account cuCtxCreate => context::create, "a context takes memory, and its device is attached";
    account cuCtxCreate_v2 => context::create, "a context takes memory, and its device is attached";
    account cuCtxCreate_v3 => context::create_v3, "a context takes memory, and its device is attached";
    account cuCtxCreate_v4 => context::create_v4, "a context takes memory, and its device is attached";
    account cuGreenCtxCreate => context::create_green, "a context's device is attached";
    sync cuCtxAttach => context::attach, "counts when a context ends";
    sync cuCtxDetach => context::detach, "may end a context";
    sync cuCtxDestroy => context::destroy, "ends everything in flight, gives its memory back";
    sync cuCtxDestroy_v2 => context::destroy, "ends everything in flight, gives its memory back";
    sync cuDevicePrimaryCtxRelease => context::release, "may end everything in flight, gives its memory back";
    sync cuDevicePrimaryCtxRelease_v2 => context::release, "may end everything in flight, gives its memory back";
    sync cuDevicePrimaryCtxReset => context::reset, "ends everything in flight, gives its memory back";
    sync cuDevicePrimaryCtxReset_v2 => context::reset, "ends everything in flight, gives its memory back";
    sync cuStreamDestroy => context::stream_destroy, "its handle may come back for another stream";
    sync cuStreamDestroy_v2 => context::stream_destroy, "its handle may come back for another stream";

    gate cuLaunchKernel => launch::kernel::<false>, unless passes, "device time";
    gate cuLaunchKernel_ptsz => launch::kernel::<true>, unless passes, "device time";
    gate cuLaunchKernelEx => launch::kernel_ex::<false>, unless passes, "device time";
    gate cuLaunchKernelEx_ptsz => launch::kernel_ex::<true>, unless passes, "device time";
    gate cuLaunchCooperativeKernel => launch::cooperative::<false>, unless passes, "device time";
    gate cuLaunchCooperativeKernel_ptsz => launch::cooperative::<true>, unless passes, "device time";
    gate cuGraphLaunch => launch::graph::<false>, unless passes, "device time of a whole graph";
    gate cuGraphLaunch_ptsz => launch::graph::<true>, unless passes, "device time of a whole graph";

    gate cuLaunch => launch_legacy::one, unless passes, "device time of an old launch";
    gate cuLaunchGrid => launch_legacy::grid, unless passes, "device time of an old launch";
    gate cuLaunchGridAsync => launch_legacy::grid_async, unless passes, "device time of an old launch";
    gate cuLaunchCooperativeKernelMultiDevice => launch_legacy::multi_device, unless passes, "device time on one device; on several a collective, which is not held back";

    gate cuModuleGetFunction => communication::function, "communication kernels are known by name";
    gate cuLibraryGetKernel => communication::kernel, "communication kernels are known by name";
    gate cuKernelGetFunction => communication::kernel_function, "communication kernels are known by name";

    gate cuGraphExecUpdate => graph::update_v1, "the graph's cost is learnt anew";
    gate cuGraphExecUpdate_v2 => graph::update, "the graph's cost is learnt anew";
    gate cuGraphExecKernelNodeSetParams => graph::set_kernel_v1, "the graph's cost is learnt anew";
    gate cuGraphExecKernelNodeSetParams_v2 => graph::set_kernel, "the graph's cost is learnt anew";
    gate cuGraphExecMemcpyNodeSetParams => graph::set_copy, "the graph's cost is learnt anew";
    gate cuGraphExecMemsetNodeSetParams => graph::set_fill, "the graph's cost is learnt anew";
    gate cuGraphExecChildGraphNodeSetParams => graph::set_child, "the graph's cost is learnt anew";
    gate cuGraphExecNodeSetParams => graph::set_node, "the graph's cost is learnt anew";
    gate cuGraphNodeSetEnabled => graph::enable, "the graph's cost is learnt anew";

    gate cuMemsetD8 => transfer::fill::d8_v1::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD8_v2 => transfer::fill::d8::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD8_v2_ptds => transfer::fill::d8::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD8Async => transfer::fill::d8_async::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD8Async_ptsz => transfer::fill::d8_async::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D8 => transfer::fill::d2d8_v1::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D8_v2 => transfer::fill::d2d8::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D8_v2_ptds => transfer::fill::d2d8::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D8Async => transfer::fill::d2d8_async::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D8Async_ptsz => transfer::fill::d2d8_async::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD16 => transfer::fill::d16_v1::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD16_v2 => transfer::fill::d16::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD16_v2_ptds => transfer::fill::d16::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD16Async => transfer::fill::d16_async::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD16Async_ptsz => transfer::fill::d16_async::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D16 => transfer::fill::d2d16_v1::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D16_v2 => transfer::fill::d2d16::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D16_v2_ptds => transfer::fill::d2d16::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D16Async => transfer::fill::d2d16_async::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D16Async_ptsz => transfer::fill::d2d16_async::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD32 => transfer::fill::d32_v1::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD32_v2 => transfer::fill::d32::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD32_v2_ptds => transfer::fill::d32::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD32Async => transfer::fill::d32_async::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD32Async_ptsz => transfer::fill::d32_async::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D32 => transfer::fill::d2d32_v1::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D32_v2 => transfer::fill::d2d32::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D32_v2_ptds => transfer::fill::d2d32::<true>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D32Async => transfer::fill::d2d32_async::<false>, unless passes, "a large fill takes device time";
    gate cuMemsetD2D32Async_ptsz => transfer::fill::d2d32_async::<true>, unless passes, "a large fill takes device time";

    gate cuMemcpy => transfer::copy::any::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy_ptds => transfer::copy::any::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyAsync => transfer::copy::any_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyAsync_ptsz => transfer::copy::any_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    sync cuMemcpyHtoD => transfer::copy::to_device_v1::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyHtoDAsync => transfer::copy::to_device_async_v1::<false>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyDtoH => transfer::copy::to_host_v1::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyDtoHAsync => transfer::copy::to_host_async_v1::<false>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    gate cuMemcpyDtoD => transfer::copy::inside_v1::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyDtoDAsync => transfer::copy::inside_async_v1::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyDtoA => transfer::copy::device_to_array_v1::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyAtoD => transfer::copy::array_to_device_v1::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyAtoA => transfer::copy::array_to_array_v1::<false>, unless unnoticed, "a large copy inside the device takes device time";
    sync cuMemcpyHtoA => transfer::copy::host_to_array_v1::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyHtoAAsync => transfer::copy::host_to_array_async_v1::<false>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyAtoH => transfer::copy::array_to_host_v1::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyAtoHAsync => transfer::copy::array_to_host_async_v1::<false>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyHtoD_v2 => transfer::copy::to_device::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyHtoD_v2_ptds => transfer::copy::to_device::<true>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyHtoDAsync_v2 => transfer::copy::to_device_async::<false>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyHtoDAsync_v2_ptsz => transfer::copy::to_device_async::<true>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyDtoH_v2 => transfer::copy::to_host::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyDtoH_v2_ptds => transfer::copy::to_host::<true>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyDtoHAsync_v2 => transfer::copy::to_host_async::<false>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyDtoHAsync_v2_ptsz => transfer::copy::to_host_async::<true>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    gate cuMemcpyDtoD_v2 => transfer::copy::inside::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyDtoD_v2_ptds => transfer::copy::inside::<true>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyDtoDAsync_v2 => transfer::copy::inside_async::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyDtoDAsync_v2_ptsz => transfer::copy::inside_async::<true>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyDtoA_v2 => transfer::copy::device_to_array::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyDtoA_v2_ptds => transfer::copy::device_to_array::<true>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyAtoD_v2 => transfer::copy::array_to_device::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyAtoD_v2_ptds => transfer::copy::array_to_device::<true>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyAtoA_v2 => transfer::copy::array_to_array::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate cuMemcpyAtoA_v2_ptds => transfer::copy::array_to_array::<true>, unless unnoticed, "a large copy inside the device takes device time";
    sync cuMemcpyHtoA_v2 => transfer::copy::host_to_array::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyHtoA_v2_ptds => transfer::copy::host_to_array::<true>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyHtoAAsync_v2 => transfer::copy::host_to_array_async::<false>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyHtoAAsync_v2_ptsz => transfer::copy::host_to_array_async::<true>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyAtoH_v2 => transfer::copy::array_to_host::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyAtoH_v2_ptds => transfer::copy::array_to_host::<true>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync cuMemcpyAtoHAsync_v2 => transfer::copy::array_to_host_async::<false>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    sync cuMemcpyAtoHAsync_v2_ptsz => transfer::copy::array_to_host_async::<true>, unless unnoticed, "waits if the memory is pageable; copy engines do it";
    gate cuMemcpyPeer => transfer::copy::peer::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyPeer_ptds => transfer::copy::peer::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyPeerAsync => transfer::copy::peer_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyPeerAsync_ptsz => transfer::copy::peer_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2D => transfer::copy::flat_v1::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2D_v2 => transfer::copy::flat::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2D_v2_ptds => transfer::copy::flat::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2DUnaligned => transfer::copy::flat_v1::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2DUnaligned_v2 => transfer::copy::flat::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2DUnaligned_v2_ptds => transfer::copy::flat::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2DAsync => transfer::copy::flat_async_v1::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2DAsync_v2 => transfer::copy::flat_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy2DAsync_v2_ptsz => transfer::copy::flat_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3D => transfer::copy::deep_v1::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3D_v2 => transfer::copy::deep::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3D_v2_ptds => transfer::copy::deep::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DAsync => transfer::copy::deep_async_v1::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DAsync_v2 => transfer::copy::deep_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DAsync_v2_ptsz => transfer::copy::deep_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DPeer => transfer::copy::deep_peer::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DPeer_ptds => transfer::copy::deep_peer::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DPeerAsync => transfer::copy::deep_peer_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DPeerAsync_ptsz => transfer::copy::deep_peer_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyBatchAsync => transfer::batch::linear_v1::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyBatchAsync_ptsz => transfer::batch::linear_v1::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyBatchAsync_v2 => transfer::batch::linear_v2::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpyBatchAsync_v2_ptsz => transfer::batch::linear_v2::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DBatchAsync => transfer::batch::boxes_v1::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DBatchAsync_ptsz => transfer::batch::boxes_v1::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DBatchAsync_v2 => transfer::batch::boxes_v2::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemcpy3DBatchAsync_v2_ptsz => transfer::batch::boxes_v2::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate cuMemBatchDecompressAsync => transfer::batch::decompress::<false>, unless passes, "takes the device's memory bandwidth";
    gate cuMemBatchDecompressAsync_ptsz => transfer::batch::decompress::<true>, unless passes, "takes the device's memory bandwidth";

    gate cuStreamWaitValue32 => order::wait_value_32::<false>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamWaitValue32_ptsz => order::wait_value_32::<true>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamWaitValue32_v2 => order::wait_value_32::<false>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamWaitValue32_v2_ptsz => order::wait_value_32::<true>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamWaitValue64 => order::wait_value_64::<false>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamWaitValue64_ptsz => order::wait_value_64::<true>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamWaitValue64_v2 => order::wait_value_64::<false>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamWaitValue64_v2_ptsz => order::wait_value_64::<true>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamBatchMemOp => order::batch::<false>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamBatchMemOp_ptsz => order::batch::<true>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamBatchMemOp_v2 => order::batch::<false>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamBatchMemOp_v2_ptsz => order::batch::<true>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuWaitExternalSemaphoresAsync => order::wait_semaphores::<false>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuWaitExternalSemaphoresAsync_ptsz => order::wait_semaphores::<true>, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate cuStreamWaitEvent => order::wait_event::<false>, unless passes, "the event may stand behind something that others end";
    gate cuStreamWaitEvent_ptsz => order::wait_event::<true>, unless passes, "the event may stand behind something that others end";

    gate cuStreamBeginCapture => capture::begin_v1, "what is captured is not gated";
    gate cuStreamBeginCapture_ptsz => capture::begin_v1, "what is captured is not gated";
    gate cuStreamBeginCapture_v2 => capture::begin, "what is captured is not gated";
    gate cuStreamBeginCapture_v2_ptsz => capture::begin, "what is captured is not gated";
    gate cuStreamBeginCaptureToGraph => capture::begin_to_graph, "what is captured is not gated";
    gate cuStreamBeginCaptureToGraph_ptsz => capture::begin_to_graph, "what is captured is not gated";
    gate cuStreamEndCapture => capture::end::<false>, "what comes after is gated again";
    gate cuStreamEndCapture_ptsz => capture::end::<true>, "what comes after is gated again";

    sync cuCtxSynchronize => sync::context, unless nothing_to_do, "waits for the device";
    sync cuCtxSynchronize_v2 => sync::context_of, unless nothing_to_do, "waits for the device";
    sync cuStreamSynchronize => sync::stream, unless nothing_to_do, "waits for a stream";
    sync cuStreamSynchronize_ptsz => sync::stream, unless nothing_to_do, "waits for a stream";
    sync cuEventSynchronize => sync::event, unless nothing_to_do, "waits for an event";
    sync cuStreamQuery => sync::stream_query, unless unnoticed, "polling is waiting";
    sync cuStreamQuery_ptsz => sync::stream_query, unless unnoticed, "polling is waiting";
    sync cuEventQuery => sync::event_query, unless unnoticed, "polling is waiting";

    forward cuCtxGetCurrent, "handlers ask for the context";
    forward cuCtxGetDevice, "handlers ask for the device";
    forward cuCtxPopCurrent_v2, "handlers write to another context's default stream";
    forward cuCtxPushCurrent_v2, "handlers write to another context's default stream";
    forward cuDeviceGetAttribute, "whether this process is a client of MPS";
    forward cuDeviceGetGraphMemAttribute, "what graphs have of their device";
    forward cuDeviceGetDefaultMemPool, "whose device a pool is";
    forward cuDeviceGetMemPool, "which pool stream-ordered allocations come from";
    forward cuDeviceGetName, "names the device in its region";
    forward cuDeviceGetUuid, "names the device's region";
    forward cuDeviceGetUuid_v2, "names the device's region";
    forward cuDevicePrimaryCtxGetState, "whether a context is about to be made";
    forward cuEventCreate, "markers";
    forward cuEventElapsedTime, "measures what work costs";
    forward cuEventElapsedTime_v2, "measures what work costs";
    forward cuEventRecord, "markers";
    forward cuFuncGetName, "communication kernels are known by name";
    forward cuGraphChildGraphNodeGetGraph, "which nodes of a graph allocate";
    forward cuGraphGetNodes, "which nodes of a graph allocate";
    forward cuGraphMemAllocNodeGetParams, "which nodes of a graph allocate";
    forward cuGraphNodeGetType, "which nodes of a graph allocate";
    forward cuKernelGetName, "communication kernels are known by name";
    forward cuMemHostGetDevicePointer_v2, "where the device sees the gate";
    forward cuMemHostRegister_v2, "host memory is not the device's";
    forward cuMemGetAddressRange_v2, "how large a freed block is";
    forward cuMemPoolGetAttribute, "what a pool has of its device";
    forward cuPointerGetAttribute, "which pool a freed block is of, which memory a copy is between";
    forward cuStreamCreate, "joins other threads' default streams";
    forward cuStreamGetCtx, "whose device stream-ordered memory is of";
    forward cuStreamIsCapturing, "what is captured is not gated";
    forward cuStreamIsCapturing_ptsz, "what is captured is not gated";
    forward cuStreamWriteValue32_v2, "the done word";
    forward cuThreadExchangeStreamCaptureMode, "keeps our own calls out of captures";
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

    virtualize nvmlDeviceGetMemoryInfo => info::nvml::memory, "the tenant's quota is the whole device";
    virtualize nvmlDeviceGetMemoryInfo_v2 => info::nvml::memory_v2, "the tenant's quota is the whole device";
    virtualize nvmlDeviceGetComputeRunningProcesses => info::nvml::processes::<nvmlProcessInfo_v1_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetComputeRunningProcesses_v2 => info::nvml::processes::<nvmlProcessInfo_v2_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetComputeRunningProcesses_v3 => info::nvml::processes::<nvmlProcessInfo_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetGraphicsRunningProcesses => info::nvml::processes::<nvmlProcessInfo_v1_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetGraphicsRunningProcesses_v2 => info::nvml::processes::<nvmlProcessInfo_v2_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetGraphicsRunningProcesses_v3 => info::nvml::processes::<nvmlProcessInfo_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetMPSComputeRunningProcesses => info::nvml::processes::<nvmlProcessInfo_v1_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetMPSComputeRunningProcesses_v2 => info::nvml::processes::<nvmlProcessInfo_v2_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetMPSComputeRunningProcesses_v3 => info::nvml::processes::<nvmlProcessInfo_t>, "the tenant's own processes only";
    virtualize nvmlDeviceGetRunningProcessDetailList => info::nvml::details, "the tenant's own processes only";
    virtualize nvmlInternalGetExportTable => info::private_table::export_table, "nvidia-smi's private lists hold the tenant's own processes only";
    virtualize nvmlDeviceGetUtilizationRates => info::utilization::rates, "the tenant's use of what it may have now";
    virtualize nvmlDeviceGetSamples => info::utilization::samples, "of utilization, the tenant's own";
    virtualize nvmlDeviceGetProcessUtilization => info::nvml::utilization, "the tenant's own processes only";
    virtualize nvmlDeviceGetProcessesUtilizationInfo => info::nvml::utilization_info, "the tenant's own processes only";

    forward nvmlDeviceGetHandleByUUID, "finds the device's handle";
    forward nvmlDeviceGetIndex, "what settings call the device";
    forward nvmlDeviceGetUUID, "finds the handle's device";
    forward nvmlSystemGetNVMLVersion, "whether the private table is known";
    forward nvmlInit_v2, "before the management library is asked";
}
