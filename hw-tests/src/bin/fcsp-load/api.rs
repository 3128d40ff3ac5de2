//! The driver, looked up the way other programs look it up.
//!
//! Either name by name with `dlsym`, like a program that links the driver API, or through
//! `cuGetProcAddress_v2`, like the CUDA runtime. Both must lead to the same behaviour under the
//! preload library, so both are here. Nothing in this file knows of that library.

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use cuda_sys::{CUresult, fn_types, result_name};
use libloading::Library;
use std::ffi::{CString, c_void};

/// How functions of the driver are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Resolve {
    /// `dlsym` on libcuda.so.1, as programs that link the driver API end up doing.
    Dlsym,
    /// `cuGetProcAddress_v2`, as the CUDA runtime does.
    Procaddr,
}

/// A function of the driver, or the knowledge that this driver lacks it.
#[derive(Clone, Copy)]
pub struct Entry<T> {
    name: &'static str,
    function: Option<T>,
}

impl<T: Copy> Entry<T> {
    /// A function that was found.
    pub fn new(name: &'static str, function: T) -> Self {
        let function = Some(function);
        Self { name, function }
    }

    /// The function; an error that names it if the driver has none.
    pub fn get(&self) -> Result<T> {
        self.function
            .ok_or_else(|| anyhow!("this driver has no {}; a newer one is needed", self.name))
    }

    /// The symbol it was asked for by.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// Calls an entry of the [`Api`] and turns a status other than success into an error that names it.
/// The call is unsafe: write it inside an `unsafe` block that says why the arguments hold.
macro_rules! call {
    ($api:expr, $entry:ident($($argument:expr),* $(,)?)) => {
        $crate::api::check($api.$entry.name(), ($api.$entry.get()?)($($argument),*))
    };
}
pub(crate) use call;

/// What this thread's default stream is, which decides the variant of a function that is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultStream {
    /// One for all threads.
    Legacy,
    /// One for each thread: `_ptsz` and `_ptds` variants.
    PerThread,
}

/// CUDA version the program claims to be written for. The signatures below are those of 12: asked for
/// 13.0 and later, the driver answers `cuCtxSynchronize` and `cuCtxGetDevice` with functions that take
/// a context as well.
const REQUESTED_VERSION: i32 = 12_000;

macro_rules! driver_api {
    ($($field:ident = $symbol:ident as $base:literal,)*) => {
        /// Functions of the driver this program uses.
        pub struct Api {
            $(pub $field: Entry<fn_types::$symbol>,)*
            // Last: the functions above point into it.
            _library: Library,
        }

        impl Api {
            /// Loads the driver and looks everything up.
            pub fn load(resolve: Resolve, default_stream: DefaultStream) -> Result<Self> {
                // SAFETY: loading the vendor's driver runs its initializers, which is its purpose.
                let library = unsafe { Library::new("libcuda.so.1") }.context(
                    "libcuda.so.1 could not be loaded; install the NVIDIA driver, or set \
                     LD_LIBRARY_PATH to the simulated one (lib/sim in the install tree)",
                )?;
                let finder = Finder::new(&library, resolve, default_stream)?;
                Ok(Self {
                    $($field: Entry {
                        name: stringify!($symbol),
                        function: finder.find(stringify!($symbol), $base).map(|address| {
                            // SAFETY: the driver answered this address for this symbol, and the
                            // type is generated from the header's declaration of that symbol; its
                            // per-thread variants have the same signature.
                            unsafe {
                                std::mem::transmute::<*mut c_void, fn_types::$symbol>(address)
                            }
                        }),
                    },)*
                    _library: library,
                })
            }
        }
    };
}

driver_api! {
    init = cuInit as "cuInit",
    driver_version = cuDriverGetVersion as "cuDriverGetVersion",
    device_get = cuDeviceGet as "cuDeviceGet",
    device_name = cuDeviceGetName as "cuDeviceGetName",
    device_uuid = cuDeviceGetUuid_v2 as "cuDeviceGetUuid",
    device_attribute = cuDeviceGetAttribute as "cuDeviceGetAttribute",
    device_total_mem = cuDeviceTotalMem_v2 as "cuDeviceTotalMem",
    primary_ctx_retain = cuDevicePrimaryCtxRetain as "cuDevicePrimaryCtxRetain",
    ctx_set_current = cuCtxSetCurrent as "cuCtxSetCurrent",
    ctx_get_device = cuCtxGetDevice as "cuCtxGetDevice",
    ctx_synchronize = cuCtxSynchronize as "cuCtxSynchronize",
    module_load_data = cuModuleLoadData as "cuModuleLoadData",
    module_get_function = cuModuleGetFunction as "cuModuleGetFunction",
    occupancy = cuOccupancyMaxActiveBlocksPerMultiprocessor
        as "cuOccupancyMaxActiveBlocksPerMultiprocessor",
    mem_alloc = cuMemAlloc_v2 as "cuMemAlloc",
    mem_alloc_pitch = cuMemAllocPitch_v2 as "cuMemAllocPitch",
    mem_alloc_managed = cuMemAllocManaged as "cuMemAllocManaged",
    mem_free = cuMemFree_v2 as "cuMemFree",
    mem_alloc_async = cuMemAllocAsync as "cuMemAllocAsync",
    mem_free_async = cuMemFreeAsync as "cuMemFreeAsync",
    mem_create = cuMemCreate as "cuMemCreate",
    mem_release = cuMemRelease as "cuMemRelease",
    mem_alloc_from_pool_async = cuMemAllocFromPoolAsync as "cuMemAllocFromPoolAsync",
    mem_pool_create = cuMemPoolCreate as "cuMemPoolCreate",
    mem_pool_set_attribute = cuMemPoolSetAttribute as "cuMemPoolSetAttribute",
    mem_address_reserve = cuMemAddressReserve as "cuMemAddressReserve",
    mem_address_free = cuMemAddressFree as "cuMemAddressFree",
    mem_map = cuMemMap as "cuMemMap",
    mem_unmap = cuMemUnmap as "cuMemUnmap",
    array_create = cuArrayCreate_v2 as "cuArrayCreate",
    array_destroy = cuArrayDestroy as "cuArrayDestroy",
    mipmapped_array_create = cuMipmappedArrayCreate as "cuMipmappedArrayCreate",
    mipmapped_array_destroy = cuMipmappedArrayDestroy as "cuMipmappedArrayDestroy",
    mem_granularity = cuMemGetAllocationGranularity as "cuMemGetAllocationGranularity",
    mem_get_info = cuMemGetInfo_v2 as "cuMemGetInfo",
    mem_host_alloc = cuMemHostAlloc as "cuMemHostAlloc",
    mem_host_device_pointer = cuMemHostGetDevicePointer_v2 as "cuMemHostGetDevicePointer",
    memcpy_device = cuMemcpyDtoDAsync_v2 as "cuMemcpyDtoDAsync",
    memcpy_to_device = cuMemcpyHtoDAsync_v2 as "cuMemcpyHtoDAsync",
    memcpy_to_host = cuMemcpyDtoHAsync_v2 as "cuMemcpyDtoHAsync",
    stream_create = cuStreamCreate as "cuStreamCreate",
    stream_synchronize = cuStreamSynchronize as "cuStreamSynchronize",
    stream_begin_capture = cuStreamBeginCapture_v2 as "cuStreamBeginCapture",
    stream_end_capture = cuStreamEndCapture as "cuStreamEndCapture",
    event_create = cuEventCreate as "cuEventCreate",
    event_record = cuEventRecord as "cuEventRecord",
    event_synchronize = cuEventSynchronize as "cuEventSynchronize",
    launch_kernel = cuLaunchKernel as "cuLaunchKernel",
    launch_kernel_ex = cuLaunchKernelEx as "cuLaunchKernelEx",
    launch_cooperative = cuLaunchCooperativeKernel as "cuLaunchCooperativeKernel",
    graph_create = cuGraphCreate as "cuGraphCreate",
    graph_destroy = cuGraphDestroy as "cuGraphDestroy",
    graph_add_mem_alloc_node = cuGraphAddMemAllocNode as "cuGraphAddMemAllocNode",
    graph_add_mem_free_node = cuGraphAddMemFreeNode as "cuGraphAddMemFreeNode",
    graph_exec_destroy = cuGraphExecDestroy as "cuGraphExecDestroy",
    graph_instantiate = cuGraphInstantiateWithFlags as "cuGraphInstantiateWithFlags",
    graph_launch = cuGraphLaunch as "cuGraphLaunch",
    graph_exec_update = cuGraphExecUpdate_v2 as "cuGraphExecUpdate",
    library_load_data = cuLibraryLoadData as "cuLibraryLoadData",
    library_get_kernel = cuLibraryGetKernel as "cuLibraryGetKernel",
    func_set_block_shape = cuFuncSetBlockShape as "cuFuncSetBlockShape",
    param_set_size = cuParamSetSize as "cuParamSetSize",
    param_set_i = cuParamSeti as "cuParamSeti",
    param_set_v = cuParamSetv as "cuParamSetv",
    launch_grid_async = cuLaunchGridAsync as "cuLaunchGridAsync",
    mem_set_async = cuMemsetD8Async as "cuMemsetD8Async",
    mem_copy_async = cuMemcpyDtoDAsync_v2 as "cuMemcpyDtoDAsync",
    stream_write_value = cuStreamWriteValue64_v2 as "cuStreamWriteValue64",
}

/// Looks up addresses in one of the two ways.
struct Finder<'a> {
    library: &'a Library,
    default_stream: DefaultStream,
    get_proc_address: Option<fn_types::cuGetProcAddress_v2>,
}

impl<'a> Finder<'a> {
    fn new(library: &'a Library, resolve: Resolve, default_stream: DefaultStream) -> Result<Self> {
        let get_proc_address = match resolve {
            Resolve::Dlsym => None,
            Resolve::Procaddr => {
                // SAFETY: the type is generated from the header's declaration of this symbol.
                let symbol = unsafe {
                    library.get::<fn_types::cuGetProcAddress_v2>(b"cuGetProcAddress_v2\0")
                };
                Some(
                    *symbol
                        .context("this driver has no cuGetProcAddress_v2; use --resolve dlsym")?,
                )
            }
        };
        Ok(Self {
            library,
            default_stream,
            get_proc_address,
        })
    }

    /// The address of an exported symbol, or of what the driver has for its base name.
    fn find(&self, symbol: &str, base: &str) -> Option<*mut c_void> {
        match self.get_proc_address {
            Some(function) => self.ask_driver(function, base),
            None => self.ask_linker(symbol),
        }
    }

    fn ask_linker(&self, symbol: &str) -> Option<*mut c_void> {
        let suffixes: &[&str] = match self.default_stream {
            DefaultStream::Legacy => &[""],
            DefaultStream::PerThread => &["_ptsz", "_ptds", ""],
        };
        suffixes.iter().find_map(|suffix| {
            // SAFETY: the address is only carried here; `driver_api!` gives it its type.
            unsafe {
                self.library
                    .get::<*mut c_void>(format!("{symbol}{suffix}\0").as_bytes())
            }
            .ok()
            .map(|found| *found)
            .filter(|address| !address.is_null())
        })
    }

    fn ask_driver(
        &self,
        function: fn_types::cuGetProcAddress_v2,
        base: &str,
    ) -> Option<*mut c_void> {
        // CU_GET_PROC_ADDRESS_LEGACY_STREAM and CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM.
        let flags = match self.default_stream {
            DefaultStream::Legacy => 1,
            DefaultStream::PerThread => 2,
        };
        let name = CString::new(base).ok()?;
        let mut address = std::ptr::null_mut();
        // SAFETY: `name` and `address` live for the call; the status pointer may be null.
        let status = unsafe {
            function(
                name.as_ptr(),
                &mut address,
                REQUESTED_VERSION,
                flags,
                std::ptr::null_mut(),
            )
        };
        (status == CUresult::CUDA_SUCCESS && !address.is_null()).then_some(address)
    }
}

/// An error that names the function and the driver's status, unless that is success.
pub fn check(name: &str, status: CUresult) -> Result<()> {
    if status == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    Err(anyhow!(
        "{name} failed with {} ({})",
        result_name(status.0),
        status.0
    ))
}
