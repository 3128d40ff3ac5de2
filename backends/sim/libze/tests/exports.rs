//! Does the library export what a loader looks for, and nothing that could be taken for the loader's own?

use level_zero_sys::TABLES;
use std::collections::BTreeSet;
use std::process::Command;

mod support;

#[test]
fn the_library_exports_what_fills_tables_and_no_call() {
    let nm = Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(support::driver())
        .output()
        .expect("nm, which comes with binutils, as does the linker");
    let text = String::from_utf8(nm.stdout).expect("plain names");
    let exported: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.starts_with("ze"))
        .collect();
    let getters: BTreeSet<&str> = TABLES.iter().map(|table| table.getter).collect();
    assert_eq!(exported, getters);
}
