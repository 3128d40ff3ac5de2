//! What the library exports, and nothing else: the names here, signatures from the vendor's header.
//!
//! `early` works before `cuInit`, `call` does not, and `call_per_thread` is a `_ptsz` or `_ptds`
//! symbol, whose default stream is the calling thread's own. A name of the real driver that is
//! missing here is absent from the library; `UNSUPPORTED.md` lists those.

use crate::{
    array, capture, context, copy, copy_batch, device, driver, event, graph, graph_child,
    graph_exec, graph_memory, graph_update, host, ipc, launch, launch_old, memory, module,
    occupancy, pointer, pool, procaddr, stream, vmm,
};
use std::ffi::c_void;

/// One exported function.
pub struct Export {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub address: fn() -> *const c_void,
}

macro_rules! exports {
    ($($verb:ident $name:ident => $handler:path;)*) => {
        $(cuda_sys::signature::$name! { export, $verb $handler; })*

        /// Every exported function.
        pub static EXPORTS: &[Export] = &[
            $(Export { name: stringify!($name), address: || $name as *const () as *const c_void }),*
        ];
    };
}

macro_rules! export {
    ($verb:ident $handler:path; fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        /// The driver's function of this name; the handler says what it does here.
        ///
        /// # Safety
        /// As cuda.h demands.
        #[cfg_attr(not(test), unsafe(no_mangle))]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's contract is the handler's.
            crate::border::$verb(|| unsafe { $handler($(crate::border::Pass::pass($arg)),*) })
        }
    };
}

exports! {
    early cuInit => driver::init;
    early cuDriverGetVersion => driver::version;
    early cuGetErrorName => driver::error_name;
    early cuGetErrorString => driver::error_string;
    early cuGetProcAddress => procaddr::get;
    early cuGetProcAddress_v2 => procaddr::get_v2;
    early cuGetExportTable => driver::export_table;

    call cuDeviceGet => device::get;
    call cuDeviceGetCount => device::count;
    call cuDeviceGetName => device::name;
    call cuDeviceGetUuid => device::uuid;
    call cuDeviceGetUuid_v2 => device::uuid;
    call cuDeviceTotalMem_v2 => device::total_memory;
    call cuDeviceGetAttribute => device::attribute;
    call cuDeviceGetProperties => device::properties;
    call cuDeviceComputeCapability => device::compute_capability;
    call cuDeviceGetPCIBusId => device::pci_bus_id;
    call cuDeviceGetByPCIBusId => device::by_pci_bus_id;
    call cuDeviceCanAccessPeer => device::can_access_peer;
    call cuDeviceGetDefaultMemPool => pool::get_default;
    call cuDeviceGetMemPool => pool::get;
    call cuDeviceSetMemPool => pool::set;
    call cuDevicePrimaryCtxRetain => context::primary_retain;
    call cuDevicePrimaryCtxRelease => context::primary_release;
    call cuDevicePrimaryCtxRelease_v2 => context::primary_release;
    call cuDevicePrimaryCtxReset => context::primary_reset;
    call cuDevicePrimaryCtxReset_v2 => context::primary_reset;
    call cuDevicePrimaryCtxGetState => context::primary_state;
    call cuDevicePrimaryCtxSetFlags => context::primary_set_flags;
    call cuDevicePrimaryCtxSetFlags_v2 => context::primary_set_flags;

    call cuCtxCreate => context::create;
    call cuCtxCreate_v2 => context::create;
    call cuCtxCreate_v3 => context::create_v3;
    call cuCtxCreate_v4 => context::create_v4;
    call cuCtxDestroy => context::destroy;
    call cuCtxDestroy_v2 => context::destroy;
    call cuCtxSetCurrent => context::set_current;
    call cuCtxGetCurrent => context::get_current;
    call cuCtxPushCurrent => context::push;
    call cuCtxPushCurrent_v2 => context::push;
    call cuCtxPopCurrent => context::pop;
    call cuCtxPopCurrent_v2 => context::pop;
    call cuCtxGetDevice => context::device;
    call cuCtxGetDevice_v2 => context::device_of;
    call cuCtxGetId => context::id;
    call cuCtxSynchronize => context::synchronize;
    call cuCtxSynchronize_v2 => context::synchronize_of;
    call cuCtxGetApiVersion => context::api_version;
    call cuCtxGetFlags => context::flags;
    call cuCtxSetFlags => context::set_flags;
    call cuCtxGetStreamPriorityRange => context::priority_range;
    call cuCtxGetLimit => context::limit;
    call cuCtxSetLimit => context::set_limit;
    call cuCtxEnablePeerAccess => device::enable_peer;

    call cuModuleLoad => module::load_file;
    call cuModuleLoadData => module::load_data;
    call cuModuleLoadDataEx => module::load_data_ex;
    call cuModuleLoadFatBinary => module::load_data;
    call cuModuleUnload => module::unload;
    call cuModuleGetFunction => module::get_function;
    call cuModuleGetFunctionCount => module::function_count;
    call cuModuleGetGlobal_v2 => module::get_global;
    call cuModuleGetLoadingMode => module::loading_mode;
    call cuLibraryLoadData => module::library_load;
    call cuLibraryUnload => module::library_unload;
    call cuLibraryGetKernel => module::library_kernel;
    call cuLibraryGetModule => module::library_get_module;
    call cuKernelGetFunction => module::kernel_function;
    call cuKernelGetName => module::kernel_name;
    call cuKernelGetAttribute => module::kernel_attribute;
    call cuKernelSetAttribute => module::set_kernel_attribute;
    call cuFuncGetAttribute => module::attribute;
    call cuFuncSetAttribute => module::set_attribute;
    call cuFuncGetName => module::function_name;
    call cuFuncGetModule => module::function_module;
    call cuFuncGetParamInfo => module::function_parameter;
    call cuFuncIsLoaded => module::is_loaded;
    call cuFuncLoad => module::load_function;

    call cuMemAlloc_v2 => memory::alloc;
    call cuMemAllocPitch_v2 => memory::alloc_pitch;
    call cuMemAllocManaged => memory::alloc_managed;
    call cuMemFree_v2 => memory::free;
    call cuMemGetInfo_v2 => memory::info;
    call cuMemGetAddressRange_v2 => memory::address_range;
    call cuMemHostAlloc => host::alloc;
    call cuMemAllocHost_v2 => host::alloc_plain;
    call cuMemFreeHost => host::free;
    call cuMemHostRegister => host::register_v1;
    call cuMemHostRegister_v2 => host::register;
    call cuMemHostUnregister => host::unregister;
    call cuMemHostGetDevicePointer_v2 => host::device_pointer;
    call cuMemHostGetFlags => host::flags;
    call cuPointerGetAttribute => pointer::attribute;
    call cuPointerGetAttributes => pointer::attributes;
    call cuPointerSetAttribute => pointer::set_attribute;
    call cuIpcGetMemHandle => ipc::get;
    call cuIpcOpenMemHandle => ipc::open;
    call cuIpcOpenMemHandle_v2 => ipc::open;
    call cuIpcCloseMemHandle => ipc::close;

    call cuMemAllocAsync => pool::alloc;
    call_per_thread cuMemAllocAsync_ptsz => pool::alloc;
    call cuMemAllocFromPoolAsync => pool::alloc_from;
    call_per_thread cuMemAllocFromPoolAsync_ptsz => pool::alloc_from;
    call cuMemFreeAsync => pool::free;
    call_per_thread cuMemFreeAsync_ptsz => pool::free;
    call cuMemPoolCreate => pool::create;
    call cuMemPoolDestroy => pool::destroy;
    call cuMemPoolTrimTo => pool::trim_to;
    call cuMemPoolGetAttribute => pool::get_attribute;
    call cuMemPoolSetAttribute => pool::set_attribute;
    call cuMemPoolSetAccess => pool::set_access;

    call cuMemGetAllocationGranularity => vmm::granularity;
    call cuMemGetAllocationPropertiesFromHandle => vmm::properties;
    call cuMemCreate => vmm::create;
    call cuMemRelease => vmm::release;
    call cuMemRetainAllocationHandle => vmm::retain;
    call cuMemAddressReserve => vmm::reserve;
    call cuMemAddressFree => vmm::address_free;
    call cuMemMap => vmm::map;
    call cuMemUnmap => vmm::unmap;
    call cuMemSetAccess => vmm::set_access;
    call cuMemGetAccess => vmm::get_access;
    call cuMemExportToShareableHandle => vmm::export;
    call cuMemImportFromShareableHandle => vmm::import;

    call cuMemcpy => copy::any;
    call_per_thread cuMemcpy_ptds => copy::any;
    call cuMemcpyAsync => copy::any_async;
    call_per_thread cuMemcpyAsync_ptsz => copy::any_async;
    call cuMemcpyHtoD_v2 => copy::host_to_device;
    call_per_thread cuMemcpyHtoD_v2_ptds => copy::host_to_device;
    call cuMemcpyHtoDAsync_v2 => copy::host_to_device_async;
    call_per_thread cuMemcpyHtoDAsync_v2_ptsz => copy::host_to_device_async;
    call cuMemcpyDtoH_v2 => copy::device_to_host;
    call_per_thread cuMemcpyDtoH_v2_ptds => copy::device_to_host;
    call cuMemcpyDtoHAsync_v2 => copy::device_to_host_async;
    call_per_thread cuMemcpyDtoHAsync_v2_ptsz => copy::device_to_host_async;
    call cuMemcpyDtoD_v2 => copy::device_to_device;
    call_per_thread cuMemcpyDtoD_v2_ptds => copy::device_to_device;
    call cuMemcpyDtoDAsync_v2 => copy::device_to_device_async;
    call_per_thread cuMemcpyDtoDAsync_v2_ptsz => copy::device_to_device_async;
    call cuMemcpyPeer => copy::peer;
    call_per_thread cuMemcpyPeer_ptds => copy::peer;
    call cuMemcpyPeerAsync => copy::peer_async;
    call_per_thread cuMemcpyPeerAsync_ptsz => copy::peer_async;
    call cuMemcpy2D_v2 => copy::copy_2d;
    call_per_thread cuMemcpy2D_v2_ptds => copy::copy_2d;
    call cuMemcpy2DUnaligned_v2 => copy::copy_2d;
    call_per_thread cuMemcpy2DUnaligned_v2_ptds => copy::copy_2d;
    call cuMemcpy2DAsync_v2 => copy::copy_2d_async;
    call_per_thread cuMemcpy2DAsync_v2_ptsz => copy::copy_2d_async;
    call cuMemcpy3D_v2 => copy::copy_3d;
    call_per_thread cuMemcpy3D_v2_ptds => copy::copy_3d;
    call cuMemcpy3DAsync_v2 => copy::copy_3d_async;
    call_per_thread cuMemcpy3DAsync_v2_ptsz => copy::copy_3d_async;

    call cuMemcpyBatchAsync => copy_batch::linear_v1;
    call_per_thread cuMemcpyBatchAsync_ptsz => copy_batch::linear_v1;
    call cuMemcpyBatchAsync_v2 => copy_batch::linear;
    call_per_thread cuMemcpyBatchAsync_v2_ptsz => copy_batch::linear;

    call cuMemsetD8_v2 => copy::set_d8;
    call_per_thread cuMemsetD8_v2_ptds => copy::set_d8;
    call cuMemsetD16_v2 => copy::set_d16;
    call_per_thread cuMemsetD16_v2_ptds => copy::set_d16;
    call cuMemsetD32_v2 => copy::set_d32;
    call_per_thread cuMemsetD32_v2_ptds => copy::set_d32;
    call cuMemsetD2D8_v2 => copy::set_2d_d8;
    call_per_thread cuMemsetD2D8_v2_ptds => copy::set_2d_d8;
    call cuMemsetD2D16_v2 => copy::set_2d_d16;
    call_per_thread cuMemsetD2D16_v2_ptds => copy::set_2d_d16;
    call cuMemsetD2D32_v2 => copy::set_2d_d32;
    call_per_thread cuMemsetD2D32_v2_ptds => copy::set_2d_d32;
    call cuMemsetD8Async => copy::set_d8_async;
    call_per_thread cuMemsetD8Async_ptsz => copy::set_d8_async;
    call cuMemsetD16Async => copy::set_d16_async;
    call_per_thread cuMemsetD16Async_ptsz => copy::set_d16_async;
    call cuMemsetD32Async => copy::set_d32_async;
    call_per_thread cuMemsetD32Async_ptsz => copy::set_d32_async;
    call cuMemsetD2D8Async => copy::set_2d_d8_async;
    call_per_thread cuMemsetD2D8Async_ptsz => copy::set_2d_d8_async;
    call cuMemsetD2D16Async => copy::set_2d_d16_async;
    call_per_thread cuMemsetD2D16Async_ptsz => copy::set_2d_d16_async;
    call cuMemsetD2D32Async => copy::set_2d_d32_async;
    call_per_thread cuMemsetD2D32Async_ptsz => copy::set_2d_d32_async;

    call cuStreamCreate => stream::create;
    call cuStreamCreateWithPriority => stream::create_with_priority;
    call cuStreamDestroy => stream::destroy;
    call cuStreamDestroy_v2 => stream::destroy;
    call cuStreamQuery => stream::query;
    call_per_thread cuStreamQuery_ptsz => stream::query;
    call cuStreamSynchronize => stream::synchronize;
    call_per_thread cuStreamSynchronize_ptsz => stream::synchronize;
    call cuStreamWaitEvent => stream::wait_event;
    call_per_thread cuStreamWaitEvent_ptsz => stream::wait_event;
    call cuStreamWaitValue32 => stream::wait_value_32;
    call_per_thread cuStreamWaitValue32_ptsz => stream::wait_value_32;
    call cuStreamWaitValue32_v2 => stream::wait_value_32;
    call_per_thread cuStreamWaitValue32_v2_ptsz => stream::wait_value_32;
    call cuStreamWaitValue64 => stream::wait_value_64;
    call_per_thread cuStreamWaitValue64_ptsz => stream::wait_value_64;
    call cuStreamWaitValue64_v2 => stream::wait_value_64;
    call_per_thread cuStreamWaitValue64_v2_ptsz => stream::wait_value_64;
    call cuStreamWriteValue32 => stream::write_value_32;
    call_per_thread cuStreamWriteValue32_ptsz => stream::write_value_32;
    call cuStreamWriteValue32_v2 => stream::write_value_32;
    call_per_thread cuStreamWriteValue32_v2_ptsz => stream::write_value_32;
    call cuStreamWriteValue64 => stream::write_value_64;
    call_per_thread cuStreamWriteValue64_ptsz => stream::write_value_64;
    call cuStreamWriteValue64_v2 => stream::write_value_64;
    call_per_thread cuStreamWriteValue64_v2_ptsz => stream::write_value_64;
    call cuStreamBatchMemOp => stream::batch_mem_op;
    call_per_thread cuStreamBatchMemOp_ptsz => stream::batch_mem_op;
    call cuStreamBatchMemOp_v2 => stream::batch_mem_op;
    call_per_thread cuStreamBatchMemOp_v2_ptsz => stream::batch_mem_op;
    call cuStreamGetCtx => stream::context;
    call_per_thread cuStreamGetCtx_ptsz => stream::context;
    call cuStreamGetCtx_v2 => stream::context_v2;
    call_per_thread cuStreamGetCtx_v2_ptsz => stream::context_v2;
    call cuStreamGetDevice => stream::device;
    call_per_thread cuStreamGetDevice_ptsz => stream::device;
    call cuStreamGetFlags => stream::flags;
    call_per_thread cuStreamGetFlags_ptsz => stream::flags;
    call cuStreamGetPriority => stream::priority;
    call_per_thread cuStreamGetPriority_ptsz => stream::priority;
    call cuStreamGetId => stream::id;
    call_per_thread cuStreamGetId_ptsz => stream::id;
    call cuStreamAddCallback => stream::add_callback;
    call_per_thread cuStreamAddCallback_ptsz => stream::add_callback;
    call cuLaunchHostFunc => stream::host_function;
    call_per_thread cuLaunchHostFunc_ptsz => stream::host_function;

    call cuStreamBeginCapture => capture::begin_v1;
    call_per_thread cuStreamBeginCapture_ptsz => capture::begin_v1;
    call cuStreamBeginCapture_v2 => capture::begin;
    call_per_thread cuStreamBeginCapture_v2_ptsz => capture::begin;
    call cuStreamEndCapture => capture::end;
    call_per_thread cuStreamEndCapture_ptsz => capture::end;
    call cuStreamIsCapturing => capture::is_capturing;
    call_per_thread cuStreamIsCapturing_ptsz => capture::is_capturing;
    call cuStreamGetCaptureInfo => capture::info_v1;
    call_per_thread cuStreamGetCaptureInfo_ptsz => capture::info_v1;
    call cuStreamGetCaptureInfo_v2 => capture::info_v2;
    call_per_thread cuStreamGetCaptureInfo_v2_ptsz => capture::info_v2;
    call cuStreamGetCaptureInfo_v3 => capture::info_v3;
    call_per_thread cuStreamGetCaptureInfo_v3_ptsz => capture::info_v3;
    call cuThreadExchangeStreamCaptureMode => capture::exchange_mode;

    call cuEventCreate => event::create;
    call cuEventDestroy => event::destroy;
    call cuEventDestroy_v2 => event::destroy;
    call cuEventRecord => event::record;
    call_per_thread cuEventRecord_ptsz => event::record;
    call cuEventRecordWithFlags => event::record_with_flags;
    call_per_thread cuEventRecordWithFlags_ptsz => event::record_with_flags;
    call cuEventQuery => event::query;
    call cuEventSynchronize => event::synchronize;
    call cuEventElapsedTime => event::elapsed;
    call cuEventElapsedTime_v2 => event::elapsed;

    call cuLaunchKernel => launch::kernel;
    call_per_thread cuLaunchKernel_ptsz => launch::kernel;
    call cuLaunchKernelEx => launch::kernel_ex;
    call_per_thread cuLaunchKernelEx_ptsz => launch::kernel_ex;
    call cuLaunchCooperativeKernel => launch::cooperative;
    call_per_thread cuLaunchCooperativeKernel_ptsz => launch::cooperative;
    call cuFuncSetBlockShape => launch_old::block_shape;
    call cuFuncSetSharedSize => launch_old::shared_size;
    call cuParamSetSize => launch_old::size;
    call cuParamSeti => launch_old::integer;
    call cuParamSetf => launch_old::float;
    call cuParamSetv => launch_old::bytes;
    call cuLaunch => launch_old::one;
    call cuLaunchGrid => launch_old::grid;
    call cuLaunchGridAsync => launch_old::grid_async;
    call cuOccupancyMaxActiveBlocksPerMultiprocessor => occupancy::max_blocks;
    call cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags => occupancy::max_blocks_with_flags;
    call cuOccupancyMaxPotentialBlockSize => occupancy::best_block;
    call cuOccupancyMaxPotentialBlockSizeWithFlags => occupancy::best_block_with_flags;
    call cuOccupancyAvailableDynamicSMemPerBlock => occupancy::available_shared;

    call cuArrayCreate_v2 => array::create;
    call cuArray3DCreate_v2 => array::create_3d;
    call cuArray3DGetDescriptor_v2 => array::descriptor;
    call cuArrayDestroy => array::destroy;
    call cuMipmappedArrayCreate => array::create_mipmapped;
    call cuMipmappedArrayDestroy => array::destroy_mipmapped;

    call cuGraphCreate => graph::create;
    call cuGraphDestroy => graph::destroy;
    call cuGraphClone => graph::clone;
    call cuGraphAddKernelNode => graph::add_kernel_v1;
    call cuGraphAddKernelNode_v2 => graph::add_kernel;
    call cuGraphAddMemcpyNode => graph::add_copy;
    call cuGraphAddMemsetNode => graph::add_fill;
    call cuGraphAddHostNode => graph::add_host;
    call cuGraphAddEmptyNode => graph::add_empty;
    call cuGraphAddChildGraphNode => graph_child::add;
    call cuGraphAddMemAllocNode => graph_memory::add_alloc;
    call cuGraphAddMemFreeNode => graph_memory::add_free;
    call cuGraphMemAllocNodeGetParams => graph_memory::params;
    call cuDeviceGetGraphMemAttribute => graph_memory::attribute;
    call cuDeviceGraphMemTrim => graph_memory::trim;
    call cuGraphChildGraphNodeGetGraph => graph_child::get;
    call cuGraphGetNodes => graph::nodes;
    call cuGraphGetRootNodes => graph::roots;
    call cuGraphNodeGetType => graph::node_type;
    call cuGraphKernelNodeGetParams_v2 => graph::kernel_params;
    call cuGraphInstantiate => graph_exec::instantiate_log;
    call cuGraphInstantiate_v2 => graph_exec::instantiate_log;
    call cuGraphInstantiateWithFlags => graph_exec::instantiate;
    call cuGraphInstantiateWithParams => graph_exec::instantiate_params;
    call_per_thread cuGraphInstantiateWithParams_ptsz => graph_exec::instantiate_params;
    call cuGraphExecDestroy => graph_exec::exec_destroy;
    call cuGraphExecGetFlags => graph_exec::exec_flags;
    call cuGraphExecUpdate => graph_update::update_v1;
    call cuGraphExecUpdate_v2 => graph_update::update;
    call cuGraphExecKernelNodeSetParams_v2 => graph_update::set_kernel;
    call cuGraphUpload => graph_exec::upload;
    call_per_thread cuGraphUpload_ptsz => graph_exec::upload;
    call cuGraphLaunch => graph_exec::launch;
    call_per_thread cuGraphLaunch_ptsz => graph_exec::launch;
}

#[cfg(test)]
#[path = "exports_tests.rs"]
mod tests;
