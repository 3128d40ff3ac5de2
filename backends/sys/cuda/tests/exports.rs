//! Do the bindings know every function a real driver exports?
//!
//! All but those that cuda.h and nvml.h do not declare: graphics and video (cudaGL.h, cudaEGL.h, cudaVDPAU.h), the
//! profiler, the debugger's interface, and a few undocumented ones.

/// Prefixes of functions that other headers declare, and functions that none does.
const ELSEWHERE: &[&str] = &[
    "cuEGL",
    "cuGL",
    "cuGraphicsEGL",
    "cuGraphicsGL",
    "cuGraphicsResourceGetMappedEglFrame",
    "cuGraphicsVDPAU",
    "cuVDPAU",
    "cuProfiler",
    "cudbg",
    "cuMemGetAttribute",
    "nvmlGetBlacklistDevice",
    "nvmlInternalGetExportTable",
    // Newer than the header.
    "nvmlDeviceGetRemappedRows_v2",
    "nvmlDeviceGetUnrepairableMemoryFlag_v1",
    "nvmlDeviceReadPRMCounters_v1",
];

fn check(exports: &str, signatures: &str) {
    assert!(exports.lines().count() > 300);
    let missing: Vec<_> = exports
        .lines()
        .filter(|name| !ELSEWHERE.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !signatures.contains(&format!("macro_rules! {name} ")))
        .filter(|name| !signatures.contains(&format!("pub type {name} ")))
        .collect();
    assert!(missing.is_empty(), "no signature for {missing:?}");
}

#[test]
fn every_function_of_the_driver_has_a_signature() {
    check(
        include_str!("../exports/libcuda-580.159.txt"),
        include_str!("../src/generated/cuda_signatures.rs"),
    );
}

#[test]
fn every_function_of_the_management_library_has_a_signature() {
    check(
        include_str!("../exports/libnvidia-ml-580.159.txt"),
        include_str!("../src/generated/nvml_signatures.rs"),
    );
}
