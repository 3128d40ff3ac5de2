//! Do the bindings know every function the real libraries export?

/// What the libraries carry along and HIP programs do not call: conversions for compilers without them, and marks of the
/// debugger.
const NOT_HIP: &[&str] = &["__gnu_f2h_ieee", "__gnu_h2f_ieee", "amd_dbgapi_get_"];

fn check(exports: &str) {
    let signatures = include_str!("../src/generated/hip_signatures.rs");
    assert!(exports.lines().count() > 400);
    let missing: Vec<_> = exports
        .lines()
        .map(|line| line.split_once('@').map_or(line, |(name, _)| name))
        .filter(|name| !NOT_HIP.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !signatures.contains(&format!("macro_rules! {name} ")))
        .collect();
    assert!(missing.is_empty(), "no signature for {missing:?}");
}

#[test]
fn every_function_of_version_5_has_a_signature() {
    check(include_str!("../exports/libamdhip64-5.2.3.txt"));
    check(include_str!("../exports/libamdhip64-5.7.1.txt"));
}

#[test]
fn every_function_of_version_6_has_a_signature() {
    check(include_str!("../exports/libamdhip64-6.4.3.txt"));
}

#[test]
fn every_function_has_a_version_node() {
    for exports in [
        include_str!("../exports/libamdhip64-5.2.3.txt"),
        include_str!("../exports/libamdhip64-5.7.1.txt"),
        include_str!("../exports/libamdhip64-6.4.3.txt"),
        include_str!("../exports/libamdhip64-7.2.4.txt"),
    ] {
        for line in exports.lines() {
            assert!(line.contains("@hip_"), "{line} has no version node");
        }
    }
}
