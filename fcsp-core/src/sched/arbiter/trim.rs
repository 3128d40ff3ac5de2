//! Programs that run together, some of which are held back: those that had more than in turns at the expense of others
//! keep as much of it as leaves everybody what turns gave it.
//!
//! How much that is depends on what the programs do to each other, which nobody knows. So a controller (proportional and
//! integral; Åström and Hägglund: Advanced PID Control, 2006, chapter 3, in its velocity form) watches who has the least of
//! what it should have, and gives those that are held back more or less. Each of them has a bucket of device time, filled
//! by what it is allowed: a segment is granted while there is something in it.

use std::collections::BTreeMap;

use super::ahead::take_back;
use super::together::Work;
use crate::sched::clock::{ms, us};
use crate::sched::plan::{Grant, Plan, ProcessView};
use crate::sched::segment::reached;

/// How often the controller looks: some segments of everybody.
const CONTROL_NS: u64 = ms(40);
/// Its constants: what the product's documents recommend (`PID_DEFAULT_KP`, `PID_DEFAULT_KI`), thousandths.
const KP_MILLI: i64 = 800;
const KI_MILLI: i64 = 200;
/// What those that are not held back should have, of what turns gave them, thousandths: as much, and a little for noise.
const GOAL_MILLI: i64 = 1_005;
/// What is kept of the gain at first, thousandths: little, so that nobody lacks its own until the controller has found what may be.
const KEPT_MILLI_FIRST: i64 = 200;
/// Most that a bucket holds: two looks.
const BURST_NS: i64 = us(2_000) as i64;
/// Segments granted at once: one that runs, and one so that nobody's reaction time lies between.
const GRANTED: u32 = 2;

/// Tenants that are held back.
#[derive(Debug, Default)]
pub(super) struct Trim {
    held: BTreeMap<usize, Held>,
    /// What they keep of what they gained, thousandths: the controller's output.
    kept_milli: i64,
    /// What the others lacked at the last look, thousandths.
    error_milli: i64,
    looked_ns: u64,
    /// Work of everybody then.
    work: Work,
}

/// A tenant that is held back.
#[derive(Debug)]
struct Held {
    /// Work per second in turns, and together.
    in_turns: u64,
    free: u64,
    /// Device time it may have at once.
    tokens_ns: i64,
    filled_ns: u64,
}

impl Held {
    /// Work per second that is allowed.
    fn allowed(&self, kept_milli: i64) -> u64 {
        let gained = self.free.saturating_sub(self.in_turns);
        self.in_turns + gained * kept_milli.clamp(0, 1_000) as u64 / 1_000
    }
}

impl Trim {
    /// Holds back those of `free` (work per second together) that have more than `in_turns`.
    pub(super) fn new(now: u64, in_turns: &Work, free: &Work, work: Work) -> Self {
        let held = in_turns.iter().filter_map(|(tenant, in_turns)| {
            let free = free.get(tenant).copied().unwrap_or(0);
            let held = Held {
                in_turns: *in_turns,
                free,
                tokens_ns: 0,
                filled_ns: now,
            };
            (free > *in_turns).then_some((*tenant, held))
        });
        Self {
            held: held.collect(),
            kept_milli: KEPT_MILLI_FIRST,
            error_milli: 0,
            looked_ns: now,
            work,
        }
    }

    /// Whether that tenant is held back.
    pub(super) fn holds(&self, tenant: usize) -> bool {
        self.held.contains_key(&tenant)
    }

    /// Fills the buckets, and looks at `work`, what everybody has done so far, if it is time.
    pub(super) fn control(&mut self, now: u64, in_turns: &Work, work: &Work) {
        for held in self.held.values_mut() {
            let elapsed_ns = now.saturating_sub(held.filled_ns);
            let earned = u128::from(held.allowed(self.kept_milli)) * u128::from(elapsed_ns);
            held.tokens_ns = (held.tokens_ns + (earned / 1_000_000_000) as i64).min(BURST_NS);
            held.filled_ns = now;
        }
        let elapsed_ns = now.saturating_sub(self.looked_ns);
        if elapsed_ns < CONTROL_NS {
            return;
        }
        let of_goal_milli = in_turns.iter().filter_map(|(tenant, per_second)| {
            let done = |work: &Work| work.get(tenant).copied().unwrap_or(0);
            let done_ns = done(work).saturating_sub(done(&self.work));
            let goal_ns = u128::from(*per_second) * u128::from(elapsed_ns) / 1_000_000_000;
            let has = u128::from(done_ns) * 1_000 / goal_ns.max(1);
            (!self.holds(*tenant)).then_some(has as i64)
        });
        if let Some(least) = of_goal_milli.min() {
            let error = least - GOAL_MILLI;
            let change = KP_MILLI * (error - self.error_milli) + KI_MILLI * error;
            self.kept_milli = (self.kept_milli + change / 1_000).clamp(0, 1_000);
            self.error_milli = error;
        }
        self.looked_ns = now;
        self.work = work.clone();
    }

    /// A tenant has done that much.
    pub(super) fn charge(&mut self, tenant: usize, ns: u64) {
        if let Some(held) = self.held.get_mut(&tenant) {
            held.tokens_ns -= ns as i64;
        }
    }

    /// Grants a process of a tenant that is held back what its tenant may have now, and takes back the rest.
    pub(super) fn grant(&self, process: &ProcessView, plan: &mut Plan) {
        let has_time = self
            .held
            .get(&process.tenant)
            .is_some_and(|held| held.tokens_ns > 0);
        let from = plan.granted(process).wrapping_add(1);
        let to = plan.retired(process).wrapping_add(GRANTED);
        if !has_time || !reached(to, from) {
            let running = plan.retired(process).wrapping_add(1);
            return take_back(process, running, plan);
        }
        plan.grant.push(Grant {
            slot: process.slot,
            from,
            to,
            first_of_turn: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_TURNS: [(usize, u64); 2] = [(0, 100_000_000), (1, 880_000_000)];

    /// Runs for `looks` of the controller on a device where the first slows the second down by `slower` for each
    /// part of the device that it has; gives what both have in the end, per second.
    fn run(slower: f64, looks: u32) -> [f64; 2] {
        let alone = 1.0 / (1.0 + slower);
        let free: Work = [0, 1].map(|at| (at, (alone * 1e9) as u64)).into();
        let in_turns: Work = IN_TURNS.into();
        let mut trim = Trim::new(0, &in_turns, &free, Work::from([(0, 0), (1, 0)]));
        let (mut work, mut rates) = (Work::from([(0, 0), (1, 0)]), [0.0; 2]);
        for look in 1..=looks {
            let allowed = trim.held[&0].allowed(trim.kept_milli) as f64 / 1e9;
            // The first is on the device for that part of the time.
            let there = (allowed / alone).min(1.0);
            rates = [allowed, 1.0 - there + there * alone];
            for (at, rate) in rates.iter().enumerate() {
                *work.entry(at).or_default() += (rate * CONTROL_NS as f64) as u64;
            }
            trim.control(u64::from(look) * CONTROL_NS, &in_turns, &work);
        }
        rates
    }

    #[test]
    fn those_that_gained_keep_what_leaves_the_others_their_own() {
        for slower in [0.2, 0.45, 0.8] {
            let [first, second] = run(slower, 60);
            println!("each {slower} slower beside the other: {first:.3}, {second:.3}");
            assert!((0.875..0.9).contains(&second), "{second:.3}");
            assert!(first >= 0.1, "{first:.3}");
        }
    }

    #[test]
    fn nobody_is_held_below_what_turns_gave_it() {
        // They gain nothing from each other, and less than nothing could be kept.
        let [first, _] = run(8.0, 50);
        assert!((0.0999..0.12).contains(&first), "{first:.4}");
    }

    #[test]
    fn a_bucket_grants_what_was_earned_and_no_more() {
        let free: Work = [(0, 600_000_000), (1, 600_000_000)].into();
        let in_turns: Work = IN_TURNS.into();
        let mut trim = Trim::new(0, &in_turns, &free, Work::new());
        let process = ProcessView {
            opened: 4,
            ..ProcessView::default()
        };
        let granted = |trim: &Trim| {
            let mut plan = Plan::default();
            trim.grant(&process, &mut plan);
            plan.grant.first().map(|grant| grant.to)
        };
        assert_eq!(granted(&trim), None, "nothing was earned yet");
        trim.control(ms(1), &in_turns, &Work::new());
        assert_eq!(granted(&trim), Some(GRANTED));
        trim.charge(0, ms(1));
        assert_eq!(granted(&trim), None, "it has had more than it earned");
        assert!(!trim.holds(1));
    }
}
