//! The hook tables: every decision about an intercepted call, and nothing else.
//!
//! Handlers live where a row says. A row with `unless` costs one check while nobody else uses the device. `_spt` are the
//! variants a program compiled for per-thread default streams calls: the same call, where the null stream means the
//! calling thread's own. The driver calls many of its own public functions; such a call goes to the driver, because the
//! thread is inside a wrapper already ([`fcsp_preload::guard`]).

use core::ffi::{c_char, c_void};

use fcsp_program::device::passes;
use fcsp_program::waiting::{nothing_to_do, unnoticed};
use hip_sys::hipError_t;
use rocm_smi_sys::{amdsmi_status_t, rsmi_status_t};

use crate::{
    capture, communication, context, errors, graph, info, launch, memory, order, procaddr, sync,
    transfer,
};

fcsp_preload::hooks! {
    /// HIP. Source: hip_runtime_api.h 6.4.3.
    pub static HIP;
    /// The driver's own functions.
    pub mod hip;
    library c"libamdhip64.so.7", c"libamdhip64.so.6", c"libamdhip64.so.5";
    types hip_sys::fn_types;
    signatures hip_sys::signature;
    absent hipError_t::hipErrorNotFound;
    failed hipError_t::hipErrorUnknown;

    account hipMalloc => memory::alloc, "device memory";
    account hipExtMallocWithFlags => memory::alloc_with_flags, "device memory";
    account hipMallocManaged => memory::alloc_managed, "memory that may live on the device";
    account hipMallocPitch => memory::alloc_pitch, "device memory, rows padded by the driver";
    account hipMemAllocPitch => memory::driver_alloc_pitch, "device memory, rows padded by the driver";
    account hipMalloc3D => memory::alloc_3d, "device memory, rows padded by the driver";
    account hipFree => memory::free, "gives device memory back";

    account hipMallocAsync => memory::pool::alloc_async, "device memory in stream order";
    account hipMallocFromPoolAsync => memory::pool::alloc_from_pool, "device memory from a pool";
    account hipFreeAsync => memory::pool::free_async, "gives device memory back in stream order";
    account hipMemPoolCreate => memory::pool::create, "whose memory is allocated from it";
    account hipMemPoolDestroy => memory::pool::destroy, "gives back what the pool kept";
    account hipMemPoolTrimTo => memory::pool::trim_to, "gives back what the pool kept";
    account hipDeviceSetMemPool => memory::pool::set_current, "which pool stream-ordered allocations come from";

    account hipMemCreate => memory::vmm::create, "physical device memory, to be mapped";
    account hipMemRelease => memory::vmm::release, "may give physical memory back";
    account hipMemRetainAllocationHandle => memory::vmm::retain, "keeps physical memory alive";
    account hipMemMap => memory::vmm::map, "keeps physical memory alive";
    account hipMemUnmap => memory::vmm::unmap, "may give physical memory back";

    account hipMallocArray => memory::array::alloc, "device memory for textures";
    account hipMalloc3DArray => memory::array::alloc_3d, "device memory for textures";
    account hipMallocMipmappedArray => memory::array::alloc_mipmapped, "device memory for textures";
    account hipArrayCreate => memory::array::create, "device memory for textures";
    account hipArray3DCreate => memory::array::create_3d, "device memory for textures";
    account hipMipmappedArrayCreate => memory::array::create_mipmapped, "device memory for textures";
    account hipFreeArray => memory::array::free, "gives device memory back";
    account hipArrayDestroy => memory::array::free, "gives device memory back";
    account hipFreeMipmappedArray => memory::array::free_mipmapped, "gives device memory back";
    account hipMipmappedArrayDestroy => memory::array::free_mipmapped, "gives device memory back";

    account hipGraphAddMemAllocNode => memory::graph::add_alloc_node, "its graph takes memory when instantiated";
    account hipGraphAddNode => memory::graph::add_node, "may be a node that allocates";
    account hipGraphInstantiate => memory::graph::instantiate_plain, "charged what its nodes allocate";
    account hipGraphInstantiateWithFlags => memory::graph::instantiate_with_flags, "charged what its nodes allocate";
    account hipGraphInstantiateWithParams => memory::graph::instantiate_with_params, "charged what its nodes allocate";
    account hipGraphExecDestroy => graph::destroy, "gives back what its nodes allocated";
    account hipDeviceGraphMemTrim => memory::graph::trim, "gives back what graphs kept";

    account hipModuleLoad => memory::code::load, "code and its variables take memory, which is reconciled";
    account hipModuleLoadData => memory::code::load_data, "code and its variables take memory, which is reconciled";
    account hipModuleLoadDataEx => memory::code::load_data_ex, "code and its variables take memory, which is reconciled";
    account hipModuleUnload => communication::unload, "gives back what code took";
    account hipDeviceSetLimit => memory::code::set_limit, "stacks and heaps take memory, which is reconciled";

    account hipCtxCreate => context::create, "a context takes memory, and its device is attached";
    account hipDevicePrimaryCtxRetain => context::retain, "a context takes memory, and its device is attached";
    account hipStreamCreate => context::stream_create, "the runtime makes a context with it, if there is none";
    account hipStreamCreateWithFlags => context::stream_create_with_flags, "the runtime makes a context with it, if there is none";
    account hipStreamCreateWithPriority => context::stream_create_with_priority, "the runtime makes a context with it, if there is none";
    account hipExtStreamCreateWithCUMask => context::stream_create_with_mask, "the runtime makes a context with it, if there is none";
    account hipHostMalloc => context::host_malloc, "the runtime makes a context with it, if there is none";
    sync hipDeviceReset => context::reset, "ends everything in flight, gives its memory back";
    sync hipDevicePrimaryCtxReset => context::reset_primary, "ends everything in flight, gives its memory back";
    sync hipStreamDestroy => context::stream_destroy, "its handle may come back for another stream";

    virtualize hipMemGetInfo => info::memory, "the tenant's quota is the whole device";
    virtualize hipDeviceTotalMem => info::total, "the tenant's quota is the whole device";
    virtualize hipGetDeviceProperties => info::properties_5, "the tenant's quota is the whole device";
    virtualize hipGetDevicePropertiesR0000 => info::properties_5, "the tenant's quota is the whole device";
    virtualize hipGetDevicePropertiesR0600 => info::properties_6, "the tenant's quota is the whole device";
    virtualize hipGetProcAddress => procaddr::get, "hands out our wrappers";
    virtualize hipGetLastError => errors::take, "our own calls leave no trace in it";
    virtualize hipPeekAtLastError => errors::peek, "our own calls leave no trace in it";

    gate hipLaunchKernel => launch::kernel::<false>, unless passes, "device time";
    gate hipLaunchKernel_spt => launch::kernel::<true>, unless passes, "device time";
    gate hipModuleLaunchKernel => launch::module_kernel, unless passes, "device time";
    gate hipExtLaunchKernel => launch::ext_kernel, unless passes, "device time";
    gate hipExtModuleLaunchKernel => launch::ext_module_kernel, unless passes, "device time";
    gate hipHccModuleLaunchKernel => launch::hcc_module_kernel, unless passes, "device time";
    gate _Z24hipExtModuleLaunchKernelP18ihipModuleSymbol_tjjjjjjmP12ihipStream_tPPvS4_P11ihipEvent_tS6_j => launch::ext_module_kernel, unless passes, "device time";
    gate _Z24hipHccModuleLaunchKernelP18ihipModuleSymbol_tjjjjjjmP12ihipStream_tPPvS4_P11ihipEvent_tS6_ => launch::hcc_module_kernel, unless passes, "device time";
    gate hipLaunchCooperativeKernel => launch::cooperative::<false>, unless passes, "device time";
    gate hipLaunchCooperativeKernel_spt => launch::cooperative::<true>, unless passes, "device time";
    gate hipModuleLaunchCooperativeKernel => launch::module_cooperative, unless passes, "device time";
    gate hipLaunchCooperativeKernelMultiDevice => launch::multi_device, unless passes, "device time on one device; on several a collective, which is not held back";
    gate hipExtLaunchMultiKernelMultiDevice => launch::multi_device, unless passes, "device time on one device; on several a collective, which is not held back";
    gate hipModuleLaunchCooperativeKernelMultiDevice => launch::module_multi_device, unless passes, "device time on one device; on several a collective, which is not held back";
    gate hipLaunchByPtr => launch::by_pointer, unless passes, "device time of a launch that was configured before";
    gate hipGraphLaunch => launch::graph::<false>, unless passes, "device time of a whole graph";
    gate hipGraphLaunch_spt => launch::graph::<true>, unless passes, "device time of a whole graph";

    gate hipModuleGetFunction => communication::function, "communication kernels are known by name";

    gate hipGraphExecUpdate => graph::update, "the graph's cost is learnt anew";
    gate hipGraphExecKernelNodeSetParams => graph::set_kernel, "the graph's cost is learnt anew";
    gate hipGraphExecMemcpyNodeSetParams => graph::set_copy, "the graph's cost is learnt anew";
    gate hipGraphExecMemcpyNodeSetParams1D => graph::set_copy_1d, "the graph's cost is learnt anew";
    gate hipGraphExecMemcpyNodeSetParamsFromSymbol => graph::set_copy_from_symbol, "the graph's cost is learnt anew";
    gate hipGraphExecMemcpyNodeSetParamsToSymbol => graph::set_copy_to_symbol, "the graph's cost is learnt anew";
    gate hipDrvGraphExecMemcpyNodeSetParams => graph::set_driver_copy, "the graph's cost is learnt anew";
    gate hipGraphExecMemsetNodeSetParams => graph::set_fill, "the graph's cost is learnt anew";
    gate hipDrvGraphExecMemsetNodeSetParams => graph::set_driver_fill, "the graph's cost is learnt anew";
    gate hipGraphExecChildGraphNodeSetParams => graph::set_child, "the graph's cost is learnt anew";
    gate hipGraphExecNodeSetParams => graph::set_node, "the graph's cost is learnt anew";
    gate hipGraphNodeSetEnabled => graph::enable, "the graph's cost is learnt anew";

    gate hipMemset => transfer::fill::linear::<false>, unless passes, "a large fill takes device time";
    gate hipMemset_spt => transfer::fill::linear::<true>, unless passes, "a large fill takes device time";
    gate hipMemsetAsync => transfer::fill::linear_async::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetAsync_spt => transfer::fill::linear_async::<true>, unless passes, "a large fill takes device time";
    gate hipMemsetD8 => transfer::fill::d8::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD8Async => transfer::fill::d8_async::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD16 => transfer::fill::d16::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD16Async => transfer::fill::d16_async::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD32 => transfer::fill::d32::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD32Async => transfer::fill::d32_async::<false>, unless passes, "a large fill takes device time";
    gate hipMemset2D => transfer::fill::flat::<false>, unless passes, "a large fill takes device time";
    gate hipMemset2D_spt => transfer::fill::flat::<true>, unless passes, "a large fill takes device time";
    gate hipMemset2DAsync => transfer::fill::flat_async::<false>, unless passes, "a large fill takes device time";
    gate hipMemset2DAsync_spt => transfer::fill::flat_async::<true>, unless passes, "a large fill takes device time";
    gate hipMemset3D => transfer::fill::deep::<false>, unless passes, "a large fill takes device time";
    gate hipMemset3D_spt => transfer::fill::deep::<true>, unless passes, "a large fill takes device time";
    gate hipMemset3DAsync => transfer::fill::deep_async::<false>, unless passes, "a large fill takes device time";
    gate hipMemset3DAsync_spt => transfer::fill::deep_async::<true>, unless passes, "a large fill takes device time";

    gate hipMemcpy => transfer::copy::any::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy_spt => transfer::copy::any::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyAsync => transfer::copy::any_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyAsync_spt => transfer::copy::any_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyWithStream => transfer::copy::any_waiting, unless unnoticed, "waits for the data and for work queued before";
    sync hipMemcpyHtoD => transfer::copy::to_device::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync hipMemcpyHtoDAsync => transfer::copy::to_device_async::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync hipMemcpyDtoH => transfer::copy::to_host::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync hipMemcpyDtoHAsync => transfer::copy::to_host_async::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    gate hipMemcpyDtoD => transfer::copy::inside::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate hipMemcpyDtoDAsync => transfer::copy::inside_async::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate hipMemcpyPeer => transfer::copy::peer::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyPeerAsync => transfer::copy::peer_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyToSymbol => transfer::copy::to_symbol::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyToSymbol_spt => transfer::copy::to_symbol::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyToSymbolAsync => transfer::copy::to_symbol_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyToSymbolAsync_spt => transfer::copy::to_symbol_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyFromSymbol => transfer::copy::from_symbol::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyFromSymbol_spt => transfer::copy::from_symbol::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyFromSymbolAsync => transfer::copy::from_symbol_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyFromSymbolAsync_spt => transfer::copy::from_symbol_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2D => transfer::copy::flat::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2D_spt => transfer::copy::flat::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DAsync => transfer::copy::flat_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DAsync_spt => transfer::copy::flat_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DToArray => transfer::copy::flat_to_array::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DToArray_spt => transfer::copy::flat_to_array::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DToArrayAsync => transfer::copy::flat_to_array_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DToArrayAsync_spt => transfer::copy::flat_to_array_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DFromArray => transfer::copy::flat_from_array::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DFromArray_spt => transfer::copy::flat_from_array::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DFromArrayAsync => transfer::copy::flat_from_array_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DFromArrayAsync_spt => transfer::copy::flat_from_array_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy2DArrayToArray => transfer::copy::flat_between_arrays::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate hipMemcpyToArray => transfer::copy::to_array::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyFromArray => transfer::copy::from_array::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyFromArray_spt => transfer::copy::from_array::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyAtoA => transfer::copy::array_to_array::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate hipMemcpyAtoD => transfer::copy::array_to_device::<false>, unless unnoticed, "a large copy inside the device takes device time";
    gate hipMemcpyDtoA => transfer::copy::device_to_array::<false>, unless unnoticed, "a large copy inside the device takes device time";
    sync hipMemcpyAtoH => transfer::copy::array_to_host::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync hipMemcpyAtoHAsync => transfer::copy::array_to_host_async::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync hipMemcpyHtoA => transfer::copy::host_to_array::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    sync hipMemcpyHtoAAsync => transfer::copy::host_to_array_async::<false>, unless unnoticed, "waits for the data and for work queued before; copy engines do it";
    gate hipMemcpyParam2D => transfer::copy::parameters::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyParam2DAsync => transfer::copy::parameters_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipDrvMemcpy2DUnaligned => transfer::copy::parameters::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy3D => transfer::copy::deep::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy3D_spt => transfer::copy::deep::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy3DAsync => transfer::copy::deep_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy3DAsync_spt => transfer::copy::deep_async::<true>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipDrvMemcpy3D => transfer::copy::driver_deep::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipDrvMemcpy3DAsync => transfer::copy::driver_deep_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";

    gate hipStreamWaitValue32 => order::wait_value_32, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate hipStreamWaitValue64 => order::wait_value_64, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate hipStreamBatchMemOp => order::batch, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate hipWaitExternalSemaphoresAsync => order::wait_semaphores, unless passes, "waits for what others write: the segment before it ends, the next is granted when the device is there";
    gate hipStreamWaitEvent => order::wait_event::<false>, unless passes, "the event may stand behind something that others end";
    gate hipStreamWaitEvent_spt => order::wait_event::<true>, unless passes, "the event may stand behind something that others end";

    gate hipStreamBeginCapture => capture::begin, "what is captured is not gated";
    gate hipStreamBeginCapture_spt => capture::begin, "what is captured is not gated";
    gate hipStreamBeginCaptureToGraph => capture::begin_to_graph, "what is captured is not gated";
    gate hipStreamEndCapture => capture::end::<false>, "what comes after is gated again";
    gate hipStreamEndCapture_spt => capture::end::<true>, "what comes after is gated again";

    sync hipDeviceSynchronize => sync::device, unless nothing_to_do, "waits for the device";
    sync hipCtxSynchronize => sync::device, unless nothing_to_do, "waits for the device";
    sync hipStreamSynchronize => sync::stream, unless nothing_to_do, "waits for a stream";
    sync hipStreamSynchronize_spt => sync::stream, unless nothing_to_do, "waits for a stream";
    sync hipEventSynchronize => sync::event, unless nothing_to_do, "waits for an event";
    sync hipStreamQuery => sync::stream_query, unless unnoticed, "polling is waiting";
    sync hipStreamQuery_spt => sync::stream_query, unless unnoticed, "polling is waiting";
    sync hipEventQuery => sync::event_query, unless unnoticed, "polling is waiting";

    forward hipDeviceGetDefaultMemPool, "whose device a pool is";
    forward hipDeviceGetGraphMemAttribute, "what graphs have of their device";
    forward hipDeviceGetMemPool, "which pool stream-ordered allocations come from";
    forward hipDeviceGetName, "names the device in its region";
    forward hipDeviceGetPCIBusId, "names the device's region";
    forward hipDeviceGetUuid, "tells partitions of a device apart";
    forward hipEventCreateWithFlags, "markers";
    forward hipEventElapsedTime, "measures what work costs";
    forward hipEventRecord, "markers";
    forward hipGetDevice, "handlers ask for the device";
    forward hipGetDeviceCount, "whether threads may have several devices";
    forward hipGetStreamDeviceId, "whose device stream-ordered memory is of";
    forward hipGraphChildGraphNodeGetGraph, "which nodes of a graph allocate";
    forward hipGraphGetNodes, "which nodes of a graph allocate";
    forward hipGraphMemAllocNodeGetParams, "which nodes of a graph allocate";
    forward hipGraphNodeGetType, "which nodes of a graph allocate";
    forward hipHostGetDevicePointer, "where the device sees the gate";
    forward hipHostRegister, "host memory is not the device's";
    forward hipKernelNameRef, "communication kernels are known by name";
    forward hipKernelNameRefByPtr, "communication kernels are known by name";
    forward hipMemPoolGetAttribute, "what a pool has of its device";
    forward hipPointerGetAttributes, "which memory a copy is between";
    forward hipRuntimeGetVersion, "which structures the program has";
    forward hipSetDevice, "handlers write to another device's default stream";
    forward hipStreamIsCapturing, "what is captured is not gated";
    forward hipStreamIsCapturing_spt, "what is captured is not gated";
    forward hipStreamWriteValue32, "the done word";
    forward hipThreadExchangeStreamCaptureMode, "keeps our own calls out of captures";
}

fcsp_preload::hooks! {
    /// What HIP has since version 7. Source: hip_runtime_api.h 7.2.4.
    pub static HIP_7;
    /// The driver's own functions.
    pub mod hip_7;
    library c"libamdhip64.so.7";
    types crate::since_7::fn_types;
    signatures crate::since_7::signature;
    absent hipError_t::hipErrorNotFound;
    failed hipError_t::hipErrorUnknown;

    gate hipLaunchKernelExC => launch::kernel_ex, unless passes, "device time";
    gate hipDrvLaunchKernelEx => launch::module_kernel_ex, unless passes, "device time";
    virtualize hipGetDriverEntryPoint => procaddr::entry_point, "hands out our wrappers";
    virtualize hipGetDriverEntryPoint_spt => procaddr::entry_point, "hands out our wrappers";
    account hipModuleLoadFatBinary => memory::code::load_data, "code and its variables take memory, which is reconciled";
    account hipLibraryLoadData => memory::code::load_library::<c_void>, "code and its variables take memory, which is reconciled";
    account hipLibraryLoadFromFile => memory::code::load_library::<c_char>, "code and its variables take memory, which is reconciled";
    account hipLibraryUnload => communication::unload_library, "gives back what code took";
    gate hipMemcpy3DPeer => transfer::copy::deep_peer::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy3DPeerAsync => transfer::copy::deep_peer_async::<false>, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpyBatchAsync => transfer::batch::linear, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipMemcpy3DBatchAsync => transfer::batch::boxes, unless unnoticed, "gated if large and inside the device; else it may wait, depending on the kinds of memory";
    gate hipGraphExecExternalSemaphoresSignalNodeSetParams => graph::set_signal, "the graph's cost is learnt anew";
    gate hipGraphExecExternalSemaphoresWaitNodeSetParams => graph::set_wait, "the graph's cost is learnt anew";
    gate hipMemsetD2D8 => transfer::fill::d2d8::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD2D8Async => transfer::fill::d2d8_async::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD2D16 => transfer::fill::d2d16::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD2D16Async => transfer::fill::d2d16_async::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD2D32 => transfer::fill::d2d32::<false>, unless passes, "a large fill takes device time";
    gate hipMemsetD2D32Async => transfer::fill::d2d32_async::<false>, unless passes, "a large fill takes device time";
}

fcsp_preload::hooks! {
    /// ROCm SMI. Source: rocm_smi.h 6.1.2.
    pub static ROCM_SMI;
    /// The library's own functions.
    pub mod rsmi;
    library c"librocm_smi64.so.7", c"librocm_smi64.so.6", c"librocm_smi64.so.5", c"librocm_smi64.so.1";
    types rocm_smi_sys::fn_types;
    signatures rocm_smi_sys::signature;
    absent rsmi_status_t::RSMI_STATUS_NOT_SUPPORTED;
    failed rsmi_status_t::RSMI_STATUS_UNKNOWN_ERROR;

    virtualize rsmi_dev_memory_total_get => info::rocm_smi::total, "the tenant's quota is the whole device";
    virtualize rsmi_dev_memory_usage_get => info::rocm_smi::used, "the tenant's quota is the whole device";
    virtualize rsmi_dev_busy_percent_get => info::rocm_smi::busy, "the tenant's use of what it may have now";
    virtualize rsmi_dev_memory_busy_percent_get => info::rocm_smi::memory_busy, "the tenant's use of what it may have now";
    virtualize rsmi_compute_process_info_get => info::rocm_smi::processes, "the tenant's own processes only";
    virtualize rsmi_compute_process_info_by_pid_get => info::rocm_smi::process, "the tenant's own processes only";
    virtualize rsmi_compute_process_info_by_device_get => info::rocm_smi::process_on, "the tenant's own processes only";

    forward rsmi_init, "before the management library is asked";
    forward rsmi_num_monitor_devices, "finds the device's index";
    forward rsmi_dev_pci_id_get, "finds the index's device";
    forward rsmi_dev_unique_id_get, "tells partitions of a device apart";
}

fcsp_preload::hooks! {
    /// AMD SMI. Source: amdsmi.h 10.1.
    pub static AMD_SMI;
    /// The library's own functions.
    pub mod amdsmi;
    library c"libamd_smi.so.27", c"libamd_smi.so.26", c"libamd_smi.so.25", c"libamd_smi.so.24";
    types rocm_smi_sys::fn_types;
    signatures rocm_smi_sys::signature;
    absent amdsmi_status_t::AMDSMI_STATUS_NOT_SUPPORTED;
    failed amdsmi_status_t::AMDSMI_STATUS_UNKNOWN_ERROR;

    virtualize amdsmi_get_gpu_vram_usage => info::amd_smi::vram_usage, "the tenant's quota is the whole device";
    virtualize amdsmi_get_gpu_memory_total => info::amd_smi::total, "the tenant's quota is the whole device";
    virtualize amdsmi_get_gpu_memory_usage => info::amd_smi::used, "the tenant's quota is the whole device";
    virtualize amdsmi_get_gpu_busy_percent => info::amd_smi::busy, "the tenant's use of what it may have now";
    virtualize amdsmi_get_gpu_activity => info::amd_smi::activity, "the tenant's use of what it may have now";
    virtualize amdsmi_get_gpu_vram_info => info::amd_smi::vram_info, "the tenant's quota is the whole device, in versions 26 and 27";
    virtualize amdsmi_get_gpu_process_list => info::amd_processes::list, "the tenant's own processes only, in versions 26 and 27";
    virtualize amdsmi_get_gpu_process_list_by_pid => info::amd_processes::list_by_pid, "the tenant's own processes only, in versions 26 and 27";
    virtualize amdsmi_get_gpu_compute_process_info => info::amd_processes::compute, "the tenant's own processes only";
    virtualize amdsmi_get_gpu_compute_process_info_by_pid => info::amd_processes::compute_of, "the tenant's own processes only";

    forward amdsmi_get_lib_version, "tells how structures are laid out";
    forward amdsmi_get_socket_handles, "finds the devices";
    forward amdsmi_get_processor_handles, "finds the devices";
    forward amdsmi_get_gpu_bdf_id, "finds the handle's device";
}
