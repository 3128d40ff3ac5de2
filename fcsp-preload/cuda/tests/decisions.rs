//! Is there a decision for every function a real driver exports?
//!
//! A function is either a row of `src/hooks.rs` or matched by a line of `decisions/*.txt`, which gives the reason why it
//! is left alone. A driver's function that nobody has thought about is how quotas leak.

use std::collections::BTreeSet;
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

/// The names of the rows, read from the source: a library of this kind cannot be linked to a test.
fn rows() -> BTreeSet<String> {
    const VERBS: &[&str] = &["account", "gate", "sync", "virtualize", "forward", "opaque"];
    let source = read("src/hooks.rs");
    let rows: BTreeSet<_> = source
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let verb = words.next()?;
            let name = words.next()?.trim_end_matches([',', ';']);
            (VERBS.contains(&verb) && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
                .then(|| name.to_owned())
        })
        .collect();
    assert!(
        rows.contains("cuMemAlloc_v2") && rows.contains("nvmlDeviceGetMemoryInfo"),
        "rows are recognised: {rows:?}"
    );
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
            !rows.contains(**name) && !lines.iter().any(|line| matches(&line.pattern, name))
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
        !rows.contains(**name)
            && lines
                .iter()
                .find(|line| matches(&line.pattern, name))
                .is_some_and(|line| line.gap)
    };
    let hooked = exports.iter().filter(|name| rows.contains(**name)).count();
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

#[test]
fn patterns_match_whole_names() {
    assert!(matches("cuMem*", "cuMemAlloc_v2") && matches("cu*Async*", "cuMemcpyAsync_ptsz"));
    assert!(matches("cuInit", "cuInit") && matches("cuGL*", "cuGL"));
    assert!(!matches("cuMem", "cuMemAlloc_v2") && !matches("cu*Async", "cuMemcpyAsync_ptsz"));
}
