//! What the simulated MI210 says it is, in both layouts of `hipDeviceProp_t`.

use crate::driver::COMPUTE_UNITS;
use fcsp_sim_driver::driver::Gpu;
use hip_sys::{hipDeviceArch_t, hipDeviceProp_tR0000, hipDeviceProp_tR0600};
use std::ffi::{c_char, c_int};

/// Most memory a copy can step over in one row.
const PITCH_BYTES_MAX: usize = 0x7fff_ffff;

/// Writes a text into a field of characters, cut to fit and ended.
fn write_text<const N: usize>(field: &mut [c_char; N], text: &str) {
    for (place, byte) in field.iter_mut().zip(text.bytes().take(N - 1)) {
        *place = byte as c_char;
    }
}

/// Everything the architecture has.
fn architecture() -> hipDeviceArch_t {
    // A bit for each feature; the simulated device has those of gfx90a.
    let mut arch = hipDeviceArch_t::default();
    arch.set_hasGlobalInt32Atomics(1);
    arch.set_hasGlobalFloatAtomicExch(1);
    arch.set_hasSharedInt32Atomics(1);
    arch.set_hasSharedFloatAtomicExch(1);
    arch.set_hasFloatAtomicAdd(1);
    arch.set_hasGlobalInt64Atomics(1);
    arch.set_hasSharedInt64Atomics(1);
    arch.set_hasDoubles(1);
    arch.set_hasWarpVote(1);
    arch.set_hasWarpBallot(1);
    arch.set_hasWarpShuffle(1);
    arch.set_hasThreadFenceSystem(1);
    arch.set_hasSyncThreadsExt(1);
    arch.set_has3dGrid(1);
    arch
}

/// The layout since HIP 6.
pub fn since_6(gpu: &Gpu) -> hipDeviceProp_tR0600 {
    let mut p = hipDeviceProp_tR0600 {
        totalGlobalMem: gpu.device.total_bytes() as usize,
        sharedMemPerBlock: 65_536,
        regsPerBlock: 65_536,
        warpSize: 64,
        memPitch: PITCH_BYTES_MAX,
        maxThreadsPerBlock: 1024,
        maxThreadsDim: [1024; 3],
        maxGridSize: [c_int::MAX, 65_536, 65_536],
        clockRate: 1_700_000,
        totalConstMem: PITCH_BYTES_MAX,
        major: 9,
        minor: 0,
        textureAlignment: 256,
        texturePitchAlignment: 256,
        deviceOverlap: 1,
        multiProcessorCount: COMPUTE_UNITS as c_int,
        canMapHostMemory: 1,
        concurrentKernels: 1,
        ECCEnabled: 1,
        pciBusID: gpu.device.pci_bus() as c_int,
        asyncEngineCount: 8,
        unifiedAddressing: 1,
        memoryClockRate: 1_600_000,
        memoryBusWidth: 4096,
        l2CacheSize: 8 << 20,
        maxThreadsPerMultiProcessor: 2048,
        streamPrioritiesSupported: 1,
        globalL1CacheSupported: 1,
        localL1CacheSupported: 1,
        sharedMemPerMultiprocessor: 65_536,
        regsPerMultiprocessor: 65_536,
        managedMemory: 1,
        hostNativeAtomicSupported: 1,
        pageableMemoryAccess: 0,
        concurrentManagedAccess: 1,
        canUseHostPointerForRegisteredMem: 1,
        cooperativeLaunch: 1,
        cooperativeMultiDeviceLaunch: 1,
        sharedMemPerBlockOptin: 65_536,
        maxBlocksPerMultiProcessor: 32,
        hostRegisterSupported: 1,
        memoryPoolsSupported: 1,
        maxSharedMemoryPerMultiProcessor: 65_536,
        clockInstructionRate: 100_000,
        arch: architecture(),
        isLargeBar: 1,
        ..hipDeviceProp_tR0600::default()
    };
    p.uuid.bytes = uuid(gpu);
    write_text(&mut p.name, gpu.device.name());
    write_text(&mut p.gcnArchName, PROCESSOR_NAME);
    p
}

/// The processor with what it was made with.
const PROCESSOR_NAME: &str = "gfx90a:sramecc+:xnack-";

/// The layout of HIP 5, which says less.
pub fn of_5(gpu: &Gpu) -> hipDeviceProp_tR0000 {
    let now = since_6(gpu);
    hipDeviceProp_tR0000 {
        name: now.name,
        totalGlobalMem: now.totalGlobalMem,
        sharedMemPerBlock: now.sharedMemPerBlock,
        regsPerBlock: now.regsPerBlock,
        warpSize: now.warpSize,
        maxThreadsPerBlock: now.maxThreadsPerBlock,
        maxThreadsDim: now.maxThreadsDim,
        maxGridSize: now.maxGridSize,
        clockRate: now.clockRate,
        memoryClockRate: now.memoryClockRate,
        memoryBusWidth: now.memoryBusWidth,
        totalConstMem: now.totalConstMem,
        major: now.major,
        minor: now.minor,
        multiProcessorCount: now.multiProcessorCount,
        l2CacheSize: now.l2CacheSize,
        maxThreadsPerMultiProcessor: now.maxThreadsPerMultiProcessor,
        computeMode: now.computeMode,
        clockInstructionRate: now.clockInstructionRate,
        arch: now.arch,
        concurrentKernels: now.concurrentKernels,
        pciDomainID: now.pciDomainID,
        pciBusID: now.pciBusID,
        pciDeviceID: now.pciDeviceID,
        maxSharedMemoryPerMultiProcessor: now.maxSharedMemoryPerMultiProcessor,
        canMapHostMemory: now.canMapHostMemory,
        // The number of gfx90a in this old field, where a letter has no place.
        gcnArch: 910,
        gcnArchName: now.gcnArchName,
        cooperativeLaunch: now.cooperativeLaunch,
        cooperativeMultiDeviceLaunch: now.cooperativeMultiDeviceLaunch,
        memPitch: now.memPitch,
        textureAlignment: now.textureAlignment,
        texturePitchAlignment: now.texturePitchAlignment,
        ECCEnabled: now.ECCEnabled,
        isLargeBar: now.isLargeBar,
        managedMemory: now.managedMemory,
        concurrentManagedAccess: now.concurrentManagedAccess,
        pageableMemoryAccess: now.pageableMemoryAccess,
        ..hipDeviceProp_tR0000::default()
    }
}

/// The unique id as HIP writes it: 16 digits of the number that the management library also has.
pub fn uuid(gpu: &Gpu) -> [c_char; 16] {
    let mut text = [0; 16];
    let digits: String = gpu.device.uuid()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for (place, byte) in text.iter_mut().zip(digits.bytes()) {
        *place = byte as c_char;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_ended() {
        let mut field = [9 as c_char; 4];
        write_text(&mut field, "abcdef");
        assert_eq!(field[..3], [b'a' as c_char, b'b' as c_char, b'c' as c_char]);
        assert!(PROCESSOR_NAME.starts_with(crate::code_object::PROCESSOR));
    }
}
