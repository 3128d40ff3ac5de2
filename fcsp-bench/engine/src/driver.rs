//! The driver, looked up by name with `dlsym`, as a program that links the driver API finds it: what is preloaded is found
//! first. Nothing here knows of any sharing system.

use cuda_sys::{CUresult, fn_types, result_name};
use libloading::Library;
use std::ffi::c_void;

/// A function of the driver, or the knowledge that this driver lacks it.
pub(crate) struct Entry<T> {
    /// Its symbol.
    pub(crate) name: &'static str,
    function: Option<T>,
}

impl<T: Copy> Entry<T> {
    /// The function, to be called many times without looking whether it is there.
    pub(crate) fn get(&self) -> Result<T, Trouble> {
        self.function
            .ok_or_else(|| Trouble::new(format!("this driver has no {}", self.name)))
    }
}

/// What went wrong in a worker, for people, with the driver's status if it was the driver's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What happened.
    pub(crate) message: String,
    /// Numeric value of a `CUresult`.
    pub(crate) status: Option<u32>,
    /// Whether something is not there that would be needed, so that nothing went wrong.
    pub(crate) lacking: bool,
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            status: None,
            lacking: false,
        }
    }

    /// Something that is needed is not here.
    pub(crate) fn lacking(message: impl Into<String>) -> Self {
        Self {
            lacking: true,
            ..Self::new(message)
        }
    }

    /// Whether the driver refused memory.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.status == Some(CUresult::CUDA_ERROR_OUT_OF_MEMORY.0)
    }
}

/// Turns a status other than success into an error that names the function.
pub(crate) fn check(name: &str, status: CUresult) -> Result<(), Trouble> {
    if status == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    Err(Trouble {
        message: format!(
            "{name} failed with {} ({})",
            result_name(status.0),
            status.0
        ),
        status: Some(status.0),
        lacking: false,
    })
}

/// Calls an entry of the [`Api`] and turns a status other than success into an error that names it.
/// The call is unsafe: write it inside an `unsafe` block that says why the arguments hold.
macro_rules! call {
    ($api:expr, $entry:ident($($argument:expr),* $(,)?)) => {
        $crate::driver::check($api.$entry.name, ($api.$entry.get()?)($($argument),*))
    };
}
pub(crate) use call;

macro_rules! driver_api {
    ($($field:ident = $symbol:ident,)*) => {
        /// Functions of the driver that workers use.
        pub(crate) struct Api {
            $(pub(crate) $field: Entry<fn_types::$symbol>,)*
            // Last: the functions above point into it.
            _library: Library,
        }

        impl Api {
            /// Loads the driver and looks everything up.
            pub(crate) fn load() -> Result<Self, Trouble> {
                // SAFETY: loading the vendor's driver runs its initializers, which is its purpose.
                let library = unsafe { Library::new("libcuda.so.1") }
                    .map_err(|error| Trouble::new(format!("libcuda.so.1 cannot be loaded: {error}")))?;
                Ok(Self {
                    $($field: Entry {
                        name: stringify!($symbol),
                        function: find(&library, stringify!($symbol)).map(|address| {
                            // SAFETY: the linker answered this address for this symbol, and the type is generated
                            // from the header's declaration of that symbol.
                            unsafe { std::mem::transmute::<*mut c_void, fn_types::$symbol>(address) }
                        }),
                    },)*
                    _library: library,
                })
            }
        }
    };
}

fn find(library: &Library, symbol: &str) -> Option<*mut c_void> {
    // SAFETY: the address is only carried here; `driver_api!` gives it its type.
    unsafe { library.get::<*mut c_void>(format!("{symbol}\0").as_bytes()) }
        .ok()
        .map(|found| *found)
        .filter(|address| !address.is_null())
}

driver_api! {
    init = cuInit,
    driver_version = cuDriverGetVersion,
    device_count = cuDeviceGetCount,
    device_get = cuDeviceGet,
    device_name = cuDeviceGetName,
    device_attribute = cuDeviceGetAttribute,
    device_total_mem = cuDeviceTotalMem_v2,
    primary_ctx_retain = cuDevicePrimaryCtxRetain,
    ctx_set_current = cuCtxSetCurrent,
    ctx_get_device = cuCtxGetDevice,
    ctx_synchronize = cuCtxSynchronize,
    module_load_data = cuModuleLoadData,
    module_get_function = cuModuleGetFunction,
    occupancy = cuOccupancyMaxActiveBlocksPerMultiprocessor,
    mem_alloc = cuMemAlloc_v2,
    mem_alloc_pitch = cuMemAllocPitch_v2,
    mem_alloc_managed = cuMemAllocManaged,
    mem_free = cuMemFree_v2,
    mem_alloc_async = cuMemAllocAsync,
    mem_free_async = cuMemFreeAsync,
    mem_create = cuMemCreate,
    mem_release = cuMemRelease,
    mem_address_reserve = cuMemAddressReserve,
    mem_address_free = cuMemAddressFree,
    mem_map = cuMemMap,
    mem_unmap = cuMemUnmap,
    mem_set_access = cuMemSetAccess,
    mem_granularity = cuMemGetAllocationGranularity,
    array_create = cuArrayCreate_v2,
    array_destroy = cuArrayDestroy,
    default_pool = cuDeviceGetDefaultMemPool,
    pool_trim = cuMemPoolTrimTo,
    mem_get_info = cuMemGetInfo_v2,
    mem_host_alloc = cuMemHostAlloc,
    mem_free_host = cuMemFreeHost,
    mem_host_device_pointer = cuMemHostGetDevicePointer_v2,
    ipc_get = cuIpcGetMemHandle,
    ipc_open = cuIpcOpenMemHandle_v2,
    ipc_close = cuIpcCloseMemHandle,
    copy_to_device = cuMemcpyHtoD_v2,
    copy_to_host = cuMemcpyDtoH_v2,
    copy_to_device_async = cuMemcpyHtoDAsync_v2,
    copy_to_host_async = cuMemcpyDtoHAsync_v2,
    fill = cuMemsetD8_v2,
    fill_async = cuMemsetD8Async,
    copy_inside_async = cuMemcpyDtoDAsync_v2,
    fill_words = cuMemsetD32_v2,
    stream_create = cuStreamCreate,
    stream_synchronize = cuStreamSynchronize,
    stream_query = cuStreamQuery,
    stream_destroy = cuStreamDestroy_v2,
    stream_begin_capture = cuStreamBeginCapture_v2,
    stream_end_capture = cuStreamEndCapture,
    event_create = cuEventCreate,
    event_record = cuEventRecord,
    event_synchronize = cuEventSynchronize,
    event_query = cuEventQuery,
    launch = cuLaunchKernel,
    graph_destroy = cuGraphDestroy,
    graph_instantiate = cuGraphInstantiateWithFlags,
    graph_launch = cuGraphLaunch,
    graph_exec_destroy = cuGraphExecDestroy,
}
