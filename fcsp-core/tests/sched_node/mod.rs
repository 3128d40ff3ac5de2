//! A node of real processes that share a simulated device, for the tests that kill and stop them.
//!
//! The device is a thread of the test's own process and runs one kernel at a time; kernels are
//! sleeps. Programs talk to it through rings in a file, so that it goes on with what it was given
//! when the program that gave it is stopped, as a real one does. What it proves: who is waited for,
//! and how long. What it does not: any vendor's timing.

use fcsp_core::backend::{Elapsed, Marker, QueueId, StreamGate};
use fcsp_core::region::layout::{GatePage, RegionLayout};
use fcsp_core::region::{Attachment, Region, RobustHold, SlotIndex, liveness, reclaim};
use fcsp_core::sched::class::Class;
use fcsp_core::sched::clock::now_ns;
use fcsp_core::sched::cost::CostKey;
use fcsp_core::sched::observer::{self, Bench, Peers};
use fcsp_core::sched::plan::View;
use fcsp_core::sched::producer::Producer;
use fcsp_core::sched::segment::reached;
use fcsp_core::sched::tuning::Tuning;
use fcsp_core::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use memmap2::MmapRaw;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Programs the device can serve.
pub const RINGS: usize = 3;
const OPS: usize = 512;
/// How often an idle device looks at the words its queues wait for.
const LOOK: Duration = Duration::from_micros(20);

const WAIT: u64 = 1;
const WRITE: u64 = 2;
const KERNEL: u64 = 3;

/// One queue of one program. An operation is its kind, a lane and a number in one word, and a length
/// in the next.
#[repr(C)]
struct Ring {
    head: AtomicU32,
    tail: AtomicU32,
    /// Slot of the program plus one.
    slot: AtomicU32,
    reserved: AtomicU32,
    ops: [[AtomicU64; 2]; OPS],
}

#[derive(Clone)]
struct Rings(Arc<MmapRaw>);

impl Rings {
    fn open(dir: &Path) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("simulated-device"))
            .expect("a file");
        file.set_len((RINGS * size_of::<Ring>()) as u64)
            .expect("room for it");
        Self(Arc::new(MmapRaw::map_raw(&file).expect("a mapping")))
    }

    fn ring(&self, at: usize) -> &Ring {
        assert!(at < RINGS);
        // SAFETY: the file is as long as all rings, page-aligned, and mapped as long as `self`; a
        // ring is made of atomics, for which every bit pattern is valid.
        unsafe { &*self.0.as_ptr().cast::<Ring>().add(at) }
    }
}

/// A program's queue on the simulated device.
pub struct Queue {
    rings: Rings,
    at: usize,
    page: &'static GatePage,
}

impl Queue {
    fn push(&self, kind: u64, lane: usize, number: u32, ns: u64) {
        let ring = self.rings.ring(self.at);
        let head = ring.head.load(Ordering::Relaxed);
        while head.wrapping_sub(ring.tail.load(Ordering::Acquire)) as usize >= OPS {
            std::thread::sleep(Duration::from_micros(100));
        }
        let op = &ring.ops[head as usize % OPS];
        let word = kind << 48 | (lane as u64) << 32 | u64::from(number);
        op[0].store(word, Ordering::Relaxed);
        op[1].store(ns, Ordering::Relaxed);
        // Release publishes the operation to the device.
        ring.head.store(head.wrapping_add(1), Ordering::Release);
    }

    /// True once everything given to the queue is finished.
    fn is_drained(&self) -> bool {
        let ring = self.rings.ring(self.at);
        ring.tail.load(Ordering::Acquire) == ring.head.load(Ordering::Relaxed)
    }
}

impl StreamGate for Queue {
    fn wait(&self, _: QueueId, word: &AtomicU32, value: u32) -> bool {
        assert!(std::ptr::eq(word, &*self.page.grant));
        self.push(WAIT, 0, value, 0);
        true
    }

    fn write(&self, _: QueueId, word: &AtomicU32, value: u32) -> bool {
        let lane = self
            .page
            .done
            .iter()
            .position(|it| std::ptr::eq(&**it, word));
        self.push(WRITE, lane.expect("a done word"), value, 0);
        true
    }

    fn marker(&self) -> Option<Marker> {
        None
    }

    fn record(&self, _: Marker, _: QueueId) -> bool {
        false
    }

    fn elapsed(&self, _: Marker, _: Marker) -> Elapsed {
        Elapsed::Lost
    }
}

struct RegionPeers(Arc<Region>);

impl Peers for RegionPeers {
    fn is_suspect(&self, slot: usize) -> bool {
        liveness::is_suspect(&self.0, SlotIndex(slot as u32))
    }

    fn is_dead(&self, slot: usize) -> bool {
        liveness::verdict(&self.0, SlotIndex(slot as u32)) == liveness::Liveness::Dead
    }

    fn reclaim_dead(&self) {
        reclaim::reclaim_dead(&self.0).expect("reclaims");
    }

    fn look_around(&self, _: &mut View, _: u64) {}

    fn ring_followers(&self) {}
}

/// A process of the node: attached, with an observer and one queue.
pub struct Member {
    attachment: Arc<Attachment>,
    producer: Producer,
    pub queue: Queue,
    bench: &'static Bench,
    observer: JoinHandle<()>,
}

impl Member {
    /// Joins `tenant` with an entitlement of `percent`, on ring `at`. With `seat`, it takes the
    /// arbiter's seat from whoever has it.
    pub fn join(
        region: &Arc<Region>,
        dir: &Path,
        at: usize,
        tenant: &str,
        percent: u32,
        seat: bool,
    ) -> Self {
        let attachment = Attachment::join(region, tenant, |tenant| {
            tenant.quota_bytes.store(u64::MAX, Ordering::Relaxed);
            tenant.mode.store(
                fcsp_core::policy::Mode::Balanced.number(),
                Ordering::Relaxed,
            );
            let ppm = percent * 10_000;
            tenant.entitlement_ppm.store(ppm, Ordering::Relaxed);
            for (pool, ppm) in tenant.pools_ppm.iter().zip([200_000, 400_000, 400_000]) {
                pool.store(ppm, Ordering::Relaxed);
            }
            tenant.burst_max_ppm.store(1_000_000, Ordering::Relaxed);
        });
        let attachment = Arc::new(attachment.expect("joins"));
        // Mapped until the process ends.
        let layout: &'static RegionLayout = Box::leak(Box::new(Arc::clone(region))).layout();
        let me = attachment.slot_index().0 as usize;
        let rings = Rings::open(dir);
        rings.ring(at).slot.store(me as u32 + 1, Ordering::Release);
        let slot = &layout.slots[me].slot;
        // Gated until the arbiter says otherwise. One that arbitrates itself finds its gate open, so
        // that it has one to shut.
        slot.gate.segment_us.store(1_000, Ordering::Relaxed);
        slot.gate.gated.store(u32::from(!seat), Ordering::Release);
        if seat {
            let owner = &layout.header.arbiter.owner;
            let term = (owner.load(Ordering::Acquire) >> 32) + 1;
            owner.store(term << 32 | (me as u64 + 1), Ordering::Release);
        }
        let bench: &'static Bench = Box::leak(Box::default());
        let (peers, watched) = (RegionPeers(Arc::clone(region)), Arc::clone(&attachment));
        let observer = std::thread::spawn(move || {
            observer::prepare_thread();
            let hold = RobustHold::new(&watched).expect("watches");
            observer::run(layout, me, &peers, bench, &Tuning::default());
            drop(hold);
        });
        Self {
            producer: Producer::new(layout, me, bench),
            queue: Queue {
                rings,
                at,
                page: &layout.slots[me].page,
            },
            attachment,
            bench,
            observer,
        }
    }

    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Submits a kernel.
    pub fn launch(&self, ns: u64) {
        self.launch_expecting(ns, ns);
    }

    /// Submits a kernel that is guessed to take longer than it does. Nothing is measured here, so it
    /// stays guessed.
    pub fn launch_expecting(&self, guess_ns: u64, ns: u64) {
        if self.producer.gated() {
            let key = CostKey::new(&[ns]);
            let ticket = self
                .producer
                .enter(&self.queue, QueueId(1), key, Class::Other, guess_ns);
            self.queue.push(KERNEL, 0, 0, ns);
            self.producer.leave(&self.queue, ticket, true);
        } else {
            self.queue.push(KERNEL, 0, 0, ns);
        }
    }

    /// Waits until everything submitted is finished.
    pub fn synchronize(&self) {
        if self.producer.gated() {
            self.producer.sync(&self.queue);
        }
        while !self.queue.is_drained() {
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    /// Leaves the region.
    pub fn leave(self) {
        self.bench.stop();
        // An arbiter sleeps on the doorbell.
        self.attachment.region().ring();
        self.observer.join().expect("the observer ends");
        let attachment = Arc::try_unwrap(self.attachment).expect("the only reference");
        attachment.detach().expect("leaves");
    }
}

/// A finished kernel: whose, and when.
pub type Finished = (usize, u64);

/// The simulated device at work.
pub struct Device {
    rings: Rings,
    finished: Arc<Mutex<Vec<Finished>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    pub fn start(region: &Arc<Region>, dir: &Path) -> Self {
        let rings = Rings::open(dir);
        let (finished, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (region, rings) = (Arc::clone(region), rings.clone());
            let (finished, stop) = (Arc::clone(&finished), Arc::clone(&stop));
            move || {
                observer::prepare_thread();
                while !stop.load(Ordering::Relaxed) {
                    work(&region, &rings, &finished);
                }
            }
        });
        Self {
            rings,
            finished,
            stop,
            thread: Some(thread),
        }
    }

    /// Forgets what a program left that is gone, as a driver does.
    pub fn forget(&self, at: usize) {
        let ring = self.rings.ring(at);
        ring.slot.store(0, Ordering::Release);
        // The device thread may be at it: it sees an empty ring at its next look.
        ring.tail
            .store(ring.head.load(Ordering::Acquire), Ordering::Release);
    }

    /// What the programs finished from `from_ns` until `to_ns`.
    pub fn finished(&self, from_ns: u64, to_ns: u64) -> Vec<Finished> {
        let finished = self.finished.lock().expect("the device thread lives");
        let newest_first = finished.iter().rev();
        let mut found: Vec<_> = newest_first
            .take_while(|(_, at)| *at >= from_ns)
            .filter(|(_, at)| *at < to_ns)
            .copied()
            .collect();
        found.reverse();
        found
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the device thread ends");
        }
    }
}

/// Gives each queue one kernel's time in turn.
fn work(region: &Region, rings: &Rings, finished: &Mutex<Vec<Finished>>) {
    let mut idle = true;
    for at in 0..RINGS {
        let ring = rings.ring(at);
        loop {
            let slot = ring.slot.load(Ordering::Acquire);
            let tail = ring.tail.load(Ordering::Acquire);
            if slot == 0 || ring.head.load(Ordering::Acquire) == tail {
                break;
            }
            let op = &ring.ops[tail as usize % OPS];
            let word = op[0].load(Ordering::Relaxed);
            let (kind, lane, number) = (word >> 48, (word >> 32) as usize & 0xffff, word as u32);
            let page = &region.layout().slots[slot as usize - 1].page;
            match kind {
                WAIT if !reached(page.grant.load(Ordering::Acquire), number) => break,
                WAIT => {}
                WRITE => page.done[lane].store(number, Ordering::Release),
                _ => {
                    let until = now_ns() + op[1].load(Ordering::Relaxed);
                    while now_ns() < until {
                        std::thread::sleep(Duration::from_nanos(until.saturating_sub(now_ns())));
                    }
                }
            }
            // Fails if the program was forgotten meanwhile.
            let next = tail.wrapping_add(1);
            let took = ring
                .tail
                .compare_exchange(tail, next, Ordering::AcqRel, Ordering::Relaxed);
            if took.is_err() {
                break;
            }
            if kind == KERNEL {
                idle = false;
                let mut finished = finished.lock().expect("nobody panics with it");
                finished.push((at, now_ns()));
                break;
            }
        }
    }
    if idle {
        std::thread::sleep(LOOK);
    }
}
