//! The observer: one thread per process and device, of which one at a time arbitrates.
//!
//! The arbiter is elected by compare-and-swap on a word of the region. It sleeps on the doorbell
//! until the running segment's predicted end; with nothing pending it sleeps for ever and costs
//! nothing. The others stand by: while their own process has work pending they look every
//! [`STANDBY`] whether the arbiter still moves, and take over from one that died or was stopped.
//!
//! An observer never calls a vendor, so nothing a driver does can keep a gate shut. It blocks all
//! signals of the program it lives in.

use std::time::Duration;

use super::arbiter::Arbiter;
use super::clock::{ms, now_ns, us};
use super::handshake::{claim, owner_of, resign, sleep_unless_rung};
use super::plan::{Lead, View};
use super::trace::{self, Nap, Step};
use super::tuning::Tuning;
use super::view;
use crate::failpoint::failpoint;
use crate::futex;
use crate::region::layout::{RegionLayout, SEGMENTS, Slot, SlotPages};
use crate::sync::{AtomicBool, AtomicU32, Ordering, spin_hint};

/// A sleep this short takes more of a processor than waiting does: 12 to 23 µs on the machine with the H200
/// (a virtual one, Linux 6.18, Nov 2026), wake-up included.
pub(super) const SPIN_NS_MAX: u64 = us(20);
/// How often a standby looks at the arbiter while its own process waits.
pub const STANDBY: Duration = Duration::from_millis(8);
/// A heartbeat older than this is suspicious: the arbiter never sleeps longer while work is pending.
const SUSPICIOUS_NS: u64 = ms(9);
/// An arbiter silent for this long has been stopped, alive or not.
const STOPPED_NS: u64 = ms(25);
/// How often the arbiter asks the kernel whether the holder lives.
const HOLDER_PROBE_NS: u64 = ms(2);
/// How often it asks for everybody.
const PEERS_PROBE_NS: u64 = ms(100);

/// What an observer must know of other processes. Asks the kernel; may block for microseconds.
pub trait Peers: Send + Sync {
    /// True if something says that the process in that slot is gone: it loses its turn. Must be
    /// cheap; it is asked at every step.
    fn is_suspect(&self, slot: usize) -> bool;
    /// True if the process in that slot is certainly gone.
    fn is_dead(&self, slot: usize) -> bool;
    /// Gives back what dead processes held.
    fn reclaim_dead(&self);
    /// Adds to a view what the other devices do of jobs that span several.
    fn look_around(&self, view: &mut View, now_ns: u64);
    /// Wakes the arbiters of those devices: the turn has passed on.
    fn ring_followers(&self);
}

/// Shared by an observer and the threads of its process.
#[derive(Debug, Default)]
pub struct Bench {
    stop: AtomicBool,
    parked: AtomicU32,
}

impl Bench {
    /// Asks the observer to end; it does so within a few milliseconds.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Wakes a standby that sleeps because its process had nothing pending. A load, and a system
    /// call only if it does sleep.
    #[inline]
    pub fn wake(&self) {
        if self.parked.load(Ordering::Acquire) != 0 {
            self.parked.store(0, Ordering::Release);
            futex::wake(&self.parked, u32::MAX);
        }
    }
}

/// Runs the observer of the process in slot `me` until it is told to stop. Call it on a thread of
/// its own.
pub fn run(region: &RegionLayout, me: usize, peers: &dyn Peers, bench: &Bench, tuning: &Tuning) {
    let mine = &region.slots[me].slot;
    while !bench.stop.load(Ordering::Acquire) {
        if elect(region, me, peers) {
            arbitrate(region, me, peers, bench, tuning);
        } else if has_work(mine) {
            std::thread::sleep(STANDBY);
        } else {
            bench.parked.store(1, Ordering::SeqCst);
            // Looked at again after the announcement, so that no wake-up is lost.
            if !has_work(mine) && !bench.stop.load(Ordering::SeqCst) {
                futex::wait(&bench.parked, 1, None);
            }
            bench.parked.store(0, Ordering::Release);
        }
    }
    resign(&region.header.arbiter.owner, me);
}

fn has_work(slot: &Slot) -> bool {
    slot.queue.opened.load(Ordering::SeqCst) != slot.compute.retired.load(Ordering::Acquire)
}

/// Since when the process in slot `me` has had something pending.
fn waits_since_ns(region: &RegionLayout, me: usize) -> Option<u64> {
    let SlotPages { slot, page } = &region.slots[me];
    let oldest = slot.compute.retired.load(Ordering::Acquire).wrapping_add(1);
    // Relaxed: a segment that is reused at this moment counts as new.
    let opened_ns = &page.segments[oldest as usize % SEGMENTS].opened_ns;
    has_work(slot).then(|| opened_ns.load(Ordering::Relaxed))
}

/// True if this process arbitrates: it did already, nobody does, or whoever does has failed.
fn elect(region: &RegionLayout, me: usize, peers: &dyn Peers) -> bool {
    let words = &region.header.arbiter;
    let word = words.owner.load(Ordering::Acquire);
    let free = match owner_of(word) {
        None => true,
        Some(owner) if owner == me => return true,
        Some(owner) => {
            let now = now_ns();
            let silent_ns = now.saturating_sub(words.heartbeat_ns.load(Ordering::Acquire));
            // An arbiter with nothing to do is silent for good reason, until we have waited for it as long.
            let waited_ns =
                || waits_since_ns(region, me).map_or(0, |since| now.saturating_sub(since));
            peers.is_suspect(owner)
                || (silent_ns > STOPPED_NS && waited_ns() > STOPPED_NS)
                || (silent_ns > SUSPICIOUS_NS && peers.is_dead(owner))
        }
    };
    free && claim(&words.owner, word, me)
}

/// Arbitrates until told to stop or until another has taken over.
fn arbitrate(region: &RegionLayout, me: usize, peers: &dyn Peers, bench: &Bench, tuning: &Tuning) {
    failpoint!("sched.observer.elected");
    let header = &region.header;
    let mut arbiter = Arbiter::new(tuning.clone());
    let mut view = View::default();
    let (mut holder_probed_ns, mut peers_probed_ns) = (now_ns(), 0);
    view::restore(region, &mut arbiter);
    failpoint!("sched.observer.restored");
    trace::elected(region, me);
    let mut nap = None;
    while !bench.stop.load(Ordering::Acquire) {
        let seen = header.doorbell.load(Ordering::Acquire);
        let now = now_ns();
        if owner_of(header.arbiter.owner.load(Ordering::Acquire)) != Some(me) {
            return;
        }
        if now - peers_probed_ns >= PEERS_PROBE_NS {
            peers_probed_ns = now;
            peers.reclaim_dead();
        } else if now - holder_probed_ns >= HOLDER_PROBE_NS {
            holder_probed_ns = now;
            if arbiter.holder().is_some_and(|slot| peers.is_dead(slot)) {
                peers.reclaim_dead();
            }
        }
        view::read(region, &mut view, now);
        peers.look_around(&mut view, now);
        let there = view.processes.len();
        view.processes
            .retain(|process| !peers.is_suspect(process.slot));
        // Those that stay may give no reason to look again, and what the dead held is to be given back.
        let for_the_dead_ns =
            (view.processes.len() < there).then_some(peers_probed_ns + PEERS_PROBE_NS);
        let traced = Step::begin(region, now, seen, nap, &arbiter);
        let plan = arbiter.step(now, &view);
        if let Some(step) = traced {
            step.end(&view, &plan, &arbiter);
        }
        failpoint!("sched.observer.stepped");
        view::apply(region, &plan, now);
        failpoint!("sched.observer.applied");
        view::publish(region, &view, &arbiter, now);
        failpoint!("sched.observer.published");
        header.arbiter.steps.fetch_add(1, Ordering::Relaxed);
        if plan.handed_over {
            header.arbiter.handoffs.fetch_add(1, Ordering::Relaxed);
            if view.lead == Lead::Here {
                peers.ring_followers();
            }
        }
        let planned_ns = plan.wake_ns.into_iter().chain(for_the_dead_ns).min();
        let wake_ns = view::wake_ns(planned_ns, &view, now);
        nap = Some(Nap {
            seen,
            wake_ns,
            sharing: view.sharing,
        });
        sleep(region, seen, wake_ns);
    }
}

/// Sleeps until the doorbell rings or `wake_ns`.
fn sleep(region: &RegionLayout, seen: u32, wake_ns: Option<u64>) {
    let header = &region.header;
    let timeout = match wake_ns {
        Some(wake) => {
            let left = wake.saturating_sub(now_ns());
            if left <= SPIN_NS_MAX {
                // Relaxed: the next step loads it again.
                while now_ns() < wake && header.doorbell.load(Ordering::Relaxed) == seen {
                    spin_hint();
                }
                return;
            }
            Some(Duration::from_nanos(left))
        }
        None => None,
    };
    sleep_unless_rung(&header.doorbell, &header.arbiter_asleep, seen, timeout);
}

/// Priority that observers ask for: above all that programs usually run with.
const NICE: libc::c_int = -15;
/// Time slice that observers ask for: about what a step takes, and the least that Linux gives.
const SLICE_NS: u64 = us(100);

/// Makes the calling thread fit to be an observer inside a foreign program: no signals, precise
/// timers, soon on a busy processor. Linux only.
pub fn prepare_thread() {
    // SAFETY: the set is initialised by sigfillset before it is used; the calls affect the
    // calling thread only.
    unsafe {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
        // Default slack is 50 µs, as long as half a hand-over.
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_usize, 0, 0, 0);
    }
    go_first();
}

/// Lets wake-ups of the calling thread go before threads that compute. Two means, each where Linux
/// grants it: a higher priority (needs a privilege), and short slices (6.12 and later), which take
/// nothing from others. Beside four threads that compute on two processors, 99.9 % of wake-ups came
/// within 12 ms, with short slices within 6 ms, with the priority within 0.05 ms (Linux 6.18, Nov
/// 2026): on a busy node this is the difference between a hand-over and a lost turn. A step costs
/// microseconds, so nobody misses what it takes.
fn go_first() {
    // SAFETY: the calls read and set scheduling attributes of the calling thread (0); the structure is
    // as long as it says.
    unsafe {
        // A program that runs under another policy had its reasons.
        if libc::sched_getscheduler(0) != libc::SCHED_OTHER {
            return;
        }
        libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
        let attributes = libc::sched_attr {
            size: size_of::<libc::sched_attr>() as u32,
            sched_policy: libc::SCHED_OTHER as u32,
            sched_flags: 0,
            sched_nice: libc::getpriority(libc::PRIO_PROCESS, 0),
            sched_priority: 0,
            sched_runtime: SLICE_NS,
            sched_deadline: 0,
            sched_period: 0,
        };
        // Where it is refused the thread is only later.
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::region::layout::SlotState;

    /// The process in slot 1 is gone, as far as its futex tells, and never certainly.
    #[derive(Default)]
    struct OneGone {
        looks: AtomicU32,
    }

    impl Peers for OneGone {
        fn is_suspect(&self, slot: usize) -> bool {
            slot == 1
        }

        fn is_dead(&self, _: usize) -> bool {
            false
        }

        fn reclaim_dead(&self) {
            self.looks.fetch_add(1, Ordering::Relaxed);
        }

        fn look_around(&self, _: &mut View, _: u64) {}

        fn ring_followers(&self) {}
    }

    #[test]
    fn the_dead_are_looked_for_again_while_nobody_works() {
        // SAFETY: a zeroed region is a valid empty one.
        let region: &'static RegionLayout = unsafe { Box::leak(Box::new_zeroed().assume_init()) };
        for slot in 0..2 {
            let state = &region.slots[slot].slot.state;
            state.store(SlotState::Live as u32, Ordering::Relaxed);
            region.header.slots_used.0[0].fetch_or(1 << slot, Ordering::Relaxed);
        }
        let (peers, bench) = (OneGone::default(), Bench::default());
        std::thread::scope(|scope| {
            scope.spawn(|| run(region, 0, &peers, &bench, &Tuning::default()));
            let waited = std::time::Instant::now();
            while peers.looks.load(Ordering::Relaxed) < 3
                && waited.elapsed() < Duration::from_secs(5)
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            bench.stop();
            super::super::producer::ring(&region.header);
        });
        assert!(peers.looks.load(Ordering::Relaxed) >= 3);
    }
}
