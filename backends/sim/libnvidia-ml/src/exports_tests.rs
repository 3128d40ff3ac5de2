//! The exported names against the real library's, and the list of what is missing.

use super::EXPORTS;
use std::collections::BTreeSet;
use std::path::Path;

const REAL: &str = include_str!("../oracle/libnvidia-ml-exports.txt");
const HEAD: &str = "# What the simulated libnvidia-ml.so.1 lacks

Names a real library (580.159) exports and the simulated one does not: they are absent, so looking
them up fails. Written by `FCSP_BLESS=1 cargo test -p fcsp-sim-nvml`, checked by the same test
without the variable.

";

#[test]
fn names_are_the_real_library_s_and_what_is_missing_is_listed() {
    let real: BTreeSet<&str> = REAL.lines().collect();
    let mut here: BTreeSet<&str> = EXPORTS.iter().map(|export| export.name).collect();
    here.insert("nvmlErrorString");
    let strange: Vec<&&str> = here.difference(&real).collect();
    assert!(strange.is_empty(), "not the real library's: {strange:?}");
    let missing: Vec<&&str> = real.difference(&here).collect();
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
        "run FCSP_BLESS=1 cargo test -p fcsp-sim-nvml and look at the change"
    );
}
