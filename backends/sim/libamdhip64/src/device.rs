//! `hipDevice*`: what the simulated device says about itself.

use crate::border::{Outcome, chosen_device, put, put_optional, put_text, rc, refuse, require};
use crate::{own, properties};
use fcsp_sim_driver::context;
use fcsp_sim_driver::driver::{gpu, gpus, profile};
use fcsp_sim_driver::types::ContextHandle;
use hip_sys::{
    hipDeviceAttribute_t as A, hipDeviceProp_tR0000, hipDeviceProp_tR0600, hipError_t, hipUUID,
};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// `hipDeviceGet`.
pub unsafe fn get(place: *mut c_int, ordinal: c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, gpu(ordinal)?.ordinal) }
}

/// `hipGetDevicePropertiesR0600`.
pub unsafe fn properties(place: *mut hipDeviceProp_tR0600, device: c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, properties::since_6(gpu(device)?)) }
}

/// `hipGetDeviceProperties` as HIP 5 has it, and `hipGetDevicePropertiesR0000`.
pub unsafe fn properties_5(place: *mut hipDeviceProp_tR0000, device: c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, properties::of_5(gpu(device)?)) }
}

/// `hipChooseDevice` in any layout: all devices are alike.
pub unsafe fn choose(place: *mut c_int, wanted: *const c_void) -> Outcome {
    require(!wanted.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, 0) }
}

/// `hipDeviceGetName`.
pub unsafe fn name(place: *mut c_char, room: c_int, device: c_int) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put_text(gpu(device)?.device.name(), place, room) }
}

/// `hipDeviceGetUuid`.
pub unsafe fn uuid(place: *mut hipUUID, device: c_int) -> Outcome {
    let bytes = properties::uuid(gpu(device)?);
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, hipUUID { bytes }) }
}

/// `hipDeviceTotalMem`.
pub unsafe fn total_memory(place: *mut usize, device: c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, gpu(device)?.device.total_bytes() as usize) }
}

/// `hipDeviceComputeCapability`.
pub unsafe fn compute_capability(major: *mut c_int, minor: *mut c_int, device: c_int) -> Outcome {
    gpu(device)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put_optional(major, 9);
        put_optional(minor, 0);
    }
    Ok(())
}

/// `hipDeviceGetAttribute`.
pub unsafe fn attribute(place: *mut c_int, attribute: c_uint, device: c_int) -> Outcome {
    let p = properties::since_6(gpu(device)?);
    let small = |bytes: usize| c_int::try_from(bytes).unwrap_or(c_int::MAX);
    let value = match A(attribute) {
        A::hipDeviceAttributeEccEnabled => p.ECCEnabled,
        A::hipDeviceAttributeAsyncEngineCount => p.asyncEngineCount,
        A::hipDeviceAttributeCanMapHostMemory => p.canMapHostMemory,
        A::hipDeviceAttributeCanUseHostPointerForRegisteredMem => {
            p.canUseHostPointerForRegisteredMem
        }
        A::hipDeviceAttributeClockRate => p.clockRate,
        A::hipDeviceAttributeComputeMode => p.computeMode,
        A::hipDeviceAttributeConcurrentKernels => p.concurrentKernels,
        A::hipDeviceAttributeConcurrentManagedAccess => p.concurrentManagedAccess,
        A::hipDeviceAttributeCooperativeLaunch => p.cooperativeLaunch,
        A::hipDeviceAttributeCooperativeMultiDeviceLaunch => p.cooperativeMultiDeviceLaunch,
        A::hipDeviceAttributeDeviceOverlap => p.deviceOverlap,
        A::hipDeviceAttributeDirectManagedMemAccessFromHost => p.directManagedMemAccessFromHost,
        A::hipDeviceAttributeGlobalL1CacheSupported => p.globalL1CacheSupported,
        A::hipDeviceAttributeHostNativeAtomicSupported => p.hostNativeAtomicSupported,
        A::hipDeviceAttributeIntegrated => p.integrated,
        A::hipDeviceAttributeIsMultiGpuBoard => p.isMultiGpuBoard,
        A::hipDeviceAttributeKernelExecTimeout => p.kernelExecTimeoutEnabled,
        A::hipDeviceAttributeL2CacheSize => p.l2CacheSize,
        A::hipDeviceAttributeLocalL1CacheSupported => p.localL1CacheSupported,
        A::hipDeviceAttributeComputeCapabilityMajor => p.major,
        A::hipDeviceAttributeComputeCapabilityMinor => p.minor,
        A::hipDeviceAttributeManagedMemory => p.managedMemory,
        A::hipDeviceAttributeMaxBlocksPerMultiProcessor => p.maxBlocksPerMultiProcessor,
        A::hipDeviceAttributeMaxBlockDimX => p.maxThreadsDim[0],
        A::hipDeviceAttributeMaxBlockDimY => p.maxThreadsDim[1],
        A::hipDeviceAttributeMaxBlockDimZ => p.maxThreadsDim[2],
        A::hipDeviceAttributeMaxGridDimX => p.maxGridSize[0],
        A::hipDeviceAttributeMaxGridDimY => p.maxGridSize[1],
        A::hipDeviceAttributeMaxGridDimZ => p.maxGridSize[2],
        A::hipDeviceAttributeMaxThreadsPerBlock => p.maxThreadsPerBlock,
        A::hipDeviceAttributeMaxThreadsPerMultiProcessor => p.maxThreadsPerMultiProcessor,
        A::hipDeviceAttributeMaxPitch => small(p.memPitch),
        A::hipDeviceAttributeMemoryBusWidth => p.memoryBusWidth,
        A::hipDeviceAttributeMemoryClockRate => p.memoryClockRate,
        A::hipDeviceAttributeMultiprocessorCount
        | A::hipDeviceAttributePhysicalMultiProcessorCount => p.multiProcessorCount,
        A::hipDeviceAttributePageableMemoryAccess => p.pageableMemoryAccess,
        A::hipDeviceAttributePageableMemoryAccessUsesHostPageTables => {
            p.pageableMemoryAccessUsesHostPageTables
        }
        A::hipDeviceAttributePciBusId => p.pciBusID,
        A::hipDeviceAttributePciDeviceId => p.pciDeviceID,
        A::hipDeviceAttributePciDomainID => p.pciDomainID,
        A::hipDeviceAttributeMaxRegistersPerBlock => p.regsPerBlock,
        A::hipDeviceAttributeMaxRegistersPerMultiprocessor => p.regsPerMultiprocessor,
        A::hipDeviceAttributeMaxSharedMemoryPerBlock => small(p.sharedMemPerBlock),
        A::hipDeviceAttributeSharedMemPerBlockOptin => small(p.sharedMemPerBlockOptin),
        A::hipDeviceAttributeSharedMemPerMultiprocessor
        | A::hipDeviceAttributeMaxSharedMemoryPerMultiprocessor => {
            small(p.sharedMemPerMultiprocessor)
        }
        A::hipDeviceAttributeStreamPrioritiesSupported => p.streamPrioritiesSupported,
        A::hipDeviceAttributeTextureAlignment => small(p.textureAlignment),
        A::hipDeviceAttributeTexturePitchAlignment => small(p.texturePitchAlignment),
        A::hipDeviceAttributeTotalConstantMemory => small(p.totalConstMem),
        A::hipDeviceAttributeUnifiedAddressing => p.unifiedAddressing,
        A::hipDeviceAttributeWarpSize => p.warpSize,
        A::hipDeviceAttributeMemoryPoolsSupported
        | A::hipDeviceAttributeVirtualMemoryManagementSupported
        | A::hipDeviceAttributeHostRegisterSupported
        | A::hipDeviceAttributeCanUseStreamWaitValue
        | A::hipDeviceAttributeFineGrainSupport
        | A::hipDeviceAttributeIsLargeBar => 1,
        A::hipDeviceAttributeClockInstructionRate => p.clockInstructionRate,
        // In kHz: what simulated kernels note is in nanoseconds.
        A::hipDeviceAttributeWallClockRate => 1_000_000,
        A::hipDeviceAttributeImageSupport
        | A::hipDeviceAttributeMemoryPoolSupportedHandleTypes
        | A::hipDeviceAttributeAsicRevision => 0,
        _ => return Err(rc::INVALID_VALUE),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, value) }
}

fn pci_text(device: c_int) -> Result<String, fcsp_sim_driver::Failure> {
    Ok(format!("0000:{:02x}:00.0", gpu(device)?.device.pci_bus()))
}

/// `hipDeviceGetPCIBusId`.
pub unsafe fn pci_bus_id(place: *mut c_char, room: c_int, device: c_int) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put_text(&pci_text(device)?, place, room) }
}

/// `hipDeviceGetByPCIBusId`.
pub unsafe fn by_pci_bus_id(place: *mut c_int, text: *const c_char) -> Outcome {
    require(!place.is_null() && !text.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's NUL-terminated text.
    let wanted = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    for gpu in gpus() {
        if pci_text(gpu.ordinal)?.eq_ignore_ascii_case(&wanted) {
            // SAFETY: checked above.
            return unsafe { put(place, gpu.ordinal) };
        }
    }
    refuse(hipError_t::hipErrorInvalidValue)
}

/// `hipDeviceCanAccessPeer`: devices of one process share an address space here.
pub unsafe fn can_access_peer(place: *mut c_int, device: c_int, peer: c_int) -> Outcome {
    let different = gpu(device)?.ordinal != gpu(peer)?.ordinal;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, c_int::from(different)) }
}

/// `hipDeviceEnablePeerAccess`.
pub unsafe fn enable_peer(peer: c_int, flags: c_uint) -> Outcome {
    require(flags == 0, rc::INVALID_VALUE)?;
    require(gpu(peer)?.ordinal != chosen_device(), rc::INVALID_DEVICE)
}

/// `hipDeviceDisablePeerAccess`.
pub unsafe fn disable_peer(peer: c_int) -> Outcome {
    require(gpu(peer)?.ordinal != chosen_device(), rc::INVALID_DEVICE)
}

/// `hipDeviceGetP2PAttribute`: as good as it gets, between different devices of properties that the library asks itself.
pub unsafe fn peer_attribute(
    place: *mut c_int,
    attribute: c_uint,
    from: c_int,
    to: c_int,
) -> Outcome {
    require(gpu(from)?.ordinal != gpu(to)?.ordinal, rc::INVALID_DEVICE)?;
    let mut properties = Box::<hipDeviceProp_tR0600>::default();
    // SAFETY: the larger of the two layouts.
    unsafe { own::device_properties((&raw mut *properties).cast(), from)? };
    // Rank of the link, access, atomics, arrays.
    let value = match attribute {
        0 => 0,
        1 | 2 => 1,
        3 => 0,
        _ => return Err(rc::INVALID_VALUE),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, value) }
}

/// `hipDeviceSetCacheConfig`, `hipDeviceSetSharedMemConfig`: hints that no AMD device follows.
pub unsafe fn set_hint(_hint: c_uint) -> Outcome {
    Ok(())
}

/// `hipDeviceGetCacheConfig`, `hipDeviceGetSharedMemConfig`: no preference.
pub unsafe fn get_hint(place: *mut c_uint) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, 0) }
}

/// The limit of a number of HIP's: 0 stack, 1 printf, 2 heap. What else CUDA has, it does not.
fn limit(number: c_uint) -> Result<c_uint, fcsp_sim_driver::Failure> {
    require(
        (number as usize) < profile().limits.len(),
        rc::NOT_SUPPORTED,
    )?;
    Ok(number)
}

/// `hipDeviceGetLimit`.
pub unsafe fn get_limit(place: *mut usize, number: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { context::limit(place, limit(number)?) }
}

/// `hipDeviceSetLimit`.
pub unsafe fn set_limit(number: c_uint, value: usize) -> Outcome {
    // SAFETY: the same contract.
    unsafe { context::set_limit(limit(number)?, value) }
}

/// `hipGetDeviceFlags`.
pub unsafe fn flags(place: *mut c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { context::flags(place) }
}

/// `hipSetDeviceFlags`: how a thread waits, and whether host memory can be mapped.
pub unsafe fn set_flags(flags: c_uint) -> Outcome {
    let known = hip_sys::hipDeviceScheduleMask | hip_sys::hipDeviceMapHost | 0x10;
    require(flags & !known == 0, rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe { context::set_flags(flags) }
}

/// `hipCtxGetCurrent`: the primary context of the thread's device.
pub unsafe fn context(place: *mut ContextHandle) -> Outcome {
    // SAFETY: the same contract.
    unsafe { context::get_current(place) }
}

/// `hipDevicePrimaryCtxRelease` and `…Reset`: HIP keeps a device's context as long as the process lives.
pub unsafe fn keep_primary(device: c_int) -> Outcome {
    gpu(device).map(drop)
}

/// `hipProfilerStart` and `hipProfilerStop`, which HIP does not support either.
pub unsafe fn no_profiler() -> Outcome {
    Err(rc::NOT_SUPPORTED)
}
