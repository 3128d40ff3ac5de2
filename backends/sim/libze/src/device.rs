//! Devices and what they report: a Max 1100 as Intel describes it, one tile, no sub-devices.

use crate::border::{Outcome, at, list, put, put_text, rc, require};
use crate::driver::{Gpu, check, gpus};
use crate::handles::{DEVICE, number, numbered};
use fcsp_sim::now_ns;
use level_zero_sys::*;

const SLICES: u32 = 1;
const SUBSLICES: u32 = 56;
const EUS: u32 = 8;
const THREADS_PER_EU: u32 = 8;
const SIMD_WIDTH: u32 = 16;
/// Work items that run at once.
pub const THREADS_PER_WAVE: u64 = (SLICES * SUBSLICES * EUS * THREADS_PER_EU * SIMD_WIDTH) as u64;
/// Most work items of a group.
pub const GROUP_SIZE_MAX: u32 = 1024;
const VENDOR_ID: u32 = 0x8086;
const DEVICE_ID: u32 = 0x0bda;
/// Of the command queue groups: compute and copies, copies alone.
pub const COMPUTE: u32 = 0;
/// See [`COMPUTE`].
pub const COPY: u32 = 1;
/// Groups of queues.
pub const GROUPS: u32 = 2;
/// Compute engines that a device has at most.
const COMPUTE_ENGINES_MAX: u32 = 4;
/// How many of them a program is shown, of each device: `0:4,1:2`.
const COMPUTE_ENGINES: &str = "ZEX_NUMBER_OF_CCS";
/// Longest pattern of a fill.
pub const FILL_PATTERN_BYTES_MAX: usize = 128;

/// Compute engines that the program is shown of the device with that number: one, where it does not ask for more.
pub fn compute_engines(ordinal: usize) -> u32 {
    let asked = std::env::var(COMPUTE_ENGINES).unwrap_or_default();
    engines_of(&asked, ordinal)
}

fn engines_of(asked: &str, ordinal: usize) -> u32 {
    let of = |entry: &str| {
        let (device, count) = entry.trim().split_once(':')?;
        (device.parse() == Ok(ordinal)).then(|| count.parse().ok())?
    };
    let asked: Option<u32> = asked.split(',').find_map(of);
    asked.unwrap_or(1).clamp(1, COMPUTE_ENGINES_MAX)
}

/// Queues of a group; nothing if there is no such group.
pub fn queues_of(gpu: &Gpu, group: u32) -> Option<u32> {
    match group {
        COMPUTE => Some(compute_engines(gpu.ordinal)),
        COPY => Some(1),
        _ => None,
    }
}

/// The device of a handle.
pub fn gpu(device: ze_device_handle_t) -> Result<&'static Gpu, ze_result_t> {
    gpus()
        .get(number(DEVICE, device)?)
        .ok_or(rc::INVALID_ARGUMENT)
}

/// The handle of a device.
pub fn handle(gpu: &Gpu) -> ze_device_handle_t {
    numbered(DEVICE, gpu.ordinal)
}

/// `zeDeviceGet`.
pub unsafe fn get(
    driver: ze_driver_handle_t,
    count: *mut u32,
    devices: *mut ze_device_handle_t,
) -> Outcome {
    check(driver)?;
    // SAFETY: the same contract.
    unsafe { list(count, devices, gpus(), |place, gpu| *place = handle(gpu)) }
}

/// `zeDeviceGetSubDevices`: a device with one tile has none.
pub unsafe fn sub_devices(
    device: ze_device_handle_t,
    count: *mut u32,
    devices: *mut ze_device_handle_t,
) -> Outcome {
    gpu(device)?;
    // SAFETY: the same contract.
    unsafe { list(count, devices, &[] as &[()], |_, ()| {}) }
}

/// `zeDeviceGetRootDevice`: a root device has none.
pub unsafe fn root_device(device: ze_device_handle_t, root: *mut ze_device_handle_t) -> Outcome {
    gpu(device)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(root, std::ptr::null_mut()) }
}

/// Fills everything but the head of the structure.
pub fn describe(gpu: &Gpu, p: &mut ze_device_properties_t) {
    p.type_ = ze_device_type_t::ZE_DEVICE_TYPE_GPU;
    p.vendorId = VENDOR_ID;
    p.deviceId = DEVICE_ID;
    p.flags = 0;
    p.subdeviceId = 0;
    p.coreClockRate = 1550;
    p.maxMemAllocSize = gpu.device.total_bytes();
    p.maxHardwareContexts = 65_536;
    p.maxCommandQueuePriority = 0;
    p.numThreadsPerEU = THREADS_PER_EU;
    p.physicalEUSimdWidth = SIMD_WIDTH;
    p.numEUsPerSubslice = EUS;
    p.numSubslicesPerSlice = SUBSLICES;
    p.numSlices = SLICES;
    // Nanoseconds per tick; the later form of the structure asks for ticks per second.
    let later = ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES_1_2;
    p.timerResolution = if p.stype == later { 1_000_000_000 } else { 1 };
    p.timestampValidBits = 64;
    p.kernelTimestampValidBits = 64;
    p.uuid.id = gpu.device.uuid();
    put_text(&mut p.name, gpu.device.name());
}

/// `zeDeviceGetProperties`.
pub unsafe fn properties(
    device: ze_device_handle_t,
    properties: *mut ze_device_properties_t,
) -> Outcome {
    let gpu = gpu(device)?;
    // SAFETY: the caller's structure.
    describe(gpu, unsafe { at(properties) }?);
    Ok(())
}

/// `zeDeviceGetComputeProperties`.
pub unsafe fn compute_properties(
    device: ze_device_handle_t,
    properties: *mut ze_device_compute_properties_t,
) -> Outcome {
    gpu(device)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    p.maxTotalGroupSize = GROUP_SIZE_MAX;
    (p.maxGroupSizeX, p.maxGroupSizeY, p.maxGroupSizeZ) =
        (GROUP_SIZE_MAX, GROUP_SIZE_MAX, GROUP_SIZE_MAX);
    (p.maxGroupCountX, p.maxGroupCountY, p.maxGroupCountZ) = (u32::MAX, u32::MAX, u32::MAX);
    p.maxSharedLocalMemory = 128 << 10;
    p.numSubGroupSizes = 2;
    p.subGroupSizes = [SIMD_WIDTH, 2 * SIMD_WIDTH, 0, 0, 0, 0, 0, 0];
    Ok(())
}

/// `zeDeviceGetModuleProperties`.
pub unsafe fn module_properties(
    device: ze_device_handle_t,
    properties: *mut ze_device_module_properties_t,
) -> Outcome {
    gpu(device)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    p.spirvVersionSupported = 0x0001_0004;
    p.flags = ze_device_module_flag_t::ZE_DEVICE_MODULE_FLAG_FP16.0
        | ze_device_module_flag_t::ZE_DEVICE_MODULE_FLAG_FP64.0
        | ze_device_module_flag_t::ZE_DEVICE_MODULE_FLAG_INT64_ATOMICS.0;
    p.maxArgumentsSize = 2048;
    p.printfBufferSize = 0;
    p.nativeKernelSupported.id = [0; 16];
    Ok(())
}

/// `zeDeviceGetCommandQueueGroupProperties`.
pub unsafe fn queue_groups(
    device: ze_device_handle_t,
    count: *mut u32,
    properties: *mut ze_command_queue_group_properties_t,
) -> Outcome {
    let gpu = gpu(device)?;
    use ze_command_queue_group_property_flag_t as F;
    let compute = F::ZE_COMMAND_QUEUE_GROUP_PROPERTY_FLAG_COMPUTE.0;
    let copy = F::ZE_COMMAND_QUEUE_GROUP_PROPERTY_FLAG_COPY.0;
    let cooperative = F::ZE_COMMAND_QUEUE_GROUP_PROPERTY_FLAG_COOPERATIVE_KERNELS.0;
    let groups = [(compute | copy | cooperative, COMPUTE), (copy, COPY)]
        .map(|(flags, group)| (flags, queues_of(gpu, group).unwrap_or(0)));
    // SAFETY: the same contract.
    unsafe {
        list(count, properties, &groups, |p, (flags, queues)| {
            p.flags = *flags;
            p.maxMemoryFillPatternSize = FILL_PATTERN_BYTES_MAX;
            p.numQueues = *queues;
        })
    }
}

/// `zeDeviceGetMemoryProperties`.
pub unsafe fn memory_properties(
    device: ze_device_handle_t,
    count: *mut u32,
    properties: *mut ze_device_memory_properties_t,
) -> Outcome {
    let gpu = gpu(device)?;
    // SAFETY: the same contract.
    unsafe {
        list(count, properties, &[gpu], |p, gpu| {
            p.flags = 0;
            p.maxClockRate = 3200;
            p.maxBusWidth = 64;
            p.totalSize = gpu.device.total_bytes();
            put_text(&mut p.name, "HBM");
        })
    }
}

/// `zeDeviceGetMemoryAccessProperties`.
pub unsafe fn memory_access_properties(
    device: ze_device_handle_t,
    properties: *mut ze_device_memory_access_properties_t,
) -> Outcome {
    gpu(device)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    use ze_memory_access_cap_flag_t as F;
    let access = F::ZE_MEMORY_ACCESS_CAP_FLAG_RW.0 | F::ZE_MEMORY_ACCESS_CAP_FLAG_ATOMIC.0;
    let concurrent = F::ZE_MEMORY_ACCESS_CAP_FLAG_CONCURRENT.0
        | F::ZE_MEMORY_ACCESS_CAP_FLAG_CONCURRENT_ATOMIC.0;
    p.hostAllocCapabilities = access | concurrent;
    p.deviceAllocCapabilities = access | concurrent;
    p.sharedSingleDeviceAllocCapabilities = access | concurrent;
    p.sharedCrossDeviceAllocCapabilities = access;
    p.sharedSystemAllocCapabilities = 0;
    Ok(())
}

/// `zeDeviceGetCacheProperties`.
pub unsafe fn cache_properties(
    device: ze_device_handle_t,
    count: *mut u32,
    properties: *mut ze_device_cache_properties_t,
) -> Outcome {
    gpu(device)?;
    // SAFETY: the same contract.
    unsafe {
        list(count, properties, &[108_usize << 20], |p, bytes| {
            p.flags = 0;
            p.cacheSize = *bytes;
        })
    }
}

/// `zeDeviceGetImageProperties`. Images have memory and can be copied; no simulated kernel reads one.
pub unsafe fn image_properties(
    device: ze_device_handle_t,
    properties: *mut ze_device_image_properties_t,
) -> Outcome {
    let gpu = gpu(device)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    let edge = crate::image::EDGE_MAX;
    (p.maxImageDims1D, p.maxImageDims2D, p.maxImageDims3D) = (edge, edge, 2048);
    p.maxImageBufferSize = gpu.device.total_bytes();
    p.maxImageArraySlices = 2048;
    (p.maxSamplers, p.maxReadImageArgs, p.maxWriteImageArgs) = (0, 0, 0);
    Ok(())
}

/// `zeDeviceGetExternalMemoryProperties`: memory of other interfaces can be neither imported nor exported.
pub unsafe fn external_memory_properties(
    device: ze_device_handle_t,
    properties: *mut ze_device_external_memory_properties_t,
) -> Outcome {
    gpu(device)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    (
        p.memoryAllocationImportTypes,
        p.memoryAllocationExportTypes,
        p.imageImportTypes,
        p.imageExportTypes,
    ) = (0, 0, 0, 0);
    Ok(())
}

/// `zeDeviceGetP2PProperties`: devices do not reach each other's memory directly.
pub unsafe fn p2p_properties(
    device: ze_device_handle_t,
    peer: ze_device_handle_t,
    properties: *mut ze_device_p2p_properties_t,
) -> Outcome {
    gpu(device)?;
    gpu(peer)?;
    // SAFETY: the caller's structure.
    unsafe { at(properties) }?.flags = 0;
    Ok(())
}

/// `zeDeviceCanAccessPeer`.
pub unsafe fn can_access_peer(
    device: ze_device_handle_t,
    peer: ze_device_handle_t,
    answer: *mut ze_bool_t,
) -> Outcome {
    let same = gpu(device)?.ordinal == gpu(peer)?.ordinal;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(answer, same.into()) }
}

/// `zeDeviceGetStatus`.
pub unsafe fn status(device: ze_device_handle_t) -> Outcome {
    gpu(device).map(drop)
}

/// `zeDeviceGetGlobalTimestamps`: host and device have the same clock.
pub unsafe fn global_timestamps(
    device: ze_device_handle_t,
    host: *mut u64,
    on_device: *mut u64,
) -> Outcome {
    gpu(device)?;
    require(!host.is_null() && !on_device.is_null(), rc::NULL_POINTER)?;
    let now_ns = now_ns();
    // SAFETY: checked above.
    unsafe {
        put(host, now_ns)?;
        put(on_device, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_shown_the_engines_that_it_asks_for() {
        assert_eq!([0, 1].map(|at| engines_of("1:4,0:2", at)), [2, 4]);
        assert_eq!(engines_of("", 0), 1);
        assert_eq!(engines_of("0:9", 0), COMPUTE_ENGINES_MAX);
    }
}
