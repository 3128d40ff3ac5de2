//! Has whoever gets this crate by itself all that belongs to it?

use std::process::Command;

#[test]
fn the_package_has_its_licences_and_what_its_tests_read() {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let listed = String::from_utf8(output.stdout).expect("names");
    for name in [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "LICENSE-HEADERS",
        "README.md",
        "headers/level_zero.h",
        "headers/1.32.0/LICENSE",
        "headers/1.32.0/ze_api.h",
        "src/generated/level_zero.rs",
    ] {
        assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
    }
}
