//! Who is there, what each has used, and what each may have.

use super::gang::spans;
use super::{Arbiter, Sole};
use crate::backend::SharingMode;
use crate::policy::{Mode, Priority};
use crate::sched::account::{ProcessAccount, Seen, TenantAccount};
use crate::sched::clock::ms;
use crate::sched::plan::{ProcessView, View};
use crate::sched::segment::SegmentState;
use crate::sched::shares::{WHOLE_PPM, shares};

const PERCENT_PPM: u32 = WHOLE_PPM / 100;
/// With so many segments that are not over a program has more waiting than what runs and what it is just submitting.
const BACKLOG: usize = 3;
/// Longest that one turn of a low tenant keeps it from the next: its floor is what it has at least, and what others do on the
/// device meanwhile, whom nothing limits, would be paid for at that rate.
const LOW_WAITS_NS_MAX: u64 = ms(1000);

impl Arbiter {
    /// Learns of new tenants and processes, and forgets those that are gone.
    pub(super) fn meet(&mut self, now: u64, view: &View) {
        self.processes.retain(|slot, account| {
            let process = view.process(*slot);
            process.is_some_and(|it| it.generation == account.generation)
        });
        if let Some(turn) = &self.turn
            && !self.processes.contains_key(&turn.slot)
        {
            self.turn = None;
        }
        let measured = view
            .processes
            .iter()
            .map(|it| self.known_handover_ns(it))
            .filter(|ns| *ns != 0);
        let (sum_ns, count) = measured.fold((0, 0), |(sum, count), ns| (sum + ns, count + 1));
        self.handover_ns = u64::checked_div(sum_ns, count).unwrap_or(0);
        let is_there = |index: usize| view.tenant(index).is_some();
        self.tenants.retain(|index, _| is_there(*index));
        self.together.forget(is_there);
        for tenant in &view.tenants {
            self.tenants
                .entry(tenant.index)
                .or_insert_with(|| TenantAccount {
                    vtime_ns: self.vtime_ns,
                    ..TenantAccount::default()
                });
        }
        for process in &view.processes {
            let account = self
                .processes
                .entry(process.slot)
                .or_insert_with(|| ProcessAccount::new(process, self.tuning.margin_ns));
            account.threads_wait |= process.threads_wait
                || process.segments.iter().any(|segment| {
                    matches!(
                        segment.state,
                        SegmentState::Watched | SegmentState::Unmarked
                    )
                });
            account.spans = spans(now, view, process);
            let Some(account) = self.tenants.get_mut(&process.tenant) else {
                continue;
            };
            if process.has_work()
                || process.hides.is_some()
                || process.has_peers_at_work
                || !process.gated
            {
                account.note_active(now);
            }
        }
        // One pass over the processes for all tenants, which may be as many.
        for account in self.tenants.values_mut() {
            account.seen = Seen::default();
        }
        for process in &view.processes {
            let waits = self.processes.get(&process.slot);
            let waits = waits.is_some_and(|it| it.waits() || it.interactive());
            if let Some(account) = self.tenants.get_mut(&process.tenant) {
                account.seen.waits |= waits;
                account.seen.is_there = true;
                account.seen.works |= process.has_work();
                account.seen.backlogged |= process.segments.len() >= BACKLOG;
            }
        }
        for tenant in &view.tenants {
            if let Some(account) = self.tenants.get_mut(&tenant.index) {
                let Seen {
                    is_there,
                    works,
                    backlogged,
                    ..
                } = account.seen;
                if works && !account.had_work {
                    let credit_ns = account.credit_ns(self.tuning.turn_ns_max);
                    let least_ns = self.vtime_ns.saturating_sub(credit_ns);
                    account.vtime_ns = account.vtime_ns.max(least_ns);
                }
                account.rested = false;
                account.had_work = works;
                if !is_there {
                    // It does not pause: all its processes are gone, and what was theirs is the others' at once.
                    account.active_ns = 0;
                }
                account.note_backlog(now, backlogged);
            }
        }
        self.owe_nothing_to_who_was_held_back();
        if let Some(least) = self.at_work().map(|it| it.vtime_ns).min() {
            self.vtime_ns = self.vtime_ns.max(least);
        }
    }

    /// Who has work and is kept from it by its own ceiling gains no credit by that beyond a turn either: once that is lifted,
    /// the others would have nothing for as long as it had less than they.
    fn owe_nothing_to_who_was_held_back(&mut self) {
        let eligible = self.at_work().filter(|it| it.eligible());
        let Some(least_ns) = eligible.map(|it| it.vtime_ns).min() else {
            return;
        };
        let least_ns = least_ns.saturating_sub(self.tuning.turn_ns_max);
        for account in self.tenants.values_mut() {
            if account.had_work && !account.eligible() {
                account.vtime_ns = account.vtime_ns.max(least_ns);
            }
        }
    }

    /// What a hand-over to that process costs; 0 if nothing is known of it.
    pub(super) fn known_handover_ns(&self, process: &ProcessView) -> u64 {
        let account = self.processes.get(&process.slot);
        account.map_or(process.handover_ns, |it| it.lengths.handover_ns(process))
    }

    /// Charges the holder for the time since the last step.
    pub(super) fn charge(&mut self, now: u64) {
        let lent_to_ns = self.lent_to_ns.take();
        let Some(turn) = &mut self.turn else { return };
        let elapsed = now.saturating_sub(turn.charged_to_ns);
        turn.charged_to_ns = turn.charged_to_ns.max(now);
        if let Some(account) = self.tenants.get_mut(&turn.tenant) {
            let before_ns = account.vtime_ns;
            account.charge(elapsed);
            let is_low = account.priority == Priority::Low;
            let low_to_ns = is_low.then_some(self.vtime_ns + LOW_WAITS_NS_MAX);
            for most_ns in [low_to_ns, lent_to_ns].into_iter().flatten() {
                account.vtime_ns = account.vtime_ns.min(most_ns.max(before_ns));
            }
        }
        if let Some(process) = self.processes.get_mut(&turn.slot) {
            process.charge(elapsed);
        }
    }

    /// Notes whether the holder has until the next step what the others at work could not have. That is not to be paid for
    /// with its next turns: with a small share, a moment of the whole device would cost it seconds.
    pub(super) fn note_lent(&mut self) {
        let holder = self.turn.as_ref().map(|turn| turn.tenant);
        let working = self.tenants.iter().filter(|(_, it)| it.had_work);
        let mut others = working.filter(|(index, _)| Some(**index) != holder);
        let least_ns = others.clone().map(|(_, it)| it.vtime_ns).min();
        let is_lent = !others.any(|(_, it)| it.eligible());
        self.lent_to_ns = least_ns.filter(|_| is_lent).map(|ns| ns + self.round_ns());
    }

    /// Brings shares up to date. Returns the tenant that is the only one at work, if one is, and nobody may come whom it
    /// would have to make way for at once.
    pub(super) fn share(&mut self, now: u64, view: &View) -> Option<Sole> {
        let idle_ns = self.tuning.idle_ns;
        let active = |a: &TenantAccount| a.active_ns != 0 && now - a.active_ns.min(now) < idle_ns;
        let promises: Vec<_> = view
            .tenants
            .iter()
            .map(|t| {
                let mut promise = t.promise;
                promise.class_milli = self.class_milli(t.index);
                promise.active =
                    promise.mode != Mode::None && self.tenants.get(&t.index).is_some_and(active);
                promise
            })
            .collect();
        let round_ns = self.round_ns();
        for (tenant, share) in view.tenants.iter().zip(shares(&promises)) {
            // A turn's worth: what it earns while others have their turns must not be lost.
            let burst_ns = self.part_ns(round_ns, tenant.index);
            if let Some(account) = self.tenants.get_mut(&tenant.index) {
                account.share = share;
                if share.ceiling_ppm < WHOLE_PPM
                    && is_partitioned(view, tenant.index, share.ceiling_ppm)
                {
                    account.share.ceiling_ppm = WHOLE_PPM;
                }
                account.priority = tenant.promise.priority;
                account.fill(now, burst_ns);
            }
        }
        if self.note_promises(view) {
            self.replan(now);
        }
        let mut enforced = view
            .tenants
            .iter()
            .zip(&promises)
            .filter(|(_, p)| p.active)
            .map(|(t, _)| t.index);
        let one = enforced.next()?;
        let whole = self.tenants.get(&one)?.share.ceiling_ppm >= WHOLE_PPM;
        let makes_way = !self.is_high(one) && self.is_high_there();
        let sole = match whole {
            true => Sole::Unlimited(one),
            false => Sole::Limited(one),
        };
        (enforced.next().is_none() && !makes_way).then_some(sole)
    }
}

/// Whether partitions keep the tenant within its ceiling, so that time need not: programs run together, and
/// each of its processes is confined.
fn is_partitioned(view: &View, tenant: usize, ceiling_ppm: u32) -> bool {
    let confined = |process: &ProcessView| {
        // A partition has whole percent, rounded up.
        let percent = process.partition_percent;
        (1..=ceiling_ppm.div_ceil(PERCENT_PPM)).contains(&percent)
    };
    let mut processes = view.processes.iter().filter(|it| it.tenant == tenant);
    view.sharing == SharingMode::Concurrent && processes.all(confined)
}
