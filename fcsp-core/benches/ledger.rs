//! What the ledger adds to an allocation.
//!
//! Question: does accounting cost less than 60 ns an allocation and a refusal less than 150 ns
//! (design budget), and what does it cost when threads contend? Baseline, in the same run: one
//! atomic addition, the least any shared counter costs. Criterion prints the spread. The device is a
//! simulated one; nothing here depends on it.

// criterion_group! makes a public function without documentation.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::ledger::live::{Live, LiveMap};
use fcsp_core::ledger::pool::{PoolCharge, Worst};
use fcsp_core::region::{Attachment, Region};
use fcsp_core::sync::Ordering;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

fn region(dir: &std::path::Path) -> Arc<Region> {
    let device = DeviceInfo {
        vendor: Vendor::Nvidia,
        id: "GPU-1".to_owned(),
        name: "a simulated device".to_owned(),
        total_bytes: 1 << 40,
        sharing: SharingMode::Exclusive,
        simulated: true,
    };
    Arc::new(Region::create_or_open(dir, &device).expect("a region"))
}

fn join(region: &Arc<Region>) -> Attachment {
    Attachment::join(region, "tenant", |tenant| {
        tenant.quota_bytes.store(1 << 40, Ordering::Relaxed);
    })
    .expect("joins")
}

/// Runs `work` while `threads` others do the same.
fn beside<T>(threads: usize, work: impl Fn() + Sync, measure: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    work();
                }
            });
        }
        let result = measure();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn ledger(c: &mut Criterion) {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a temporary directory");
    let region = region(dir.path());
    let attachment = join(&region);
    let ledger = attachment.ledger();
    let reserve_and_release = || {
        ledger.reserve(black_box(1 << 20)).expect("fits");
        ledger.release(black_box(1 << 20));
    };
    let counter = AtomicU64::new(0);
    c.bench_function("baseline: two atomic additions, alone", |b| {
        b.iter(|| {
            counter.fetch_add(black_box(1 << 20), Ordering::Relaxed);
            counter.fetch_sub(black_box(1 << 20), Ordering::Relaxed);
        });
    });
    c.bench_function("reserve + release, alone", |b| b.iter(reserve_and_release));
    // Beside it a driver's own figure costs 40 ns (H100, driver 580.159).
    let pool = PoolCharge::new();
    let worst = || Worst::of(black_box(32 << 20)).expect("a possible size");
    let from_pool = || {
        let worst = worst();
        attachment.try_reserve(worst.bytes()).expect("fits");
        assert!(pool.begin(worst));
        pool.finish(
            worst,
            0,
            || Some(black_box(64 << 20)),
            |bytes| {
                if bytes < 0 {
                    ledger.release(bytes.unsigned_abs());
                } else {
                    ledger.adjust(bytes);
                }
            },
        )
    };
    c.bench_function(
        "allocation from a pool, its figure for nothing, alone",
        |b| {
            b.iter(from_pool);
        },
    );
    let lent = PoolCharge::new();
    let credit = Worst::of(256 << 20).expect("a possible size");
    attachment.try_reserve(credit.bytes()).expect("fits");
    assert!(lent.lend(credit));
    let on_credit = || {
        let worst = worst();
        assert!(lent.begin_on_credit(worst));
        if !lent.defer(worst, credit.bytes()) {
            lent.finish(worst, credit.bytes(), || Some(0), |_| {});
        }
    };
    c.bench_function("allocation from a pool, on credit, alone", |b| {
        b.iter(on_credit);
    });
    for threads in [1, 3, 15] {
        let name = format!("reserve + release, beside {threads} threads of the process");
        beside(threads, reserve_and_release, || {
            c.bench_function(&name, |b| b.iter(reserve_and_release));
        });
    }
    let others = [join(&region), join(&region), join(&region)];
    let next = std::sync::atomic::AtomicUsize::new(0);
    let as_other = || {
        // A slot of its own, as a process would have.
        let other = others[next.fetch_add(1, Ordering::Relaxed) % others.len()].ledger();
        for _ in 0..1000 {
            other.reserve(black_box(1 << 20)).expect("fits");
            other.release(black_box(1 << 20));
        }
    };
    beside(3, as_other, || {
        c.bench_function("reserve + release, beside 3 other slots", |b| {
            b.iter(reserve_and_release);
        });
    });
    ledger.reserve(ledger.free_bytes()).expect("fits");
    c.bench_function("refusal over quota", |b| {
        b.iter(|| ledger.reserve(black_box(1)).expect_err("is full"));
    });
    c.bench_function("refusal over quota, looking for the dead", |b| {
        b.iter(|| attachment.reserve(black_box(1)).expect_err("is full"));
    });
    c.bench_function("free bytes", |b| b.iter(|| black_box(ledger.free_bytes())));
}

fn live(c: &mut Criterion) {
    for count in [100_u64, 10_000, 1_000_000] {
        let map = LiveMap::new();
        let value = Live {
            bytes: 1 << 20,
            kind: 0,
        };
        let address = |index: u64| 0x7f00_0000_0000 + index * 512;
        for index in 0..count {
            map.insert(address(index), value).expect("memory");
        }
        // Addresses come and go in no order, as an allocator's do.
        let mut index = 0;
        c.bench_function(&format!("live map: insert + remove among {count}"), |b| {
            b.iter(|| {
                index = (index + 7919) % count;
                let live = map.remove(black_box(address(index))).expect("was there");
                map.insert(black_box(address(index)), live).expect("memory")
            });
        });
    }
}

fn attach(c: &mut Criterion) {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a temporary directory");
    let region = region(dir.path());
    let _staying = join(&region);
    c.bench_function("attach + detach, region mapped", |b| {
        b.iter(|| join(&region))
    });
    let _others: Vec<_> = (0..200).map(|_| join(&region)).collect();
    c.bench_function("attach + detach beside 200 others", |b| {
        b.iter(|| join(&region))
    });
}

criterion_group!(benches, ledger, live, attach);
criterion_main!(benches);
