//! AMD: `hw-tests/hip/load.cpp`, compiled by hipcc.
//!
//! Shares are held to a point of the device over ten seconds; half a point is what they vary by on a machine with two
//! processors.

use crate::node::{GIB, Node, Program, Vendor, percent};
use crate::{POINTS, alone, eventually};
use fcsp_hw_tests::clock::{NS_PER_S, now_ns};
use fcsp_hw_tests::ledger::SharedLedger;
use fcsp_hw_tests::record::Outcome;
use std::time::{Duration, Instant};

/// For how long programs run whose shares are judged. All but the first second and the last quarter of one counts.
const SECONDS: f64 = 11.25;

/// A node, or nothing with a word about it where programs cannot be compiled.
fn node() -> Option<Node> {
    let node = Node::with(Vendor::Amd);
    if node.is_none() {
        fcsp_skipped::skip("hipcc is not installed (Debian: apt-get install hipcc)");
    }
    node
}

/// Kinds of device memory.
const EVERY_KIND: &str = "malloc,async,from-pool,pitch,managed,create,map,array,array-3d";

#[test]
fn eight_programs_at_once_take_no_byte_over_their_quota() {
    const QUOTA: u64 = 6 * GIB;
    let _alone = alone();
    let Some(node) = node() else {
        return;
    };
    let path = node.run_dir.path().join("ledger");
    let ledger = SharedLedger::open(&path).expect("room for it");
    let mut programs: Vec<Program> = (1..=8)
        .map(|seed: u64| {
            let more = [
                ("ledger", path.display().to_string()),
                ("seed", seed.to_string()),
                ("sizes", "1M,64M,1G".to_owned()),
                ("threads", "2".to_owned()),
                ("ops", "1000000".to_owned()),
                ("family", EVERY_KIND.to_owned()),
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
    // Nor was it ever charged for more: what contexts take was charged before there was a race.
    let charged = tenant.number("peak_bytes");
    assert!(charged <= QUOTA as f64, "{}", tenant.0);
}

/// A program that saturates the device, as options of the load program.
type Saturating<'a> = &'a [(&'a str, &'a str)];

/// Kernels on a stream of the program's own.
const KERNELS: Saturating = &[("kernel-us", "250")];

/// Two tenants with a quarter and three quarters get that.
fn a_quarter_and_the_rest(policy: &str, quarter: Saturating, rest: Saturating) {
    a_part_and_the_rest(policy, 25, quarter, rest);
}

/// Two tenants get the percentage and the rest, of these programs, which run side by side or in turns as the policy says.
fn a_part_and_the_rest(policy: &str, part: u32, one: Saturating, rest: Saturating) {
    let _alone = alone();
    let Some(_) = node() else {
        return;
    };
    eventually(|| {
        let node = Node::with(Vendor::Amd).expect("hipcc was there");
        let file = node.run_dir.path().join("policy.toml");
        std::fs::write(&file, policy).expect("room for it");
        let file = file.to_str().expect("UTF-8");
        let start = |tenant, share, options: Saturating| {
            let limits = ["--compute", share, "--memory", "2GiB", "--policy", file];
            let more = options
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()));
            let more: Vec<_> = more.collect();
            node.start(Vendor::Amd, tenant, &limits, ("saturate", SECONDS), &more)
        };
        let [a, b] = [part, 100 - part].map(|part| format!("{part}%"));
        let mut programs = vec![start("a", &a, one), start("b", &b, rest)];
        let span = Program::begin_together(&mut programs);
        let [a, b] = [0, 1].map(|which| programs[which].work(span.1));
        let got = percent(&a, &b, span);
        let said = format!("{part} %, {one:?} beside {rest:?}, {policy:?}: {got:.2} %");
        eprintln!("{said}");
        let amiss = (got - f64::from(part)).abs() > POINTS;
        amiss.then_some(said).into_iter().collect()
    });
}

/// How this vendor's programs share a device unless somebody says otherwise.
const SIDE_BY_SIDE: &str = "";
const IN_TURNS: &str = "sharing = \"exclusive\"\n";

#[test]
fn two_tenants_get_what_they_are_entitled_to() {
    a_quarter_and_the_rest(SIDE_BY_SIDE, KERNELS, KERNELS);
}

#[test]
fn so_do_tenants_that_are_made_to_take_turns() {
    a_quarter_and_the_rest(IN_TURNS, KERNELS, KERNELS);
}

#[test]
fn so_do_programs_on_default_streams() {
    let legacy = &[("kernel-us", "100,250"), ("stream", "default")];
    let own = &[("kernel-us", "250"), ("stream", "per-thread")];
    a_quarter_and_the_rest(SIDE_BY_SIDE, legacy, own);
}

const CHANGED_GRAPHS: Saturating = &[("kernel-us", "100"), ("api", "graph-update")];
const GRAPHS: Saturating = &[
    ("kernel-us", "50"),
    ("api", "graph"),
    ("graph-kernels", "40"),
    ("stream", "default"),
];

#[test]
fn so_do_programs_that_launch_graphs() {
    a_quarter_and_the_rest(SIDE_BY_SIDE, CHANGED_GRAPHS, GRAPHS);
}

#[test]
fn halves_are_halves_where_one_changes_its_graphs() {
    a_part_and_the_rest(SIDE_BY_SIDE, 50, CHANGED_GRAPHS, GRAPHS);
}

#[test]
fn so_do_programs_with_cooperative_launches_and_several_streams() {
    let cooperative = &[("kernel-us", "250"), ("api", "cooperative")];
    let several = &[
        ("kernel-us", "100,250"),
        ("stream", "multi:4"),
        ("api", "launch-ex"),
    ];
    a_quarter_and_the_rest(SIDE_BY_SIDE, cooperative, several);
}

/// A decoder beside a program that takes all it can get: what it needs is less than its half, so it hardly notices.
#[test]
fn a_decoder_keeps_its_pace_beside_a_program_that_saturates() {
    let _alone = alone();
    let Some(node) = node() else {
        return;
    };
    // A graph a step, and room for the simulated device's threads: the processors are what is scarce here.
    let decode = [("api", "graph"), ("kernels", "40"), ("cpu-us", "4000")];
    let decode = decode.map(|(name, value)| (name, value.to_owned()));
    let half = ["--compute", "50%"];
    let steps_per_s = |program: Program| match program.finish().outcome {
        Outcome::Decode { steps_per_s, .. } => steps_per_s,
        other => panic!("{other:?}"),
    };
    eventually(|| {
        let start = |tenant| node.start(Vendor::Amd, tenant, &half, ("decode", 4.0), &decode);
        let mut by_itself = vec![start("a")];
        Program::begin_together(&mut by_itself);
        let alone = steps_per_s(by_itself.remove(0));
        let other = node.start(Vendor::Amd, "b", &half, ("saturate", 5.0), &[]);
        let mut both = vec![start("a"), other];
        let span = Program::begin_together(&mut both);
        let beside = steps_per_s(both.remove(0));
        let other = both[0].work(span.1).rate(span.0, span.1);
        eprintln!("{alone:.0} steps/s alone, {beside:.0} beside the other, which has {other:.2}");
        let mut amiss = Vec::new();
        if beside < 0.9 * alone || other < 0.45 {
            amiss.push(format!("{alone:.0} and {beside:.0} steps/s, {other:.2}"));
        }
        amiss
    });
}

#[test]
fn what_a_killed_program_had_comes_back_to_the_others() {
    let _alone = alone();
    let Some(node) = node() else {
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
    MIXED.map(tenant).concat()
}

#[test]
fn on_a_node_with_devices_of_two_vendors_each_tenant_gets_what_one_file_says() {
    let _alone = alone();
    let Some(_) = node() else {
        return;
    };
    eventually(|| {
        let node = Node::with(Vendor::Amd).expect("hipcc was there");
        let policy = node.run_dir.path().join("policy.toml");
        std::fs::write(&policy, mixed_policy(&node.device_of(Vendor::Amd))).expect("room for it");
        let from_file = ["--policy", policy.to_str().expect("UTF-8")];
        // More than any of them may have.
        let hold = [("bytes", (10 * GIB).to_string())];
        let start = |vendor, name| node.start(vendor, name, &from_file, ("hog", SECONDS), &hold);
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
            if (got - wanted).abs() > POINTS {
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
