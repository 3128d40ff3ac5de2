//! Level Zero, for Intel devices. Kernels are SPIR-V, which the driver compiles.
//!
//! A queue is an immediate command list, to which programs append as SYCL's and PyTorch's do. Where the loader is older than
//! lists that are in order by themselves (specification 1.9), a barrier follows each command. What is recorded is a command
//! list that is executed by a command queue; events put it into the order of the immediate list.
//!
//! There is no device of a thread, no pitched memory, and no pool.

mod graph;
mod memory;
mod times;

use super::api::{Status, call, functions, text};
use super::{
    Address, Argument, Block, Done, Driver, Event, Facts, Graph, Kernel, Pinned, Queue, Refusal,
    Shape, Stamps, Trouble,
};
use crate::protocol::{Cheap, Way};
use fcsp_measure::clock::now_ns;
use graph::Recorded;
use level_zero_sys::*;
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

/// The loader's name.
const LOADER: &str = "libze_loader.so.1";
/// The kernels.
const SPIRV: &[u8] = include_bytes!("../../kernels/kernels.spv");
/// Events of a pool.
const POOL_EVENTS: u32 = 256;

functions! { level_zero_sys:
    init = zeInit,
    driver_get = zeDriverGet,
    driver_version = zeDriverGetApiVersion,
    device_get = zeDeviceGet,
    device_properties = zeDeviceGetProperties,
    device_memory = zeDeviceGetMemoryProperties,
    device_cache = zeDeviceGetCacheProperties,
    device_clocks = zeDeviceGetGlobalTimestamps,
    context_create = zeContextCreate,
    module_create = zeModuleCreate,
    kernel_create = zeKernelCreate,
    kernel_group = zeKernelSetGroupSize,
    kernel_argument = zeKernelSetArgumentValue,
    mem_device = zeMemAllocDevice,
    mem_shared = zeMemAllocShared,
    mem_host = zeMemAllocHost,
    mem_free = zeMemFree,
    mem_kind = zeMemGetAllocProperties,
    ipc_get = zeMemGetIpcHandle,
    ipc_open = zeMemOpenIpcHandle,
    ipc_close = zeMemCloseIpcHandle,
    physical_create = zePhysicalMemCreate,
    physical_destroy = zePhysicalMemDestroy,
    virtual_page = zeVirtualMemQueryPageSize,
    virtual_reserve = zeVirtualMemReserve,
    virtual_free = zeVirtualMemFree,
    virtual_map = zeVirtualMemMap,
    virtual_unmap = zeVirtualMemUnmap,
    image_create = zeImageCreate,
    image_destroy = zeImageDestroy,
    queue_create = zeCommandQueueCreate,
    queue_execute = zeCommandQueueExecuteCommandLists,
    queue_wait = zeCommandQueueSynchronize,
    list_create = zeCommandListCreate,
    list_create_immediate = zeCommandListCreateImmediate,
    list_close = zeCommandListClose,
    list_destroy = zeCommandListDestroy,
    list_wait = zeCommandListHostSynchronize,
    // Since the specification that has lists in order.
    list_append_lists = zeCommandListImmediateAppendCommandListsExp,
    append_launch = zeCommandListAppendLaunchKernel,
    append_copy = zeCommandListAppendMemoryCopy,
    append_fill = zeCommandListAppendMemoryFill,
    append_barrier = zeCommandListAppendBarrier,
    append_signal = zeCommandListAppendSignalEvent,
    append_wait = zeCommandListAppendWaitOnEvents,
    append_reset = zeCommandListAppendEventReset,
    event_pool_create = zeEventPoolCreate,
    event_pool_destroy = zeEventPoolDestroy,
    event_create = zeEventCreate,
    event_destroy = zeEventDestroy,
    event_reset = zeEventHostReset,
    event_wait = zeEventHostSynchronize,
    event_query = zeEventQueryStatus,
    event_times = zeEventQueryKernelTimestamp,
    memory_modules = zesDeviceEnumMemoryModules,
    memory_state = zesMemoryGetState,
}

impl Status for ze_result_t {
    #[inline]
    fn check(self, name: &str) -> Done<()> {
        if self == ze_result_t::ZE_RESULT_SUCCESS {
            return Ok(());
        }
        let refusal = match self {
            // The last is what a driver says of more than the device has.
            ze_result_t::ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY
            | ze_result_t::ZE_RESULT_ERROR_OUT_OF_HOST_MEMORY
            | ze_result_t::ZE_RESULT_ERROR_UNSUPPORTED_SIZE => Some(Refusal::OutOfMemory),
            ze_result_t::ZE_RESULT_ERROR_INVALID_GROUP_SIZE_DIMENSION
            | ze_result_t::ZE_RESULT_ERROR_INVALID_SIZE
            | ze_result_t::ZE_RESULT_ERROR_INVALID_ARGUMENT => Some(Refusal::Shape),
            _ => None,
        };
        Err(Trouble::of(name, result_name(self.0), self.0, refusal))
    }
}

/// The driver, with a context on the first GPU and a queue on it.
pub(crate) struct Ze {
    api: Api,
    driver: ze_driver_handle_t,
    device: ze_device_handle_t,
    context: ze_context_handle_t,
    properties: ze_device_properties_t,
    devices: u32,
    context_ns: u64,
    /// Whether queues are in order by themselves.
    in_order: bool,
    module: OnceCell<ze_module_handle_t>,
    /// Of calls that come back when all is done.
    own: Own,
    /// What executes recorded lists; made when the first is executed.
    executing: OnceCell<ze_command_queue_handle_t>,
    /// The pool that events are taken from, and how many were.
    events: RefCell<(ze_event_pool_handle_t, u32)>,
    queues: RefCell<Vec<Queue>>,
    /// What is recorded now.
    recording: RefCell<Option<Recorded>>,
    memories: Vec<zes_mem_handle_t>,
}

/// A queue with the event by which it is waited for.
#[derive(Clone, Copy)]
struct Own {
    queue: Queue,
    event: Event,
}

/// A kernel and the size of groups that was set last, which stays with it.
struct Code {
    kernel: ze_kernel_handle_t,
    threads: Cell<u32>,
}

fn number<T>(pointer: *mut T) -> u64 {
    pointer.expose_provenance() as u64
}

fn place(address: u64) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(address as usize)
}

/// Level Zero's way to return a list: asked without room, it says how many there are.
fn list<T: Copy>(empty: T, mut ask: impl FnMut(*mut u32, *mut T) -> Done<()>) -> Done<Vec<T>> {
    let mut count = 0;
    ask(&mut count, null_mut())?;
    let mut found = vec![empty; count as usize];
    if count > 0 {
        ask(&mut count, found.as_mut_ptr())?;
        found.truncate(count as usize);
    }
    Ok(found)
}

impl Ze {
    /// Loads the loader and its drivers, makes a context on the first GPU and the first queue, which is when the device
    /// itself is first used.
    pub(super) fn open() -> Done<Self> {
        let api = Api::load(&[LOADER])?;
        // SAFETY: no pointers.
        unsafe { call!(api, init(0)) }?;
        let mut gpus = Vec::new();
        // SAFETY: throughout: room for as many as the count says, drivers and devices that were listed.
        let drivers = list(null_mut(), |count, all| unsafe {
            call!(api, driver_get(count, all))
        })?;
        for driver in drivers {
            // SAFETY: as above.
            let devices = list(null_mut(), |count, all| unsafe {
                call!(api, device_get(driver, count, all))
            })?;
            for device in devices {
                let mut properties = ze_device_properties_t {
                    stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES,
                    ..Default::default()
                };
                // SAFETY: a live out-parameter.
                unsafe { call!(api, device_properties(device, &mut properties)) }?;
                if properties.type_ == ze_device_type_t::ZE_DEVICE_TYPE_GPU {
                    gpus.push((driver, device, properties));
                }
            }
        }
        let devices = gpus.len() as u32;
        let Some((driver, device, properties)) = gpus.into_iter().next() else {
            return Err(Trouble::new("Level Zero finds no GPU"));
        };
        let began_ns = now_ns();
        let desc = ze_context_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_CONTEXT_DESC,
            ..Default::default()
        };
        let mut context = null_mut();
        // SAFETY: a live out-parameter.
        unsafe { call!(api, context_create(driver, &desc, &mut context)) }?;
        let in_order = api.list_append_lists.is_there();
        let nothing = Own {
            queue: Queue(null_mut()),
            event: Event(null_mut()),
        };
        let mut ze = Self {
            api,
            driver,
            device,
            context,
            properties,
            devices,
            context_ns: 0,
            in_order,
            module: OnceCell::new(),
            own: nothing,
            executing: OnceCell::new(),
            events: RefCell::new((null_mut(), POOL_EVENTS)),
            queues: RefCell::default(),
            recording: RefCell::default(),
            memories: Vec::new(),
        };
        ze.own.queue = ze.queue()?;
        ze.context_ns = now_ns() - began_ns;
        ze.own.event = ze.event()?;
        let managed: zes_device_handle_t = ze.device.cast();
        // SAFETY: a device of the core interface is one of Sysman's where that was enabled, which whoever starts workers
        // sees to.
        ze.memories = list(null_mut(), |count, all| unsafe {
            call!(ze.api, memory_modules(managed, count, all))
        })?;
        Ok(ze)
    }

    /// A list's next command follows the one before.
    #[inline]
    fn then(&self, list: ze_command_list_handle_t) -> Done<()> {
        match self.in_order {
            true => Ok(()),
            // SAFETY: a live list, no events.
            false => unsafe { call!(self.api, append_barrier(list, null_mut(), 0, null_mut())) },
        }
    }

    fn launch_signalling(
        &self,
        kernel: Kernel,
        queue: Queue,
        shape: Shape,
        arguments: &[Argument],
        signal: ze_event_handle_t,
    ) -> Done<()> {
        // SAFETY: made by `kernel` and never given back.
        let code = unsafe { &*kernel.0.cast::<Code>() };
        let api = &self.api;
        let groups = ze_group_count_t {
            groupCountX: shape.blocks[0],
            groupCountY: shape.blocks[1],
            groupCountZ: 1,
        };
        let list: ze_command_list_handle_t = queue.0.cast();
        // SAFETY: a live kernel and list; each argument lives for the call, with the size that it has.
        unsafe {
            if code.threads.get() != shape.threads {
                call!(api, kernel_group(code.kernel, shape.threads, 1, 1))?;
                code.threads.set(shape.threads);
            }
            for (index, argument) in (0..).zip(arguments) {
                let value = (&raw const argument.value).cast();
                call!(
                    api,
                    kernel_argument(code.kernel, index, argument.bytes, value)
                )?;
            }
            call!(
                api,
                append_launch(list, code.kernel, &groups, signal, 0, null_mut())
            )?;
        }
        self.then(list)
    }

    fn pool(&self, count: u32, timed: bool) -> Done<ze_event_pool_handle_t> {
        use ze_event_pool_flag_t as F;
        let times = match timed {
            true => F::ZE_EVENT_POOL_FLAG_KERNEL_TIMESTAMP.0,
            false => 0,
        };
        let desc = ze_event_pool_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_EVENT_POOL_DESC,
            flags: F::ZE_EVENT_POOL_FLAG_HOST_VISIBLE.0 | times,
            count,
            ..Default::default()
        };
        let (mut pool, mut device) = (null_mut(), self.device);
        // SAFETY: a live out-parameter, one live device.
        unsafe {
            call!(
                self.api,
                event_pool_create(self.context, &desc, 1, &mut device, &mut pool)
            )
        }?;
        Ok(pool)
    }

    fn event_of(&self, pool: ze_event_pool_handle_t, index: u32) -> Done<ze_event_handle_t> {
        let host = ze_event_scope_flag_t::ZE_EVENT_SCOPE_FLAG_HOST.0;
        let desc = ze_event_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_EVENT_DESC,
            index,
            signal: host,
            wait: host,
            ..Default::default()
        };
        let mut event = null_mut();
        // SAFETY: a live out-parameter, a live pool with a place that nobody has.
        unsafe { call!(self.api, event_create(pool, &desc, &mut event)) }?;
        Ok(event)
    }

    /// Waits until all that was appended to the own queue is done.
    fn finish(&self) -> Done<()> {
        self.wait(self.own.queue)
    }

    fn lacks<T>(what: &str) -> Done<T> {
        Err(Trouble::lacking(format!("Level Zero has no {what}")))
    }
}

impl Driver for Ze {
    fn facts(&self) -> Done<Facts> {
        let mut version = level_zero_sys::version(0, 0);
        // SAFETY: a live out-parameter.
        unsafe { call!(self.api, driver_version(self.driver, &mut version)) }?;
        let empty = ze_device_cache_properties_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_CACHE_PROPERTIES,
            ..Default::default()
        };
        // SAFETY: room for as many as the count says.
        let caches = list(empty, |count, all| unsafe {
            call!(self.api, device_cache(self.device, count, all))
        })?;
        let p = &self.properties;
        Ok(Facts {
            name: text(&p.name),
            devices: self.devices,
            interface: format!("Level Zero {}.{}", version.0 >> 16, version.0 & 0xffff),
            multiprocessors: p.numSlices * p.numSubslicesPerSlice,
            // No number of an architecture is in every driver; the device's own is.
            architecture: format!("device {:04x}", p.deviceId),
            cache_bytes: caches
                .iter()
                .map(|cache| cache.cacheSize as u64)
                .max()
                .unwrap_or(0),
            context_ns: self.context_ns,
        })
    }

    fn memory_info(&self) -> Done<(u64, u64)> {
        let (mut free, mut total) = (0, 0);
        for memory in &self.memories {
            let mut state = zes_mem_state_t {
                stype: zes_structure_type_t::ZES_STRUCTURE_TYPE_MEM_STATE,
                ..Default::default()
            };
            // SAFETY: a live out-parameter, memory that was listed.
            unsafe { call!(self.api, memory_state(*memory, &mut state)) }?;
            free += state.free;
            total += state.size;
        }
        Ok((free, total))
    }

    fn stated_bytes(&self) -> Done<u64> {
        let empty = ze_device_memory_properties_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_MEMORY_PROPERTIES,
            ..Default::default()
        };
        // SAFETY: room for as many as the count says.
        let memories = list(empty, |count, all| unsafe {
            call!(self.api, device_memory(self.device, count, all))
        })?;
        Ok(memories.iter().map(|memory| memory.totalSize).sum())
    }

    fn kernel(&self, name: &CStr) -> Done<Kernel> {
        let module = match self.module.get() {
            Some(module) => *module,
            None => {
                let desc = ze_module_desc_t {
                    stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_MODULE_DESC,
                    format: ze_module_format_t::ZE_MODULE_FORMAT_IL_SPIRV,
                    inputSize: SPIRV.len(),
                    pInputModule: SPIRV.as_ptr(),
                    ..Default::default()
                };
                let mut module = null_mut();
                // SAFETY: a live out-parameter; code that lives through the call.
                unsafe {
                    call!(
                        self.api,
                        module_create(self.context, self.device, &desc, &mut module, null_mut())
                    )
                }?;
                *self.module.get_or_init(|| module)
            }
        };
        if name == c"fcsp_chase" {
            return Err(Trouble::lacking(
                "OpenCL C has no clock that a kernel could read",
            ));
        }
        let desc = ze_kernel_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_KERNEL_DESC,
            pKernelName: name.as_ptr(),
            ..Default::default()
        };
        let mut kernel = null_mut();
        // SAFETY: a live out-parameter, a loaded module, a NUL-terminated name.
        unsafe { call!(self.api, kernel_create(module, &desc, &mut kernel)) }?;
        // Kernels stay until the process ends.
        let code = Box::leak(Box::new(Code {
            kernel,
            threads: Cell::new(0),
        }));
        Ok(Kernel((&raw mut *code).cast()))
    }

    fn blocks_at_once(&self, _kernel: Kernel, threads: u32) -> Done<u32> {
        let p = &self.properties;
        let at_once = p.numSlices
            * p.numSubslicesPerSlice
            * p.numEUsPerSubslice
            * p.numThreadsPerEU
            * p.physicalEUSimdWidth;
        Ok((at_once / threads).max(1))
    }

    fn launch(
        &self,
        kernel: Kernel,
        queue: Queue,
        shape: Shape,
        arguments: &[Argument],
    ) -> Done<()> {
        self.launch_signalling(kernel, queue, shape, arguments, null_mut())
    }

    fn queue(&self) -> Done<Queue> {
        let in_order = match self.in_order {
            true => ze_command_queue_flag_t::ZE_COMMAND_QUEUE_FLAG_IN_ORDER.0,
            false => 0,
        };
        let desc = ze_command_queue_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC,
            flags: in_order,
            mode: ze_command_queue_mode_t::ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS,
            ..Default::default()
        };
        let mut list = null_mut();
        // SAFETY: a live out-parameter and description.
        unsafe {
            call!(
                self.api,
                list_create_immediate(self.context, self.device, &desc, &mut list)
            )
        }?;
        let queue = Queue(list.cast());
        self.queues.borrow_mut().push(queue);
        Ok(queue)
    }

    fn end_queue(&self, queue: Queue) -> Done<()> {
        self.queues.borrow_mut().retain(|other| *other != queue);
        // SAFETY: made by `queue`, nothing is under way on it.
        unsafe { call!(self.api, list_destroy(queue.0.cast())) }
    }

    fn wait(&self, queue: Queue) -> Done<()> {
        if self.api.list_wait.is_there() {
            // SAFETY: a live immediate list.
            return unsafe { call!(self.api, list_wait(queue.0.cast(), u64::MAX)) };
        }
        self.mark(self.own.event, queue)?;
        self.wait_event(self.own.event)
    }

    fn synchronize(&self) -> Done<()> {
        self.queues
            .borrow()
            .iter()
            .try_for_each(|queue| self.wait(*queue))
    }

    fn event(&self) -> Done<Event> {
        let (pool, taken) = &mut *self.events.borrow_mut();
        if *taken == POOL_EVENTS {
            (*pool, *taken) = (self.pool(POOL_EVENTS, false)?, 0);
        }
        let event = self.event_of(*pool, *taken)?;
        *taken += 1;
        Ok(Event(event.cast()))
    }

    fn mark(&self, event: Event, queue: Queue) -> Done<()> {
        // SAFETY: a live event, which nobody waits for, and a live list.
        unsafe {
            call!(self.api, event_reset(event.0.cast()))?;
            call!(self.api, append_signal(queue.0.cast(), event.0.cast()))
        }
    }

    fn wait_event(&self, event: Event) -> Done<()> {
        // SAFETY: events of this kind are never destroyed.
        unsafe { call!(self.api, event_wait(event.0.cast(), u64::MAX)) }
    }

    fn record(&self, _queue: Queue) -> Done<Queue> {
        self.begin_recording()
    }

    fn recorded(&self, recording: Queue) -> Done<Graph> {
        self.end_recording(recording)
    }

    fn launch_graph(&self, graph: Graph, queue: Queue) -> Done<()> {
        self.execute(graph, queue)
    }

    fn end_graph(&self, graph: Graph) -> Done<()> {
        self.forget(graph)
    }

    fn allocate(&self, way: Way, bytes: u64, _queue: Queue) -> Done<Block> {
        self.take(way, bytes)
    }

    fn free(&self, block: Block, _queue: Queue) -> Done<()> {
        self.give(block)
    }

    fn trim(&self) -> Done<()> {
        // There is no pool that could keep anything.
        Ok(())
    }

    fn pin(&self, bytes: usize) -> Done<Pinned> {
        let desc = ze_host_mem_alloc_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC,
            ..Default::default()
        };
        let mut host = null_mut();
        // SAFETY: a live out-parameter and description.
        unsafe {
            call!(
                self.api,
                mem_host(self.context, &desc, bytes, 4096, &mut host)
            )
        }?;
        Ok(Pinned {
            host,
            // Memory of the host has one address for all.
            device: number(host),
        })
    }

    fn unpin(&self, pinned: Pinned) -> Done<()> {
        // SAFETY: allocated by `pin`; nothing that uses it is under way.
        unsafe { call!(self.api, mem_free(self.context, pinned.host)) }
    }

    fn fill(&self, address: Address, word: u32, words: u64) -> Done<()> {
        let pattern = (&raw const word).cast();
        // SAFETY: a pattern that lives for the call; the driver checks the range.
        unsafe {
            call!(
                self.api,
                append_fill(
                    self.own.queue.0.cast(),
                    place(address),
                    pattern,
                    size_of::<u32>(),
                    words as usize * 4,
                    null_mut(),
                    0,
                    null_mut()
                )
            )
        }?;
        self.finish()
    }

    fn fill_async(&self, address: Address, bytes: u64, queue: Queue) -> Done<()> {
        let list: ze_command_list_handle_t = queue.0.cast();
        let zero = 0_u8;
        let pattern = (&raw const zero).cast();
        // SAFETY: as above.
        unsafe {
            call!(
                self.api,
                append_fill(
                    list,
                    place(address),
                    pattern,
                    1,
                    bytes as usize,
                    null_mut(),
                    0,
                    null_mut()
                )
            )
        }?;
        self.then(list)
    }

    fn copy_inside(&self, to: Address, from: Address, bytes: u64, queue: Queue) -> Done<()> {
        // SAFETY: the driver checks both sides, and neither is the host's.
        unsafe { self.copy_in(to, place(from), bytes, Some(queue)) }
    }

    unsafe fn copy_in(
        &self,
        to: Address,
        from: *const c_void,
        bytes: u64,
        queue: Option<Queue>,
    ) -> Done<()> {
        let list: ze_command_list_handle_t = queue.unwrap_or(self.own.queue).0.cast();
        let (to, bytes) = (place(to), bytes as usize);
        // SAFETY: the host's side by the caller's contract; the driver checks the device's.
        unsafe {
            call!(
                self.api,
                append_copy(list, to, from, bytes, null_mut(), 0, null_mut())
            )
        }?;
        match queue {
            Some(_) => self.then(list),
            None => self.finish(),
        }
    }

    unsafe fn copy_out(
        &self,
        to: *mut c_void,
        from: Address,
        bytes: u64,
        queue: Option<Queue>,
    ) -> Done<()> {
        if queue.is_none() && !self.knows(from)? {
            // A copy would take it for the host's.
            return Err(Trouble::new(format!(
                "{from:#x} is no memory that the driver knows"
            )));
        }
        // SAFETY: the same contract: to Level Zero a copy is a copy.
        unsafe { self.copy_in(number(to), place(from), bytes, queue) }
    }

    fn share(&self, address: Address) -> Done<Vec<u8>> {
        let mut handle = ze_ipc_mem_handle_t::default();
        // SAFETY: a live out-parameter; the driver checks the address.
        unsafe { call!(self.api, ipc_get(self.context, place(address), &mut handle)) }?;
        Ok(handle.data.iter().map(|byte| *byte as u8).collect())
    }

    fn open_shared(&self, handle: &[u8]) -> Done<Address> {
        let mut stale = ze_ipc_mem_handle_t::default();
        for (place, byte) in stale.data.iter_mut().zip(handle) {
            *place = *byte as _;
        }
        let mut opened = null_mut();
        // SAFETY: a live out-parameter; a handle is data.
        unsafe {
            call!(
                self.api,
                ipc_open(self.context, self.device, stale, 0, &mut opened)
            )
        }?;
        Ok(number(opened))
    }

    fn close_shared(&self, address: Address) -> Done<()> {
        // SAFETY: opened by `open_shared`, closed once.
        unsafe { call!(self.api, ipc_close(self.context, place(address))) }
    }

    fn repeat(&self, which: Cheap, times: u32, event: Event, _queue: Queue) -> Done<()> {
        let api = &self.api;
        match which {
            Cheap::CurrentDevice | Cheap::SetCurrent => Self::lacks("device of a thread"),
            Cheap::EventQuery => {
                let (call, name) = (api.event_query.get()?, api.event_query.name);
                // SAFETY: an event that is never destroyed.
                (0..times).try_for_each(|_| unsafe { call(event.0.cast()) }.check(name))
            }
            Cheap::QueueQuery => {
                let (call, name) = (api.queue_wait.get()?, api.queue_wait.name);
                let executing = self.executing()?;
                // SAFETY: a live queue; without time to wait it only looks.
                (0..times).try_for_each(|_| unsafe { call(executing, 0) }.check(name))
            }
            Cheap::MemoryInfo => (0..times).try_for_each(|_| self.memory_info().map(drop)),
        }
    }

    fn stamps(&self, count: usize) -> Done<Stamps> {
        self.timed_events(count)
    }

    fn launch_stamped(
        &self,
        stamps: &Stamps,
        at: usize,
        kernel: Kernel,
        queue: Queue,
        shape: Shape,
        iters: u32,
    ) -> Done<()> {
        let Stamps::Events { events, .. } = stamps else {
            return Err(Trouble::new("these times are another driver's"));
        };
        let arguments = [iters.into(), 0_u64.into(), 0_u64.into()];
        self.launch_signalling(kernel, queue, shape, &arguments, events[at].0.cast())
    }

    fn stamped(&self) -> &'static CStr {
        // The device notes times of any kernel.
        c"fcsp_work"
    }

    fn times(&self, stamps: Stamps, count: usize) -> Done<Vec<(u64, u64)>> {
        self.times_of(stamps, count)
    }
}
