//! A tenant that has the device to itself while another may come back at any moment.
//!
//! Who is alone passes untouched, and what it has submitted then is out of reach: a neighbour that comes back
//! waits for the driver to switch. So where somebody else worked not long ago, the submissions of a tenant that
//! queues much work still form segments, all granted in advance. It loses nothing by that but the markers
//! between segments, and when the other comes, what has not begun is taken back: the other waits for the
//! segment that runs.

use super::ahead::take_back;
use super::{Arbiter, Turn};
use crate::backend::SharingMode;
use crate::policy::Mode;
use crate::sched::account::Waits;
use crate::sched::clock::{ms, us};
use crate::sched::plan::{Plan, ProcessView, View};
use crate::sched::segment::reached;

/// Who worked within this time may come back.
const NEAR_NS: u64 = ms(10_000);
/// A program that waits for less than this is out of the way soon enough.
const LONG_NS: u64 = ms(2);
/// Its segments: two kernels of 0.25 ms or one of 0.5 are one. The markers between segments cost it 5 µs each
/// (H200, driver 580.159, Nov 2026), and who comes back waits for one segment.
pub(super) const SEGMENT_NS: u64 = us(400);
/// How often to count what is over: long before the shortest usual segments granted in advance are used up.
const LOOK_NS: u64 = ms(4);

impl Arbiter {
    /// Whether what `tenant`, which is alone, submits is to stay within reach.
    pub(super) fn is_to_be_guarded(&self, now: u64, tenant: usize, view: &View) -> bool {
        let is_near = |other: usize| {
            let account = self.tenants.get(&other);
            let active_ns = account.map_or(0, |it| it.active_ns);
            active_ns != 0 && now.saturating_sub(active_ns) < NEAR_NS
        };
        let mut others = view.processes.iter().filter(|it| it.tenant != tenant);
        let comes = others.any(|it| view.mode(it.tenant) != Mode::None && is_near(it.tenant));
        let mut mine = self.processes.values().filter(|it| it.tenant == tenant);
        let queues_much = mine
            .clone()
            .any(|it| !it.waits() || it.device_ns_mean >= LONG_NS);
        // Of a job that spans devices some steps would be over at once, and what is left of the one that is cut
        // would wait for its peers.
        let is_reachable = mine.all(|it| !it.threads_wait && !it.spans);
        view.sharing == SharingMode::Exclusive && comes && queues_much && is_reachable
    }

    /// Begins to guard a tenant, goes on with it, or ends it, as `guarded` says.
    pub(super) fn guard(&mut self, now: u64, guarded: Option<usize>, view: &View, plan: &mut Plan) {
        let before = std::mem::replace(&mut self.guarded, guarded);
        if let Some(tenant) = before.filter(|it| guarded != Some(*it)) {
            self.take_back_from(now, tenant, view, plan);
        }
        let Some(tenant) = guarded else { return };
        self.turn = None;
        self.forget_strays(view, plan);
        for process in view.processes.iter().filter(|it| it.tenant == tenant) {
            self.learn_ways(process);
            self.run_freely(now, process, plan);
        }
        plan.wake_ns = Some(now + LOOK_NS);
    }

    /// Learns whether a program waits for what it submits. Many of its segments may be over at once, and as many
    /// of them count as ended in a wait as it has waited.
    fn learn_ways(&mut self, process: &ProcessView) {
        let Some(account) = self.processes.get_mut(&process.slot) else {
            return;
        };
        let mut waits = account.unseen_waits(process);
        for segment in process.granted_segments().take_while(|it| it.done) {
            waits = waits.saturating_sub(1);
            let device_ns = account.lengths.corrected_ns(segment.predicted_ns);
            let fill_ns = segment.submitted_ns.saturating_sub(segment.opened_ns);
            let seen = Waits {
                synced: process.synced.wrapping_sub(waits),
                is_for_it: true,
                ..Waits::of(process, segment)
            };
            account.learn_habit(fill_ns, device_ns, seen);
        }
    }

    /// What has not begun is taken back; what runs is a turn that is over with it.
    fn take_back_from(&mut self, now: u64, tenant: usize, view: &View, plan: &mut Plan) {
        for process in view.processes.iter().filter(|it| it.tenant == tenant) {
            self.count(now, process, plan);
            let next = plan.retired(process).wrapping_add(1);
            if !reached(process.granted, next) || !reached(process.opened, next) {
                take_back(process, process.opened, plan);
                continue;
            }
            take_back(process, next, plan);
            self.turn.get_or_insert_with(|| {
                let mut turn = Turn::of(process, now);
                // Nobody saw when what runs began.
                turn.span.has_gaps = true;
                turn
            });
            self.last = Some((process.slot, tenant));
        }
    }
}
