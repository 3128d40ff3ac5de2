//! Classes of work that a policy weights: what a nanosecond of each tenant's work counts on average, from what it
//! submitted lately. Its entitlement counts by that.

use std::collections::BTreeMap;

use super::Arbiter;
use crate::sched::class::{CLASSES, EVEN_MILLI};
use crate::sched::clock::ms;
use crate::sched::plan::View;

/// How often what was submitted is looked at: some rounds, so that each has a step of most programs.
const EVERY_NS: u64 = ms(100);

/// What was submitted, as far as it was looked at.
#[derive(Debug, Default)]
pub(super) struct Mixes {
    looked_ns: u64,
    /// By slot: whose it is by the slot's generation, and its totals.
    seen: BTreeMap<usize, (u32, [u64; CLASSES])>,
    /// By tenant, thousandths.
    milli: BTreeMap<usize, u32>,
}

impl Arbiter {
    /// What a nanosecond of the tenant's work counts, thousandths.
    pub(super) fn class_milli(&self, tenant: usize) -> u32 {
        self.mixes.milli.get(&tenant).copied().unwrap_or(EVEN_MILLI)
    }

    /// Looks at what was submitted since, if classes have weights and it is time.
    pub(super) fn mix(&mut self, now: u64, view: &View) {
        if !view.weights_classes() {
            self.mixes = Mixes::default();
            return;
        }
        if now.saturating_sub(self.mixes.looked_ns) < EVERY_NS {
            return;
        }
        self.mixes.looked_ns = now;
        let mut since: BTreeMap<usize, (u128, u128)> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for process in &view.processes {
            let now_ns = (process.generation, process.classes_ns);
            let before = self.mixes.seen.get(&process.slot);
            let before = before.filter(|(generation, _)| *generation == process.generation);
            let before_ns = before.map_or([0; CLASSES], |(_, totals)| *totals);
            seen.insert(process.slot, now_ns);
            let (sum, weighted) = since.entry(process.tenant).or_default();
            for (at, total_ns) in process.classes_ns.iter().enumerate() {
                let ns = u128::from(total_ns.saturating_sub(before_ns[at]));
                *sum += ns;
                *weighted += ns * u128::from(view.weight_milli(at));
            }
        }
        self.mixes.seen = seen;
        self.mixes
            .milli
            .retain(|tenant, _| view.tenants.iter().any(|it| it.index == *tenant));
        for (tenant, (sum, weighted)) in since {
            let Some(latest) = weighted.checked_div(sum) else {
                continue;
            };
            let known = self.mixes.milli.entry(tenant).or_insert(latest as u32);
            *known = (*known + latest as u32).div_ceil(2);
        }
    }
}
