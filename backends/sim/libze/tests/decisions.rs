//! Is there a decision about every function that a program can call, and can what is decided be tried here?

use level_zero_sys::TABLES;
use std::collections::BTreeMap;

const DECISIONS: &str = include_str!("../../../../docs/level-zero-hooks.tsv");
const UNSUPPORTED: &str = include_str!("../UNSUPPORTED.md");

/// Decided, and not simulated: graphs, mutable lists, and what asks for counters nobody keeps.
const UNTRIED: &[&str] = &[
    "Graph",
    "Mutable",
    "Clone",
    "Parameters",
    "Semaphore",
    "RTAS",
    "zet",
    "Ext",
    "Exp",
];

fn decisions() -> BTreeMap<&'static str, Vec<&'static str>> {
    let rows = DECISIONS.lines().skip(1).map(|line| {
        let mut fields = line.split('\t');
        (fields.next().unwrap_or(""), fields.collect())
    });
    rows.collect()
}

#[test]
fn every_function_of_every_table_has_a_decision() {
    let decisions = decisions();
    assert_eq!(
        decisions.len(),
        DECISIONS.lines().count() - 1,
        "a function twice"
    );
    let functions = TABLES.iter().flat_map(|table| table.entries);
    let names: Vec<_> = functions.map(|entry| entry.function).collect();
    for name in &names {
        let row = decisions
            .get(name)
            .unwrap_or_else(|| panic!("none about {name}"));
        let [decision, reason, failure] = row[..] else {
            panic!("{name}: {row:?}")
        };
        let wanted = match decision {
            "account" | "gate" => "closed",
            "sync" | "virtualize" => "open",
            "forward" => "-",
            other => panic!("{name}: {other}"),
        };
        assert_eq!(failure, wanted, "{name}");
        assert!(reason.len() > 8, "{name} without a reason");
    }
    assert_eq!(names.len(), decisions.len(), "a decision about nothing");
}

#[test]
fn what_is_decided_can_be_tried_on_the_simulated_driver() {
    let missing: Vec<_> = decisions()
        .into_iter()
        .filter(|(_, row)| row[0] != "forward")
        .map(|(name, _)| name)
        .filter(|name| UNSUPPORTED.contains(&format!("`{name}`")))
        .filter(|name| !UNTRIED.iter().any(|part| name.contains(part)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
