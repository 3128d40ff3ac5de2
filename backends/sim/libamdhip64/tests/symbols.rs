//! The linked libraries against what the real ones export: names and version nodes.

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use support::{RELEASES, libraries};

/// The names listed as missing.
fn listed() -> BTreeSet<&'static str> {
    include_str!("../UNSUPPORTED.md")
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`'))
        .collect()
}

/// `hipMalloc@hip_4.2` of every defined symbol, without the nodes themselves.
fn exported(major: u32) -> BTreeSet<String> {
    let path = libraries().join(format!("libamdhip64.so.{major}"));
    let output = Command::new("nm")
        .args(["-D", "--defined-only", "--with-symbol-versions"])
        .arg(path)
        .output()
        .expect("nm, which comes with the linker");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() == 3 && fields[1] != "A")
        .map(|fields| fields[2].replace("@@", "@"))
        .collect()
}

#[test]
fn names_and_nodes_are_those_of_the_real_libraries() {
    let listed = listed();
    for release in RELEASES {
        let here = exported(release.major);
        let real: BTreeSet<String> = release.exports.lines().map(str::to_owned).collect();
        assert!(here.len() > 200, "{} symbols", here.len());
        let strange: Vec<_> = here.difference(&real).collect();
        assert!(strange.is_empty(), "release {}: {strange:?}", release.major);
        let missing: Vec<_> = real
            .difference(&here)
            .filter(|symbol| {
                let name = symbol.split('@').next().unwrap_or(symbol);
                !listed.contains(name)
            })
            .collect();
        assert!(missing.is_empty(), "release {}: {missing:?}", release.major);
    }
}

/// Calls that the real library makes by exported names, so that an interposer sees them.
#[test]
fn own_calls_go_through_the_linkage_table() {
    for release in RELEASES {
        let path = libraries().join(format!("libamdhip64.so.{}", release.major));
        let output = Command::new("readelf")
            .args(["-r", "--wide"])
            .arg(path)
            .output();
        let text = String::from_utf8(output.expect("readelf").stdout).expect("text");
        let mut names = vec![
            "hipMemGetInfo",
            "hipModuleLaunchKernel",
            "hipMemcpyAsync",
            "hipMallocPitch",
            "hipHostMalloc",
            "hipGetDevice",
        ];
        names.push(match release.major {
            5 => "hipGetDeviceProperties",
            _ => "hipGetDevicePropertiesR0600",
        });
        for name in names {
            let called = text.lines().any(|line| {
                let symbol = line.split_whitespace().nth(4).unwrap_or("");
                line.contains("JUMP_SLO") && symbol.split('@').next() == Some(name)
            });
            assert!(
                called,
                "release {}: {name} is not called by name",
                release.major
            );
        }
    }
}
