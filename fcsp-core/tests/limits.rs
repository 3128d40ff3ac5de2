//! Changes of limits while others change them too: none is lost.

mod common;

use common::{Helper, pause, region, role, say};
use fcsp_core::policy::live::Change;
use fcsp_core::policy::{Limits, Share};
use fcsp_core::region::{Region, TenantIndex, tenant};
use std::path::Path;
use std::time::Duration;

/// Changes that each of two processes makes.
const CHANGES: u64 = 300;
/// Between reading and writing: long enough that two changes without a lock would meet.
const THINKING: Duration = Duration::from_micros(100);

#[test]
#[ignore = "run by the other tests in processes of their own"]
fn helper_process() {
    if let Some((role, dir)) = role() {
        match role.as_str() {
            "holder" => hold(&dir),
            _ => change_again_and_again(&role, &dir),
        }
    }
}

fn tenant_of(region: &Region) -> TenantIndex {
    tenant::find_or_make(region, "a", |page| Limits::default().store(page)).expect("a tenant")
}

/// Takes the lock and keeps it.
fn hold(dir: &Path) {
    let region = common::open(dir);
    let _lock = region.lock_limits().expect("nobody holds it");
    say("locked");
    pause();
}

/// Counts one limit up, and sees each time that nobody set it back.
fn change_again_and_again(role: &str, dir: &Path) {
    let region = common::open(dir);
    let index = tenant_of(&region);
    say("ready");
    pause();
    for count in 1..=CHANGES {
        let lock = region.lock_limits().expect("nobody holds it for long");
        let change = Change::plan(&region, &lock, index, |_, limits| {
            std::thread::sleep(THINKING);
            match role {
                "quota" => {
                    assert_eq!(limits.quota_bytes.unwrap_or(0), count - 1);
                    Limits {
                        quota_bytes: Some(count),
                        ..limits
                    }
                }
                _ => {
                    assert_eq!(u64::from(limits.entitlement.ppm()), count - 1);
                    Limits {
                        entitlement: Share::from_ppm(count as u32),
                        ..limits
                    }
                }
            }
        });
        change.make();
    }
    say("done");
}

#[test]
fn of_two_changes_at_the_same_instant_none_is_lost() {
    let (dir, region) = region();
    let index = tenant_of(&region);
    let mut helpers = ["quota", "compute"].map(|role| Helper::spawn(role, dir.path(), &[]));
    for helper in &mut helpers {
        helper.hear("ready");
    }
    for helper in &mut helpers {
        helper.go_on();
    }
    for helper in &mut helpers {
        helper.hear("done");
    }
    let limits = Limits::load(region.tenant(index));
    assert_eq!(limits.quota_bytes, Some(CHANGES));
    assert_eq!(u64::from(limits.entitlement.ppm()), CHANGES);
}

#[test]
fn a_killed_holder_is_no_obstacle() {
    let (dir, region) = region();
    let mut helper = Helper::spawn("holder", dir.path(), &[]);
    helper.hear("locked");
    helper.kill();
    common::at_once("the lock is free", || {
        region.lock_limits().expect("its holder is gone")
    });
}
