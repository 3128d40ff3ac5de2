//! The arbiter: which process may run next, and for how long. A pure step function.
//!
//! It grants one process at a time a *turn* of one or more segments, to the tenant that is furthest
//! behind its share, and charges from grant to done, gaps and overruns included: while one process
//! at a time has granted work, elapsed time *is* device time. So long-run shares are exact and the
//! short-run error is a turn over the interval.
//!
//! Three refinements, each with the measurement behind it (H200, driver 580.159, Nov 2026):
//!
//! - *Just in time*: a program that waits for its results keeps its processor busy for longer than
//!   the device. Its segment is granted so that device and processor end together, and the device
//!   works for others until then (decoder beside a saturating program: 0.97 and 0.51 of alone,
//!   against 0.98 and 0.46 when granted at once).
//! - *Anticipation*: a program that submits again within [`Tuning::think_ns_max`] of its last result
//!   keeps its turn meanwhile; otherwise it would get one short kernel per cycle (4 % of the device
//!   beside 5 ms kernels under the driver's own slicing).
//! - *Granting ahead*: with nobody waiting, the next segment is granted before the last one ends.
//!
//! Nothing waits for ever: work that does not finish in a bound loses the lease and goes on beside
//! the next holder's (soft exclusivity).

use std::collections::BTreeMap;

use super::account::{ProcessAccount, TenantAccount};
use super::foresight::Completion;
use super::plan::{Plan, ProcessView, View};
use super::shares::Share;
use super::tuning::Tuning;

mod ahead;
mod allowance;
mod beside;
mod classes;
mod coarse;
mod contention;
mod crowd;
mod facts;
mod gang;
mod gates;
mod guard;
mod judge;
mod look;
mod replan;
mod retire;
mod rounds;
mod stood;
mod tenants;
mod together;
mod told;
mod trim;
mod turns;
mod urgent;
mod wake;

#[cfg(test)]
pub(super) use allowance::ALLOWANCE_NS_MAX;
pub(super) use told::TurnTold;

/// The turn in progress.
#[derive(Clone, Debug)]
struct Turn {
    slot: usize,
    tenant: usize,
    started_ns: u64,
    /// Device time up to here has been charged.
    charged_to_ns: u64,
    /// What was charged up to here is for what has finished.
    settled_to_ns: u64,
    /// When the oldest unfinished segment of the turn could begin, as far as it was looked at.
    segment_started_ns: u64,
    /// When that segment had not begun yet.
    segment_waited_ns: u64,
    /// When it was last looked at.
    looked_ns: u64,
    span: Span,
    /// Somebody else had work while that segment was looked at.
    is_contended: bool,
    first_segment: bool,
    /// The end of the first segment is looked for closely: it tells what the hand-over costs.
    measures_handover: bool,
    budget_ns: u64,
    handover_ns: u64,
    /// What was expected of its first segment, if that filled still.
    foreseen: Option<Foreseen>,
    /// How far it had run over when what was over last was not over yet, if nobody could tell before how long that takes.
    overrun_ns: Option<u64>,
    /// It was granted more than fits, since nobody could tell how much that is.
    is_generous: bool,
    /// It has another length now than when it was granted what it has.
    is_replanned: bool,
    /// It was granted segments before they were opened.
    ran_ahead: bool,
    /// While drained: keep the turn until then.
    hold_until_ns: u64,
}

impl Turn {
    /// A turn of `process` that begins at `now`, without a hand-over, and has no time.
    fn of(process: &ProcessView, now: u64) -> Self {
        Self {
            slot: process.slot,
            tenant: process.tenant,
            started_ns: now,
            charged_to_ns: now,
            settled_to_ns: now,
            segment_started_ns: now,
            segment_waited_ns: now,
            looked_ns: now,
            span: Span {
                since_ns: now,
                ..Span::default()
            },
            is_contended: false,
            first_segment: false,
            measures_handover: false,
            budget_ns: 0,
            handover_ns: 0,
            foreseen: None,
            overrun_ns: None,
            is_generous: false,
            is_replanned: false,
            ran_ahead: false,
            hold_until_ns: 0,
        }
    }

    /// When it has had its time.
    fn over_ns(&self) -> u64 {
        self.started_ns + self.budget_ns
    }
}

/// What was expected of a segment that was granted while it filled.
#[derive(Clone, Copy, Debug)]
struct Foreseen {
    number: u32,
    /// When it was best granted.
    due_ns: u64,
    completion: Completion,
}

/// What is over of a turn since a moment that is known exactly: segments are looked at when the last of
/// several is due, so what each took is not seen, and what all took is.
#[derive(Clone, Debug, Default)]
struct Span {
    since_ns: u64,
    /// A hand-over in it.
    handover_ns: u64,
    /// What that took is not measured on the device: looks have to tell.
    tells_handover: bool,
    predicted_ns: u64,
    /// The device waited for the program in it.
    has_gaps: bool,
}

/// The tenant that is the only one at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sole {
    /// It may have the whole device.
    Unlimited(usize),
    /// Its ceiling is below that.
    Limited(usize),
}

/// The arbiter's memory between steps. What must survive its owner is written to the region by
/// [`super::view`]; the rest is learnt again.
#[derive(Debug, Default)]
pub struct Arbiter {
    tuning: Tuning,
    tenants: BTreeMap<usize, TenantAccount>,
    processes: BTreeMap<usize, ProcessAccount>,
    turn: Option<Turn>,
    /// Slot and tenant of the newest turn, past or present.
    last: Option<(usize, usize)>,
    /// Hand-overs so far.
    handovers: u32,
    /// What a hand-over costs, as the processes measured it, on average.
    handover_ns: u64,
    /// Shortest turn now.
    turn_ns_min: u64,
    /// So many work that not all have a turn in a period.
    is_crowd: bool,
    /// What somebody runs comes in pieces too long for the turns of a period.
    is_coarse: bool,
    /// When a period began, or would have.
    period_from_ns: i64,
    vtime_ns: u64,
    /// How far the holder's virtual time may come until the next step, if nobody else can have the device until then.
    lent_to_ns: Option<u64>,
    together: together::Together,
    contention: contention::Contention,
    mixes: classes::Mixes,
    /// The tenant that is alone and whose work stays within reach.
    guarded: Option<usize>,
    /// Tenant whose turn it is on the device that leads, if that is another one.
    led: Option<usize>,
}

impl Arbiter {
    /// An arbiter with the given constants.
    pub fn new(tuning: Tuning) -> Self {
        Self {
            turn_ns_min: tuning.turn_ns_min,
            tuning,
            ..Self::default()
        }
    }

    /// Takes over what an earlier arbiter had charged.
    pub fn restore(&mut self, tenant: usize, vtime_ns: u64, device_ns: u64) {
        let account = self.tenants.entry(tenant).or_default();
        (account.vtime_ns, account.device_ns) = (vtime_ns, device_ns);
        self.vtime_ns = self.vtime_ns.max(vtime_ns);
    }

    /// Virtual time, device time and share of a tenant, for the region.
    pub fn tenant(&self, tenant: usize) -> Option<(u64, u64, Share)> {
        self.tenants
            .get(&tenant)
            .map(|a| (a.vtime_ns, a.device_ns, a.share))
    }

    /// Device time of a process, for the region.
    pub fn process_device_ns(&self, slot: usize) -> u64 {
        self.processes.get(&slot).map_or(0, |p| p.device_ns)
    }

    /// Slot whose turn it is.
    pub fn holder(&self) -> Option<usize> {
        self.turn.as_ref().map(|turn| turn.slot)
    }

    /// Slot of the process whose grants those who come may take back themselves: whose turn it is, or which is
    /// guarded.
    pub fn reachable(&self) -> Option<usize> {
        let guarded = || {
            let mut processes = self.processes.iter();
            let is_its = |account: &ProcessAccount| Some(account.tenant) == self.guarded;
            processes.find(|(_, it)| is_its(it)).map(|(slot, _)| *slot)
        };
        self.holder().or_else(guarded)
    }

    /// Tenant that is alone and whose work stays within reach.
    #[cfg(test)]
    pub(super) fn guarded(&self) -> Option<usize> {
        self.guarded
    }

    /// Looks at the device at `now_ns` and decides. Pure but for the arbiter's own memory; does not
    /// block. `now_ns` must not fall.
    pub fn step(&mut self, now_ns: u64, view: &View) -> Plan {
        let mut plan = Plan::default();
        // Every step decides anew about allowances: so whatever has changed, nobody keeps one by chance.
        self.take_allowances_back(now_ns, view);
        self.note_lead(view);
        self.meet(now_ns, view);
        self.count_crowd();
        self.charge(now_ns);
        self.retire(now_ns, view, &mut plan);
        self.mix(now_ns, view);
        let sole = self.share(now_ns, view);
        self.decide(now_ns, sole, view, &mut plan);
        self.give_allowances(sole, view, &mut plan);
        plan
    }

    /// Whose submissions form segments, whose turn it is, and when to look again.
    fn decide(&mut self, now_ns: u64, sole: Option<Sole>, view: &View, plan: &mut Plan) {
        let alone = match sole {
            Some(Sole::Unlimited(tenant)) => Some(tenant),
            _ => None,
        };
        let together = self.runs_together(now_ns, view, plan);
        let (guarded, alone) = match alone {
            Some(tenant) if self.is_to_be_guarded(now_ns, tenant, view) => (alone, None),
            _ => (None, alone),
        };
        self.set_gates(now_ns, view, alone, guarded, plan);
        if together {
            self.run_together(now_ns, view, plan);
            plan.wake_ns = Some(self.together.look_at(now_ns, view));
            return;
        }
        self.guard(now_ns, guarded, view, plan);
        if guarded.is_some() {
            return;
        }
        self.forget_strays(view, plan);
        if let Some(tenant) = alone {
            self.let_pass(now_ns, tenant, view, plan);
        }
        self.go_on(now_ns, view, alone, plan);
        self.note_lent();
        self.adapt(now_ns, view, plan);
        plan.wake_ns = self.wake(now_ns, view, plan);
    }
}
