//! A node with a device of each vendor, and one policy file.

use crate::node::{GIB, Node, Program, Vendor, percent};
use crate::{POINTS, TURNS, alone, eventually};
use fcsp_hw_tests::clock::NS_PER_S;
use fcsp_hw_tests::record::Outcome;

/// What a tenant is to have on the devices of these vendors: percent, and GiB.
const VENDORS: [Vendor; 3] = [Vendor::Nvidia, Vendor::Amd, Vendor::Intel];
const TENANTS: [(&str, [(u32, u64); 3]); 2] = [
    ("a", [(25, 8), (60, 3), (40, 4)]),
    ("b", [(75, 6), (40, 2), (60, 5)]),
];

fn policy(amd: &str, intel: &str) -> String {
    let tenant = |(name, [nvidia, on_amd, on_intel]): (&str, [(u32, u64); 3])| {
        let limits =
            |(percent, gib): (u32, u64)| format!("compute = {percent}\nmemory = \"{gib}GiB\"\n");
        format!(
            "[[tenant]]\nname = \"{name}\"\n{}[tenant.device.\"{amd}\"]\n{}[tenant.device.\"{intel}\"]\n{}",
            limits(nvidia),
            limits(on_amd),
            limits(on_intel)
        )
    };
    TURNS.to_owned() + &TENANTS.map(tenant).concat()
}

#[test]
fn on_a_node_with_devices_of_three_vendors_each_tenant_gets_what_one_file_says() {
    let _alone = alone();
    if VENDORS.iter().any(|vendor| Node::with(*vendor).is_none()) {
        return fcsp_skipped::skip("hipcc or libze-dev is not installed");
    }
    eventually(|| {
        let node = Node::with(Vendor::Amd).expect("hipcc was there");
        let path = node.run_dir.path().join("policy.toml");
        let [amd, intel] = [Vendor::Amd, Vendor::Intel].map(|vendor| node.device_of(vendor));
        std::fs::write(&path, policy(&amd, &intel)).expect("room for it");
        let from_file = ["--policy", path.to_str().expect("UTF-8")];
        // More than any of them may have; and kernels so long that six programs do not keep a small machine's processors
        // from the devices' threads.
        let hold = [
            ("bytes", (10 * GIB).to_string()),
            ("kernel-us", "1000".to_owned()),
        ];
        let mut programs = Vec::new();
        for vendor in VENDORS {
            let start = |(name, _)| node.start(vendor, name, &from_file, ("hog", 8.0), &hold);
            programs.extend(TENANTS.map(start));
        }
        let span = Program::begin_together(&mut programs);
        for program in &mut programs {
            program.work(span.0 + 2 * NS_PER_S);
        }
        let status = node.status();
        for (name, limits) in TENANTS {
            for (vendor, (percent, gib)) in VENDORS.into_iter().zip(limits) {
                let tenant = status.tenant(vendor, name);
                let entitled = tenant.number("entitled");
                assert!((entitled - f64::from(percent) / 100.0).abs() < 1e-9);
                assert_eq!(tenant.number("quota_bytes"), (gib * GIB) as f64);
                assert!(tenant.number("refused") > 0.0, "{}", tenant.0);
            }
        }
        for vendor in VENDORS {
            let device = status.device(vendor).expect("all are shown");
            assert!(device.driver_used_bytes() > 0, "its driver is asked");
        }
        let mut amiss = Vec::new();
        let ended: Vec<_> = programs.iter_mut().map(|it| it.work(span.1)).collect();
        for (at, vendor) in VENDORS.into_iter().enumerate() {
            let wanted = f64::from(TENANTS[0].1[at].0);
            let got = percent(&ended[2 * at], &ended[2 * at + 1], span);
            eprintln!("{vendor:?}: {wanted} %: {got:.2} %");
            if (got - wanted).abs() > POINTS {
                amiss.push(format!("{vendor:?}: {wanted} %: {got:.2} %"));
            }
        }
        let quotas = (0..VENDORS.len()).flat_map(|at| TENANTS.map(|it| it.1[at].1));
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
