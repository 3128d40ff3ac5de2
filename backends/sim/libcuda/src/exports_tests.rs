//! The exported names against the real driver's, and the list of what is missing.

use super::EXPORTS;
use std::collections::BTreeSet;
use std::path::Path;

const REAL: &str = include_str!("../oracle/libcuda-exports.txt");
const HEAD: &str = "# What the simulated libcuda.so.1 lacks

Names a real driver (580.159) exports and the simulated one does not: they are absent from the
library, so looking them up fails, and `cuGetProcAddress` does not find them. Written by
`FCSP_BLESS=1 cargo test -p fcsp-sim-cuda`, checked by the same test without the variable.

Also absent by design: textures, surfaces, and what reads or copies arrays; graphics interoperation; external memory and
semaphores; multicast; green contexts; user objects; conditional and memory-operation graph
nodes; binary images (cubins, fat binaries); event handles for
other processes; the unversioned functions of CUDA 2 and 3 with 32-bit sizes; the private tables of
`cuGetExportTable`, without which the CUDA runtime of CUDA 13 does not start: programs here call the
driver themselves.

";

#[test]
fn nothing_is_exported_that_a_real_driver_does_not_export() {
    let real: BTreeSet<&str> = REAL.lines().collect();
    let strange: Vec<&str> = EXPORTS
        .iter()
        .map(|export| export.name)
        .filter(|name| !real.contains(name))
        .collect();
    assert_eq!(strange, [""; 0]);
}

#[test]
fn what_is_missing_is_listed() {
    let here: BTreeSet<&str> = EXPORTS.iter().map(|export| export.name).collect();
    let missing: Vec<&str> = REAL.lines().filter(|name| !here.contains(name)).collect();
    let mut text = format!(
        "{HEAD}{} of {} names:\n\n",
        missing.len(),
        REAL.lines().count()
    );
    for name in missing {
        text.push_str(&format!("- `{name}`\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../UNSUPPORTED.md");
    if std::env::var_os("FCSP_BLESS").is_some() {
        std::fs::write(&path, &text).expect("list written");
    }
    let listed = std::fs::read_to_string(&path).expect("backends/sim/UNSUPPORTED.md");
    assert!(
        listed == text,
        "run FCSP_BLESS=1 cargo test -p fcsp-sim-cuda and look at the change"
    );
}
