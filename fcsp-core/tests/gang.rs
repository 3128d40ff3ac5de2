//! Which devices take turns together, told from their regions.

mod common;

use fcsp_core::policy::Limits;
use fcsp_core::region::layout::Slot;
use fcsp_core::region::{Attachment, Region};
use fcsp_core::sched::gang::Gang;
use fcsp_core::sched::plan::{Lead, View};
use fcsp_core::sched::view;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const SECOND_NS: u64 = 1_000_000_000;
const NOW_NS: u64 = 100 * SECOND_NS;

fn region(dir: &Path, id: &str) -> Arc<Region> {
    Arc::new(Region::create_or_open(dir, &common::device(id)).expect("a region"))
}

fn attach(region: &Arc<Region>, tenant: &str) -> Attachment {
    let write = |page: &_| Limits::default().store(page);
    Attachment::join(region, tenant, write).expect("joins")
}

/// Takes part in a collective.
fn joins_collective(process: &Attachment, at_ns: u64) {
    let queue = &process.slot().queue;
    queue.collective_ns.store(at_ns, Ordering::Relaxed);
}

/// Has the turn on its device.
fn holds(process: &Attachment) {
    let words = &process.region().layout().header.arbiter;
    let slot = process.slot_index().0;
    words.holder.store(slot + 1, Ordering::Relaxed);
}

fn opens_segment(slot: &Slot) {
    slot.queue.opened.fetch_add(1, Ordering::Relaxed);
}

fn look(region: &Region, gang: &Gang<'_>, now_ns: u64) -> View {
    let mut view = View::default();
    view::read(region.layout(), &mut view, now_ns);
    gang.look_around(&mut view, now_ns);
    view
}

fn tenant_of(process: &Attachment) -> usize {
    view_of(process).tenant
}

fn view_of(process: &Attachment) -> fcsp_core::sched::plan::ProcessView {
    let mut view = View::default();
    view::read(process.region().layout(), &mut view, NOW_NS);
    let slot = process.slot_index().0 as usize;
    let found = view.processes.into_iter().find(|it| it.slot == slot);
    found.expect("it is attached")
}

#[test]
fn devices_that_jobs_span_follow_the_first_of_them() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [first, second, third] = ["GPU-1", "GPU-2", "GPU-3"].map(|id| region(dir.path(), id));
    // Pages in another order on each.
    let (a1, b1) = (attach(&first, "a"), attach(&first, "b"));
    let (b2, a2) = (attach(&second, "b"), attach(&second, "a"));
    let apart = attach(&third, "c");
    for process in [&a1, &b1, &a2, &b2, &apart] {
        joins_collective(process, NOW_NS);
    }
    let gangs = [&first, &second, &third].map(|region| Gang::new(region));
    let lead_of = |at: usize, now_ns| {
        let region = [&first, &second, &third][at];
        look(region, &gangs[at], now_ns).lead
    };

    // One that does not know yet that it leads is not followed.
    holds(&a1);
    assert_eq!(lead_of(1, NOW_NS), Lead::There(None));
    assert_eq!(lead_of(0, NOW_NS), Lead::Here);
    assert_eq!(lead_of(1, NOW_NS), Lead::There(Some(tenant_of(&a2))));
    assert_eq!(
        lead_of(2, NOW_NS),
        Lead::Nobody,
        "no job of it is elsewhere"
    );

    holds(&b1);
    assert_eq!(lead_of(1, NOW_NS), Lead::There(Some(tenant_of(&b2))));
    // Nobody has the turn at this moment: who had it last.
    let words = &first.layout().header.arbiter;
    words.holder.store(0, Ordering::Relaxed);
    assert_eq!(lead_of(1, NOW_NS), Lead::There(Some(tenant_of(&b2))));
    // Nor does one follow a device whose arbiter has been silent.
    let later_ns = NOW_NS + SECOND_NS / 10;
    assert_eq!(lead_of(1, later_ns), Lead::There(None));
}

#[test]
fn a_job_that_comes_later_is_known_soon() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [first, second] = ["GPU-1", "GPU-2"].map(|id| region(dir.path(), id));
    let (a1, a2) = (attach(&first, "a"), attach(&second, "a"));
    for process in [&a1, &a2] {
        joins_collective(process, NOW_NS);
    }
    let gangs = [&first, &second].map(|region| Gang::new(region));
    look(&first, &gangs[0], NOW_NS);
    look(&second, &gangs[1], NOW_NS);
    let (b1, b2) = (attach(&first, "b"), attach(&second, "b"));
    let soon_ns = NOW_NS + SECOND_NS / 40;
    opens_segment(b2.slot());
    let view = look(&first, &gangs[0], soon_ns);
    let slot = b1.slot_index().0 as usize;
    assert!(view.process(slot).is_some_and(|it| it.has_peers_at_work));
    holds(&b1);
    let lead = look(&second, &gangs[1], soon_ns).lead;
    assert_eq!(lead, Lead::There(Some(tenant_of(&b2))));
}

#[test]
fn who_leads_sees_what_its_tenants_do_elsewhere() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [first, second] = ["GPU-1", "GPU-2"].map(|id| region(dir.path(), id));
    let (a1, b1) = (attach(&first, "a"), attach(&first, "b"));
    let (b2, a2) = (attach(&second, "b"), attach(&second, "a"));
    for process in [&a1, &b1, &a2, &b2] {
        joins_collective(process, NOW_NS);
    }
    let gang = Gang::new(&first);
    let found = |process: &Attachment| {
        let slot = process.slot_index().0 as usize;
        let view = look(&first, &gang, NOW_NS);
        let process = view.process(slot).expect("it is attached");
        (process.has_peers_at_work, process.in_collective)
    };
    assert_eq!((found(&a1), found(&b1)), ((false, false), (false, false)));
    opens_segment(b2.slot());
    assert_eq!((found(&a1), found(&b1)), ((false, false), (true, false)));
    let arrival = &a2.page().arrival;
    arrival.collective_begun.store(7, Ordering::Relaxed);
    assert_eq!((found(&a1), found(&b1)), ((false, true), (true, false)));
    arrival.collective_done.store(7, Ordering::Relaxed);
    assert_eq!(found(&a1), (false, false));
}

#[test]
fn jobs_that_no_longer_meet_are_no_group() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [first, second] = ["GPU-1", "GPU-2"].map(|id| region(dir.path(), id));
    let (here, there) = (attach(&first, "a"), attach(&second, "a"));
    let gang = Gang::new(&first);
    let lead = |now_ns| look(&first, &gang, now_ns).lead;
    assert_eq!(lead(NOW_NS), Lead::Nobody);
    joins_collective(&here, NOW_NS);
    assert_eq!(lead(NOW_NS + SECOND_NS), Lead::Nobody, "alone");
    joins_collective(&there, NOW_NS);
    assert_eq!(lead(NOW_NS + 2 * SECOND_NS), Lead::Here);
    assert_eq!(lead(NOW_NS + 20 * SECOND_NS), Lead::Nobody);
}
