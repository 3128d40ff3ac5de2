//! Which functions there are: names here, signatures from the header.
//!
//! `early` works before initialization, the others do not; `handle` and `number` return no code. A function of the tables that is missing here is null there;
//! `UNSUPPORTED.md` lists those.

use crate::{
    append, context, copy, device, driver, event, fence, image, ipc, kernel, launch, list, memory,
    module, physical, queue, runtime, sysman,
};
use std::ffi::c_void;

macro_rules! functions {
    ($($verb:ident $name:ident => $handler:path;)*) => {
        $(level_zero_sys::signature::$name! { function, $verb $handler; })*

        /// Every function there is.
        pub static FUNCTIONS: &[(&str, fn() -> *const c_void)] = &[
            $((stringify!($name), || $name as *const () as *const c_void)),*
        ];
    };
}

macro_rules! function {
    ($verb:ident $handler:path; fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        #[allow(non_snake_case)]
        unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's contract is the handler's.
            crate::border::$verb(|| unsafe { $handler($($arg),*) })
        }
    };
}

/// The address of a function; null if there is none of that name.
pub fn address(name: &str) -> *const c_void {
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    found.map_or(std::ptr::null(), |(_, address)| address())
}

functions! {
    early zeInit => driver::init;
    early zeInitDrivers => driver::init_drivers;
    call zeDriverGet => driver::get;
    call zeDriverGetApiVersion => driver::api_version;
    call zeDriverGetProperties => driver::properties;
    call zeDriverGetIpcProperties => driver::ipc_properties;
    call zeDriverGetExtensionProperties => driver::extensions;
    call zeDriverGetExtensionFunctionAddress => driver::extension_function;
    call zeDriverGetLastErrorDescription => driver::last_error;

    call zeDeviceGet => device::get;
    call zeDeviceGetSubDevices => device::sub_devices;
    call zeDeviceGetRootDevice => device::root_device;
    call zeDeviceGetProperties => device::properties;
    call zeDeviceGetComputeProperties => device::compute_properties;
    call zeDeviceGetModuleProperties => device::module_properties;
    call zeDeviceGetCommandQueueGroupProperties => device::queue_groups;
    call zeDeviceGetMemoryProperties => device::memory_properties;
    call zeDeviceGetMemoryAccessProperties => device::memory_access_properties;
    call zeDeviceGetCacheProperties => device::cache_properties;
    call zeDeviceGetImageProperties => device::image_properties;
    call zeDeviceGetExternalMemoryProperties => device::external_memory_properties;
    call zeDeviceGetP2PProperties => device::p2p_properties;
    call zeDeviceCanAccessPeer => device::can_access_peer;
    call zeDeviceGetStatus => device::status;
    call zeDeviceGetGlobalTimestamps => device::global_timestamps;
    call zeDeviceSynchronize => runtime::synchronize;

    handle zeDriverGetDefaultContext => runtime::default_of_driver;
    handle zerGetDefaultContext => runtime::default_context;
    number zerTranslateDeviceHandleToIdentifier => runtime::identifier;
    handle zerTranslateIdentifierToDeviceHandle => runtime::device_of;
    call zerGetLastErrorDescription => runtime::last_error;

    call zeContextCreate => context::create;
    call zeContextCreateEx => context::create_ex;
    call zeContextDestroy => context::destroy;
    call zeContextGetStatus => context::status;
    call zeContextSystemBarrier => context::system_barrier;
    call zeContextMakeMemoryResident => context::make_resident;
    call zeContextEvictMemory => context::evict;
    call zeContextMakeImageResident => image::residency;
    call zeContextEvictImage => image::residency;

    call zeCommandQueueCreate => queue::create;
    call zeCommandQueueDestroy => queue::destroy;
    call zeCommandQueueExecuteCommandLists => queue::execute;
    call zeCommandQueueSynchronize => queue::synchronize;
    call zeCommandQueueGetOrdinal => queue::get_ordinal;
    call zeCommandQueueGetIndex => queue::get_index;

    call zeFenceCreate => fence::create;
    call zeFenceDestroy => fence::destroy;
    call zeFenceHostSynchronize => fence::host_synchronize;
    call zeFenceQueryStatus => fence::query_status;
    call zeFenceReset => fence::reset;

    call zeEventPoolCreate => event::create_pool;
    call zeEventPoolDestroy => event::destroy_pool;
    call zeEventPoolGetIpcHandle => ipc::get_pool;
    call zeEventPoolPutIpcHandle => ipc::put_pool;
    call zeEventPoolOpenIpcHandle => ipc::open_pool;
    call zeEventPoolCloseIpcHandle => ipc::close_pool;
    call zeEventCreate => event::create;
    call zeEventDestroy => event::destroy;
    call zeEventHostSignal => event::host_signal;
    call zeEventHostReset => event::host_reset;
    call zeEventHostSynchronize => event::host_synchronize;
    call zeEventQueryStatus => event::query_status;
    call zeEventQueryKernelTimestamp => event::query_timestamp;

    call zeCommandListCreate => list::create;
    call zeCommandListCreateImmediate => list::create_immediate;
    call zeCommandListDestroy => list::destroy;
    call zeCommandListClose => list::close;
    call zeCommandListReset => list::reset;
    call zeCommandListHostSynchronize => list::host_synchronize;
    call zeCommandListImmediateAppendCommandListsExp => list::append_lists;
    call zeCommandListGetDeviceHandle => list::get_device;
    call zeCommandListGetContextHandle => list::get_context;
    call zeCommandListGetOrdinal => list::get_ordinal;
    call zeCommandListImmediateGetIndex => list::get_index;
    call zeCommandListIsImmediate => list::is_immediate;

    call zeCommandListAppendBarrier => append::barrier;
    call zeCommandListAppendMemoryRangesBarrier => append::ranges_barrier;
    call zeCommandListAppendSignalEvent => append::signal_event;
    call zeCommandListAppendWaitOnEvents => append::wait_on_events;
    call zeCommandListAppendEventReset => append::event_reset;
    call zeCommandListAppendWriteGlobalTimestamp => append::write_timestamp;
    call zeCommandListAppendQueryKernelTimestamps => append::query_timestamps;
    call zeCommandListAppendMemoryPrefetch => append::prefetch;
    call zeCommandListAppendMemAdvise => append::advise;
    call zeCommandListAppendHostFunction => append::host_function;

    call zeCommandListAppendMemoryCopy => copy::copy;
    call zeCommandListAppendMemoryCopyFromContext => copy::copy_from_context;
    call zeCommandListAppendMemoryCopyRegion => copy::copy_region;
    call zeCommandListAppendMemoryFill => copy::fill;
    call zeCommandListAppendImageCopy => image::copy;
    call zeCommandListAppendImageCopyRegion => image::copy_region;
    call zeCommandListAppendImageCopyToMemory => image::to_memory;
    call zeCommandListAppendImageCopyFromMemory => image::from_memory;
    call zeCommandListAppendImageCopyToMemoryExt => image::to_memory_ext;
    call zeCommandListAppendImageCopyFromMemoryExt => image::from_memory_ext;

    call zeCommandListAppendLaunchKernel => launch::kernel;
    call zeCommandListAppendLaunchCooperativeKernel => launch::cooperative;
    call zeCommandListAppendLaunchKernelIndirect => launch::indirect;
    call zeCommandListAppendLaunchMultipleKernelsIndirect => launch::several;
    call zeCommandListAppendLaunchKernelWithParameters => launch::with_parameters;
    call zeCommandListAppendLaunchKernelWithArguments => launch::with_arguments;

    call zeModuleCreate => module::create;
    call zeModuleDestroy => module::destroy;
    call zeModuleDynamicLink => module::link;
    call zeModuleGetNativeBinary => module::native_binary;
    call zeModuleGetKernelNames => module::kernel_names;
    call zeModuleGetProperties => module::properties;
    call zeModuleBuildLogDestroy => module::log_destroy;
    call zeModuleBuildLogGetString => module::log_text;

    call zeKernelCreate => kernel::create;
    call zeKernelDestroy => kernel::destroy;
    call zeKernelSetGroupSize => kernel::set_group_size;
    call zeKernelSuggestGroupSize => kernel::suggest_group_size;
    call zeKernelSuggestMaxCooperativeGroupCount => kernel::suggest_cooperative;
    call zeKernelSetArgumentValue => kernel::set_argument;
    call zeKernelSetIndirectAccess => kernel::set_indirect_access;
    call zeKernelGetIndirectAccess => kernel::get_indirect_access;
    call zeKernelSetCacheConfig => kernel::set_cache_config;
    call zeKernelGetName => kernel::name;
    call zeKernelGetProperties => kernel::properties;

    call zeMemAllocDevice => memory::alloc_device;
    call zeMemAllocShared => memory::alloc_shared;
    call zeMemAllocHost => memory::alloc_host;
    call zeMemFree => memory::free;
    call zeMemFreeExt => memory::free_ext;
    call zeMemGetAllocProperties => memory::properties;
    call zeMemGetAddressRange => memory::address_range;
    call zeMemGetIpcHandle => ipc::get_memory;
    call zeMemPutIpcHandle => ipc::put_memory;
    call zeMemOpenIpcHandle => ipc::open_memory;
    call zeMemCloseIpcHandle => ipc::close_memory;

    call zePhysicalMemCreate => physical::create;
    call zePhysicalMemDestroy => physical::destroy;
    call zeVirtualMemQueryPageSize => physical::page_size;
    call zeVirtualMemReserve => physical::reserve;
    call zeVirtualMemFree => physical::free;
    call zeVirtualMemMap => physical::map;
    call zeVirtualMemUnmap => physical::unmap;
    call zeVirtualMemSetAccessAttribute => physical::set_access;
    call zeVirtualMemGetAccessAttribute => physical::get_access;

    call zeImageCreate => image::create;
    call zeImageDestroy => image::destroy;
    call zeImageGetProperties => image::properties;

    early zesInit => sysman::init;
    call zesDriverGet => sysman::drivers;
    call zesDriverGetDeviceByUuidExp => sysman::by_uuid;
    call zesDeviceGet => sysman::devices;
    call zesDeviceGetProperties => sysman::properties;
    call zesDeviceGetState => sysman::state;
    call zesDevicePciGetProperties => sysman::pci;
    call zesDeviceProcessesGetState => sysman::processes;
    call zesDeviceEnumMemoryModules => sysman::memory_modules;
    call zesMemoryGetProperties => sysman::memory_properties;
    call zesMemoryGetState => sysman::memory_state;
    call zesDeviceEnumEngineGroups => sysman::engines;
    call zesEngineGetProperties => sysman::engine_properties;
    call zesEngineGetActivity => sysman::engine_activity;
    call zesDeviceGetCardPowerDomain => sysman::card_power;
    call zesDeviceEnumPowerDomains => sysman::none;
    call zesDeviceEnumTemperatureSensors => sysman::none;
    call zesDeviceEnumFrequencyDomains => sysman::none;
    call zesDeviceEnumFans => sysman::none;
    call zesDeviceEnumPsus => sysman::none;
    call zesDeviceEnumLeds => sysman::none;
    call zesDeviceEnumRasErrorSets => sysman::none;
    call zesDeviceEnumSchedulers => sysman::none;
    call zesDeviceEnumStandbyDomains => sysman::none;
    call zesDeviceEnumFabricPorts => sysman::none;
    call zesDeviceEnumFirmwares => sysman::none;
    call zesDeviceEnumDiagnosticTestSuites => sysman::none;
    call zesDeviceEnumPerformanceFactorDomains => sysman::none;
}
