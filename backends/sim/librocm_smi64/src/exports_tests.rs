//! The exported names against the real library's, and the list of what is missing.

use super::NAMES;
use std::collections::BTreeSet;
use std::path::Path;

const REAL: &str = include_str!("../../../sys/rocm-smi/exports/librocm_smi64-6.4.1.txt");
const HEAD: &str = "# What the simulated librocm_smi64.so.1 lacks

Names that the real library (6.4.1) exports and the simulated one does not: they are absent from it, so looking them up fails.
Written by `FCSP_BLESS=1 cargo test -p fcsp-sim-rocm-smi`, checked by the same test without the variable.

Absent by design: what a simulation cannot know (power, temperature, clocks, errors, links), and whatever changes a device.

";

#[test]
fn names_are_the_real_library_s_and_what_is_missing_is_listed() {
    let real: BTreeSet<&str> = REAL
        .lines()
        .map(|line| line.split('@').next().unwrap_or(line))
        .collect();
    let here: BTreeSet<&str> = NAMES.iter().copied().collect();
    let strange: Vec<_> = here.difference(&real).collect();
    assert!(strange.is_empty(), "{strange:?}");
    let missing: Vec<_> = real.difference(&here).collect();
    let mut text = format!("{HEAD}{} of {} names:\n\n", missing.len(), real.len());
    for name in missing {
        text.push_str(&format!("- `{name}`\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("UNSUPPORTED.md");
    if std::env::var_os("FCSP_BLESS").is_some() {
        std::fs::write(&path, &text).expect("list written");
    }
    let listed = std::fs::read_to_string(&path).expect("UNSUPPORTED.md");
    assert!(
        listed == text,
        "run FCSP_BLESS=1 cargo test -p fcsp-sim-rocm-smi and look at the change"
    );
}
