//! CUDA's driver interface, for NVIDIA devices. Kernels are PTX, which the driver compiles.

use super::api::{Status, call, functions, text};
use super::{
    Address, Argument, Block, Done, Driver, Event, Facts, Graph, Kernel, Pinned, Queue, ROW_BYTES,
    Refusal, Shape, Trouble, pointers,
};
use crate::protocol::{Cheap, Way};
use cuda_sys::{
    CU_MEMHOSTALLOC_DEVICEMAP, CU_MEMHOSTALLOC_PORTABLE, CUDA_ARRAY_DESCRIPTOR, CUarray_format,
    CUcontext, CUdevice, CUdevice_attribute as A, CUevent_flags, CUipcMemHandle, CUmemAccess_flags,
    CUmemAccessDesc, CUmemAllocationGranularity_flags, CUmemAllocationProp, CUmemAllocationType,
    CUmemAttach_flags, CUmemLocation, CUmemLocationType, CUmodule, CUresult, CUstream_flags,
    CUstreamCaptureMode, result_name,
};
use fcsp_measure::clock::now_ns;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

/// The kernels, as text.
const PTX: &CStr = match CStr::from_bytes_with_nul(
    concat!(include_str!("../kernels/kernels.ptx"), "\0").as_bytes(),
) {
    Ok(text) => text,
    Err(_) => panic!("kernels.ptx contains a NUL byte"),
};

functions! { cuda_sys:
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

impl Status for CUresult {
    #[inline]
    fn check(self, name: &str) -> Done<()> {
        if self == CUresult::CUDA_SUCCESS {
            return Ok(());
        }
        let refusal = match self {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => Some(Refusal::OutOfMemory),
            CUresult::CUDA_ERROR_INVALID_VALUE => Some(Refusal::Shape),
            _ => None,
        };
        Err(Trouble::of(name, result_name(self.0), self.0, refusal))
    }
}

/// The driver, with the first device's primary context.
pub(crate) struct Cuda {
    api: Api,
    device: CUdevice,
    /// Primary contexts of the devices that were used, with the kernels in each.
    contexts: RefCell<BTreeMap<u32, (CUcontext, Option<CUmodule>)>>,
    first: CUcontext,
    current: Cell<u32>,
    context_ns: u64,
}

impl Cuda {
    /// Loads the driver and makes the first device's primary context current.
    pub(super) fn open() -> Done<Self> {
        let api = Api::load(&["libcuda.so.1"])?;
        // SAFETY: no pointers.
        unsafe { call!(api, init(0)) }?;
        let mut device = 0;
        // SAFETY: a live out-parameter.
        unsafe { call!(api, device_get(&mut device, 0)) }?;
        let mut first = null_mut();
        let began_ns = now_ns();
        // SAFETY: a live out-parameter, a device that the driver named.
        unsafe { call!(api, primary_ctx_retain(&mut first, device)) }?;
        let context_ns = now_ns() - began_ns;
        // SAFETY: just retained.
        unsafe { call!(api, ctx_set_current(first)) }?;
        Ok(Self {
            api,
            device,
            contexts: RefCell::new([(0, (first, None))].into()),
            first,
            current: Cell::new(0),
            context_ns,
        })
    }

    fn attribute(&self, which: A) -> Done<u32> {
        let mut value = 0;
        // SAFETY: a live out-parameter, a device that the driver named.
        unsafe { call!(self.api, device_attribute(&mut value, which, self.device)) }?;
        Ok(value.max(0) as u32)
    }

    fn map(&self, bytes: u64) -> Done<Block> {
        let api = &self.api;
        let location = CUmemLocation {
            type_: CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE,
            id: self.device,
        };
        let properties = CUmemAllocationProp {
            type_: CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED,
            location,
            ..CUmemAllocationProp::default()
        };
        let mut granularity = 0;
        let least = CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
        // SAFETY: a live out-parameter and live properties.
        unsafe { call!(api, mem_granularity(&mut granularity, &properties, least)) }?;
        let bytes = (bytes as usize).next_multiple_of(granularity.max(1));
        let mut handle = 0;
        // SAFETY: as above.
        unsafe { call!(api, mem_create(&mut handle, bytes, &properties, 0)) }?;
        let mapped = (|| {
            let mut address = 0;
            // SAFETY: a live out-parameter.
            unsafe { call!(api, mem_address_reserve(&mut address, bytes, 0, 0, 0)) }?;
            // SAFETY: reserved above, of that size; a live handle.
            unsafe { call!(api, mem_map(address, bytes, 0, handle, 0)) }?;
            let access = CUmemAccessDesc {
                location,
                flags: CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
            };
            // SAFETY: mapped above; one live description.
            unsafe { call!(api, mem_set_access(address, bytes, &access, 1)) }?;
            Ok(address)
        })();
        match mapped {
            Ok(address) => Ok(Block::Virtual {
                handle,
                address,
                bytes,
            }),
            Err(trouble) => {
                // SAFETY: created above and used by nobody. That it fails is less than what went wrong.
                let _released = unsafe { call!(api, mem_release(handle)) };
                Err(trouble)
            }
        }
    }
}

impl Driver for Cuda {
    fn facts(&self) -> Done<Facts> {
        let mut name = [0 as c_char; 128];
        let (mut count, mut version) = (0, 0);
        // SAFETY: live out-parameters, and a buffer whose true length is given.
        unsafe {
            let room = name.len() as i32;
            call!(self.api, device_name(name.as_mut_ptr(), room, self.device))?;
            call!(self.api, device_count(&mut count))?;
            call!(self.api, driver_version(&mut version))?;
        }
        Ok(Facts {
            name: text(&name),
            devices: count.max(0) as u32,
            interface: format!("CUDA {}.{}", version / 1000, version % 1000 / 10),
            multiprocessors: self.attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            architecture: format!(
                "{}.{}",
                self.attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                self.attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?
            ),
            cache_bytes: self.attribute(A::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?.into(),
            context_ns: self.context_ns,
        })
    }

    fn memory_info(&self) -> Done<(u64, u64)> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: two live out-parameters.
        unsafe { call!(self.api, mem_get_info(&mut free, &mut total)) }?;
        Ok((free as u64, total as u64))
    }

    fn stated_bytes(&self) -> Done<u64> {
        let mut bytes = 0;
        // SAFETY: a live out-parameter.
        unsafe { call!(self.api, device_total_mem(&mut bytes, self.device)) }?;
        Ok(bytes as u64)
    }

    fn use_device(&self, ordinal: u32) -> Done<()> {
        let mut contexts = self.contexts.borrow_mut();
        let known = contexts.get(&ordinal).map(|(context, _)| *context);
        let context = match known {
            Some(context) => context,
            None => {
                let (mut device, mut context) = (0, null_mut());
                // SAFETY: live out-parameters, an ordinal below the count.
                unsafe {
                    call!(self.api, device_get(&mut device, ordinal as i32))?;
                    call!(self.api, primary_ctx_retain(&mut context, device))?;
                }
                contexts.insert(ordinal, (context, None));
                context
            }
        };
        // SAFETY: retained for the life of the process.
        unsafe { call!(self.api, ctx_set_current(context)) }?;
        self.current.set(ordinal);
        Ok(())
    }

    fn kernel(&self, name: &CStr) -> Done<Kernel> {
        let mut contexts = self.contexts.borrow_mut();
        let Some((_, module)) = contexts.get_mut(&self.current.get()) else {
            return Err(Trouble::new("no context is current"));
        };
        let module = match module {
            Some(module) => *module,
            None => {
                let mut loaded = null_mut();
                // SAFETY: a live out-parameter, NUL-terminated PTX.
                unsafe { call!(self.api, module_load_data(&mut loaded, PTX.as_ptr().cast())) }?;
                *module = Some(loaded);
                loaded
            }
        };
        let mut function = null_mut();
        // SAFETY: a live out-parameter, a loaded module, a NUL-terminated name.
        unsafe {
            call!(
                self.api,
                module_get_function(&mut function, module, name.as_ptr())
            )
        }?;
        Ok(Kernel(function.cast()))
    }

    fn blocks_at_once(&self, kernel: Kernel, threads: u32) -> Done<u32> {
        let mut each = 0;
        // SAFETY: a live out-parameter, a loaded function.
        unsafe {
            call!(
                self.api,
                occupancy(&mut each, kernel.0.cast(), threads as i32, 0)
            )
        }?;
        Ok(self.attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? * each.max(1) as u32)
    }

    #[inline]
    fn launch(
        &self,
        kernel: Kernel,
        queue: Queue,
        shape: Shape,
        arguments: &[Argument],
    ) -> Done<()> {
        let mut pointers = pointers(arguments);
        // SAFETY: a loaded kernel, a live stream, and one pointer for each of its parameters, which live for the call.
        unsafe {
            call!(
                self.api,
                launch(
                    kernel.0.cast(),
                    shape.blocks[0],
                    shape.blocks[1],
                    1,
                    shape.threads,
                    1,
                    1,
                    0,
                    queue.0.cast(),
                    pointers.as_mut_ptr(),
                    null_mut()
                )
            )
        }
    }

    fn queue(&self) -> Done<Queue> {
        let mut stream = null_mut();
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING.0;
        // SAFETY: a live out-parameter, a current context.
        unsafe { call!(self.api, stream_create(&mut stream, flags)) }?;
        Ok(Queue(stream.cast()))
    }

    fn end_queue(&self, queue: Queue) -> Done<()> {
        // SAFETY: made by `queue`, nothing is under way on it.
        unsafe { call!(self.api, stream_destroy(queue.0.cast())) }
    }

    #[inline]
    fn wait(&self, queue: Queue) -> Done<()> {
        // SAFETY: a live stream.
        unsafe { call!(self.api, stream_synchronize(queue.0.cast())) }
    }

    fn synchronize(&self) -> Done<()> {
        // SAFETY: no pointers; a context is current.
        unsafe { call!(self.api, ctx_synchronize()) }
    }

    fn event(&self) -> Done<Event> {
        let mut event = null_mut();
        let flags =
            CUevent_flags::CU_EVENT_DISABLE_TIMING.0 | CUevent_flags::CU_EVENT_BLOCKING_SYNC.0;
        // SAFETY: a live out-parameter, a current context.
        unsafe { call!(self.api, event_create(&mut event, flags)) }?;
        Ok(Event(event.cast()))
    }

    #[inline]
    fn mark(&self, event: Event, queue: Queue) -> Done<()> {
        // SAFETY: a live event and a live stream of one context.
        unsafe { call!(self.api, event_record(event.0.cast(), queue.0.cast())) }
    }

    #[inline]
    fn wait_event(&self, event: Event) -> Done<()> {
        // SAFETY: events here are never destroyed.
        unsafe { call!(self.api, event_synchronize(event.0.cast())) }
    }

    fn record(&self, queue: Queue) -> Done<Queue> {
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: a live stream that is not being captured.
        unsafe { call!(self.api, stream_begin_capture(queue.0.cast(), mode)) }?;
        Ok(queue)
    }

    fn recorded(&self, recording: Queue) -> Done<Graph> {
        let mut graph = null_mut();
        // SAFETY: the capture that `record` began, a live out-parameter.
        unsafe { call!(self.api, stream_end_capture(recording.0.cast(), &mut graph)) }?;
        let mut exec = null_mut();
        // SAFETY: a captured graph, a live out-parameter.
        unsafe { call!(self.api, graph_instantiate(&mut exec, graph, 0)) }?;
        // SAFETY: what was instantiated does not need it any more.
        unsafe { call!(self.api, graph_destroy(graph)) }?;
        Ok(Graph(exec.cast()))
    }

    #[inline]
    fn launch_graph(&self, graph: Graph, queue: Queue) -> Done<()> {
        // SAFETY: instantiated by `recorded`, a live stream.
        unsafe { call!(self.api, graph_launch(graph.0.cast(), queue.0.cast())) }
    }

    fn end_graph(&self, graph: Graph) -> Done<()> {
        // SAFETY: instantiated by `recorded`, destroyed once.
        unsafe { call!(self.api, graph_exec_destroy(graph.0.cast())) }
    }

    #[inline]
    fn allocate(&self, way: Way, bytes: u64, queue: Queue) -> Done<Block> {
        let api = &self.api;
        let mut address = 0;
        match way {
            Way::Plain => {
                // SAFETY: a live out-parameter, a current context.
                unsafe { call!(api, mem_alloc(&mut address, bytes as usize)) }?;
                Ok(Block::Plain(address))
            }
            Way::Pitch => {
                let mut pitch = 0;
                let rows = bytes.div_ceil(ROW_BYTES) as usize;
                // SAFETY: two live out-parameters, a current context.
                unsafe {
                    call!(
                        api,
                        mem_alloc_pitch(&mut address, &mut pitch, ROW_BYTES as usize, rows, 4)
                    )
                }?;
                Ok(Block::Plain(address))
            }
            Way::Pool => {
                // SAFETY: a live out-parameter, a live stream.
                unsafe {
                    call!(
                        api,
                        mem_alloc_async(&mut address, bytes as usize, queue.0.cast())
                    )
                }?;
                Ok(Block::Pool(address))
            }
            Way::Virtual => self.map(bytes),
            Way::Array => {
                let shape = CUDA_ARRAY_DESCRIPTOR {
                    Width: (ROW_BYTES / 16) as usize,
                    Height: bytes.div_ceil(ROW_BYTES) as usize,
                    Format: CUarray_format::CU_AD_FORMAT_UNSIGNED_INT32,
                    NumChannels: 4,
                };
                let mut array = null_mut();
                // SAFETY: a live out-parameter and a live description.
                unsafe { call!(api, array_create(&mut array, &shape)) }?;
                Ok(Block::Array(array.cast()))
            }
            Way::Managed => {
                let flags = CUmemAttach_flags::CU_MEM_ATTACH_GLOBAL.0;
                // SAFETY: a live out-parameter, a current context.
                unsafe { call!(api, mem_alloc_managed(&mut address, bytes as usize, flags)) }?;
                Ok(Block::Plain(address))
            }
        }
    }

    #[inline]
    fn free(&self, block: Block, queue: Queue) -> Done<()> {
        let api = &self.api;
        // SAFETY: allocated by `allocate`, each undone once; memory of a pool in the order of its stream.
        unsafe {
            match block {
                Block::Plain(address) => call!(api, mem_free(address)),
                Block::Pool(address) => call!(api, mem_free_async(address, queue.0.cast())),
                Block::Virtual {
                    handle,
                    address,
                    bytes,
                } => {
                    call!(api, mem_unmap(address, bytes))?;
                    call!(api, mem_address_free(address, bytes))?;
                    call!(api, mem_release(handle))
                }
                Block::Array(array) => call!(api, array_destroy(array.cast())),
            }
        }
    }

    fn trim(&self) -> Done<()> {
        let mut pool = null_mut();
        // SAFETY: a live out-parameter.
        unsafe { call!(self.api, default_pool(&mut pool, self.device)) }?;
        // SAFETY: the pool of this device.
        unsafe { call!(self.api, pool_trim(pool, 0)) }
    }

    fn pin(&self, bytes: usize) -> Done<Pinned> {
        let (mut host, mut device) = (null_mut(), 0);
        let flags = CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: live out-parameters; a context is current; mapped pinned memory.
        unsafe {
            call!(self.api, mem_host_alloc(&mut host, bytes, flags))?;
            call!(self.api, mem_host_device_pointer(&mut device, host, 0))?;
        }
        Ok(Pinned { host, device })
    }

    fn unpin(&self, pinned: Pinned) -> Done<()> {
        // SAFETY: allocated by `pin`; nothing that uses it is under way.
        unsafe { call!(self.api, mem_free_host(pinned.host)) }
    }

    fn fill(&self, address: Address, word: u32, words: u64) -> Done<()> {
        // SAFETY: the driver checks the range.
        unsafe { call!(self.api, fill_words(address, word, words as usize)) }
    }

    #[inline]
    fn fill_async(&self, address: Address, bytes: u64, queue: Queue) -> Done<()> {
        // SAFETY: the driver checks the range; a live stream.
        unsafe {
            call!(
                self.api,
                fill_async(address, 0, bytes as usize, queue.0.cast())
            )
        }
    }

    #[inline]
    fn copy_inside(&self, to: Address, from: Address, bytes: u64, queue: Queue) -> Done<()> {
        // SAFETY: the driver checks the ranges; a live stream.
        unsafe {
            call!(
                self.api,
                copy_inside_async(to, from, bytes as usize, queue.0.cast())
            )
        }
    }

    #[inline]
    unsafe fn copy_in(
        &self,
        to: Address,
        from: *const c_void,
        bytes: u64,
        queue: Option<Queue>,
    ) -> Done<()> {
        let (api, bytes) = (&self.api, bytes as usize);
        // SAFETY: the host's side by the caller's contract; the driver checks the device's. A live stream.
        unsafe {
            match queue {
                Some(queue) => {
                    call!(api, copy_to_device_async(to, from, bytes, queue.0.cast()))
                }
                None => call!(api, copy_to_device(to, from, bytes)),
            }
        }
    }

    #[inline]
    unsafe fn copy_out(
        &self,
        to: *mut c_void,
        from: Address,
        bytes: u64,
        queue: Option<Queue>,
    ) -> Done<()> {
        let (api, bytes) = (&self.api, bytes as usize);
        // SAFETY: as above.
        unsafe {
            match queue {
                Some(queue) => {
                    call!(api, copy_to_host_async(to, from, bytes, queue.0.cast()))
                }
                None => call!(api, copy_to_host(to, from, bytes)),
            }
        }
    }

    fn share(&self, address: Address) -> Done<Vec<u8>> {
        let mut handle = CUipcMemHandle::default();
        // SAFETY: a live out-parameter; the driver checks the address.
        unsafe { call!(self.api, ipc_get(&mut handle, address)) }?;
        Ok(handle.reserved.iter().map(|byte| *byte as u8).collect())
    }

    fn open_shared(&self, handle: &[u8]) -> Done<Address> {
        let mut stale = CUipcMemHandle::default();
        for (place, byte) in stale.reserved.iter_mut().zip(handle) {
            *place = *byte as _;
        }
        let mut opened = 0;
        // SAFETY: a live out-parameter; a handle is data. 1 is CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS, the only flag there is.
        unsafe { call!(self.api, ipc_open(&mut opened, stale, 1)) }?;
        Ok(opened)
    }

    fn close_shared(&self, address: Address) -> Done<()> {
        // SAFETY: opened by `open_shared`, closed once.
        unsafe { call!(self.api, ipc_close(address)) }
    }

    fn repeat(&self, which: Cheap, times: u32, event: Event, queue: Queue) -> Done<()> {
        let api = &self.api;
        match which {
            Cheap::CurrentDevice => {
                let (call, name) = (api.ctx_get_device.get()?, api.ctx_get_device.name);
                let mut device = 0;
                // SAFETY: a live out-parameter.
                (0..times).try_for_each(|_| unsafe { call(&mut device) }.check(name))
            }
            Cheap::SetCurrent => {
                let (call, name) = (api.ctx_set_current.get()?, api.ctx_set_current.name);
                // SAFETY: the context is retained for the life of the process.
                (0..times).try_for_each(|_| unsafe { call(self.first) }.check(name))
            }
            Cheap::EventQuery => {
                let (call, name) = (api.event_query.get()?, api.event_query.name);
                // SAFETY: an event that is never destroyed.
                (0..times).try_for_each(|_| unsafe { call(event.0.cast()) }.check(name))
            }
            Cheap::QueueQuery => {
                let (call, name) = (api.stream_query.get()?, api.stream_query.name);
                // SAFETY: a live stream.
                (0..times).try_for_each(|_| unsafe { call(queue.0.cast()) }.check(name))
            }
            Cheap::MemoryInfo => {
                let (call, name) = (api.mem_get_info.get()?, api.mem_get_info.name);
                let (mut free, mut total) = (0, 0);
                // SAFETY: two live out-parameters.
                (0..times).try_for_each(|_| unsafe { call(&mut free, &mut total) }.check(name))
            }
        }
    }
}
