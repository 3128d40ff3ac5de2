//! Is there a decision for every function a real driver exports?
//!
//! A function is either a row of `src/hooks.rs` or matched by a line of `decisions/*.txt`, which gives the reason why it
//! is left alone. A driver's function that nobody has thought about is how quotas leak.
//!
//! All of it together is `decisions.tsv`, which `fcsp hooks` shows: written by this test with `FCSP_BLESS=1`, compared
//! without.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// A line of a decisions file.
struct Line {
    gap: bool,
    pattern: String,
    reason: String,
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A row of `src/hooks.rs`.
struct Row {
    verb: String,
    reason: String,
}

/// The rows by name, read from the source: a library of this kind cannot be linked to a test.
fn rows() -> BTreeMap<String, Row> {
    const VERBS: &[&str] = &["account", "gate", "sync", "virtualize", "forward", "opaque"];
    let source = read("src/hooks.rs");
    let rows: BTreeMap<_, _> = source
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let verb = words.next()?;
            let name = words.next()?.trim_end_matches([',', ';']);
            let is_row =
                VERBS.contains(&verb) && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            let reason = line
                .split_once('"')
                .and_then(|(_, rest)| rest.rsplit_once('"'));
            is_row.then(|| {
                let (reason, _) = reason.unwrap_or_else(|| panic!("no reason on the line: {line}"));
                let verb = if verb == "opaque" { "forward" } else { verb };
                let row = Row {
                    verb: verb.into(),
                    reason: reason.into(),
                };
                (name.to_owned(), row)
            })
        })
        .collect();
    for name in ["cuMemAlloc_v2", "nvmlDeviceGetMemoryInfo"] {
        assert!(rows.contains_key(name), "{name} is recognised as a row");
    }
    rows
}

fn lines(path: &str) -> Vec<Line> {
    read(path)
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (kind, rest) = line
                .split_once(' ')
                .unwrap_or_else(|| panic!("{path}: {line}"));
            let (pattern, reason) = rest
                .trim_start()
                .split_once(' ')
                .unwrap_or_else(|| panic!("{path}: {line}"));
            assert!(["forward", "gap"].contains(&kind), "{path}: {line}");
            Line {
                gap: kind == "gap",
                pattern: pattern.into(),
                reason: reason.trim().into(),
            }
        })
        .collect()
}

/// Whether a name matches a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).any(|from| tail.get(from..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}

fn check(library: &str) {
    let exports = read(&format!(
        "../../backends/sys/cuda/exports/{library}-580.159.txt"
    ));
    let exports: Vec<_> = exports.lines().collect();
    let lines = lines(&format!("tests/decisions/{library}.txt"));
    let rows = rows();
    let undecided: Vec<_> = exports
        .iter()
        .filter(|name| {
            !rows.contains_key(**name) && !lines.iter().any(|line| matches(&line.pattern, name))
        })
        .collect();
    assert!(
        undecided.is_empty(),
        "{library}: no decision for {undecided:?}"
    );
    for line in &lines {
        assert!(
            exports.iter().any(|name| matches(&line.pattern, name)),
            "{library}: no export matches `{}`",
            line.pattern
        );
        assert!(
            !line.reason.is_empty(),
            "{library}: `{}` has no reason",
            line.pattern
        );
    }
    let gap = |name: &&&str| {
        !rows.contains_key(**name)
            && lines
                .iter()
                .find(|line| matches(&line.pattern, name))
                .is_some_and(|line| line.gap)
    };
    let hooked = exports
        .iter()
        .filter(|name| rows.contains_key(**name))
        .count();
    let gaps: Vec<_> = exports.iter().filter(gap).collect();
    println!(
        "{library}: {} exports, {hooked} rows, {} known gaps: {gaps:?}",
        exports.len(),
        gaps.len()
    );
}

#[test]
fn every_function_of_the_driver_has_a_decision() {
    check("libcuda");
}

#[test]
fn every_function_of_the_management_library_has_a_decision() {
    check("libnvidia-ml");
}

/// Names of the functions that the header declares, from the bindings generated from it.
fn declared(file: &str) -> BTreeSet<String> {
    let source = read(&format!("../../backends/sys/cuda/src/generated/{file}"));
    let names: BTreeSet<_> = source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("pub type "))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name.to_owned()))
        .collect();
    assert!(
        names.len() > 300,
        "{file}: {} functions recognised",
        names.len()
    );
    names
}

fn exported(library: &str) -> BTreeSet<String> {
    let path = format!("../../backends/sys/cuda/exports/{library}-580.159.txt");
    read(&path).lines().map(str::to_owned).collect()
}

#[test]
fn every_function_of_the_headers_has_a_decision() {
    let rows = rows();
    for (library, file) in [
        ("libcuda", "cuda_signatures.rs"),
        ("libnvidia-ml", "nvml_signatures.rs"),
    ] {
        let lines = lines(&format!("tests/decisions/{library}.txt"));
        let undecided: Vec<_> = declared(file)
            .into_iter()
            .filter(|name| !rows.contains_key(name))
            .filter(|name| !lines.iter().any(|line| matches(&line.pattern, name)))
            .collect();
        assert!(
            undecided.is_empty(),
            "{file}: no decision for {undecided:?}"
        );
    }
}

#[test]
fn every_row_names_a_function_that_a_driver_exports() {
    let exports = &exported("libcuda") | &exported("libnvidia-ml");
    let unknown: Vec<_> = rows()
        .into_keys()
        .filter(|name| !exports.contains(name))
        .collect();
    assert!(unknown.is_empty(), "no driver exports {unknown:?}");
}

#[test]
fn nothing_is_left_undone() {
    for library in ["libcuda", "libnvidia-ml"] {
        let lines = lines(&format!("tests/decisions/{library}.txt"));
        let gaps: Vec<_> = lines.iter().filter(|line| line.gap).collect();
        let patterns: Vec<_> = gaps.iter().map(|line| &line.pattern).collect();
        assert!(
            gaps.is_empty(),
            "{library}: {patterns:?} are still to be handled"
        );
    }
}

/// One line for each function that is exported or has a row, by library and name.
fn table() -> String {
    let mut text = String::from(
        "# Written by `FCSP_BLESS=1 cargo test -p fcsp-preload-cuda --test decisions` from src/hooks.rs and\n\
         # tests/decisions; checked by the same test without the variable. What each column means: `fcsp hooks --help`.\n",
    );
    let rows = rows();
    for library in ["libcuda", "libnvidia-ml"] {
        let exports = read(&format!(
            "../../backends/sys/cuda/exports/{library}-580.159.txt"
        ));
        let lines = lines(&format!("tests/decisions/{library}.txt"));
        for name in exports.lines() {
            let (decision, reason) = match rows.get(name) {
                Some(row) => (row.verb.as_str(), row.reason.as_str()),
                None => match lines.iter().find(|line| matches(&line.pattern, name)) {
                    Some(line) if line.gap => ("gap", line.reason.as_str()),
                    Some(line) => ("forward", line.reason.as_str()),
                    // Another test complains.
                    None => continue,
                },
            };
            // As `Verb::fails_open` of the hook tables; what is not intercepted goes to the driver always.
            let fails = match decision {
                "account" => "closed",
                _ => "open",
            };
            writeln!(text, "{library}\t{name}\t{decision}\t{fails}\t{reason}")
                .expect("to a string");
        }
    }
    text
}

#[test]
fn the_table_that_is_shown_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("decisions.tsv");
    let table = table();
    if std::env::var_os("FCSP_BLESS").is_some() {
        fs::write(&path, &table).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    assert!(
        read("decisions.tsv") == table,
        "decisions.tsv is not what src/hooks.rs and tests/decisions say: run this test with FCSP_BLESS=1"
    );
}

#[test]
fn patterns_match_whole_names() {
    assert!(matches("cuMem*", "cuMemAlloc_v2") && matches("cu*Async*", "cuMemcpyAsync_ptsz"));
    assert!(matches("cuInit", "cuInit") && matches("cuGL*", "cuGL"));
    assert!(!matches("cuMem", "cuMemAlloc_v2") && !matches("cu*Async", "cuMemcpyAsync_ptsz"));
}
