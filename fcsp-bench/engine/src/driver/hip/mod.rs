//! HIP, for AMD devices. The runtime compiles the kernels' source (hiprtc), since code is made for one kind of device and
//! AMD has dozens; a simulated device runs no compiler and gets code that was compiled before.

mod compiler;

use super::api::{Status, call, functions, text};
use super::{
    Address, Argument, Block, Done, Driver, Event, Facts, Graph, Kernel, Pinned, Queue, ROW_BYTES,
    Refusal, Shape, Trouble, pointers,
};
use crate::protocol::{Cheap, Way};
use fcsp_measure::clock::now_ns;
use hip_sys::{
    HIP_ARRAY_DESCRIPTOR, error_name, hipArray_Format, hipDeviceAttribute_t as A,
    hipDeviceProp_tR0000, hipDeviceProp_tR0600, hipError_t, hipEventBlockingSync,
    hipEventDisableTiming, hipHostMallocMapped, hipHostMallocPortable, hipIpcMemHandle_t,
    hipIpcMemLazyEnablePeerAccess, hipMemAccessDesc, hipMemAccessFlags,
    hipMemAllocationGranularity_flags, hipMemAllocationProp, hipMemAllocationType,
    hipMemAttachGlobal, hipMemLocation, hipMemLocationType, hipModule_t, hipStreamCaptureMode,
    hipStreamNonBlocking,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

/// The runtime's names, newest first.
const LIBRARIES: [&str; 3] = ["libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"];

/// The kernels, compiled for the simulated device.
const COMPILED: &[u8] = include_bytes!("../../kernels/kernels.gfx90a");

functions! { hip_sys:
    init = hipInit,
    runtime_version = hipRuntimeGetVersion,
    device_count = hipGetDeviceCount,
    set_device = hipSetDevice,
    get_device = hipGetDevice,
    device_name = hipDeviceGetName,
    device_attribute = hipDeviceGetAttribute,
    device_total_mem = hipDeviceTotalMem,
    properties = hipGetDevicePropertiesR0600,
    properties_5 = hipGetDeviceProperties,
    synchronize = hipDeviceSynchronize,
    module_load_data = hipModuleLoadData,
    module_get_function = hipModuleGetFunction,
    occupancy = hipModuleOccupancyMaxActiveBlocksPerMultiprocessor,
    mem_alloc = hipMalloc,
    mem_alloc_pitch = hipMemAllocPitch,
    mem_alloc_managed = hipMallocManaged,
    mem_free = hipFree,
    mem_alloc_async = hipMallocAsync,
    mem_free_async = hipFreeAsync,
    mem_create = hipMemCreate,
    mem_release = hipMemRelease,
    mem_address_reserve = hipMemAddressReserve,
    mem_address_free = hipMemAddressFree,
    mem_map = hipMemMap,
    mem_unmap = hipMemUnmap,
    mem_set_access = hipMemSetAccess,
    mem_granularity = hipMemGetAllocationGranularity,
    array_create = hipArrayCreate,
    array_destroy = hipArrayDestroy,
    default_pool = hipDeviceGetDefaultMemPool,
    pool_trim = hipMemPoolTrimTo,
    mem_get_info = hipMemGetInfo,
    mem_host_alloc = hipHostMalloc,
    mem_free_host = hipHostFree,
    mem_host_device_pointer = hipHostGetDevicePointer,
    ipc_get = hipIpcGetMemHandle,
    ipc_open = hipIpcOpenMemHandle,
    ipc_close = hipIpcCloseMemHandle,
    copy_to_device = hipMemcpyHtoD,
    copy_to_host = hipMemcpyDtoH,
    copy_to_device_async = hipMemcpyHtoDAsync,
    copy_to_host_async = hipMemcpyDtoHAsync,
    fill_async = hipMemsetD8Async,
    copy_inside_async = hipMemcpyDtoDAsync,
    fill_words = hipMemsetD32,
    stream_create = hipStreamCreateWithFlags,
    stream_synchronize = hipStreamSynchronize,
    stream_query = hipStreamQuery,
    stream_destroy = hipStreamDestroy,
    stream_begin_capture = hipStreamBeginCapture,
    stream_end_capture = hipStreamEndCapture,
    event_create = hipEventCreateWithFlags,
    event_record = hipEventRecord,
    event_synchronize = hipEventSynchronize,
    event_query = hipEventQuery,
    launch = hipModuleLaunchKernel,
    graph_destroy = hipGraphDestroy,
    graph_instantiate = hipGraphInstantiate,
    graph_launch = hipGraphLaunch,
    graph_exec_destroy = hipGraphExecDestroy,
}

impl Status for hipError_t {
    #[inline]
    fn check(self, name: &str) -> Done<()> {
        if self == hipError_t::hipSuccess {
            return Ok(());
        }
        let refusal = match self {
            hipError_t::hipErrorOutOfMemory => Some(Refusal::OutOfMemory),
            hipError_t::hipErrorInvalidValue | hipError_t::hipErrorInvalidConfiguration => {
                Some(Refusal::Shape)
            }
            _ => None,
        };
        Err(Trouble::of(name, error_name(self.0), self.0, refusal))
    }
}

/// The runtime, with the first device.
pub(crate) struct Hip {
    api: Api,
    /// Kernels of the devices that were used.
    modules: RefCell<BTreeMap<u32, hipModule_t>>,
    current: Cell<u32>,
    simulated: bool,
    context_ns: u64,
}

/// The device that a run is about.
const DEVICE: i32 = 0;

impl Hip {
    /// Loads the runtime and lets it make all that the first device's first use needs.
    pub(super) fn open() -> Done<Self> {
        let api = Api::load(&LIBRARIES)?;
        // SAFETY: no pointers.
        unsafe { call!(api, init(0)) }?;
        let began_ns = now_ns();
        // SAFETY: the first device, if there is one; freeing nothing is allowed.
        unsafe {
            call!(api, set_device(DEVICE))?;
            call!(api, mem_free(null_mut()))?;
        }
        let context_ns = now_ns() - began_ns;
        let mut hip = Self {
            api,
            modules: RefCell::default(),
            current: Cell::new(0),
            simulated: false,
            context_ns,
        };
        hip.simulated = hip.name()?.to_lowercase().contains("simulated");
        Ok(hip)
    }

    fn name(&self) -> Done<String> {
        let mut name = [0 as c_char; 256];
        let room = name.len() as i32;
        // SAFETY: a buffer whose true length is given.
        unsafe { call!(self.api, device_name(name.as_mut_ptr(), room, DEVICE)) }?;
        Ok(text(&name))
    }

    fn attribute(&self, which: A) -> Done<u32> {
        let mut value = 0;
        // SAFETY: a live out-parameter, a device that is there.
        unsafe { call!(self.api, device_attribute(&mut value, which, DEVICE)) }?;
        Ok(value.max(0) as u32)
    }

    /// `gfx90a`, without what may follow behind a colon.
    fn architecture(&self) -> Done<String> {
        let name = if self.api.properties.is_there() {
            let mut properties = hipDeviceProp_tR0600::default();
            // SAFETY: a live out-parameter of the layout that this name stands for.
            unsafe { call!(self.api, properties(&mut properties, DEVICE)) }?;
            text(&properties.gcnArchName)
        } else {
            let mut properties = hipDeviceProp_tR0000::default();
            // SAFETY: as above.
            unsafe { call!(self.api, properties_5(&mut properties, DEVICE)) }?;
            text(&properties.gcnArchName)
        };
        Ok(name.split(':').next().unwrap_or_default().to_owned())
    }

    fn load(&self) -> Done<hipModule_t> {
        let code = match self.simulated {
            true => COMPILED.to_vec(),
            false => compiler::compiled()?,
        };
        let mut module = null_mut();
        // SAFETY: a live out-parameter, a whole code object, which the runtime copies.
        unsafe {
            call!(
                self.api,
                module_load_data(&mut module, code.as_ptr().cast())
            )
        }?;
        Ok(module)
    }

    fn map(&self, bytes: u64) -> Done<Block> {
        let api = &self.api;
        let location = hipMemLocation {
            type_: hipMemLocationType::hipMemLocationTypeDevice,
            id: DEVICE,
        };
        let properties = hipMemAllocationProp {
            type_: hipMemAllocationType::hipMemAllocationTypePinned,
            location,
            ..hipMemAllocationProp::default()
        };
        let mut granularity = 0;
        let least = hipMemAllocationGranularity_flags::hipMemAllocationGranularityMinimum;
        // SAFETY: a live out-parameter and live properties.
        unsafe { call!(api, mem_granularity(&mut granularity, &properties, least)) }?;
        let bytes = (bytes as usize).next_multiple_of(granularity.max(1));
        let mut handle = null_mut();
        // SAFETY: as above.
        unsafe { call!(api, mem_create(&mut handle, bytes, &properties, 0)) }?;
        let mapped = (|| {
            let mut address = null_mut();
            // SAFETY: a live out-parameter.
            unsafe {
                call!(
                    api,
                    mem_address_reserve(&mut address, bytes, 0, null_mut(), 0)
                )
            }?;
            // SAFETY: reserved above, of that size; a live handle.
            unsafe { call!(api, mem_map(address, bytes, 0, handle, 0)) }?;
            let access = hipMemAccessDesc {
                location,
                flags: hipMemAccessFlags::hipMemAccessFlagsProtReadWrite,
            };
            // SAFETY: mapped above; one live description.
            unsafe { call!(api, mem_set_access(address, bytes, &access, 1)) }?;
            Ok(address)
        })();
        match mapped {
            Ok(address) => Ok(Block::Virtual {
                handle: handle.expose_provenance() as u64,
                address: number(address),
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

impl Driver for Hip {
    fn facts(&self) -> Done<Facts> {
        let (mut count, mut version) = (0, 0);
        // SAFETY: live out-parameters.
        unsafe {
            call!(self.api, device_count(&mut count))?;
            call!(self.api, runtime_version(&mut version))?;
        }
        Ok(Facts {
            name: self.name()?,
            devices: count.max(0) as u32,
            // As `HIP_VERSION` writes it: 60,443,483 is 6.4.
            interface: format!(
                "HIP {}.{}",
                version / 10_000_000,
                version % 10_000_000 / 100_000
            ),
            multiprocessors: self.attribute(A::hipDeviceAttributeMultiprocessorCount)?,
            architecture: self.architecture()?,
            cache_bytes: self.attribute(A::hipDeviceAttributeL2CacheSize)?.into(),
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
        unsafe { call!(self.api, device_total_mem(&mut bytes, DEVICE)) }?;
        Ok(bytes as u64)
    }

    fn use_device(&self, ordinal: u32) -> Done<()> {
        // SAFETY: no pointers.
        unsafe { call!(self.api, set_device(ordinal as i32)) }?;
        self.current.set(ordinal);
        Ok(())
    }

    fn kernel(&self, name: &CStr) -> Done<Kernel> {
        let known = self.modules.borrow().get(&self.current.get()).copied();
        let module = match known {
            Some(module) => module,
            None => {
                let module = self.load()?;
                self.modules.borrow_mut().insert(self.current.get(), module);
                module
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
        Ok(self.attribute(A::hipDeviceAttributeMultiprocessorCount)? * each.max(1) as u32)
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
        let flags = hipStreamNonBlocking;
        // SAFETY: a live out-parameter, a current device.
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
        // SAFETY: no pointers.
        unsafe { call!(self.api, synchronize()) }
    }

    fn event(&self) -> Done<Event> {
        let mut event = null_mut();
        let flags = hipEventDisableTiming | hipEventBlockingSync;
        // SAFETY: a live out-parameter, a current device.
        unsafe { call!(self.api, event_create(&mut event, flags)) }?;
        Ok(Event(event.cast()))
    }

    #[inline]
    fn mark(&self, event: Event, queue: Queue) -> Done<()> {
        // SAFETY: a live event and a live stream of one device.
        unsafe { call!(self.api, event_record(event.0.cast(), queue.0.cast())) }
    }

    #[inline]
    fn wait_event(&self, event: Event) -> Done<()> {
        // SAFETY: events here are never destroyed.
        unsafe { call!(self.api, event_synchronize(event.0.cast())) }
    }

    fn record(&self, queue: Queue) -> Done<Queue> {
        let mode = hipStreamCaptureMode::hipStreamCaptureModeThreadLocal;
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
        unsafe {
            call!(
                self.api,
                graph_instantiate(&mut exec, graph, null_mut(), null_mut(), 0)
            )
        }?;
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
        let mut address = null_mut();
        match way {
            Way::Plain => {
                // SAFETY: a live out-parameter, a current device.
                unsafe { call!(api, mem_alloc(&mut address, bytes as usize)) }?;
                Ok(Block::Plain(number(address)))
            }
            Way::Pitch => {
                let mut pitch = 0;
                let rows = bytes.div_ceil(ROW_BYTES) as usize;
                // SAFETY: two live out-parameters, a current device.
                unsafe {
                    call!(
                        api,
                        mem_alloc_pitch(&mut address, &mut pitch, ROW_BYTES as usize, rows, 4)
                    )
                }?;
                Ok(Block::Plain(number(address)))
            }
            Way::Pool => {
                // SAFETY: a live out-parameter, a live stream.
                unsafe {
                    call!(
                        api,
                        mem_alloc_async(&mut address, bytes as usize, queue.0.cast())
                    )
                }?;
                Ok(Block::Pool(number(address)))
            }
            Way::Virtual => self.map(bytes),
            Way::Array => {
                let shape = HIP_ARRAY_DESCRIPTOR {
                    Width: (ROW_BYTES / 16) as usize,
                    Height: bytes.div_ceil(ROW_BYTES) as usize,
                    Format: hipArray_Format::HIP_AD_FORMAT_UNSIGNED_INT32,
                    NumChannels: 4,
                };
                let mut array = null_mut();
                // SAFETY: a live out-parameter and a live description.
                unsafe { call!(api, array_create(&mut array, &shape)) }?;
                Ok(Block::Array(array.cast()))
            }
            Way::Managed => {
                let flags = hipMemAttachGlobal;
                // SAFETY: a live out-parameter, a current device.
                unsafe { call!(api, mem_alloc_managed(&mut address, bytes as usize, flags)) }?;
                Ok(Block::Plain(number(address)))
            }
        }
    }

    #[inline]
    fn free(&self, block: Block, queue: Queue) -> Done<()> {
        let api = &self.api;
        // SAFETY: allocated by `allocate`, each undone once; memory of a pool in the order of its stream.
        unsafe {
            match block {
                Block::Plain(address) => call!(api, mem_free(place(address))),
                Block::Pool(address) => call!(api, mem_free_async(place(address), queue.0.cast())),
                Block::Virtual {
                    handle,
                    address,
                    bytes,
                } => {
                    call!(api, mem_unmap(place(address), bytes))?;
                    call!(api, mem_address_free(place(address), bytes))?;
                    call!(api, mem_release(place(handle).cast()))
                }
                Block::Array(array) => call!(api, array_destroy(array.cast())),
            }
        }
    }

    fn trim(&self) -> Done<()> {
        let mut pool = null_mut();
        // SAFETY: a live out-parameter.
        unsafe { call!(self.api, default_pool(&mut pool, DEVICE)) }?;
        // SAFETY: the pool of this device.
        unsafe { call!(self.api, pool_trim(pool, 0)) }
    }

    fn pin(&self, bytes: usize) -> Done<Pinned> {
        let (mut host, mut device) = (null_mut(), null_mut());
        let flags = hipHostMallocMapped | hipHostMallocPortable;
        // SAFETY: live out-parameters; a device is current; mapped pinned memory.
        unsafe {
            call!(self.api, mem_host_alloc(&mut host, bytes, flags))?;
            call!(self.api, mem_host_device_pointer(&mut device, host, 0))?;
        }
        Ok(Pinned {
            host,
            device: number(device),
        })
    }

    fn unpin(&self, pinned: Pinned) -> Done<()> {
        // SAFETY: allocated by `pin`; nothing that uses it is under way.
        unsafe { call!(self.api, mem_free_host(pinned.host)) }
    }

    fn fill(&self, address: Address, word: u32, words: u64) -> Done<()> {
        // SAFETY: the driver checks the range.
        unsafe {
            call!(
                self.api,
                fill_words(place(address), word as i32, words as usize)
            )
        }
    }

    #[inline]
    fn fill_async(&self, address: Address, bytes: u64, queue: Queue) -> Done<()> {
        // SAFETY: the driver checks the range; a live stream.
        unsafe {
            call!(
                self.api,
                fill_async(place(address), 0, bytes as usize, queue.0.cast())
            )
        }
    }

    #[inline]
    fn copy_inside(&self, to: Address, from: Address, bytes: u64, queue: Queue) -> Done<()> {
        // SAFETY: the driver checks the ranges; a live stream.
        unsafe {
            call!(
                self.api,
                copy_inside_async(place(to), place(from), bytes as usize, queue.0.cast())
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
                    call!(
                        api,
                        copy_to_device_async(place(to), from.cast_mut(), bytes, queue.0.cast())
                    )
                }
                None => call!(api, copy_to_device(place(to), from.cast_mut(), bytes)),
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
                    call!(
                        api,
                        copy_to_host_async(to, place(from), bytes, queue.0.cast())
                    )
                }
                None => call!(api, copy_to_host(to, place(from), bytes)),
            }
        }
    }

    fn share(&self, address: Address) -> Done<Vec<u8>> {
        let mut handle = hipIpcMemHandle_t::default();
        // SAFETY: a live out-parameter; the driver checks the address.
        unsafe { call!(self.api, ipc_get(&mut handle, place(address))) }?;
        Ok(handle.reserved.iter().map(|byte| *byte as u8).collect())
    }

    fn open_shared(&self, handle: &[u8]) -> Done<Address> {
        let mut stale = hipIpcMemHandle_t::default();
        for (place, byte) in stale.reserved.iter_mut().zip(handle) {
            *place = *byte as _;
        }
        let mut opened = null_mut();
        let flags = hipIpcMemLazyEnablePeerAccess;
        // SAFETY: a live out-parameter; a handle is data.
        unsafe { call!(self.api, ipc_open(&mut opened, stale, flags)) }?;
        Ok(number(opened))
    }

    fn close_shared(&self, address: Address) -> Done<()> {
        // SAFETY: opened by `open_shared`, closed once.
        unsafe { call!(self.api, ipc_close(place(address))) }
    }

    fn repeat(&self, which: Cheap, times: u32, event: Event, queue: Queue) -> Done<()> {
        let api = &self.api;
        match which {
            Cheap::CurrentDevice => {
                let (call, name) = (api.get_device.get()?, api.get_device.name);
                let mut device = 0;
                // SAFETY: a live out-parameter.
                (0..times).try_for_each(|_| unsafe { call(&mut device) }.check(name))
            }
            Cheap::SetCurrent => {
                let (call, name) = (api.set_device.get()?, api.set_device.name);
                // SAFETY: no pointers.
                (0..times).try_for_each(|_| unsafe { call(DEVICE) }.check(name))
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

    /// Of the runtimes that do not say so, all devices have a clock of 100 MHz.
    fn ns_per_tick(&self) -> Done<f64> {
        let khz = self
            .attribute(A::hipDeviceAttributeWallClockRate)
            .unwrap_or(100_000);
        Ok(1e6 / f64::from(khz.max(1)))
    }
}

fn number<T>(address: *mut T) -> Address {
    address.expose_provenance() as u64
}

fn place(address: Address) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(address as usize)
}
