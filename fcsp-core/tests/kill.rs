//! Processes are killed, and stopped, at every step there is; the accounts stay exact and nobody
//! waits for them.
#![cfg(feature = "failpoints")]

mod common;

use common::{Helper, at_once, device, open, pause, quota, role, say};
use fcsp_core::failpoint;
use fcsp_core::region::layout::Tenant;
use fcsp_core::region::{Attachment, Region, RobustHold, reclaim, scan, tenant};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const QUOTA_BYTES: u64 = 1_000_000;
const HELD_BYTES: u64 = 123;
/// A point is met a few times in the victim's life; more would be a loop.
const MEETINGS_MAX: u32 = 64;

#[test]
#[ignore = "run by the other tests in processes of their own"]
fn helper_process() {
    match role() {
        Some((role, dir)) if role == "victim" => live(&dir),
        Some((role, dir)) if role == "holder" => hold(&dir),
        _ => {}
    }
}

/// Goes through everything a process does with a region, in one thread, so that the same points are
/// met in the same order each time.
fn live(dir: &Path) {
    let region = open(dir);
    let attachment = Attachment::join(&region, "shared", quota(QUOTA_BYTES)).expect("joins");
    let attachment = Arc::new(attachment);
    let hold = RobustHold::new(&attachment).expect("watches");
    attachment.settle();
    let ledger = attachment.ledger();
    ledger.reserve(1000).expect("fits");
    ledger.reserve(QUOTA_BYTES).expect_err("does not fit");
    ledger.adjust(500);
    ledger.release(300);
    reclaim::reclaim_dead(&region).expect("reclaims");
    tenant::sweep(&region).expect("sweeps");
    drop(hold);
    let attachment = Arc::try_unwrap(attachment).expect("the only reference");
    assert_eq!(attachment.detach().expect("leaves"), 1200);
}

/// Holds some bytes until it is killed.
fn hold(dir: &Path) {
    let region = open(dir);
    let attachment = Attachment::join(&region, "shared", quota(QUOTA_BYTES)).expect("joins");
    attachment.ledger().reserve(77_000).expect("fits");
    say("holding");
    pause();
}

/// What the victim finds: nothing at all; or a region in use, with a dead process and an idle tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    Empty,
    InUse,
}

/// A directory as the scene wants it, with the process that stays if there is one.
fn set(scene: Scene) -> (TempDir, Option<(Arc<Region>, Attachment)>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    if scene == Scene::Empty {
        return (dir, None);
    }
    let region = open(dir.path());
    let staying = Attachment::join(&region, "shared", quota(QUOTA_BYTES)).expect("joins");
    staying.ledger().reserve(HELD_BYTES).expect("fits");
    tenant::find_or_make(&region, "idle", |_: &Tenant| {}).expect("a tenant");
    let mut holder = Helper::spawn("holder", dir.path(), &[]);
    holder.hear("holding");
    holder.kill();
    (dir, Some((region, staying)))
}

/// What must hold once the victim is gone, whatever it was doing.
fn assert_whole(context: &str, dir: &Path, staying: Option<&Attachment>) {
    let region = open(dir);
    at_once(context, || {
        reclaim::reclaim_dead(&region).expect("reclaims")
    });
    let held_bytes = if staying.is_some() { HELD_BYTES } else { 0 };
    let others = usize::from(staying.is_some());
    assert_eq!(
        scan::slots(region.layout()).count(),
        others,
        "{context}: slots"
    );
    // Marks without a slot are cleared too, so that no slot is lost.
    let marks: u32 = region
        .layout()
        .header
        .slots_used
        .iter()
        .map(|word| word.load(fcsp_core::sync::Ordering::Relaxed).count_ones())
        .sum();
    assert_eq!(marks as usize, others, "{context}: marks");
    let newcomer = at_once(context, || {
        Attachment::join(&region, "shared", quota(QUOTA_BYTES)).expect("joins")
    });
    let ledger = newcomer.ledger();
    assert_eq!(ledger.used_bytes(), held_bytes, "{context}: bytes in use");
    ledger
        .reserve(QUOTA_BYTES - held_bytes)
        .expect("the rest of the quota");
    ledger.reserve(1).expect_err("not a byte more");
    assert_eq!(newcomer.detach().expect("leaves"), QUOTA_BYTES - held_bytes);
    if let Some(staying) = staying {
        assert_eq!(
            staying.ledger().slot_bytes(),
            HELD_BYTES,
            "{context}: the other's bytes"
        );
    }
    at_once(context, || {
        tenant::find_or_make(&region, "another", |_: &Tenant| {}).expect("a tenant")
    });
    let names: BTreeSet<_> = scan::live_tenants(region.layout())
        .map(|(_, tenant)| tenant.name.read())
        .collect();
    assert_eq!(
        scan::live_tenants(region.layout()).count(),
        names.len(),
        "{context}: each tenant once"
    );
}

/// The points of regions and ledgers; those of the scheduler are in `sched_kill.rs`.
fn points() -> Vec<&'static str> {
    let mut points = failpoint::all();
    points.retain(|point| !point.starts_with("sched."));
    points
}

/// Runs `trial` at every point, for the first time it is met, the second, and so on; gives the
/// points that were met at all.
fn at_every_point(trial: impl Fn(Scene, &str) -> bool) -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    for scene in [Scene::Empty, Scene::InUse] {
        for point in points() {
            for nth in 1..=MEETINGS_MAX {
                assert_ne!(nth, MEETINGS_MAX, "{point} is met over and over");
                if !trial(scene, &format!("{point}:{nth}")) {
                    break;
                }
                met.insert(point);
            }
        }
    }
    met
}

#[test]
fn a_kill_at_any_point_loses_nothing_and_blocks_nobody() {
    let met = at_every_point(|scene, point| {
        let (dir, staying) = set(scene);
        let victim = Helper::spawn("victim", dir.path(), &[("FCSP_FAILPOINT", point)]);
        let was_killed = victim.was_killed();
        let context = format!("{scene:?}, killed at {point}");
        assert_whole(&context, dir.path(), staying.as_ref().map(|(_, it)| it));
        was_killed
    });
    let all: BTreeSet<_> = points().into_iter().collect();
    assert_eq!(met, all, "a point was never met: the victim must do more");
}

#[test]
fn a_stop_at_any_point_blocks_nobody_who_has_joined_or_joins_a_known_tenant() {
    at_every_point(|scene, point| {
        let (dir, staying) = set(scene);
        let context = format!("{scene:?}, stopped at {point}");
        let victim = Helper::spawn(
            "victim",
            dir.path(),
            &[("FCSP_FAILPOINT", point), ("FCSP_FAILPOINT_ACTION", "stop")],
        );
        if !victim.is_stopped() {
            return false;
        }
        if let Some((region, staying)) = &staying {
            at_once(&context, || {
                for _ in 0..1000 {
                    staying.ledger().reserve(10).expect("fits");
                    staying.ledger().release(10);
                }
            });
            at_once(&context, || {
                let newcomer = Attachment::attach(region, staying.tenant_index());
                newcomer.expect("attaches").detach().expect("leaves");
            });
            at_once(&context, || reclaim::reclaim_dead(region).expect("looks"));
        } else {
            // It may be making the region: others make their own or use its.
            at_once(&context, || {
                Region::create_or_open(dir.path(), &device("GPU-1")).expect("a region")
            });
        }
        victim.kill();
        assert_whole(&context, dir.path(), staying.as_ref().map(|(_, it)| it));
        true
    });
}
