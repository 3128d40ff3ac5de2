//! Memory pools as they were probed on an H100 with driver 580.159 in November 2026: when they grow and
//! when they give memory back.

#[path = "support/driver.rs"]
mod driver;
mod support;

use cuda_sys::{
    CUmemLocationType, CUmemPool_attribute_enum, CUmemPoolProps, CUmemoryPool, CUresult,
};
use driver::{driver, stream, word};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

const MIB: usize = 1 << 20;

/// MiB that a pool has of its device.
fn reserved_mib(cuda: &support::Cuda, pool: CUmemoryPool) -> u64 {
    let mut bytes = 0_u64;
    let which = CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT;
    ok!(
        cuda,
        cuMemPoolGetAttribute(pool, which, (&raw mut bytes).cast())
    );
    bytes >> 20
}

fn default_pool(cuda: &support::Cuda) -> CUmemoryPool {
    let mut pool = null_mut();
    ok!(cuda, cuDeviceGetDefaultMemPool(&mut pool, 0));
    pool
}

#[test]
fn a_pool_grows_for_other_streams_while_work_is_pending() {
    let (cuda, _alone) = driver();
    let pool = default_pool(cuda);
    let gate = cuda.pinned(64);
    let (gated, other) = (stream(cuda, 1), stream(cuda, 1));
    let mut address = 0;
    ok!(cuda, cuMemAllocAsync(&mut address, 20 * MIB, gated));
    ok!(cuda, cuStreamWaitValue32_v2(gated, gate, 1, 0));
    ok!(cuda, cuMemFreeAsync(address, gated));
    ok!(cuda, cuMemAllocAsync(&mut address, 20 * MIB, gated));
    assert_eq!(
        reserved_mib(cuda, pool),
        32,
        "the same stream uses it again"
    );
    ok!(cuda, cuMemFreeAsync(address, gated));
    let mut elsewhere = 0;
    ok!(cuda, cuMemAllocAsync(&mut elsewhere, 20 * MIB, other));
    assert_eq!(reserved_mib(cuda, pool), 64, "the free is behind a gate");
    ok!(cuda, cuStreamSynchronize(other));
    assert_eq!(reserved_mib(cuda, pool), 64, "nor does that free it");
    word(gate).store(1, Release);
    ok!(cuda, cuStreamSynchronize(gated));
    assert_eq!(reserved_mib(cuda, pool), 32);
    ok!(cuda, cuMemFree_v2(elsewhere));
    assert_eq!(
        reserved_mib(cuda, pool),
        0,
        "a plain free gives back at once"
    );
    ok!(cuda, cuStreamDestroy_v2(gated));
    ok!(cuda, cuStreamDestroy_v2(other));
}

#[test]
fn a_full_device_makes_ordered_allocations_wait_and_plain_ones_fail() {
    let (cuda, _alone) = driver();
    let pool = default_pool(cuda);
    let (mut free, mut total) = (0, 0);
    ok!(cuda, cuMemGetInfo_v2(&mut free, &mut total));
    let most = free / 10 * 6;
    let gate = cuda.pinned(64);
    let gated = stream(cuda, 1);
    let mut address = 0;
    ok!(cuda, cuMemAllocAsync(&mut address, most, gated));
    ok!(cuda, cuStreamWaitValue32_v2(gated, gate, 1, 0));
    ok!(cuda, cuMemFreeAsync(address, gated));
    assert_eq!(
        cu!(cuda, cuMemAlloc_v2(&mut address, most)),
        CUresult::CUDA_ERROR_OUT_OF_MEMORY
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            word(gate).store(1, Release);
        });
        ok!(cuda, cuMemAllocAsync(&mut address, most, null_mut()));
    });
    ok!(cuda, cuMemFreeAsync(address, null_mut()));
    ok!(cuda, cuCtxSynchronize());
    assert_eq!(reserved_mib(cuda, pool), 0);
    ok!(cuda, cuStreamDestroy_v2(gated));
}

#[test]
fn a_destroyed_pool_keeps_its_memory_until_all_of_it_is_freed() {
    let (cuda, _alone) = driver();
    let mut props = CUmemPoolProps::default();
    // CU_MEM_ALLOCATION_TYPE_PINNED.
    props.allocType.0 = 1;
    props.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    let mut pool = null_mut();
    ok!(cuda, cuMemPoolCreate(&mut pool, &props));
    let free_bytes = || {
        let mut free = 0;
        ok!(cuda, cuMemGetInfo_v2(&mut free, null_mut()));
        free
    };
    let before = free_bytes();
    let mut address = 0;
    ok!(
        cuda,
        cuMemAllocFromPoolAsync(&mut address, 40 * MIB, pool, null_mut())
    );
    ok!(cuda, cuMemPoolDestroy(pool));
    assert_eq!(before - free_bytes(), 64 * MIB);
    ok!(cuda, cuMemFreeAsync(address, null_mut()));
    ok!(cuda, cuCtxSynchronize());
    assert_eq!(before, free_bytes());
}
