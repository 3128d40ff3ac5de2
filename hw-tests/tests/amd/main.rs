//! The bars on a simulated AMD device, by a real program: hw-tests/hip/load.cpp, compiled by hipcc, under the HIP preload
//! library. And a node with devices of two vendors. Simulated, so it says nothing about any vendor's timing.
//!
//! The bounds of shares are loose, because these tests run on whatever machine builds FCSP, beside whatever it builds:
//! what a busy machine spoils is measured again, twice at most. Quotas are exact.

mod node;

use fcsp_hw_tests::clock::{NS_PER_S, now_ns};
use fcsp_hw_tests::ledger::SharedLedger;
use fcsp_hw_tests::record::Outcome;
use node::{GIB, Node, Program, Vendor, percent};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const TRIES: u32 = 3;
/// Points of share that are within what a busy machine does.
const POINTS: f64 = 3.0;

/// Where programs run side by side a share is a floor, and on a busy machine hand-overs cost so much that side by side all
/// have more: what is judged here is turns.
const TURNS: &str = "sharing = \"exclusive\"\n";

/// One test at a time: each keeps the device's processors busy.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node, or nothing with a word about it where programs cannot be compiled.
fn node(name: &str) -> Option<Node> {
    let node = Node::new();
    if node.is_none() {
        eprintln!("{name}: skipped: hipcc is not installed (Debian: apt-get install hipcc)");
    }
    node
}

/// Measures until nothing is amiss, a few times at most.
fn eventually(measure: impl Fn() -> Vec<String>) {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let amiss = measure();
        if amiss.is_empty() {
            return;
        }
        seen.push(amiss);
    }
    panic!("{seen:#?}");
}

#[test]
fn eight_programs_at_once_take_no_byte_over_their_quota() {
    const QUOTA: u64 = 6 * GIB;
    let _alone = alone();
    let Some(node) = node("eight_programs_at_once_take_no_byte_over_their_quota") else {
        return;
    };
    let path = node.run_dir.path().join("ledger");
    let ledger = SharedLedger::open(&path).expect("room for it");
    let mut programs: Vec<Program> = (1..=8)
        .map(|seed: u64| {
            let more = [
                ("ledger", path.display().to_string()),
                ("seed", seed.to_string()),
                ("bytes", GIB.to_string()),
            ];
            node.start(
                Vendor::Amd,
                "a",
                &["--memory", "6GiB"],
                ("alloc-race", 3.0),
                &more,
            )
        })
        .collect();
    Program::begin_together(&mut programs);
    let mut looks = 0;
    while programs.iter_mut().all(Program::runs) {
        let status = node.status();
        if let Some(device) = status.device(Vendor::Amd) {
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
    eprintln!("{allocations} allocations, {refusals} refusals, peak {peak} of {QUOTA} bytes");
    assert!(looks > 0 && allocations > 100 && refusals > 100);
    assert!(peak <= QUOTA, "{peak} bytes of {QUOTA}");
    assert_eq!(held, 0);
    let status = node.status();
    let tenant = status.tenant(Vendor::Amd, "a");
    assert_eq!(tenant.number("used_bytes"), 0.0, "{}", tenant.0);
}

#[test]
fn two_tenants_get_what_they_are_entitled_to() {
    let _alone = alone();
    let Some(_) = node("two_tenants_get_what_they_are_entitled_to") else {
        return;
    };
    eventually(|| {
        let node = Node::new().expect("hipcc was there");
        let policy = node.run_dir.path().join("policy.toml");
        std::fs::write(&policy, TURNS).expect("room for it");
        let policy = policy.to_str().expect("UTF-8");
        let mut programs: Vec<Program> = [("a", "25%"), ("b", "75%")]
            .map(|(tenant, share)| {
                let limits = ["--compute", share, "--policy", policy];
                node.start(Vendor::Amd, tenant, &limits, ("saturate", 6.0), &[])
            })
            .into();
        let span = Program::begin_together(&mut programs);
        let [a, b] = [0, 1].map(|which| programs[which].work(span.1));
        let got = percent(&a, &b, span);
        eprintln!("25/75: {got:.2} %");
        let amiss = (got - 25.0).abs() > POINTS;
        amiss
            .then(|| format!("25/75: {got:.2} %"))
            .into_iter()
            .collect()
    });
}

#[test]
fn what_a_killed_program_had_comes_back_to_the_others() {
    let _alone = alone();
    let Some(node) = node("what_a_killed_program_had_comes_back_to_the_others") else {
        return;
    };
    let hold = [("bytes", (2 * GIB).to_string())];
    let limits = ["--compute", "50%", "--memory", "3GiB"];
    let mut programs: Vec<Program> = ["a", "b"]
        .map(|tenant| node.start(Vendor::Amd, tenant, &limits, ("hog", 60.0), &hold))
        .into();
    Program::begin_together(&mut programs);
    let used = |tenant: &str| {
        node.status()
            .tenant(Vendor::Amd, tenant)
            .number("used_bytes")
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while used("a") < 2.0 * GIB as f64 || used("b") < 2.0 * GIB as f64 {
        assert!(Instant::now() < deadline, "they hold too little");
    }
    let before = node
        .status()
        .device(Vendor::Amd)
        .expect("it is there")
        .driver_used_bytes();
    let killed = programs.remove(0);
    killed.kill();
    let deadline = Instant::now() + Duration::from_secs(10);
    let after = loop {
        let status = node.status();
        let device = status.device(Vendor::Amd).expect("it is there");
        let given_back = status
            .find_tenant(Vendor::Amd, "a")
            .is_none_or(|tenant| tenant.number("used_bytes") == 0.0);
        if given_back && device.driver_used_bytes() + 2 * GIB <= before {
            break device.driver_used_bytes();
        }
        assert!(Instant::now() < deadline, "{status:?}");
    };
    eprintln!("{before} bytes in use before, {after} after");
    // The other goes on, and has the whole device.
    let other = &mut programs[0];
    let from_ns = now_ns() + NS_PER_S / 2;
    let to_ns = from_ns + NS_PER_S;
    let rate = other.work(to_ns).rate(from_ns, to_ns);
    assert!(rate > 0.8, "{rate} of the device");
    // And what the killed one had is there for its tenant's next program, to the last byte.
    let more = [("bytes", (2 * GIB).to_string())];
    let mut again = vec![node.start(Vendor::Amd, "a", &limits, ("hog", 0.5), &more)];
    Program::begin_together(&mut again);
    let Outcome::Hog(hog) = again.remove(0).finish().outcome else {
        panic!("another outcome");
    };
    assert!(!hog.refused && hog.granted_bytes == 2 * GIB, "{hog:?}");
}

/// Tenant, percent and GiB on the NVIDIA device, percent and GiB on the AMD device.
const MIXED: [(&str, u32, u64, u32, u64); 2] = [("a", 25, 8, 60, 3), ("b", 75, 6, 40, 2)];

fn mixed_policy(amd: &str) -> String {
    let tenant = |(name, percent, gib, amd_percent, amd_gib): (&str, u32, u64, u32, u64)| {
        format!(
            "[[tenant]]\nname = \"{name}\"\ncompute = {percent}\nmemory = \"{gib}GiB\"\n\
             [tenant.device.\"{amd}\"]\ncompute = {amd_percent}\nmemory = \"{amd_gib}GiB\"\n"
        )
    };
    TURNS.to_owned() + &MIXED.map(tenant).concat()
}

#[test]
fn on_a_node_with_devices_of_two_vendors_each_tenant_gets_what_one_file_says() {
    let _alone = alone();
    let Some(_) = node("on_a_node_with_devices_of_two_vendors_each_tenant_gets_what_one_file_says")
    else {
        return;
    };
    eventually(|| {
        let node = Node::new().expect("hipcc was there");
        let policy = node.run_dir.path().join("policy.toml");
        std::fs::write(&policy, mixed_policy(&node.amd_device())).expect("room for it");
        let from_file = ["--policy", policy.to_str().expect("UTF-8")];
        // More than any of them may have.
        let hold = [("bytes", (10 * GIB).to_string())];
        let start = |vendor, name| node.start(vendor, name, &from_file, ("hog", 8.0), &hold);
        let mut programs = Vec::new();
        for vendor in [Vendor::Nvidia, Vendor::Amd] {
            programs.extend(MIXED.map(|(name, ..)| start(vendor, name)));
        }
        let span = Program::begin_together(&mut programs);
        for program in &mut programs {
            program.work(span.0 + 2 * NS_PER_S);
        }
        let status = node.status();
        let mut amiss = Vec::new();
        for (name, percent, gib, amd_percent, amd_gib) in MIXED {
            let of = [
                (Vendor::Nvidia, percent, gib),
                (Vendor::Amd, amd_percent, amd_gib),
            ];
            for (vendor, percent, gib) in of {
                let tenant = status.tenant(vendor, name);
                let entitled = tenant.number("entitled");
                assert!((entitled - f64::from(percent) / 100.0).abs() < 1e-9);
                assert_eq!(tenant.number("quota_bytes"), (gib * GIB) as f64);
                assert!(tenant.number("refused") > 0.0, "{}", tenant.0);
            }
        }
        for vendor in [Vendor::Nvidia, Vendor::Amd] {
            let device = status.device(vendor).expect("both are shown");
            assert!(device.driver_used_bytes() > 0, "its driver is asked");
        }
        let ended: Vec<_> = programs.iter_mut().map(|it| it.work(span.1)).collect();
        for (pair, wanted) in [(0, f64::from(MIXED[0].1)), (2, f64::from(MIXED[0].3))] {
            let got = percent(&ended[pair], &ended[pair + 1], span);
            eprintln!("{wanted} %: {got:.2} %");
            // Two devices' threads on a small machine.
            if (got - wanted).abs() > 2.0 * POINTS {
                amiss.push(format!("{wanted} %: {got:.2} %"));
            }
        }
        let quotas = [MIXED.map(|it| it.2), MIXED.map(|it| it.4)].concat();
        for (program, gib) in programs.into_iter().zip(quotas) {
            let Outcome::Hog(hog) = program.finish().outcome else {
                panic!("another outcome");
            };
            assert!(hog.refused && hog.recovered, "{hog:?}");
            assert!(hog.granted_bytes <= gib * GIB, "{hog:?}");
            assert_eq!(hog.total_bytes, gib * GIB, "{hog:?}");
        }
        amiss
    });
}
