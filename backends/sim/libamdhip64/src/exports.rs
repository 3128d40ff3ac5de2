//! What the library exports, and nothing else: the names here, signatures from the vendor's headers.
//!
//! `early` works without a device, `ask` needs one, `call` also makes the thread's context current, and
//! `call_per_thread` is a `_spt` symbol, whose null stream is the calling thread's own. `plain` and `silent` return no
//! code. A name of the real libraries that is missing here is absent; `UNSUPPORTED.md` lists those.

use crate::{
    array, copy, device, driver, graph, launch, memory, module, occupancy, pool, registry, stream,
    vmm,
};
use fcsp_sim_driver::{
    array as neutral_array, copy as neutral_copy, memory as neutral_memory,
    module as neutral_module,
};
use fcsp_sim_driver::{
    capture, context, event, graph as neutral_graph, graph_child, graph_exec, graph_memory, host,
    ipc, launch as neutral_launch, pool as neutral_pool, stream as neutral_stream,
    vmm as neutral_vmm,
};

macro_rules! exports {
    ($($verb:ident $name:ident => $handler:path;)*) => {
        /// What the functions do, behind the dispatch table.
        mod own {
            use super::*;
            $(hip_sys::signature::$name! { own, $verb $handler; })*
        }

        $(hip_sys::signature::$name! { export, ; })*

        /// The name of every exported function.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// What stands in the dispatch table for a function of ours, if nobody wraps it.
        pub fn own(name: &str) -> Option<*mut ()> {
            match name {
                $(stringify!($name) => Some(own::$name as *mut ()),)*
                _ => None,
            }
        }
    };
}

macro_rules! own {
    (plain $handler:path; fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        #[allow(non_snake_case, unused_unsafe)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's contract is the handler's.
            unsafe { $handler($($arg),*) }
        }
    };
    ($verb:ident $handler:path; fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        #[allow(non_snake_case, clippy::too_many_arguments)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's contract is the handler's.
            crate::border::$verb(|| unsafe { $handler($(crate::border::Pass::pass($arg)),*) })
        }
    };
}

macro_rules! export {
    (; fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        /// The library's function of this name; the handler says what it does here.
        ///
        /// # Safety
        /// As hip_runtime_api.h demands.
        #[cfg_attr(not(test), unsafe(no_mangle))]
        #[allow(non_snake_case, clippy::too_many_arguments)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            const PLACE: Option<usize> = hip_sys::dispatch::place(stringify!($name));
            let own: unsafe extern "C" fn($($ty),*) -> $ret = own::$name;
            let function = match PLACE.and_then(crate::dispatch::function) {
                // SAFETY: what stands in the table for a function is of its type.
                Some(function) => unsafe { std::mem::transmute::<*mut (), unsafe extern "C" fn($($ty),*) -> $ret>(function) },
                None => own,
            };
            // SAFETY: the caller's contract is the function's.
            unsafe { function($($arg),*) }
        }
    };
}

exports! {
    ask hipInit => driver::init;
    early hipGetDeviceCount => driver::count;
    early hipRuntimeGetVersion => driver::version;
    early hipDriverGetVersion => driver::version;
    early hipDrvGetErrorName => driver::drv_error_text;
    early hipDrvGetErrorString => driver::drv_error_text;
    plain hipGetErrorName => driver::error_text;
    plain hipGetErrorString => driver::error_text;
    plain hipGetLastError => driver::get_last_error;
    plain hipExtGetLastError => driver::get_last_error;
    plain hipPeekAtLastError => driver::peek_at_last_error;
    early hipGetProcAddress => crate::procaddr::get;

    ask hipSetDevice => driver::set_device;
    ask hipGetDevice => driver::get_device;
    ask hipCtxGetDevice => driver::context_device;
    call hipDeviceReset => driver::reset;
    call hipDeviceSynchronize => context::synchronize;
    call hipCtxSynchronize => context::synchronize;
    call hipCtxGetCurrent => device::context;
    ask hipDeviceGet => device::get;
    ask hipDeviceGetName => device::name;
    ask hipDeviceGetUuid => device::uuid;
    ask hipDeviceTotalMem => device::total_memory;
    ask hipDeviceGetAttribute => device::attribute;
    ask hipDeviceComputeCapability => device::compute_capability;
    ask hipDeviceGetPCIBusId => device::pci_bus_id;
    ask hipDeviceGetByPCIBusId => device::by_pci_bus_id;
    ask hipGetDeviceProperties => device::properties_5;
    ask hipGetDevicePropertiesR0000 => device::properties_5;
    ask hipGetDevicePropertiesR0600 => device::properties;
    ask hipChooseDevice => device::choose;
    ask hipChooseDeviceR0000 => device::choose;
    ask hipChooseDeviceR0600 => device::choose;
    ask hipDeviceCanAccessPeer => device::can_access_peer;
    ask hipDeviceEnablePeerAccess => device::enable_peer;
    ask hipDeviceDisablePeerAccess => device::disable_peer;
    ask hipDeviceGetP2PAttribute => device::peer_attribute;
    ask hipDeviceSetCacheConfig => device::set_hint;
    ask hipDeviceGetCacheConfig => device::get_hint;
    ask hipDeviceSetSharedMemConfig => device::set_hint;
    ask hipDeviceGetSharedMemConfig => device::get_hint;
    call hipDeviceGetLimit => device::get_limit;
    call hipDeviceSetLimit => device::set_limit;
    call hipGetDeviceFlags => device::flags;
    call hipSetDeviceFlags => device::set_flags;
    call hipDeviceGetStreamPriorityRange => context::priority_range;
    ask hipDevicePrimaryCtxGetState => context::primary_state;
    ask hipDevicePrimaryCtxRetain => context::primary_retain;
    ask hipDevicePrimaryCtxSetFlags => context::primary_set_flags;
    ask hipDevicePrimaryCtxRelease => device::keep_primary;
    ask hipDevicePrimaryCtxReset => device::keep_primary;
    ask hipProfilerStart => device::no_profiler;
    ask hipProfilerStop => device::no_profiler;
    ask hipDeviceGetDefaultMemPool => neutral_pool::get_default;
    ask hipDeviceGetMemPool => neutral_pool::get;
    ask hipDeviceSetMemPool => neutral_pool::set;
    ask hipDeviceGetGraphMemAttribute => graph_memory::attribute;
    ask hipDeviceGraphMemTrim => graph_memory::trim;

    call hipMalloc => memory::alloc;
    call hipExtMallocWithFlags => memory::alloc_with_flags;
    call hipMallocManaged => memory::alloc_managed;
    call hipMallocPitch => memory::alloc_pitch;
    call hipMemAllocPitch => memory::alloc_pitch_of;
    call hipMalloc3D => memory::alloc_3d;
    call hipFree => memory::free;
    call hipMemGetInfo => memory::info;
    call hipMemPtrGetInfo => memory::size_of;
    call hipMemGetAddressRange => neutral_memory::address_range;
    call hipPointerGetAttributes => memory::pointer_attributes;
    call hipPointerGetAttribute => memory::pointer_attribute;
    call hipMemAdvise => memory::advise;
    call hipMemPrefetchAsync => memory::prefetch;
    call hipHostMalloc => memory::host_alloc;
    call hipHostAlloc => memory::host_alloc;
    call hipMallocHost => memory::host_alloc_plain;
    call hipMemAllocHost => memory::host_alloc_own;
    call hipHostFree => memory::host_free;
    call hipFreeHost => memory::host_free;
    call hipHostRegister => host::register;
    call hipHostUnregister => host::unregister;
    call hipHostGetDevicePointer => host::device_pointer;
    call hipHostGetFlags => host::flags;
    call hipIpcGetMemHandle => ipc::get;
    call hipIpcOpenMemHandle => memory::ipc_open;
    call hipIpcCloseMemHandle => ipc::close;

    plain hipCreateChannelDesc => array::describe;
    call hipMallocArray => array::alloc;
    call hipMalloc3DArray => array::alloc_3d;
    call hipMallocMipmappedArray => array::alloc_mipmapped;
    call hipArrayCreate => array::create;
    call hipArray3DCreate => array::create_3d;
    call hipMipmappedArrayCreate => array::create_mipmapped;
    call hipArrayGetDescriptor => array::descriptor;
    call hipArray3DGetDescriptor => array::descriptor_3d;
    call hipFreeArray => neutral_array::destroy;
    call hipArrayDestroy => neutral_array::destroy;
    call hipFreeMipmappedArray => neutral_array::destroy_mipmapped;
    call hipMipmappedArrayDestroy => neutral_array::destroy_mipmapped;

    call hipMallocAsync => pool::alloc;
    call hipMallocFromPoolAsync => neutral_pool::alloc_from;
    call hipFreeAsync => neutral_pool::free;
    call hipMemPoolCreate => pool::create;
    call hipMemPoolDestroy => neutral_pool::destroy;
    call hipMemPoolTrimTo => neutral_pool::trim_to;
    call hipMemPoolGetAttribute => neutral_pool::get_attribute;
    call hipMemPoolSetAttribute => neutral_pool::set_attribute;
    call hipMemPoolSetAccess => pool::set_access;
    call hipMemPoolGetAccess => pool::get_access;

    call hipMemGetAllocationGranularity => vmm::granularity;
    call hipMemGetAllocationPropertiesFromHandle => vmm::properties;
    call hipMemCreate => vmm::create;
    call hipMemRelease => neutral_vmm::release;
    call hipMemRetainAllocationHandle => neutral_vmm::retain;
    call hipMemAddressReserve => neutral_vmm::reserve;
    call hipMemAddressFree => neutral_vmm::address_free;
    call hipMemMap => neutral_vmm::map;
    call hipMemUnmap => neutral_vmm::unmap;
    call hipMemSetAccess => vmm::set_access;
    call hipMemGetAccess => vmm::get_access;
    call hipMemExportToShareableHandle => neutral_vmm::export;
    call hipMemImportFromShareableHandle => neutral_vmm::import;

    call hipMemcpy => copy::any;
    call_per_thread hipMemcpy_spt => copy::any;
    call hipMemcpyAsync => copy::any_async;
    call_per_thread hipMemcpyAsync_spt => copy::any_async;
    call hipMemcpyWithStream => copy::with_stream;
    call hipMemcpyHtoD => copy::to_device;
    call hipMemcpyHtoDAsync => copy::to_device_async;
    call hipMemcpyDtoH => neutral_copy::device_to_host;
    call hipMemcpyDtoHAsync => neutral_copy::device_to_host_async;
    call hipMemcpyDtoD => neutral_copy::device_to_device;
    call hipMemcpyDtoDAsync => neutral_copy::device_to_device_async;
    call hipMemcpyPeer => copy::peer;
    call hipMemcpyPeerAsync => copy::peer_async;
    call hipMemcpyToSymbol => copy::to_symbol;
    call_per_thread hipMemcpyToSymbol_spt => copy::to_symbol;
    call hipMemcpyFromSymbol => copy::from_symbol;
    call_per_thread hipMemcpyFromSymbol_spt => copy::from_symbol;
    call hipMemcpyToSymbolAsync => copy::to_symbol_async;
    call_per_thread hipMemcpyToSymbolAsync_spt => copy::to_symbol_async;
    call hipMemcpyFromSymbolAsync => copy::from_symbol_async;
    call_per_thread hipMemcpyFromSymbolAsync_spt => copy::from_symbol_async;
    call hipMemcpy2D => copy::copy_2d;
    call_per_thread hipMemcpy2D_spt => copy::copy_2d;
    call hipMemcpy2DAsync => copy::copy_2d_async;
    call_per_thread hipMemcpy2DAsync_spt => copy::copy_2d_async;
    call hipMemcpyParam2D => copy::param_2d;
    call hipMemcpyParam2DAsync => copy::param_2d_async;
    call hipDrvMemcpy2DUnaligned => copy::param_2d;
    call hipMemcpy3D => copy::copy_3d;
    call_per_thread hipMemcpy3D_spt => copy::copy_3d;
    call hipMemcpy3DAsync => copy::copy_3d_async;
    call_per_thread hipMemcpy3DAsync_spt => copy::copy_3d_async;
    call hipDrvMemcpy3D => copy::driver_3d;
    call hipDrvMemcpy3DAsync => copy::driver_3d_async;
    call hipMemset => copy::set;
    call_per_thread hipMemset_spt => copy::set;
    call hipMemsetAsync => copy::set_async;
    call_per_thread hipMemsetAsync_spt => copy::set_async;
    call hipMemsetD8 => neutral_copy::set_d8;
    call hipMemsetD8Async => neutral_copy::set_d8_async;
    call hipMemsetD16 => neutral_copy::set_d16;
    call hipMemsetD16Async => neutral_copy::set_d16_async;
    call hipMemsetD32 => copy::set_d32;
    call hipMemsetD32Async => copy::set_d32_async;
    call hipMemset2D => copy::set_2d;
    call_per_thread hipMemset2D_spt => copy::set_2d;
    call hipMemset2DAsync => copy::set_2d_async;
    call_per_thread hipMemset2DAsync_spt => copy::set_2d_async;
    call hipMemset3D => copy::set_3d;
    call_per_thread hipMemset3D_spt => copy::set_3d;
    call hipMemset3DAsync => copy::set_3d_async;
    call_per_thread hipMemset3DAsync_spt => copy::set_3d_async;

    call hipStreamCreate => stream::create;
    call hipStreamCreateWithFlags => neutral_stream::create;
    call hipStreamCreateWithPriority => neutral_stream::create_with_priority;
    call hipExtStreamCreateWithCUMask => stream::create_with_mask;
    call hipExtStreamGetCUMask => stream::mask;
    call hipStreamDestroy => neutral_stream::destroy;
    call hipStreamQuery => neutral_stream::query;
    call_per_thread hipStreamQuery_spt => neutral_stream::query;
    call hipStreamSynchronize => neutral_stream::synchronize;
    call_per_thread hipStreamSynchronize_spt => neutral_stream::synchronize;
    call hipStreamWaitEvent => neutral_stream::wait_event;
    call_per_thread hipStreamWaitEvent_spt => neutral_stream::wait_event;
    call hipStreamWaitValue32 => stream::wait_value_32;
    call hipStreamWaitValue64 => stream::wait_value_64;
    call hipStreamWriteValue32 => neutral_stream::write_value_32;
    call hipStreamWriteValue64 => neutral_stream::write_value_64;
    call hipStreamBatchMemOp => stream::batch;
    call hipStreamGetDevice => neutral_stream::device;
    plain hipGetStreamDeviceId => stream::device_id;
    call hipStreamGetFlags => neutral_stream::flags;
    call_per_thread hipStreamGetFlags_spt => neutral_stream::flags;
    call hipStreamGetPriority => neutral_stream::priority;
    call_per_thread hipStreamGetPriority_spt => neutral_stream::priority;
    call hipStreamAddCallback => stream::add_callback;
    call_per_thread hipStreamAddCallback_spt => stream::add_callback;
    call hipLaunchHostFunc => neutral_stream::host_function;
    call_per_thread hipLaunchHostFunc_spt => neutral_stream::host_function;

    call hipStreamBeginCapture => capture::begin;
    call_per_thread hipStreamBeginCapture_spt => capture::begin;
    call hipStreamEndCapture => capture::end;
    call_per_thread hipStreamEndCapture_spt => capture::end;
    call hipStreamIsCapturing => capture::is_capturing;
    call_per_thread hipStreamIsCapturing_spt => capture::is_capturing;
    call hipStreamGetCaptureInfo => capture::info_v1;
    call_per_thread hipStreamGetCaptureInfo_spt => capture::info_v1;
    call hipStreamGetCaptureInfo_v2 => capture::info_v2;
    call_per_thread hipStreamGetCaptureInfo_v2_spt => capture::info_v2;
    call hipThreadExchangeStreamCaptureMode => capture::exchange_mode;

    call hipEventCreate => stream::create_event;
    call hipEventCreateWithFlags => stream::create_event_with_flags;
    call hipEventDestroy => event::destroy;
    call hipEventRecord => event::record;
    call_per_thread hipEventRecord_spt => event::record;
    call hipEventRecordWithFlags => event::record_with_flags;
    call hipEventQuery => event::query;
    call hipEventSynchronize => event::synchronize;
    call hipEventElapsedTime => event::elapsed;

    call hipModuleLoad => module::load_file;
    call hipModuleLoadData => module::load_data;
    call hipModuleLoadDataEx => module::load_data_ex;
    call hipModuleUnload => module::unload;
    call hipModuleGetFunction => neutral_module::get_function;
    call hipModuleGetGlobal => module::get_global;
    call hipFuncGetAttribute => module::attribute;
    call hipFuncGetAttributes => module::attributes;
    call hipFuncSetAttribute => module::set_attribute;
    call hipFuncSetCacheConfig => module::set_hint;
    call hipFuncSetSharedMemConfig => module::set_hint;
    call hipGetFuncBySymbol => module::by_symbol;
    call hipGetSymbolAddress => module::symbol_address;
    call hipGetSymbolSize => module::symbol_size;
    plain hipKernelNameRef => module::name;
    plain hipKernelNameRefByPtr => module::name_by_host;
    call hipOccupancyMaxActiveBlocksPerMultiprocessor => occupancy::of_host;
    call hipOccupancyMaxActiveBlocksPerMultiprocessorWithFlags => occupancy::of_host_with_flags;
    call hipOccupancyMaxPotentialBlockSize => occupancy::best_of_host;
    call hipModuleOccupancyMaxActiveBlocksPerMultiprocessor => occupancy::of_module;
    call hipModuleOccupancyMaxActiveBlocksPerMultiprocessorWithFlags => occupancy::of_module_with_flags;
    call hipModuleOccupancyMaxPotentialBlockSize => occupancy::best_of_module;

    plain __hipRegisterFatBinary => registry::fat_binary;
    silent __hipUnregisterFatBinary => registry::unregister;
    silent __hipRegisterFunction => registry::register_function;
    silent __hipRegisterVar => registry::register_variable;
    silent __hipRegisterManagedVar => registry::register_managed;
    early __hipPushCallConfiguration => launch::push;
    early __hipPopCallConfiguration => launch::pop;
    early hipConfigureCall => launch::push;
    early hipSetupArgument => launch::set_argument;
    call hipLaunchByPtr => launch::by_pointer;
    call hipLaunchKernel => launch::kernel;
    call_per_thread hipLaunchKernel_spt => launch::kernel;
    call hipExtLaunchKernel => launch::kernel_with_events;
    call hipLaunchCooperativeKernel => launch::cooperative;
    call_per_thread hipLaunchCooperativeKernel_spt => launch::cooperative;
    call hipLaunchCooperativeKernelMultiDevice => launch::on_devices;
    call hipExtLaunchMultiKernelMultiDevice => launch::on_devices;
    call hipModuleLaunchKernel => neutral_launch::kernel;
    call hipModuleLaunchCooperativeKernel => neutral_launch::cooperative;
    call hipModuleLaunchCooperativeKernelMultiDevice => launch::modules_on_devices;
    call hipExtModuleLaunchKernel => launch::module_with_events;
    call hipHccModuleLaunchKernel => launch::module_hcc;
    call _Z24hipExtModuleLaunchKernelP18ihipModuleSymbol_tjjjjjjmP12ihipStream_tPPvS4_P11ihipEvent_tS6_j
        => launch::module_with_events;
    call _Z24hipHccModuleLaunchKernelP18ihipModuleSymbol_tjjjjjjmP12ihipStream_tPPvS4_P11ihipEvent_tS6_
        => launch::module_hcc;
    silent _ZN8hip_impl22hipLaunchKernelGGLImplEmRK4dim3S2_jP12ihipStream_tPPv => launch::ggl;

    call hipGraphCreate => neutral_graph::create;
    call hipGraphDestroy => neutral_graph::destroy;
    call hipGraphClone => neutral_graph::clone;
    call hipGraphAddKernelNode => graph::add_kernel;
    call hipGraphAddMemcpyNode => graph::add_copy;
    call hipGraphAddMemcpyNode1D => graph::add_copy_1d;
    call hipGraphAddMemcpyNodeToSymbol => graph::add_to_symbol;
    call hipGraphAddMemcpyNodeFromSymbol => graph::add_from_symbol;
    call hipGraphKernelNodeGetParams => graph::kernel_params;
    call hipGraphAddMemsetNode => graph::add_fill;
    call hipGraphAddHostNode => graph::add_host;
    call hipGraphAddEmptyNode => neutral_graph::add_empty;
    call hipGraphAddChildGraphNode => graph_child::add;
    call hipGraphChildGraphNodeGetGraph => graph_child::get;
    call hipGraphAddMemAllocNode => graph::add_alloc;
    call hipGraphMemAllocNodeGetParams => graph::alloc_params;
    call hipGraphAddMemFreeNode => graph_memory::add_free;
    call hipGraphGetNodes => neutral_graph::nodes;
    call hipGraphGetRootNodes => neutral_graph::roots;
    call hipGraphNodeGetType => neutral_graph::node_type;
    call hipGraphInstantiate => graph_exec::instantiate_log;
    call hipGraphInstantiateWithFlags => graph::instantiate;
    call hipGraphExecDestroy => graph_exec::exec_destroy;
    call hipGraphExecGetFlags => graph_exec::exec_flags;
    call hipGraphExecUpdate => graph::update;
    call hipGraphExecKernelNodeSetParams => graph::set_kernel;
    call hipGraphUpload => graph_exec::upload;
    call hipGraphLaunch => graph_exec::launch;
    call_per_thread hipGraphLaunch_spt => graph_exec::launch;
}

#[cfg(test)]
#[path = "exports_tests.rs"]
mod tests;
