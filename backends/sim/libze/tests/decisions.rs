//! Can what the Level Zero preload library decides about be tried here?

use std::collections::BTreeMap;

const DECISIONS: &str = include_str!("../../../../fcsp-preload/ze/decisions.tsv");
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

/// Functions and what is decided about them.
fn decisions() -> BTreeMap<&'static str, &'static str> {
    let lines = DECISIONS.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut fields = line.split('\t').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .collect()
}

#[test]
fn what_is_decided_can_be_tried_on_the_simulated_driver() {
    let missing: Vec<_> = decisions()
        .into_iter()
        .filter(|(_, decision)| *decision != "forward")
        .map(|(name, _)| name)
        .filter(|name| UNSUPPORTED.contains(&format!("`{name}`")))
        .filter(|name| !UNTRIED.iter().any(|part| name.contains(part)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
