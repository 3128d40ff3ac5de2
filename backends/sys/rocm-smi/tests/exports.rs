//! Do the bindings know every function the real libraries export?

/// Functions that the headers at hand do not declare.
const ELSEWHERE: &[&str] = &[
    // Newer than 6.1.2.
    "rsmi_dev_device_identifiers_get",
    "rsmi_dev_market_name_get",
    "rsmi_dev_memory_partition_capabilities_get",
    "rsmi_dev_partition_id_get",
    // Undeclared.
    "amdsmi_free_name_value_pairs",
];

fn check(exports: &str, signatures: &str) {
    assert!(exports.lines().count() > 90);
    let missing: Vec<_> = exports
        .lines()
        .map(|line| line.split_once('@').map_or(line, |(name, _)| name))
        .filter(|name| !ELSEWHERE.contains(name))
        .filter(|name| !signatures.contains(&format!("macro_rules! {name} ")))
        .collect();
    assert!(missing.is_empty(), "no signature for {missing:?}");
}

#[test]
fn every_function_of_rocm_smi_has_a_signature() {
    let signatures = include_str!("../src/generated/rocm_smi_signatures.rs");
    check(
        include_str!("../exports/librocm_smi64-5.2.3.txt"),
        signatures,
    );
    check(
        include_str!("../exports/librocm_smi64-6.4.1.txt"),
        signatures,
    );
}

#[test]
fn every_function_of_amd_smi_has_a_signature() {
    let signatures = concat!(
        include_str!("../src/generated/amd_smi_signatures.rs"),
        include_str!("../src/generated/rocm_smi_signatures.rs"),
    );
    check(include_str!("../exports/libamd_smi-10.1.txt"), signatures);
}
