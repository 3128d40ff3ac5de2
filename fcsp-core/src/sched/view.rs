//! Between the region and the arbiter: reads what the processes tell, writes what was decided.

use super::arbiter::Arbiter;
use super::class::CLASSES;
use super::clock::{ms, us};
use super::handshake::{end_segment, read_segment, wake_sleepers};
use super::plan::{Plan, ProcessView, SegmentView, TenantView, View};
use super::producer::AHEAD;
use super::segment::{SegmentState, reached};
use super::shares::Promise;
use crate::backend::SharingMode;
use crate::failpoint::failpoint;
use crate::policy::{LowPriority, Mode, Priority, Weight};
use crate::region::layout::{GatePage, RegionLayout, SEGMENTS, SlotPages};
use crate::region::scan::{SlotRef, live_slots, live_tenants};
use crate::region::sharing::{self, Because};
use crate::sync::Ordering;

/// Longest time that work which stands behind something is kept from the arbiter once it is its
/// process's oldest. What it stands behind may itself need what comes after: a thread that waits for
/// room before it writes the word, say. Longer than a collective waits in a job that is well.
const HIDDEN_NS_MAX: u64 = ms(100);
/// How often to look whether the device has come to such work: nobody rings then. Costs the arbiter
/// some 2 % of a processor while there is any, and the work half of it in delay.
const ARRIVAL_POLL_NS: u64 = us(250);

/// Reads the device's programs into `view`, reusing its memory. What other devices do is
/// not in the region: see [`super::gang`].
pub fn read(region: &RegionLayout, view: &mut View, now_ns: u64) {
    let (sharing, because) = sharing::in_force(region);
    view.sharing = sharing;
    view.may_slice = sharing == SharingMode::Exclusive && because != Because::Policy;
    let weights = region.header.class_weights_milli.iter();
    for (weight, word) in view.class_weights_milli.iter_mut().zip(weights) {
        *weight = word.load(Ordering::Relaxed);
    }
    let weights_classes = view.weights_classes();
    view.tenants.clear();
    let mut spare: Vec<_> = view.processes.drain(..).map(|it| it.segments).collect();
    for (index, tenant) in live_tenants(region) {
        let promise = Promise {
            mode: Mode::from_number(tenant.mode.load(Ordering::Relaxed)),
            entitlement_ppm: tenant.entitlement_ppm.load(Ordering::Relaxed),
            pools_ppm: [0, 1, 2].map(|i: usize| tenant.pools_ppm[i].load(Ordering::Relaxed)),
            burst_max_ppm: tenant.burst_max_ppm.load(Ordering::Relaxed),
            priority: Priority::from_number(tenant.priority.load(Ordering::Relaxed)),
            low_priority: LowPriority::from_number(tenant.low_priority.load(Ordering::Relaxed)),
            weight: Weight::from_number(tenant.weight.load(Ordering::Relaxed)).number(),
            class_milli: 1000,
            active: false,
        };
        let index = index.0 as usize;
        view.tenants.push(TenantView { index, promise });
    }
    for found in live_slots(region) {
        let words = &found.slot.classes_ns;
        let segments = spare.pop().unwrap_or_default();
        let mut process = read_process(found, now_ns, segments);
        if weights_classes {
            process.classes_ns = std::array::from_fn(|at| words[at].load(Ordering::Relaxed));
        }
        view.processes.push(process);
    }
}

/// When to look again: as planned, or earlier if there is work that the device has yet to come to.
pub fn wake_ns(planned: Option<u64>, view: &View, now_ns: u64) -> Option<u64> {
    let hides = view.processes.iter().any(|process| process.hides.is_some());
    let arrival = hides.then_some(now_ns + ARRIVAL_POLL_NS);
    planned.into_iter().chain(arrival).min()
}

/// The newest segment to show: those from the first on that the device has yet to come to are nobody's
/// business. If they were granted ahead, the grant is taken back with the turn.
fn newest_shown(page: &GatePage, opened: u32, retired: u32, now_ns: u64) -> u32 {
    let awaited = page.arrival.awaited.load(Ordering::Relaxed);
    let pending = opened.wrapping_sub(retired).min(AHEAD + 1);
    if awaited == 0 {
        return opened;
    }
    // Acquire pairs with the device's write: what stood before it in its queue is over.
    let arrived = page.arrival.arrived.load(Ordering::Acquire);
    let hidden = (1..=pending)
        .map(|i| retired.wrapping_add(i))
        .find(|number| {
            let is_awaited = awaited & 1 << (*number as usize % SEGMENTS) != 0;
            is_awaited && !reached(arrived, *number)
        });
    let Some(hidden) = hidden else { return opened };
    let before = hidden.wrapping_sub(1);
    if before == retired {
        let place = |number: u32| &page.segments[number as usize % SEGMENTS];
        let oldest_since_ns = place(hidden)
            .opened_ns
            .load(Ordering::Relaxed)
            .max(place(before).finished_ns.load(Ordering::Relaxed));
        if now_ns.saturating_sub(oldest_since_ns) >= HIDDEN_NS_MAX {
            return opened;
        }
    }
    before
}

fn read_process(found: SlotRef<'_>, now_ns: u64, mut segments: Vec<SegmentView>) -> ProcessView {
    let (slot, page) = (found.slot, found.page);
    // Acquire pairs with the producer's Release: the segments up to `opened` can be read.
    let opened = slot.queue.opened.load(Ordering::Acquire);
    let retired = slot.compute.retired.load(Ordering::Relaxed);
    let shown = newest_shown(page, opened, retired, now_ns);
    let hides = (shown != opened).then_some(opened);
    let opened = shown;
    let pending = opened.wrapping_sub(retired).min(AHEAD + 1);
    segments.clear();
    segments.extend((1..=pending).map(|i| {
        let number = retired.wrapping_add(i);
        let segment = &page.segments[number as usize % SEGMENTS];
        read_segment(segment, &page.done, number)
    }));
    ProcessView {
        slot: found.index.0 as usize,
        generation: slot.generation.load(Ordering::Relaxed),
        tenant: found.tenant().0 as usize,
        opened,
        granted: page.grant.load(Ordering::Relaxed),
        retired,
        gated: slot.gate.gated.load(Ordering::Relaxed) != 0,
        allowed_ns: slot.gate.allowed_ns.load(Ordering::Relaxed),
        passed_ns: slot.gate.passed_ns.load(Ordering::Relaxed),
        passed_until_ns: slot.gate.passed_until_ns.load(Ordering::Relaxed),
        synced: slot.queue.synced.load(Ordering::Relaxed),
        blocked: slot.queue.blocked.load(Ordering::Relaxed),
        looked_ns: slot.queue.looked_ns.load(Ordering::Relaxed),
        looks: slot.queue.sleepers.load(Ordering::Relaxed) != 0,
        threads_wait: slot.queue.threads_wait.load(Ordering::Relaxed) != 0,
        handover_ns: slot.queue.handover_ns.load(Ordering::Relaxed),
        guessed: slot.queue.guessed.load(Ordering::Relaxed),
        spread_ppm: slot.queue.spread_ppm.load(Ordering::Relaxed),
        waits_at: slot.queue.waits_at.load(Ordering::Relaxed),
        collective_ns: slot.queue.collective_ns.load(Ordering::Relaxed),
        hides,
        has_peers_at_work: false,
        in_collective: in_collective(page),
        partition_percent: slot.partition_percent.load(Ordering::Relaxed),
        classes_ns: [0; CLASSES],
        segments,
    }
}

/// Whether the device has come to a collective of the process and not to its end.
pub fn in_collective(page: &GatePage) -> bool {
    // Relaxed: looked at again at the next step.
    let begun = page.arrival.collective_begun.load(Ordering::Relaxed);
    begun != page.arrival.collective_done.load(Ordering::Relaxed)
}

/// Carries a plan out. Grants are written last, each behind what it publishes.
pub fn apply(region: &RegionLayout, plan: &Plan, now_ns: u64) {
    failpoint!("sched.apply.begun");
    // First of all: what was taken back from one is not used beside what another is granted, but for what is passing at
    // this instant.
    for allowance in &plan.allow {
        let gate = &region.slots[allowance.slot].slot.gate;
        gate.allowed_ns
            .store(allowance.allowed_ns, Ordering::Relaxed);
    }
    for reference in &plan.expire {
        let segment =
            &region.slots[reference.slot].page.segments[reference.number as usize % SEGMENTS];
        // Fails if the program closed it meanwhile, which ends it just as well.
        let _not_closed = end_segment(segment, SegmentState::Expired);
        failpoint!("sched.apply.expired");
    }
    for gate in &plan.gate {
        let slot = &region.slots[gate.slot].slot;
        slot.gate
            .segment_us
            .store(gate.segment_us, Ordering::Relaxed);
        slot.gate.turn_us.store(gate.turn_us, Ordering::Relaxed);
        let gated = gate.gating.number();
        if slot.gate.gated.load(Ordering::Relaxed) != gated {
            slot.gate.gated.store(gated, Ordering::Release);
            failpoint!("sched.apply.gated");
        }
    }
    for revoked in &plan.revoke {
        let page = &region.slots[revoked.slot].page;
        // A segment that opens at this instant may slip through: its work then runs beside the next
        // holder's, once.
        page.grant.store(revoked.number, Ordering::Release);
        failpoint!("sched.apply.revoked");
    }
    for grant in &plan.grant {
        let SlotPages { slot, page } = &region.slots[grant.slot];
        if grant.first_of_turn {
            // Relaxed: a hint.
            slot.gate.turn_from.store(grant.from, Ordering::Relaxed);
        }
        let count = grant.to.wrapping_sub(grant.from).min(SEGMENTS as u32 - 1);
        for i in 0..=count {
            let number = grant.from.wrapping_add(i);
            let segment = &page.segments[number as usize % SEGMENTS];
            segment
                .first_of_turn
                .store(u32::from(i == 0 && grant.first_of_turn), Ordering::Relaxed);
            segment.granted_ns.store(now_ns, Ordering::Relaxed);
        }
        if !reached(page.grant.load(Ordering::Relaxed), grant.to) {
            failpoint!("sched.apply.granting");
            // Release publishes the two above to the producer; the device only reads the number.
            page.grant.store(grant.to, Ordering::Release);
            failpoint!("sched.apply.granted");
            // Threads wait where the device cannot.
            let queue = &region.slots[grant.slot].slot.queue;
            wake_sleepers(&queue.room, &queue.sleepers);
        }
    }
    for retire in &plan.retire {
        let pages = &region.slots[retire.segment.slot];
        let number = retire.segment.number;
        let segment = &pages.page.segments[number as usize % SEGMENTS];
        if !retire.exact {
            // What it took says nothing.
            segment.first_of_turn.store(0, Ordering::Relaxed);
        }
        segment.finished_ns.store(now_ns, Ordering::Release);
        failpoint!("sched.apply.retiring");
        if !retire.finished {
            pages.slot.compute.overdue.fetch_add(1, Ordering::Relaxed);
        }
        // Release: the producer may use the segment's place again.
        pages.slot.compute.retired.store(number, Ordering::Release);
        failpoint!("sched.apply.retired");
        let queue = &pages.slot.queue;
        wake_sleepers(&queue.room, &queue.sleepers);
    }
}

/// Writes the arbiter's accounts where the next arbiter and the operator find them.
pub fn publish(region: &RegionLayout, view: &View, arbiter: &Arbiter, now_ns: u64) {
    for tenant in &view.tenants {
        let Some((vtime_ns, device_ns, share)) = arbiter.tenant(tenant.index) else {
            continue;
        };
        let compute = &region.tenants[tenant.index].compute;
        compute.vtime_ns.store(vtime_ns, Ordering::Relaxed);
        compute.device_ns.store(device_ns, Ordering::Relaxed);
        compute.share_ppm.store(share.share_ppm, Ordering::Relaxed);
        compute
            .ceiling_ppm
            .store(share.ceiling_ppm, Ordering::Relaxed);
    }
    for process in &view.processes {
        let compute = &region.slots[process.slot].slot.compute;
        compute
            .device_ns
            .store(arbiter.process_device_ns(process.slot), Ordering::Relaxed);
    }
    failpoint!("sched.publish.accounts");
    let words = &region.header.arbiter;
    words.holder.store(
        arbiter.reachable().map_or(0, |slot| slot as u32 + 1),
        Ordering::Relaxed,
    );
    words.how.store(arbiter.how() as u32, Ordering::Relaxed);
    words.heartbeat_ns.store(now_ns, Ordering::Release);
}

/// Takes over what the last arbiter charged.
pub fn restore(region: &RegionLayout, arbiter: &mut Arbiter) {
    for (index, tenant) in live_tenants(region) {
        let compute = &tenant.compute;
        let vtime_ns = compute.vtime_ns.load(Ordering::Relaxed);
        let device_ns = compute.device_ns.load(Ordering::Relaxed);
        arbiter.restore(index.0 as usize, vtime_ns, device_ns);
    }
}
