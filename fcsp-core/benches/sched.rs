//! What the scheduler adds to a submission, and what the arbiter's work costs.
//!
//! Questions: is a submission's way through the gate under 20 ns alone and under 100 ns contended
//! (design budget; without what the vendor's own calls cost), and can the arbiter make its steps in
//! less than 1 % of a core (a step each millisecond or so: under 10 µs)? Baseline, in the same run:
//! reading the clock. Criterion prints the spread. No device is involved: the gate is one that does
//! nothing.

// criterion_group! makes a public function without documentation.
#![allow(missing_docs)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fcsp_core::backend::{Elapsed, Marker, QueueId, SharingMode, StreamGate};
use fcsp_core::policy::Mode;
use fcsp_core::region::layout::{RegionLayout, Slot, SlotState, TenantState};
use fcsp_core::sched::SegmentState;
use fcsp_core::sched::arbiter::Arbiter;
use fcsp_core::sched::class::Class;
use fcsp_core::sched::clock::{ms, now_ns, us};
use fcsp_core::sched::cost::{CostKey, CostTable};
use fcsp_core::sched::plan::{Plan, ProcessView, SegmentView, TenantView, View};
use fcsp_core::sched::producer::Producer;
use fcsp_core::sched::shares::Promise;
use fcsp_core::sched::tuning::Tuning;
use fcsp_core::sched::view;
use fcsp_core::sync::{AtomicU32, Ordering, prepare_fences};
use std::hint::black_box;
use std::sync::atomic::AtomicBool;

/// A gate of a device that is always done, and where every kernel took as long.
struct Nothing;

impl StreamGate for Nothing {
    fn wait(&self, _: QueueId, _: &AtomicU32, _: u32) -> bool {
        true
    }

    fn write(&self, _: QueueId, word: &AtomicU32, value: u32) -> bool {
        word.store(value, Ordering::Release);
        true
    }

    fn marker(&self) -> Option<Marker> {
        Some(Marker(1))
    }

    fn record(&self, _: Marker, _: QueueId) -> bool {
        true
    }

    fn elapsed(&self, _: Marker, _: Marker) -> Elapsed {
        Elapsed::Ns(us(10))
    }
}

/// A region with that many processes, each of a tenant of its own, all gated.
fn region(processes: usize) -> &'static RegionLayout {
    // SAFETY: every field is an atomic, and a zeroed region is a valid empty one.
    let region: &'static RegionLayout = unsafe { Box::leak(Box::new_zeroed().assume_init()) };
    for index in 0..processes {
        let (tenant, slot) = (&region.tenants[index], &region.slots[index].slot);
        tenant
            .mode
            .store(Mode::Balanced.number(), Ordering::Relaxed);
        tenant.entitlement_ppm.store(10_000, Ordering::Relaxed);
        tenant
            .state
            .store(TenantState::Live as u32, Ordering::Relaxed);
        slot.tenant.store(index as u32, Ordering::Relaxed);
        slot.gate.gated.store(1, Ordering::Relaxed);
        slot.gate.segment_us.store(5_000, Ordering::Relaxed);
        slot.state.store(SlotState::Live as u32, Ordering::Relaxed);
        region.header.tenants_used[index / 64].fetch_or(1 << (index % 64), Ordering::Relaxed);
        region.header.slots_used[index / 64].fetch_or(1 << (index % 64), Ordering::Relaxed);
    }
    region
}

/// One kernel of 10 µs, in a segment of 500 such kernels; the segments before are over at once.
fn submit(producer: &Producer, slot: &Slot, queue: u64) {
    let key = CostKey::new(&[queue, 132, 256]);
    let ticket = producer.enter(&Nothing, QueueId(queue), key, Class::Other, us(10));
    producer.leave(&Nothing, black_box(ticket), true);
    let opened = slot.queue.opened.load(Ordering::Relaxed);
    slot.compute.retired.store(opened, Ordering::Release);
}

fn producer(c: &mut Criterion) {
    let region = region(1);
    let slot = &region.slots[0].slot;
    prepare_fences();
    let producer = &Producer::new(region, 0, Box::leak(Box::default()));
    c.bench_function("baseline: now_ns", |b| b.iter(now_ns));
    c.bench_function("gated", |b| b.iter(|| black_box(producer).gated()));
    c.bench_function("enter + leave", |b| b.iter(|| submit(producer, slot, 1)));
    c.bench_function("enter + leave + sync: a segment each", |b| {
        b.iter(|| {
            submit(producer, slot, 1);
            producer.sync(&Nothing);
        });
    });
    slot.gate.allowed_ns.store(u64::MAX / 2, Ordering::Relaxed);
    c.bench_function("enter + leave within the allowance", |b| {
        b.iter(|| {
            submit(producer, slot, 1);
            // As if what passed was over.
            slot.gate.passed_until_ns.store(0, Ordering::Relaxed);
        });
    });
    slot.gate.allowed_ns.store(0, Ordering::Relaxed);
    for others in [1, 3] {
        let stop = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            for other in 0..others {
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        submit(producer, slot, 2 + other);
                    }
                });
            }
            let name = format!("enter + leave beside {others} threads of the process");
            c.bench_function(&name, |b| b.iter(|| submit(producer, slot, 1)));
            stop.store(true, Ordering::Relaxed);
        });
    }
}

/// Processes that always have two complete segments, as the arbiter sees them.
struct Crowd {
    arbiter: Arbiter,
    view: View,
    now_ns: u64,
}

impl Crowd {
    fn new(count: usize) -> Self {
        let tenant = |index| TenantView {
            index,
            promise: Promise {
                mode: Mode::Balanced,
                entitlement_ppm: 10_000,
                pools_ppm: [200_000, 400_000, 400_000],
                burst_max_ppm: 1_000_000,
                ..Promise::default()
            },
        };
        let process = |slot| ProcessView {
            slot,
            generation: 1,
            tenant: slot,
            opened: 2,
            gated: true,
            handover_ns: us(100),
            segments: vec![segment(1), segment(2)],
            ..ProcessView::default()
        };
        Self {
            arbiter: Arbiter::new(Tuning::default()),
            view: View {
                sharing: SharingMode::Exclusive,
                tenants: (0..count).map(tenant).collect(),
                processes: (0..count).map(process).collect(),
                ..View::default()
            },
            now_ns: ms(1),
        }
    }

    /// One step, and what the processes do then: what was granted is done, and more is there.
    fn step(&mut self) -> Plan {
        self.now_ns += ms(1);
        let plan = self.arbiter.step(self.now_ns, &self.view);
        for retire in &plan.retire {
            let process = &mut self.view.processes[retire.segment.slot];
            process.retired = retire.segment.number;
            process.opened = process.retired.wrapping_add(2);
            process.segments[0].number = process.opened.wrapping_sub(1);
            process.segments[1].number = process.opened;
            process.segments[0].done = false;
        }
        for grant in &plan.grant {
            let process = &mut self.view.processes[grant.slot];
            process.granted = grant.to;
            process.segments[0].done = true;
        }
        plan
    }
}

fn segment(number: u32) -> SegmentView {
    SegmentView {
        number,
        state: SegmentState::Closed,
        predicted_ns: ms(1),
        opened_ns: us(900),
        submitted_ns: us(950),
        launches: 10,
        is_spread: false,
        done: false,
    }
}

fn arbiter(c: &mut Criterion) {
    for count in [2, 8, 64] {
        let mut crowd = Crowd::new(count);
        c.bench_with_input(BenchmarkId::new("Arbiter::step", count), &(), |b, ()| {
            b.iter(|| crowd.step());
        });
        let region = region(count);
        let mut seen = View::default();
        c.bench_with_input(BenchmarkId::new("view::read", count), &(), |b, ()| {
            b.iter(|| view::read(black_box(region), &mut seen, now_ns()));
        });
    }
}

fn costs(c: &mut Criterion) {
    let table = CostTable::default();
    let parts = [0x7f00_dead_beef, 132, 1, 1, 256, 1, 1, 0];
    let key = CostKey::new(&parts);
    table.learn(key, us(10));
    c.bench_function("CostKey::new of 8 parts", |b| {
        b.iter(|| CostKey::new(black_box(&parts)));
    });
    c.bench_function("CostTable::expect, known", |b| {
        b.iter(|| table.expect(black_box(key), 1_000));
    });
    let unknown = CostKey::new(&[1]);
    c.bench_function("CostTable::expect, unknown", |b| {
        b.iter(|| table.expect(black_box(unknown), 1_000));
    });
    c.bench_function("CostTable::learn", |b| {
        b.iter(|| table.learn(black_box(key), us(10)));
    });
}

criterion_group!(benches, producer, arbiter, costs);
criterion_main!(benches);
