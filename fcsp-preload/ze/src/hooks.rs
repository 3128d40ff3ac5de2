//! The hook tables: every decision about an intercepted call, and nothing else.
//!
//! The rows stand here once, and are made into wrappers twice: exported ones, before the loader, and others for the tables
//! that a loader is given, before the driver. Handlers live where a row says. A row with `unless` costs one check while
//! nobody else uses the device; those of command lists have none, because what is recorded now may be executed when
//! somebody does.

use fcsp_program::waiting::{nothing_to_do, unnoticed};
use level_zero_sys::ze_result_t;

use crate::info::{activity, sysman};
use crate::memory::{image, physical};
use crate::{graph, info, kernel, launch, lists, memory, queues, shim, sync, transfer};

/// The function of that name beneath our wrappers: the driver's, or the loader's where this library is not its driver.
macro_rules! ze {
    ($name:ident) => {
        if $crate::shim::in_use() {
            $crate::hooks::below::driver::$name.get()
        } else {
            $crate::hooks::loader::$name.get()
        }
    };
}
pub(crate) use ze;

macro_rules! rows {
    ($($head:tt)*) => { fcsp_preload::hooks! { $($head)*

    account zeMemAllocDevice => memory::alloc_device, "device memory";
    account zeMemAllocShared => memory::alloc_shared, "memory that may live on the device; without a device it is the host's";
    account zeMemFree => memory::free, "gives device memory back";
    account zeMemFreeExt => memory::free_ext, "gives device memory back; by a blocking policy it waits";
    account zePhysicalMemCreate => physical::create, "physical device memory, to be mapped";
    account zePhysicalMemDestroy => physical::destroy, "may give physical memory back";
    account zeVirtualMemMap => physical::map, "keeps physical memory alive";
    account zeVirtualMemUnmap => physical::unmap, "may give physical memory back";
    account zeImageCreate => image::create, "device memory for textures";
    account zeImageDestroy => image::destroy, "gives device memory back";
    account zeModuleCreate => kernel::create_module, "code and its variables take memory, which is reconciled";
    account zeModuleDestroy => kernel::destroy_module, "gives back what code took";
    account zeContextDestroy => memory::end_context, "our markers in it end first; what is left in it stays charged";

    account zeCommandQueueCreate => queues::create, "its device is attached, and the queue gated from now on";
    account zeCommandQueueDestroy => queues::destroy, "its handle may come back for another queue";
    account zeCommandListCreateImmediate => lists::create_immediate, "its device is attached, and the list gated from now on";

    virtualize zeDeviceGetProperties => info::properties, "the tenant's quota is the whole device";
    virtualize zeDeviceGetMemoryProperties => info::memories, "the tenant's quota is the whole device";
    virtualize zeDriverGetProperties => info::driver, "clears the flag that says that handles carry tables, past which calls would go";
    virtualize zeDriverGetExtensionFunctionAddress => info::function, "hands out our wrappers";
    virtualize zesDriverGetExtensionFunctionAddress => info::managed_function, "hands out our wrappers";
    virtualize zesDeviceGetProperties => sysman::device_properties, "the tenant's quota is the whole device";
    virtualize zesDeviceEnumMemoryModules => sysman::enumerate_memories, "no function tells whose a memory is";
    virtualize zesMemoryGetState => sysman::memory_state, "the tenant's quota is the whole device; SYCL calls this free memory";
    virtualize zesMemoryGetProperties => sysman::memory_properties, "the tenant's quota is the whole device";
    virtualize zesDeviceProcessesGetState => sysman::processes, "the tenant's processes only";
    virtualize zesDeviceEnumEngineGroups => activity::enumerate_engines, "no function tells whose an engine is";
    virtualize zesEngineGetActivity => activity::engine, "the tenant's own while others use the device";
    virtualize zesEngineGetActivityExt => activity::engine_and_functions, "the tenant's own while others use the device";

    gate zeCommandQueueExecuteCommandLists => lists::execute, "device time of what its lists have recorded, each time";
    gate zeCommandListImmediateAppendCommandListsExp => lists::append_lists, "device time of what lists have recorded, each time";
    gate zeCommandListImmediateAppendCommandListsWithParameters => lists::append_lists_with_parameters, "device time of what lists have recorded, each time";
    gate zeCommandListCreate => lists::create, "its recorded cost begins at nothing";
    gate zeCommandListReset => lists::reset, "its recorded cost begins at nothing";
    gate zeCommandListDestroy => lists::destroy, "its handle may come back for another list";

    gate zeCommandListAppendLaunchKernel => launch::kernel, "device time, or adds to the recorded cost";
    gate zeCommandListAppendLaunchCooperativeKernel => launch::kernel, "device time, or adds to the recorded cost";
    gate zeCommandListAppendLaunchKernelWithParameters => launch::kernel_with_parameters, "device time, or adds to the recorded cost";
    gate zeCommandListAppendLaunchKernelWithArguments => launch::kernel_with_arguments, "device time, or adds to the recorded cost";
    gate zeCommandListAppendLaunchKernelIndirect => launch::indirect, "device time, or adds to the recorded cost; its size is known on the device only";
    gate zeCommandListAppendLaunchMultipleKernelsIndirect => launch::several_indirect, "device time, or adds to the recorded cost; its size is known on the device only";

    gate zeCommandListCreateCloneExp => lists::clone, "has recorded what the other has";
    gate zeCommandListUpdateMutableCommandsExp => lists::change, "the cost of the list is learnt anew";
    gate zeCommandListUpdateMutableCommandKernelsExp => lists::change_kernels, "the cost of the list is learnt anew";
    gate zeCommandListUpdateMutableCommandWaitEventsExp => lists::change_waits, "may wait for what FCSP cannot bring about";
    gate zeCommandListBeginGraphCaptureExt => graph::begin, "what is appended is not submitted";
    gate zeCommandListBeginCaptureIntoGraphExt => graph::begin_into, "what is appended is not submitted";
    gate zeCommandListEndGraphCaptureExt => graph::end, "what is appended is submitted again";
    gate zeCommandListAppendGraphExt => graph::launch, "device time of all that is in the graph";
    gate zeExecutableGraphDestroyExt => graph::destroy, "its handle may come back for another graph";

    gate zeCommandListAppendBarrier => launch::barrier, "may wait for what FCSP cannot bring about";
    gate zeCommandListAppendMemoryRangesBarrier => launch::ranges_barrier, "may wait for what FCSP cannot bring about";
    gate zeCommandListAppendWaitOnEvents => launch::wait_on_events, "may wait for what FCSP cannot bring about";
    gate zeCommandListAppendWriteGlobalTimestamp => launch::global_timestamp, "may wait for what FCSP cannot bring about";
    gate zeCommandListAppendQueryKernelTimestamps => launch::kernel_timestamps, "may wait for what FCSP cannot bring about";
    gate zeCommandListAppendWaitExternalSemaphoreExt => launch::wait_semaphores, "may wait for what FCSP cannot bring about";
    gate zeCommandListAppendHostFunction => launch::host_function, "waits for the program, which may wait for granted work";
    gate zetCommandListAppendMetricQueryEnd => launch::metric_query_end, "may wait for what FCSP cannot bring about";

    gate zeCommandListAppendMemoryCopy => transfer::copy, "a large copy inside the device takes device time";
    gate zeCommandListAppendMemoryCopyWithParameters => transfer::copy_with_parameters, "a large copy inside the device takes device time";
    gate zeCommandListAppendMemoryCopyFromContext => transfer::copy_from_context, "a large copy inside the device takes device time";
    gate zeCommandListAppendMemoryCopyRegion => transfer::copy_region, "a large copy inside the device takes device time";
    gate zeCommandListAppendMemoryFill => transfer::fill, "a large fill takes device time";
    gate zeCommandListAppendMemoryFillWithParameters => transfer::fill_with_parameters, "a large fill takes device time";
    gate zeCommandListAppendImageCopy => transfer::image, "a large copy inside the device takes device time";
    gate zeCommandListAppendImageCopyRegion => transfer::image_region, "a large copy inside the device takes device time";
    gate zeCommandListAppendImageCopyToMemory => transfer::image_to_memory, "a large copy inside the device takes device time";
    gate zeCommandListAppendImageCopyFromMemory => transfer::image_from_memory, "a large copy inside the device takes device time";
    gate zeCommandListAppendImageCopyToMemoryExt => transfer::image_to_memory_ext, "a large copy inside the device takes device time";
    gate zeCommandListAppendImageCopyFromMemoryExt => transfer::image_from_memory_ext, "a large copy inside the device takes device time";
    gate zeRTASBuilderCommandListAppendCopyExt => transfer::copy, "a large copy inside the device takes device time";

    gate zeKernelCreate => kernel::create, "communication kernels are known by name";
    gate zeKernelDestroy => kernel::destroy, "its handle may come back for another kernel";
    gate zeKernelSetGroupSize => kernel::set_group_size, "no function returns it, and it is part of what a launch is known by";

    sync zeCommandQueueSynchronize => sync::queue, unless nothing_to_do, "waits for the device";
    sync zeCommandListHostSynchronize => sync::list, unless nothing_to_do, "waits for the device";
    sync zeFenceHostSynchronize => sync::fence, unless nothing_to_do, "waits for the device";
    sync zeEventHostSynchronize => sync::event, unless nothing_to_do, "waits for the device";
    sync zeDeviceSynchronize => sync::device, unless nothing_to_do, "waits for the device";
    sync zeContextSystemBarrier => sync::barrier, unless nothing_to_do, "waits for the device";
    sync zeEventQueryStatus => sync::event_status, unless unnoticed, "programs that ask again and again wait";
    sync zeFenceQueryStatus => sync::fence_status, unless unnoticed, "programs that ask again and again wait";
    sync zeEventQueryKernelTimestamp => sync::event_time, unless unnoticed, "programs that ask again and again wait";
    sync zeEventQueryKernelTimestampsExt => sync::event_times_ext, unless unnoticed, "programs that ask again and again wait";
    sync zeEventQueryTimestampsExp => sync::event_times, unless unnoticed, "programs that ask again and again wait";

    forward zesInit, "started by ourselves: what the process uses of its devices";
    forward zesDriverGet, "asked by ourselves: which devices there are";
    forward zesDeviceGet, "asked by ourselves: which devices there are";
    forward zeDriverGet, "asked by ourselves: which devices there are";
    forward zeDeviceGet, "asked by ourselves: which devices there are";
    forward zeDeviceGetCommandQueueGroupProperties, "asked by ourselves: how many engines there are";
    forward zeDeviceGetSubDevices, "asked by ourselves: which devices there are";
    forward zeMemGetAllocProperties, "asked by ourselves: where copies are between";
    forward zeEventPoolCreate, "events hold no memory worth counting; our markers are events";
    forward zeEventPoolDestroy, "events hold no memory worth counting; our markers are events";
    forward zeEventCreate, "events hold no memory worth counting; our markers are events";
    forward zeEventDestroy, "events hold no memory worth counting; our markers are events";
    forward zeEventHostReset, "of the host, takes no device time; our markers are events";
    forward zeCommandListClose, "what was recorded stands; executing it is what counts";
    } };
}

rows! {
    /// The loader's functions, which programs call.
    pub static LEVEL_ZERO;
    /// The loader's own functions.
    pub mod loader;
    passed shim::in_use;
    library c"libze_loader.so.1";
    types level_zero_sys::fn_types;
    signatures level_zero_sys::signature;
    absent ze_result_t::ZE_RESULT_ERROR_UNSUPPORTED_FEATURE;
    failed ze_result_t::ZE_RESULT_ERROR_UNKNOWN;
}

/// The driver's functions, which the loader calls.
pub mod below {
    use super::*;

    rows! {
        unexported;
        /// The driver's functions, which the loader calls.
        pub static DRIVER;
        /// The driver's own functions.
        pub mod driver;
        library;
        types level_zero_sys::fn_types;
        signatures level_zero_sys::signature;
        absent ze_result_t::ZE_RESULT_ERROR_UNSUPPORTED_FEATURE;
        failed ze_result_t::ZE_RESULT_ERROR_UNKNOWN;
    }
}
