//! From one step of the arbiter to its events.

use super::event::{Event, How, What};
use super::ring;
use crate::backend::SharingMode;
use crate::region::layout::RegionLayout;
use crate::region::scan::tenant_of;
use crate::sched::arbiter::{Arbiter, TurnTold};
use crate::sched::clock::now_ns;
use crate::sched::plan::{Gate, Grant, Plan, Retire, SegmentRef, SegmentView, View};
use crate::sched::segment::reached;
use crate::sync::Ordering::Relaxed;

/// How the arbiter came to sleep before a step.
#[derive(Clone, Copy, Debug)]
pub(in crate::sched) struct Nap {
    /// The doorbell as it was before the last step.
    pub seen: u32,
    /// When it was to look again.
    pub wake_ns: Option<u64>,
    /// How the device could be shared at the last step.
    pub sharing: SharingMode,
}

/// A step that is traced: what there was before it.
#[derive(Debug)]
pub(in crate::sched) struct Step<'a> {
    region: &'a RegionLayout,
    now_ns: u64,
    /// How it came to this step; `None` if it is the arbiter's first. So is the next.
    woke: Option<What>,
    sharing: Option<SharingMode>,
    turn: Option<TurnTold>,
    how: How,
    round_ns: u64,
}

/// Notes that the process in slot `me` arbitrates from now on, if somebody traces.
pub(in crate::sched) fn elected(region: &RegionLayout, me: usize) {
    note(region, me, What::Elected);
}

/// Notes that a program that goes first took back by itself what the process in slot `holder` was granted
/// from `from` down to `to`, if somebody traces.
pub(in crate::sched) fn taken_back(region: &RegionLayout, holder: usize, from: u32, to: u32) {
    let what = What::Revoked {
        to,
        from,
        cut_short: true,
    };
    note(region, holder, what);
}

/// Records something that is no part of a step. Neither allocates nor blocks.
fn note(region: &RegionLayout, slot: usize, what: What) {
    let (ring, time_ns) = (super::ring(region), now_ns());
    if ring.is_on(time_ns) {
        let event = Event {
            time_ns,
            tenant: Some(tenant_of(&region.slots[slot].slot).0 as usize),
            slot: Some(slot),
            what,
        };
        ring.record(event.encode());
    }
}

impl<'a> Step<'a> {
    /// Call it before a step; `None` while nobody traces. `seen` is the doorbell.
    #[inline]
    pub fn begin(
        region: &'a RegionLayout,
        now_ns: u64,
        seen: u32,
        nap: Option<Nap>,
        arbiter: &Arbiter,
    ) -> Option<Self> {
        super::ring(region).is_on(now_ns).then(|| Self {
            region,
            now_ns,
            woke: nap.map(|nap| woke(now_ns, seen, nap)),
            sharing: nap.map(|nap| nap.sharing),
            turn: arbiter.turn_told(),
            how: arbiter.how(),
            round_ns: arbiter.adapted_round_ns().unwrap_or(0),
        })
    }

    /// Records what happened in the step. Call it after the step and before its plan is carried out.
    /// Neither allocates nor blocks.
    pub fn end(&self, view: &View, plan: &Plan, arbiter: &Arbiter) {
        let ring = super::ring(self.region);
        self.tell(view, plan, arbiter, |event| ring.record(event.encode()));
    }

    /// Gives the events of the step, in an order in which they can have happened.
    pub(super) fn tell(
        &self,
        view: &View,
        plan: &Plan,
        arbiter: &Arbiter,
        mut event: impl FnMut(Event),
    ) {
        let told = Told {
            step: self,
            view,
            arbiter,
        };
        if let Some(woke) = self.woke {
            event(told.event(None, None, woke));
        }
        let how = arbiter.how();
        if how != self.how || self.sharing.is_some_and(|it| it != view.sharing) {
            event(told.event(None, None, What::sharing(how, view.sharing)));
        }
        let round_ns = arbiter.adapted_round_ns().unwrap_or(0);
        if round_ns != self.round_ns {
            let round_ns_before = self.round_ns;
            let what = What::Round {
                round_ns,
                round_ns_before,
            };
            event(told.event(None, None, what));
        }
        told.shares(&mut event);
        for expired in &plan.expire {
            event(told.expired(*expired));
        }
        // Only of its oldest segment is known when it could begin.
        let mut oldest_of = self.turn;
        for retire in &plan.retire {
            let turn = oldest_of.take_if(|turn| turn.slot == retire.segment.slot);
            event(told.retired(retire, turn));
        }
        let turn = arbiter.turn_told();
        let goes_on = matches!((self.turn, turn), (Some(old), Some(new)) if old.is(&new));
        let is_cut = goes_on && turn.is_some_and(|it| it.budget_ns == 0);
        for revoked in &plan.revoke {
            event(told.revoked(*revoked, is_cut));
        }
        if let Some(old) = self.turn.filter(|_| !goes_on) {
            let used_ns = self.now_ns.saturating_sub(old.started_ns);
            let what = What::TurnEnded { used_ns };
            event(told.event(Some(old.tenant), Some(old.slot), what));
        }
        for gate in &plan.gate {
            if self.changes(gate) {
                let what = What::Gate {
                    gated: gate.gating.is_gated(),
                    measured: gate.gating.measures(),
                    segment_us: gate.segment_us,
                };
                event(told.of_process(gate.slot, what));
            }
        }
        if let Some(new) = turn.filter(|_| !goes_on) {
            let what = What::TurnBegan {
                budget_ns: new.budget_ns,
                handover_ns: new.handover_ns,
                handed_over: plan.handed_over,
            };
            event(told.event(Some(new.tenant), Some(new.slot), what));
        }
        for grant in &plan.grant {
            event(told.granted(grant));
        }
    }

    /// Whether a process's gate will be another than it is.
    fn changes(&self, gate: &Gate) -> bool {
        let now = &self.region.slots[gate.slot].slot.gate;
        // How long segments may be says nothing to who makes none.
        now.gated.load(Relaxed) != gate.gating.number()
            || gate.gating.is_gated() && now.segment_us.load(Relaxed) != gate.segment_us
    }
}

fn woke(now_ns: u64, seen: u32, nap: Nap) -> What {
    let rung = seen != nap.seen;
    let planned_ns = nap.wake_ns.filter(|_| !rung);
    What::Woke {
        rung,
        late_ns: planned_ns.map(|planned| now_ns.saturating_sub(planned)),
    }
}

/// A step, with what was seen and decided in it.
struct Told<'a> {
    step: &'a Step<'a>,
    view: &'a View,
    arbiter: &'a Arbiter,
}

impl Told<'_> {
    fn event(&self, tenant: Option<usize>, slot: Option<usize>, what: What) -> Event {
        Event {
            time_ns: self.step.now_ns,
            tenant,
            slot,
            what,
        }
    }

    fn of_process(&self, slot: usize, what: What) -> Event {
        let tenant = self.view.process(slot).map(|it| it.tenant);
        self.event(tenant, Some(slot), what)
    }

    fn segment(&self, reference: SegmentRef) -> Option<&SegmentView> {
        self.view.process(reference.slot)?.segment(reference.number)
    }

    /// What a segment was expected to take when the step began, its hand-over not included.
    fn expected_ns(&self, slot: usize, segment: &SegmentView) -> u64 {
        match self.step.turn.filter(|turn| turn.slot == slot) {
            // Something may have been learnt from it since.
            Some(turn) => segment.predicted_ns * turn.ratio_ppm / 1_000_000,
            None => self.arbiter.expected_ns(slot, segment),
        }
    }

    fn shares(&self, event: &mut impl FnMut(Event)) {
        for tenant in &self.view.tenants {
            let Some((_, _, share)) = self.arbiter.tenant(tenant.index) else {
                continue;
            };
            let published = &self.step.region.tenants[tenant.index].compute;
            let before = published.share_ppm.load(Relaxed);
            if (share.share_ppm, share.ceiling_ppm) != (before, published.ceiling_ppm.load(Relaxed))
            {
                let what = What::Share {
                    share_ppm: share.share_ppm,
                    share_ppm_before: before,
                    ceiling_ppm: share.ceiling_ppm,
                };
                event(self.event(Some(tenant.index), None, what));
            }
        }
    }

    fn expired(&self, reference: SegmentRef) -> Event {
        let segment = self.segment(reference);
        let what = What::Expired {
            number: reference.number,
            expected_ns: segment.map_or(0, |it| self.expected_ns(reference.slot, it)),
            launches: segment.map_or(0, |it| it.launches),
        };
        self.of_process(reference.slot, what)
    }

    /// `turn` is the one that the segment was the oldest of.
    fn retired(&self, retire: &Retire, turn: Option<TurnTold>) -> Event {
        let SegmentRef { slot, number } = retire.segment;
        let segment = self.segment(retire.segment);
        let began_ns = turn.zip(segment).map(|(turn, segment)| {
            let opened_ns = segment.opened_ns.min(self.step.now_ns);
            turn.segment_started_ns.max(opened_ns)
        });
        let handover_ns = turn.map_or(0, |it| it.handover_left_ns);
        let what = What::Retired {
            number,
            expected_ns: segment.map_or(0, |it| self.expected_ns(slot, it)) + handover_ns,
            took_ns: began_ns.map(|began| self.step.now_ns.saturating_sub(began)),
            exact: retire.exact,
            given_up: !retire.finished,
        };
        self.of_process(slot, what)
    }

    fn revoked(&self, reference: SegmentRef, cut_short: bool) -> Event {
        let granted = self.view.process(reference.slot).map(|it| it.granted);
        let what = What::Revoked {
            to: reference.number,
            from: granted.unwrap_or(reference.number),
            cut_short,
        };
        self.of_process(reference.slot, what)
    }

    fn granted(&self, grant: &Grant) -> Event {
        let process = self.view.process(grant.slot);
        let is_granted =
            |it: &&SegmentView| reached(it.number, grant.from) && reached(grant.to, it.number);
        let granted = process
            .into_iter()
            .flat_map(|it| &it.segments)
            .filter(is_granted);
        let first = granted.clone().find(|it| it.number == grant.from);
        let expected_ns = granted
            .map(|it| self.arbiter.expected_ns(grant.slot, it))
            .sum();
        let is_due = |it| {
            self.arbiter
                .is_just_in_time(self.step.now_ns, grant.slot, it)
        };
        let what = What::Granted {
            from: grant.from,
            to: grant.to,
            expected_ns,
            first: first.map(|it| it.state),
            just_in_time: first.is_some_and(is_due),
        };
        self.of_process(grant.slot, what)
    }
}

// What an event has room for.
const _: () = {
    use crate::region::layout::{SLOTS_MAX, TENANTS_MAX};
    assert!(TENANTS_MAX < 0xff && SLOTS_MAX < 0xfff);
    assert!(ring::PLACES.is_power_of_two());
};
