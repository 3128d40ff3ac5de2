//! Stream-ordered allocation, and what pools keep.

use crate::support::{Library, MIB, TENANT};
use cuda_sys::{CUmemLocationType, CUmemPool_attribute, CUmemPoolProps, CUmemoryPool, CUresult};
use std::ptr::null_mut;

fn alloc(cuda: &Library, mib: u64) -> u64 {
    let mut address = 0;
    let bytes = (mib * MIB) as usize;
    ok!(cuda, cuMemAllocAsync(&mut address, bytes, null_mut()));
    address
}

fn free(cuda: &Library, address: u64) {
    ok!(cuda, cuMemFreeAsync(address, null_mut()));
    ok!(cuda, cuCtxSynchronize());
}

fn set_threshold(cuda: &Library, pool: CUmemoryPool, bytes: u64) {
    let mut bytes = bytes;
    let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    ok!(
        cuda,
        cuMemPoolSetAttribute(pool, attribute, (&raw mut bytes).cast())
    );
}

fn default_pool(cuda: &Library) -> CUmemoryPool {
    let mut pool = null_mut();
    ok!(cuda, cuDeviceGetDefaultMemPool(&mut pool, 0));
    pool
}

#[test]
fn stream_ordered_memory_is_charged_and_given_back() {
    TENANT.run(crate::here!(), |cuda| {
        let one = alloc(cuda, 64);
        let mut two = 0;
        ok!(cuda, cuMemAllocAsync_ptsz(&mut two, 64 << 20, null_mut()));
        assert_eq!(cuda.charged_mib(), 128);
        refused!(cuda, cuMemAllocAsync(&mut 0, 2 << 30, null_mut()));
        assert_eq!(cuda.charged_mib(), 128);
        free(cuda, one);
        ok!(cuda, cuMemFree_v2(two));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn what_a_pool_keeps_stays_charged_and_is_used_again() {
    TENANT.run(crate::here!(), |cuda| {
        set_threshold(cuda, default_pool(cuda), u64::MAX);
        let one = alloc(cuda, 1000);
        free(cuda, one);
        assert_eq!(cuda.charged_mib(), 1000, "the pool has it");
        let two = alloc(cuda, 600);
        assert_eq!(cuda.charged_mib(), 1000, "out of what the pool has");
        let three = alloc(cuda, 500);
        assert_eq!(cuda.charged_mib(), 1100);
        free(cuda, two);
        free(cuda, three);
        assert_eq!(cuda.charged_mib(), 1100);
        ok!(cuda, cuMemPoolTrimTo(default_pool(cuda), 0));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_full_tenant_gets_what_its_pools_keep() {
    TENANT.run(crate::here!(), |cuda| {
        set_threshold(cuda, default_pool(cuda), u64::MAX);
        let one = alloc(cuda, 1400);
        free(cuda, one);
        assert_eq!(cuda.charged_mib(), 1400);
        let plain = cuda.alloc_mib(1400);
        assert_eq!(cuda.charged_mib(), 1400, "trimmed, then allocated");
        refused!(cuda, cuMemAllocAsync(&mut 0, 1 << 30, null_mut()));
        ok!(cuda, cuMemFree_v2(plain));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_threshold_bounds_what_is_kept_and_can_be_lowered() {
    TENANT.run(crate::here!(), |cuda| {
        let pool = default_pool(cuda);
        set_threshold(cuda, pool, 100 * MIB);
        let one = alloc(cuda, 300);
        free(cuda, one);
        assert_eq!(cuda.charged_mib(), 100);
        ok!(cuda, cuMemPoolTrimTo(pool, (40 * MIB) as usize));
        assert_eq!(cuda.charged_mib(), 40);
        ok!(cuda, cuMemPoolTrimTo(pool, 0));
        set_threshold(cuda, pool, 0);
        let two = alloc(cuda, 300);
        free(cuda, two);
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn pools_of_the_program_keep_their_own() {
    TENANT.run(crate::here!(), |cuda| {
        let mut props = CUmemPoolProps::default();
        // CU_MEM_ALLOCATION_TYPE_PINNED.
        props.allocType.0 = 1;
        props.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        let mut pool: CUmemoryPool = null_mut();
        ok!(cuda, cuMemPoolCreate(&mut pool, &props));
        set_threshold(cuda, pool, u64::MAX);
        let mut address = 0;
        let bytes = (256 * MIB) as usize;
        ok!(
            cuda,
            cuMemAllocFromPoolAsync(&mut address, bytes, pool, null_mut())
        );
        free(cuda, address);
        assert_eq!(cuda.charged_mib(), 256);
        let elsewhere = alloc(cuda, 256);
        assert_eq!(cuda.charged_mib(), 512, "the default pool has none of it");
        free(cuda, elsewhere);
        assert_eq!(cuda.charged_mib(), 256, "and keeps nothing");
        ok!(cuda, cuDeviceSetMemPool(0, pool));
        let inside = alloc(cuda, 256);
        assert_eq!(cuda.charged_mib(), 256, "now it is the current one");
        free(cuda, inside);
        ok!(cuda, cuDeviceSetMemPool(0, default_pool(cuda)));
        ok!(cuda, cuMemPoolDestroy(pool));
        assert_eq!(cuda.charged_mib(), 0);
        let gone = cu!(cuda, cuMemPoolDestroy(pool));
        assert_ne!(gone, CUresult::CUDA_SUCCESS);
    });
}

#[test]
fn what_a_pool_keeps_beyond_a_context_is_charged_with_the_next() {
    TENANT.run(crate::here!(), |cuda| {
        set_threshold(cuda, default_pool(cuda), u64::MAX);
        let one = alloc(cuda, 500);
        free(cuda, one);
        alloc(cuda, 100);
        assert_eq!(cuda.charged_mib(), 500);
        ok!(cuda, cuDevicePrimaryCtxReset_v2(0));
        let mut context = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        // The simulated driver's default pool and what it kept are still there.
        assert_eq!(cuda.charged_mib(), 500);
        let two = alloc(cuda, 100);
        assert_eq!(cuda.charged_mib(), 500);
        free(cuda, two);
        ok!(cuda, cuMemPoolTrimTo(default_pool(cuda), 0));
        assert_eq!(cuda.charged_mib(), 0);
    });
}
