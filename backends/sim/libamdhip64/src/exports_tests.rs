//! The exported names against the real libraries', and the list of what is missing.

use super::NAMES;
use std::collections::BTreeSet;
use std::path::Path;

const FIVE: &str = include_str!("../../../sys/hip/exports/libamdhip64-5.2.3.txt");
const SIX: &str = include_str!("../../../sys/hip/exports/libamdhip64-6.4.3.txt");
const HEAD: &str = "# What the simulated libamdhip64.so.5 and .so.6 lack

Names that the real libraries (5.2.3, 6.4.3) export and the simulated ones do not: they are absent from the libraries, so
looking them up fails, and `hipGetProcAddress` does not find them. Written by `FCSP_BLESS=1 cargo test -p fcsp-sim-hip`,
checked by the same test without the variable.

Absent by design: textures, surfaces, and what copies arrays; graphics interoperation; external memory and semaphores;
compilation at run time (`hiprtc`), which the real libraries since HIP 7 leave to another one; user objects; nodes of graphs
beyond kernels, copies, fills, host functions, memory and child graphs, and changes of them; contexts other than a device's
own; pools and events that other processes open; callbacks for tracers and profilers;
conversions of 16-bit floating point, which compilers bring; marks for debuggers.

";

fn names(exports: &str) -> BTreeSet<&str> {
    exports
        .lines()
        .map(|line| line.split('@').next().unwrap_or(line))
        .collect()
}

#[test]
fn nothing_is_exported_that_no_real_library_exports() {
    let real: BTreeSet<&str> = names(FIVE).union(&names(SIX)).copied().collect();
    let strange: Vec<&&str> = NAMES.iter().filter(|name| !real.contains(*name)).collect();
    assert_eq!(strange, [&""; 0]);
}

#[test]
fn what_is_missing_is_listed() {
    let here: BTreeSet<&str> = NAMES.iter().copied().collect();
    let real: BTreeSet<&str> = names(FIVE).union(&names(SIX)).copied().collect();
    let missing: Vec<&&str> = real.iter().filter(|name| !here.contains(**name)).collect();
    let mut text = format!("{HEAD}{} of {} names:\n\n", missing.len(), real.len());
    for name in missing {
        text.push_str(&format!("- `{name}`\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("UNSUPPORTED.md");
    if std::env::var_os("FCSP_BLESS").is_some() {
        std::fs::write(&path, &text).expect("list written");
    }
    let listed = std::fs::read_to_string(&path).expect("backends/sim/libamdhip64/UNSUPPORTED.md");
    assert!(
        listed == text,
        "run FCSP_BLESS=1 cargo test -p fcsp-sim-hip and look at the change"
    );
}
