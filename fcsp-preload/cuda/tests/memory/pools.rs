//! Memory pools are charged what they have of their device, which the simulated driver gives and takes
//! as a real one was seen to (see its `pool_chunks.rs`): by 32 MiB, and back when somebody waits.

use crate::support::{Library, MIB, Program, TENANT};
use cuda_sys::{
    CU_MEMHOSTALLOC_DEVICEMAP, CUmemLocationType, CUmemPool_attribute, CUmemPoolProps,
    CUmemoryPool, CUresult, CUstream,
};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn alloc(cuda: &Library, mib: u64) -> u64 {
    alloc_in(cuda, mib, null_mut())
}

fn alloc_in(cuda: &Library, mib: u64, stream: CUstream) -> u64 {
    let mut address = 0;
    let bytes = (mib * MIB) as usize;
    ok!(cuda, cuMemAllocAsync(&mut address, bytes, stream));
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

fn new_pool(cuda: &Library) -> CUmemoryPool {
    let mut props = CUmemPoolProps::default();
    // CU_MEM_ALLOCATION_TYPE_PINNED.
    props.allocType.0 = 1;
    props.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    let mut pool: CUmemoryPool = null_mut();
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

/// A stream that takes turns with no other.
fn new_stream(cuda: &Library) -> CUstream {
    // CU_STREAM_NON_BLOCKING.
    let mut stream = null_mut();
    ok!(cuda, cuStreamCreate(&mut stream, 1));
    stream
}

/// A word that streams can wait for.
struct Gate(*mut AtomicU32);

// SAFETY: an atomic in memory that lives as long as the program.
unsafe impl Sync for Gate {}

impl Gate {
    fn new(cuda: &Library) -> Self {
        let mut place = null_mut();
        ok!(
            cuda,
            cuMemHostAlloc(&mut place, 64, CU_MEMHOSTALLOC_DEVICEMAP)
        );
        let gate = Self(place.cast());
        gate.word().store(0, Ordering::Release);
        gate
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: page-locked memory that is never freed, aligned, used as an atomic only.
        unsafe { &*self.0 }
    }

    /// Holds `stream` back until it is opened.
    fn close(&self, cuda: &Library, stream: CUstream) {
        self.word().store(0, Ordering::Release);
        let address = self.0 as u64;
        ok!(cuda, cuStreamWaitValue32_v2(stream, address, 1, 0));
    }

    fn open(&self) {
        self.word().store(1, Ordering::Release);
    }
}

#[test]
fn a_pool_is_charged_what_it_has_of_its_device() {
    TENANT.run(crate::here!(), |cuda| {
        let one = alloc(cuda, 3);
        assert_eq!(cuda.charged_mib(), 32);
        let two = alloc(cuda, 33);
        assert_eq!(cuda.charged_mib(), 96);
        let small: Vec<u64> = (0..41).map(|_| alloc(cuda, 1)).collect();
        assert_eq!(cuda.charged_mib(), 96, "there is room for these");
        for address in small {
            ok!(cuda, cuMemFreeAsync(address, null_mut()));
        }
        ok!(cuda, cuMemFreeAsync(one, null_mut()));
        free(cuda, two);
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn stream_ordered_memory_is_charged_and_given_back() {
    TENANT.run(crate::here!(), |cuda| {
        let one = alloc(cuda, 64);
        let mut two = 0;
        ok!(cuda, cuMemAllocAsync_ptsz(&mut two, 64 << 20, null_mut()));
        assert_eq!(cuda.charged_mib(), 128);
        refused!(cuda, cuMemAllocAsync(&mut 0, 2 << 30, null_mut()));
        refused!(cuda, cuMemAllocAsync(&mut 0, 1500 << 20, null_mut()));
        assert_eq!(cuda.charged_mib(), 128);
        let absurd = cu!(cuda, cuMemAllocAsync(&mut 0, usize::MAX, null_mut()));
        assert_eq!(absurd, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        assert_eq!(cuda.charged_mib(), 128);
        free(cuda, one);
        assert_eq!(cuda.charged_mib(), 64);
        ok!(cuda, cuMemFree_v2(two));
        assert_eq!(cuda.charged_mib(), 0, "a plain free gives back at once");
    });
}

#[test]
fn what_the_driver_refuses_is_not_charged() {
    let crowded = Program {
        device_mib: 1024,
        ..TENANT
    };
    crowded.run(crate::here!(), |cuda| {
        let one = alloc(cuda, 100);
        for _ in 0..3 {
            let bytes = (700 * MIB) as usize;
            let refused = cu!(cuda, cuMemAllocAsync(&mut 0, bytes, null_mut()));
            assert_eq!(refused, CUresult::CUDA_ERROR_OUT_OF_MEMORY);
            assert_eq!(cuda.charged_mib(), 128);
        }
        let bad = cu!(cuda, cuMemAllocAsync(&mut 0, 0, null_mut()));
        assert_eq!(bad, CUresult::CUDA_ERROR_INVALID_VALUE);
        free(cuda, one);
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_free_counts_once_somebody_has_waited() {
    TENANT.run(crate::here!(), |cuda| {
        let stream = new_stream(cuda);
        let waits: [&dyn Fn(); 5] = [
            &|| ok!(cuda, cuStreamSynchronize(stream)),
            &|| ok!(cuda, cuCtxSynchronize()),
            &|| ok!(cuda, cuCtxSynchronize_v2(null_mut())),
            &|| {
                let mut event = null_mut();
                ok!(cuda, cuEventCreate(&mut event, 0));
                ok!(cuda, cuEventRecord(event, stream));
                ok!(cuda, cuEventSynchronize(event));
                ok!(cuda, cuEventDestroy_v2(event));
            },
            &|| ok!(cuda, cuStreamSynchronize_ptsz(stream)),
        ];
        for (number, wait) in waits.into_iter().enumerate() {
            let address = alloc_in(cuda, 100, stream);
            ok!(cuda, cuMemFreeAsync(address, stream));
            assert_eq!(cuda.charged_mib(), 128, "wait {number}: the driver has it");
            refused!(cuda, cuMemAlloc_v2(&mut 0, 1410 << 20));
            wait();
            assert_eq!(cuda.charged_mib(), 0, "wait {number}");
        }
    });
}

#[test]
fn what_a_gate_holds_back_stays_charged() {
    TENANT.run(crate::here!(), |cuda| {
        let (gate, held, other) = (Gate::new(cuda), new_stream(cuda), new_stream(cuda));
        let one = alloc_in(cuda, 500, held);
        gate.close(cuda, held);
        ok!(cuda, cuMemFreeAsync(one, held));
        let two = alloc_in(cuda, 500, other);
        assert_eq!(cuda.charged_mib(), 1024, "the pool grew for another stream");
        ok!(cuda, cuMemFreeAsync(two, other));
        ok!(cuda, cuStreamSynchronize(other));
        assert_eq!(cuda.charged_mib(), 512);
        gate.open();
        ok!(cuda, cuStreamSynchronize(held));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn near_the_quota_an_allocation_waits_for_what_its_stream_freed() {
    TENANT.run(crate::here!(), |cuda| {
        let (gate, stream) = (Gate::new(cuda), new_stream(cuda));
        let one = alloc_in(cuda, 1000, stream);
        gate.close(cuda, stream);
        ok!(cuda, cuMemFreeAsync(one, stream));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                gate.open();
            });
            // Larger than what was freed, so that the pool must grow.
            let two = alloc_in(cuda, 1200, stream);
            ok!(cuda, cuMemFreeAsync(two, stream));
        });
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn near_the_quota_an_allocation_waits_for_what_other_streams_freed() {
    TENANT.run(crate::here!(), |cuda| {
        let (gate, one, other) = (Gate::new(cuda), new_stream(cuda), new_stream(cuda));
        let address = alloc_in(cuda, 1000, one);
        gate.close(cuda, one);
        ok!(cuda, cuMemFreeAsync(address, one));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                gate.open();
            });
            let address = alloc_in(cuda, 1000, other);
            ok!(cuda, cuMemFreeAsync(address, other));
        });
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn what_would_not_fit_after_a_wait_is_refused_at_once() {
    TENANT.run(crate::here!(), |cuda| {
        let (gate, stream) = (Gate::new(cuda), new_stream(cuda));
        let address = alloc_in(cuda, 1000, stream);
        let plain = cuda.alloc_mib(400);
        gate.close(cuda, stream);
        ok!(cuda, cuMemFreeAsync(address, stream));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(2));
                gate.open();
            });
            let start = Instant::now();
            refused!(cuda, cuMemAllocAsync(&mut 0, 1200 << 20, stream));
            let took = start.elapsed();
            assert!(took < Duration::from_secs(1), "it waited: {took:?}");
            assert_eq!(cuda.charged_mib(), 1024 + 400);
            // This one fits then, and waits.
            let address = alloc_in(cuda, 1050, stream);
            ok!(cuda, cuMemFreeAsync(address, stream));
        });
        ok!(cuda, cuStreamSynchronize(stream));
        ok!(cuda, cuMemFree_v2(plain));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

/// A stream behind a gate frees a block and takes it again, where there is no room for a second one.
fn take_own_blocks_again(cuda: &Library) {
    let (gate, stream) = (Gate::new(cuda), new_stream(cuda));
    let mut address = alloc_in(cuda, 1000, stream);
    // From now on blocks are watched.
    refused!(cuda, cuMemAllocAsync(&mut 0, 1000 << 20, stream));
    std::thread::scope(|scope| {
        gate.close(cuda, stream);
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            gate.open();
        });
        let start = Instant::now();
        for step in 0..20 {
            ok!(cuda, cuMemFreeAsync(address, stream));
            address = alloc_in(cuda, 1000 - step, stream);
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "it waited: {took:?}");
        assert_eq!(cuda.charged_mib(), 1024);
    });
    ok!(cuda, cuMemFreeAsync(address, stream));
    ok!(cuda, cuStreamSynchronize(stream));
    assert_eq!(cuda.charged_mib(), 0);
}

#[test]
fn near_the_quota_a_stream_takes_its_own_blocks_again_without_a_wait() {
    TENANT.run(crate::here!(), take_own_blocks_again);
}

#[test]
fn blocks_are_watched_no_more_after_many_allocations_that_had_room() {
    TENANT.run(crate::here!(), |cuda| {
        take_own_blocks_again(cuda);
        for _ in 0..2000 {
            let address = alloc(cuda, 1);
            ok!(cuda, cuMemFreeAsync(address, null_mut()));
        }
        ok!(cuda, cuCtxSynchronize());
        // Nobody saw this block freed, so it is waited for.
        let (gate, stream) = (Gate::new(cuda), new_stream(cuda));
        let mut address = alloc_in(cuda, 1000, stream);
        gate.close(cuda, stream);
        ok!(cuda, cuMemFreeAsync(address, stream));
        let opened = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                opened.store(1, Ordering::Release);
                gate.open();
            });
            address = alloc_in(cuda, 1000, stream);
            assert_eq!(opened.load(Ordering::Acquire), 1, "it did not wait");
        });
        ok!(cuda, cuMemFreeAsync(address, stream));
        ok!(cuda, cuStreamSynchronize(stream));
        take_own_blocks_again(cuda);
    });
}

#[test]
fn a_driver_whose_pools_grow_by_more_is_learnt_and_held() {
    let wider = Program {
        env: &[
            ("FCSP_TENANT", "tester"),
            ("FCSP_SIM_POOL_CHUNK_BYTES", "134217728"),
        ],
        ..TENANT
    };
    wider.run(crate::here!(), |cuda| {
        let one = alloc(cuda, 3);
        assert_eq!(cuda.charged_mib(), 128, "seen, and charged");
        let plain = cuda.alloc_mib(1530 - 128 - 100);
        let before = cuda.charged_mib();
        // Two growths at most until the width is known; the one over the quota is undone.
        for _ in 0..3 {
            refused!(cuda, cuMemAllocAsync(&mut 0, 127 << 20, null_mut()));
            assert_eq!(cuda.charged_mib(), before);
        }
        ok!(cuda, cuMemFree_v2(plain));
        free(cuda, one);
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn what_a_pool_keeps_stays_charged_and_is_used_again() {
    TENANT.run(crate::here!(), |cuda| {
        set_threshold(cuda, default_pool(cuda), u64::MAX);
        let one = alloc(cuda, 600);
        free(cuda, one);
        assert_eq!(cuda.charged_mib(), 608, "the pool has it");
        let two = alloc(cuda, 400);
        assert_eq!(cuda.charged_mib(), 608, "out of what the pool has");
        let three = alloc(cuda, 500);
        assert_eq!(cuda.charged_mib(), 608 + 512);
        free(cuda, two);
        free(cuda, three);
        assert_eq!(cuda.charged_mib(), 608 + 512);
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
        assert_eq!(cuda.charged_mib(), 1408);
        let plain = cuda.alloc_mib(1400);
        assert_eq!(cuda.charged_mib(), 1400, "trimmed, then allocated");
        refused!(cuda, cuMemAllocAsync(&mut 0, 1 << 30, null_mut()));
        ok!(cuda, cuMemFree_v2(plain));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_full_tenant_gets_a_plain_allocation_once_somebody_has_waited() {
    TENANT.run(crate::here!(), |cuda| {
        let one = alloc(cuda, 1400);
        ok!(cuda, cuMemFreeAsync(one, null_mut()));
        refused!(cuda, cuMemAlloc_v2(&mut 0, 1400 << 20));
        ok!(cuda, cuStreamSynchronize(null_mut()));
        let plain = cuda.alloc_mib(1400);
        ok!(cuda, cuMemFree_v2(plain));
    });
}

#[test]
fn a_threshold_bounds_what_is_kept_and_can_be_lowered() {
    TENANT.run(crate::here!(), |cuda| {
        let pool = default_pool(cuda);
        set_threshold(cuda, pool, 96 * MIB);
        let held: Vec<u64> = (0..10).map(|_| alloc(cuda, 30)).collect();
        assert_eq!(cuda.charged_mib(), 320);
        for address in held {
            ok!(cuda, cuMemFreeAsync(address, null_mut()));
        }
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 96);
        ok!(cuda, cuMemPoolTrimTo(pool, (40 * MIB) as usize));
        assert_eq!(cuda.charged_mib(), 32);
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
        let pool = new_pool(cuda);
        set_threshold(cuda, pool, u64::MAX);
        let address = alloc_from(cuda, 256, pool);
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
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 0);
        let gone = cu!(cuda, cuMemPoolDestroy(pool));
        assert_ne!(gone, CUresult::CUDA_SUCCESS);
    });
}

#[test]
fn a_destroyed_pool_is_charged_while_something_of_it_lives() {
    TENANT.run(crate::here!(), |cuda| {
        let pool = new_pool(cuda);
        let (one, two) = (alloc_from(cuda, 100, pool), alloc_from(cuda, 100, pool));
        ok!(cuda, cuMemPoolDestroy(pool));
        assert_eq!(cuda.charged_mib(), 256);
        free(cuda, one);
        assert_eq!(cuda.charged_mib(), 256, "the other one lives");
        ok!(cuda, cuMemFreeAsync(two, null_mut()));
        assert_eq!(cuda.charged_mib(), 256, "nobody has waited");
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 0);
        let pool = new_pool(cuda);
        let one = alloc_from(cuda, 100, pool);
        ok!(cuda, cuMemPoolDestroy(pool));
        ok!(cuda, cuMemFree_v2(one));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn what_a_destroyed_pool_had_is_given_back_once_it_is_seen_to_be_gone() {
    let managed = Program {
        nvml: true,
        ..TENANT
    };
    managed.run(crate::here!(), |cuda| {
        let stream = new_stream(cuda);
        let pool = new_pool(cuda);
        let address = alloc_from(cuda, 100, pool);
        ok!(cuda, cuMemPoolDestroy(pool));
        ok!(cuda, cuMemFreeAsync(address, stream));
        // Not a wait for everything: the management library must tell.
        ok!(cuda, cuStreamSynchronize(stream));
        let start = Instant::now();
        while cuda.charged_mib() > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "it stays charged"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let again = alloc(cuda, 1400);
        assert_eq!(cuda.charged_mib(), 1408);
        free(cuda, again);
    });
}

#[test]
fn more_pools_than_are_known_are_charged_all_the_same() {
    TENANT.run(crate::here!(), |cuda| {
        let pools: Vec<_> = (0..140).map(|_| new_pool(cuda)).collect();
        let address = alloc_from(cuda, 64, pools[139]);
        assert_eq!(cuda.charged_mib(), 64);
        refused!(
            cuda,
            cuMemAllocFromPoolAsync(&mut 0, 1500 << 20, pools[139], null_mut())
        );
        ok!(cuda, cuMemFreeAsync(address, null_mut()));
        assert_eq!(cuda.charged_mib(), 64, "nobody has waited");
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 0);
        for pool in pools {
            ok!(cuda, cuMemPoolDestroy(pool));
        }
        let pool = new_pool(cuda);
        let address = alloc_from(cuda, 3, pool);
        assert_eq!(cuda.charged_mib(), 32, "there is room again");
        free(cuda, address);
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn plain_memory_that_is_freed_in_stream_order_is_charged_until_then() {
    TENANT.run(crate::here!(), |cuda| {
        let (gate, stream) = (Gate::new(cuda), new_stream(cuda));
        let address = cuda.alloc_mib(300);
        gate.close(cuda, stream);
        ok!(cuda, cuMemFreeAsync(address, stream));
        assert_eq!(cuda.charged_mib(), 300);
        gate.open();
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 0);
        let address = cuda.alloc_mib(300);
        ok!(cuda, cuMemFreeAsync(address, stream));
        ok!(cuda, cuCtxSynchronize());
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn what_a_pool_keeps_beyond_a_context_is_charged_with_the_next() {
    TENANT.run(crate::here!(), |cuda| {
        set_threshold(cuda, default_pool(cuda), u64::MAX);
        let one = alloc(cuda, 500);
        free(cuda, one);
        alloc(cuda, 100);
        assert_eq!(cuda.charged_mib(), 512);
        ok!(cuda, cuDevicePrimaryCtxReset_v2(0));
        let mut context = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        // The simulated driver's default pool and what it kept are still there.
        assert_eq!(cuda.charged_mib(), 512);
        let two = alloc(cuda, 100);
        assert_eq!(cuda.charged_mib(), 512);
        free(cuda, two);
        ok!(cuda, cuMemPoolTrimTo(default_pool(cuda), 0));
        assert_eq!(cuda.charged_mib(), 0);
    });
}
