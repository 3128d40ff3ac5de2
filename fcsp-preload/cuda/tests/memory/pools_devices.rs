//! Pools of a device that is not the current one, and pools that outlive their device's contexts.

use crate::support::{Library, MIB, Program, TENANT};
use cuda_sys::{CUcontext, CUmemLocationType, CUmemPoolProps, CUmemoryPool, CUstream};
use std::ptr::null_mut;

const TWO_DEVICES: Program = Program {
    env: &[
        ("FCSP_TENANT", "tester"),
        ("FCSP_SIM_DEVICES", "2"),
        ("BUD_MEMORY_LIMIT_DEV1", "1024MiB"),
    ],
    ..TENANT
};

/// Contexts of both devices, the first one current.
fn contexts(cuda: &Library) -> [CUcontext; 2] {
    let mut both = [null_mut(); 2];
    ok!(cuda, cuCtxGetCurrent(&mut both[0]));
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut both[1], 1));
    both
}

/// What is charged on either device.
fn charged_mib(cuda: &Library, contexts: [CUcontext; 2]) -> [u64; 2] {
    let charged = contexts.map(|context| {
        ok!(cuda, cuCtxSetCurrent(context));
        cuda.charged_mib()
    });
    ok!(cuda, cuCtxSetCurrent(contexts[0]));
    charged
}

fn pool_of_second(cuda: &Library) -> CUmemoryPool {
    let mut props = CUmemPoolProps::default();
    // CU_MEM_ALLOCATION_TYPE_PINNED.
    props.allocType.0 = 1;
    props.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    props.location.id = 1;
    let mut pool = null_mut();
    ok!(cuda, cuMemPoolCreate(&mut pool, &props));
    pool
}

fn alloc_from(cuda: &Library, mib: u64, pool: CUmemoryPool) -> u64 {
    let mut address = 0;
    let bytes = (mib * MIB) as usize;
    ok!(
        cuda,
        cuMemAllocFromPoolAsync(&mut address, bytes, pool, null_mut())
    );
    address
}

#[test]
fn a_stream_takes_from_the_pool_of_its_own_device() {
    TWO_DEVICES.run(crate::here!(), |cuda| {
        let both = contexts(cuda);
        let mut there: CUstream = null_mut();
        ok!(cuda, cuCtxSetCurrent(both[1]));
        // CU_STREAM_NON_BLOCKING.
        ok!(cuda, cuStreamCreate(&mut there, 1));
        ok!(cuda, cuCtxSetCurrent(both[0]));
        let mut address = 0;
        ok!(cuda, cuMemAllocAsync(&mut address, 100 << 20, there));
        assert_eq!(charged_mib(cuda, both), [0, 128]);
        refused!(cuda, cuMemAllocAsync(&mut 0, 1000 << 20, there));
        ok!(cuda, cuMemFreeAsync(address, there));
        ok!(cuda, cuStreamSynchronize(there));
        assert_eq!(charged_mib(cuda, both), [0, 0]);
    });
}

#[test]
fn the_default_pool_of_a_device_that_is_new_is_charged_there() {
    TWO_DEVICES.run(crate::here!(), |cuda| {
        let mut pool = null_mut();
        ok!(cuda, cuDeviceGetDefaultMemPool(&mut pool, 1));
        alloc_from(cuda, 100, pool);
        assert_eq!(charged_mib(cuda, contexts(cuda)), [0, 128]);
    });
}

#[test]
fn a_pool_that_outlives_its_contexts_is_still_its_devices() {
    TWO_DEVICES.run(crate::here!(), |cuda| {
        let both = contexts(cuda);
        let pool = pool_of_second(cuda);
        alloc_from(cuda, 100, pool);
        assert_eq!(charged_mib(cuda, both), [0, 128]);
        ok!(cuda, cuDevicePrimaryCtxReset_v2(1));
        let both = contexts(cuda);
        let address = alloc_from(cuda, 300, pool);
        // The simulated driver's pool has what a stream of the first device has of it, too.
        assert_eq!(charged_mib(cuda, both), [0, 128 + 320]);
        // It goes with the last of it.
        ok!(cuda, cuMemPoolDestroy(pool));
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(charged_mib(cuda, both), [0, 128 + 320]);
        ok!(cuda, cuMemFree_v2(address));
        assert_eq!(charged_mib(cuda, both), [0, 0]);
    });
}
