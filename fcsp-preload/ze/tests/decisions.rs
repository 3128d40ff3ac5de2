//! Is there a decision for every function the loader exports, in all its versions, and for every function of every table?

#[path = "../../decisions.rs"]
mod decisions;

use decisions::{Library, Subject, matches};
use level_zero_sys::TABLES;

const ZE: Subject = Subject {
    package: "fcsp-preload-ze",
    directory: env!("CARGO_MANIFEST_DIR"),
    libraries: &[Library {
        name: "libze_loader",
        exports: &[
            "../../backends/sys/level-zero/exports/libze_loader-1.8.12.txt",
            "../../backends/sys/level-zero/exports/libze_loader-1.32.0.txt",
        ],
        signatures: "../../backends/sys/level-zero/src/generated/level_zero_signatures.rs",
    }],
    known_rows: &["zeMemAllocDevice", "zesMemoryGetState", "zeDriverGet"],
};

/// What is not handled yet. The reasons are in the file.
const GAPS: &[&str] = &[];

#[test]
fn every_function_of_the_loaders_has_a_decision() {
    ZE.check_exports();
}

#[test]
fn every_function_of_the_headers_has_a_decision() {
    ZE.check_headers();
}

#[test]
fn every_function_of_every_table_has_a_decision() {
    let shown = include_str!("../decisions.tsv");
    let missing: Vec<_> = TABLES
        .iter()
        .flat_map(|table| table.entries)
        .filter(|entry| !shown.contains(&format!("\t{}\t", entry.function)))
        .map(|entry| entry.function)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_row_names_a_function_that_a_loader_exports() {
    ZE.check_rows();
}

#[test]
fn what_is_left_undone_is_known() {
    ZE.check_gaps(GAPS);
}

#[test]
fn the_table_that_is_shown_is_up_to_date() {
    ZE.check_table();
}

#[test]
fn patterns_match_whole_names() {
    assert!(matches("ze*ProcAddrTable", "zesGetFanProcAddrTable") && !matches("zel*", "zeInit"));
}
