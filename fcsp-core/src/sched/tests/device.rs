//! A device that runs one process at a time, with the hand-over cost measured on an H200 (0.1 ms), and
//! lengths that vary as they do there, always in the same way.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::backend::{Elapsed, Marker, QueueId, StreamGate};
use crate::sched::clock::{now_ns, us};
use crate::sched::segment::reached;
use crate::sync::{AtomicU32, Ordering};

/// What a marker takes: kernels of 3.2 µs were measured as 7.9 µs on an H200 (driver 580.159, Nov 2026).
const MARK_NS: u64 = 4_700;
const SWITCH_NS: u64 = us(100);
/// The driver's time slice among processes that have work (measured: 2 ms).
const SLICE_NS: u64 = us(2000);

#[derive(Debug)]
enum Op {
    Wait(&'static AtomicU32, u32),
    Write(&'static AtomicU32, u32),
    Mark(usize),
    Kernel(u64),
}

/// One process's queue on the device. A [`StreamGate`] for its producer.
#[derive(Debug, Default)]
pub struct Queue {
    ops: RefCell<VecDeque<Op>>,
    marks: RefCell<Vec<Option<u64>>>,
    pub done_ns: RefCell<u64>,
    /// Threads wait for grants in its place.
    pub threads_wait: Cell<bool>,
    /// By how much a hand-over to it takes longer than to others.
    pub slow_to_begin_ns: Cell<u64>,
}

fn forever(word: &AtomicU32) -> &'static AtomicU32 {
    // SAFETY: the tests leak their region, so every word in it lives for ever.
    unsafe { &*std::ptr::from_ref(word) }
}

impl Queue {
    pub fn kernel(&self, ns: u64) {
        self.ops.borrow_mut().push_back(Op::Kernel(ns));
    }

    /// Something that what comes later waits for, and that never comes.
    pub fn never(&self) {
        static NEVER: AtomicU32 = AtomicU32::new(0);
        self.ops.borrow_mut().push_back(Op::Wait(&NEVER, 1));
    }

    pub fn len(&self) -> usize {
        self.ops.borrow().len()
    }

    /// Kernels that are not done.
    pub fn kernels(&self) -> u64 {
        let ops = self.ops.borrow();
        ops.iter().filter(|op| matches!(op, Op::Kernel(_))).count() as u64
    }

    /// Its process is gone, and with it what has not begun.
    pub fn clear(&self) {
        self.ops.borrow_mut().clear();
    }

    /// Whether what comes next has to wait for its grant.
    pub fn is_held(&self) -> bool {
        let ops = self.ops.borrow();
        ops.iter().any(|op| match op {
            Op::Wait(word, value) => !reached(word.load(Ordering::Acquire), *value),
            _ => false,
        })
    }

    /// Runs everything that needs no device; gives the length of what is at the front, if it can run.
    fn front(&self) -> Option<u64> {
        let mut ops = self.ops.borrow_mut();
        loop {
            match ops.front()? {
                Op::Wait(word, value) if !reached(word.load(Ordering::Acquire), *value) => {
                    return None;
                }
                Op::Wait(..) => {}
                Op::Write(word, value) => word.store(*value, Ordering::Release),
                // Like a kernel, a marker takes effect only once its process has the device.
                Op::Mark(_) => return Some(MARK_NS),
                Op::Kernel(ns) => return Some(*ns),
            }
            ops.pop_front();
        }
    }

    fn finish(&self, ns: u64, at: u64) {
        if let Some(Op::Mark(mark)) = self.ops.borrow_mut().pop_front() {
            self.marks.borrow_mut()[mark] = Some(at);
        }
        *self.done_ns.borrow_mut() += ns;
        self.front();
    }
}

impl StreamGate for Queue {
    fn wait(&self, _: QueueId, word: &AtomicU32, value: u32) -> bool {
        self.ops
            .borrow_mut()
            .push_back(Op::Wait(forever(word), value));
        // What is behind it is there already, but no more comes: [`Queue::is_held`].
        !self.threads_wait.get()
    }

    fn write(&self, _: QueueId, word: &AtomicU32, value: u32) -> bool {
        self.ops
            .borrow_mut()
            .push_back(Op::Write(forever(word), value));
        true
    }

    fn marker(&self) -> Option<Marker> {
        self.marks.borrow_mut().push(None);
        Some(Marker(self.marks.borrow().len() as u64 - 1))
    }

    fn record(&self, marker: Marker, _: QueueId) -> bool {
        self.marks.borrow_mut()[marker.0 as usize] = None;
        self.ops.borrow_mut().push_back(Op::Mark(marker.0 as usize));
        true
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        let marks = self.marks.borrow();
        match (marks[begin.0 as usize], marks[end.0 as usize]) {
            (Some(begin), Some(end)) => Elapsed::Ns(end - begin),
            _ => Elapsed::Pending,
        }
    }
}

/// What runs of one process.
type Running = Option<(u64, u64)>;

#[derive(Debug, Default)]
pub struct Device {
    current: usize,
    since_ns: u64,
    running: Running,
    draws: u64,
    free_at_ns: u64,
    /// What a hand-over takes, give or take a quarter; [`SWITCH_NS`] if nothing was said.
    switch_ns: Option<u64>,
    /// Where processes run at once: by how many percent a kernel takes longer beside others, and what runs.
    beside: Option<(u64, Vec<Running>)>,
}

/// A number below `below`, the same for the same `draw`: splitmix64 (Steele, Lea and Flood: Fast
/// Splittable Pseudorandom Number Generators, 2014).
pub fn random(draw: u64, below: u64) -> u64 {
    let mut z = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % below
}

impl Device {
    /// A device on which processes run at once; a kernel takes `slower_percent` longer beside others.
    pub fn concurrent(slower_percent: u64) -> Self {
        Self {
            beside: Some((slower_percent, Vec::new())),
            ..Self::default()
        }
    }

    /// What a hand-over takes from now on, give or take a quarter.
    pub fn set_switch_ns(&mut self, ns: u64) {
        self.switch_ns = Some(ns);
    }

    /// Nothing goes on for `ns`, as while the driver makes a context for somebody.
    pub fn stand(&mut self, ns: u64) {
        self.free_at_ns = self.free_at_ns.max(now_ns()) + ns;
    }

    /// By how many percent a kernel takes longer beside others from now on.
    pub fn set_slower(&mut self, percent: u64) {
        if let Some((slower_percent, _)) = &mut self.beside {
            *slower_percent = percent;
        }
    }

    /// Lets the device work until now.
    pub fn advance(&mut self, queues: &[&Queue]) {
        let now = now_ns();
        if self.beside.is_some() {
            return self.advance_beside(queues, now);
        }
        loop {
            if let Some((at, ns)) = self.running {
                let at = at as usize;
                if self.free_at_ns > now {
                    return;
                }
                queues[at].finish(ns, self.free_at_ns);
                self.running = None;
            }
            // Who holds it goes on, but for a time slice only.
            let first = usize::from(now.saturating_sub(self.since_ns) >= SLICE_NS);
            let runnable = (first..queues.len() + first)
                .map(|i| (self.current + i) % queues.len())
                .find_map(|i| queues[i].front().map(|ns| (i, ns)));
            let Some((at, ns)) = runnable else { return };
            let start = self.free_at_ns.max(now - us(5));
            self.draws += 1;
            let switch_ns = self.switch_ns.unwrap_or(SWITCH_NS);
            let switch = if at == self.current {
                0
            } else {
                let slower_ns = queues[at].slow_to_begin_ns.get();
                switch_ns - switch_ns / 4 + random(self.draws, switch_ns / 2) + slower_ns
            };
            let ns = ns - ns / 50 + random(!self.draws, (ns / 25).max(1));
            if at != self.current || first != 0 {
                self.since_ns = now;
            }
            self.current = at;
            self.running = Some((at as u64, ns));
            self.free_at_ns = start + switch + ns;
        }
    }

    /// Each process runs one kernel at a time, beside those of the others.
    fn advance_beside(&mut self, queues: &[&Queue], now: u64) {
        let Some((slower_percent, running)) = &mut self.beside else {
            return;
        };
        running.resize(queues.len(), None);
        for (at, queue) in queues.iter().enumerate() {
            let mut free_ns = now.saturating_sub(us(5));
            loop {
                if let Some((work_ns, end_ns)) = running[at] {
                    if end_ns > now {
                        break;
                    }
                    queue.finish(work_ns, end_ns);
                    (running[at], free_ns) = (None, end_ns);
                }
                let Some(work_ns) = queue.front() else { break };
                let others = running.iter().flatten().count() as u64;
                let longer_ns = work_ns * *slower_percent * others.min(1) / 100;
                running[at] = Some((work_ns, free_ns + work_ns + longer_ns));
            }
        }
    }
}
