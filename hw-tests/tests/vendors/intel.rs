//! Intel: `hw-tests/ze/load.cpp`, by each way in which programs come to Level Zero.

use crate::node::{GIB, Node, Program, Vendor, Way, percent};
use crate::{POINTS, TURNS, alone, eventually};
use fcsp_hw_tests::ledger::SharedLedger;
use fcsp_hw_tests::record::Outcome;
use std::time::{Duration, Instant};

/// A node, or nothing with a word about it where programs cannot be compiled.
fn node(way: Way) -> Option<Node> {
    let node = Node::with_way(Vendor::Intel, way);
    if node.is_none() {
        fcsp_skipped::skip(match way {
            Way::Static => "FCSP_ZE_STATIC_DIR names no static loader",
            _ => {
                "the Level Zero loader and its headers are missing (Debian: apt-get install libze-dev)"
            }
        });
    }
    node
}

/// The first tenant's share of what both got, in percent, where it is to have a quarter.
fn quarter(node: &Node, queues: &str) -> f64 {
    let policy = node.run_dir.path().join("policy.toml");
    std::fs::write(&policy, TURNS).expect("room for it");
    let policy = policy.to_str().expect("UTF-8");
    let mut programs: Vec<Program> = [("a", "25%"), ("b", "75%")]
        .map(|(tenant, share)| {
            let limits = ["--compute", share, "--policy", policy];
            let more = [("queue", queues.to_owned())];
            node.start(Vendor::Intel, tenant, &limits, ("saturate", 6.0), &more)
        })
        .into();
    let span = Program::begin_together(&mut programs);
    let [a, b] = [0, 1].map(|which| programs[which].work(span.1));
    percent(&a, &b, span)
}

/// Queues that wait on the simulated device are found by threads of it, which look now and then. On a busy machine they are late,
/// and to FCSP that is the device's time: the smaller share, whose turns are as often and shorter, has up to 1.2 points less.
const POINTS_POLLED: f64 = 1.5;

fn shares_hold(way: Way, queues: &str, prepare: impl Fn(&mut Node)) {
    shares_hold_to(POINTS, way, queues, prepare);
}

fn shares_hold_to(points: f64, way: Way, queues: &str, prepare: impl Fn(&mut Node)) {
    let _alone = alone();
    if node(way).is_none() {
        return;
    }
    eventually(|| {
        let mut node = node(way).expect("it was compiled");
        prepare(&mut node);
        let got = quarter(&node, queues);
        eprintln!("{way:?}, {queues}: 25/75: {got:.2} %");
        let amiss = (got - 25.0).abs() > points;
        amiss
            .then(|| format!("25/75: {got:.2} %"))
            .into_iter()
            .collect()
    });
}

#[test]
fn tenants_that_are_linked_to_the_loader_get_what_they_are_entitled_to() {
    shares_hold(Way::Linked, "immediate", |_| {});
}

#[test]
fn tenants_that_execute_lists_again_get_what_they_are_entitled_to() {
    shares_hold(Way::Linked, "regular", |_| {});
}

#[test]
fn tenants_that_open_the_loader_get_what_they_are_entitled_to() {
    shares_hold(Way::Opened, "immediate", |_| {});
}

#[test]
fn tenants_that_carry_the_loader_get_what_they_are_entitled_to() {
    shares_hold(Way::Carried, "immediate", |_| {});
}

#[test]
fn tenants_that_are_linked_to_the_static_loader_get_what_they_are_entitled_to() {
    shares_hold(Way::Static, "immediate", |_| {});
}

#[test]
fn tenants_whose_queues_wait_in_their_threads_place_get_what_they_are_entitled_to() {
    for queues in ["immediate", "regular"] {
        shares_hold_to(POINTS_POLLED, Way::Linked, queues, |node| {
            node.set("FCSP_ZE_GATE", "queue")
        });
    }
}

#[test]
fn tenants_on_a_driver_that_writes_no_words_get_what_they_are_entitled_to() {
    shares_hold(Way::Linked, "immediate", |node| {
        node.set("FCSP_SIM_ZE_NO_MEMORY_WAITS", "1");
    });
}

/// A second driver beside the first, which the loader lists after it: then it wraps handles.
fn add_driver(node: &mut Node) {
    let first = node.simulated("intel/libze_intel_gpu.so.1");
    let second = node.run_dir.path().join("libze_intel_npu.so.1");
    std::fs::copy(&first, &second).expect("room for it");
    let drivers = format!("{},{}", first.display(), second.display());
    node.set("ZE_ENABLE_ALT_DRIVERS", drivers);
}

#[test]
fn tenants_with_two_drivers_get_what_they_are_entitled_to() {
    shares_hold(Way::Linked, "immediate", add_driver);
}

#[test]
fn eight_programs_at_once_take_no_byte_over_their_quota_by_any_way() {
    const QUOTA: u64 = 6 * GIB;
    let _alone = alone();
    for way in Way::ALL {
        let Some(node) = node(way) else { continue };
        let path = node.run_dir.path().join("ledger");
        let ledger = SharedLedger::open(&path).expect("room for it");
        let mut programs: Vec<Program> = (1..=8)
            .map(|seed: u64| {
                let more = [
                    ("ledger", path.display().to_string()),
                    ("seed", seed.to_string()),
                    ("bytes", GIB.to_string()),
                ];
                let limits = ["--memory", "6GiB"];
                node.start(Vendor::Intel, "a", &limits, ("alloc-race", 3.0), &more)
            })
            .collect();
        Program::begin_together(&mut programs);
        let mut looks = 0;
        while programs.iter_mut().all(Program::runs) {
            let status = node.status();
            if let Some(device) = status.device(Vendor::Intel) {
                let used = device.driver_used_bytes();
                assert!(used <= QUOTA, "the driver says {used} bytes of {QUOTA}");
                looks += 1;
            }
        }
        let (mut allocations, mut refusals) = (0, 0);
        for program in programs {
            let Outcome::AllocRace(race) = program.finish().outcome else {
                panic!("another outcome");
            };
            allocations += race.allocations;
            refusals += race.refusals;
        }
        let (peak, held) = (ledger.peak_bytes(), ledger.held_bytes());
        eprintln!(
            "{way:?}: {allocations} allocations, {refusals} refusals, peak {peak} of {QUOTA} bytes"
        );
        assert!(looks > 0 && allocations > 100 && refusals > 100);
        assert!(peak <= QUOTA, "{peak} bytes of {QUOTA}");
        assert_eq!(held, 0);
        let status = node.status();
        let tenant = status.tenant(Vendor::Intel, "a");
        assert_eq!(tenant.number("used_bytes"), 0.0, "{}", tenant.0);
    }
}

#[test]
fn what_a_killed_program_had_comes_back_to_the_last_byte() {
    let _alone = alone();
    let Some(node) = node(Way::Linked) else {
        return;
    };
    let hold = [("bytes", (2 * GIB).to_string())];
    let limits = ["--compute", "50%", "--memory", "3GiB"];
    let start = |tenant| node.start(Vendor::Intel, tenant, &limits, ("hog", 60.0), &hold);
    let mut programs = vec![start("a"), start("b")];
    Program::begin_together(&mut programs);
    let used = |tenant: &str| {
        let status = node.status();
        status.tenant(Vendor::Intel, tenant).number("used_bytes")
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while used("a") < 2.0 * GIB as f64 || used("b") < 2.0 * GIB as f64 {
        assert!(Instant::now() < deadline, "they hold too little");
    }
    programs.remove(0).kill();
    let deadline = Instant::now() + Duration::from_secs(10);
    let is_given_back = || {
        let status = node.status();
        let tenant = status.find_tenant(Vendor::Intel, "a");
        tenant.is_none_or(|tenant| tenant.number("used_bytes") == 0.0)
    };
    while !is_given_back() {
        assert!(Instant::now() < deadline, "{:?}", node.status());
    }
    // What the killed one had is there for its tenant's next program.
    let mut again = vec![node.start(Vendor::Intel, "a", &limits, ("hog", 0.5), &hold)];
    Program::begin_together(&mut again);
    let Outcome::Hog(hog) = again.remove(0).finish().outcome else {
        panic!("another outcome");
    };
    assert!(!hog.refused && hog.granted_bytes == 2 * GIB, "{hog:?}");
}
