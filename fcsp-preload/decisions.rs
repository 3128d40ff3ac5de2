// Is there a decision for every function a real driver exports? Included by the tests of the preload libraries; not part
// of any crate.
//
// A function is either a row of `src/hooks.rs` or matched by a line of `tests/decisions/*.txt`, which gives the reason
// why it is left alone. A driver's function that nobody has thought about is how quotas leak.
//
// All of it together is `decisions.tsv`, which `fcsp hooks` shows: written by these tests with `FCSP_BLESS=1`, compared
// without.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// A vendor's library and what is known of it.
pub struct Library {
    /// Its name, and that of its decisions file.
    pub name: &'static str,
    /// Lists of what its versions export, from the crate's directory.
    pub exports: &'static [&'static str],
    /// The signatures generated from its header, from the crate's directory.
    pub signatures: &'static str,
}

/// A preload library whose decisions are checked.
pub struct Subject {
    /// The crate's name.
    pub package: &'static str,
    /// The crate's directory.
    pub directory: &'static str,
    /// The libraries it stands before.
    pub libraries: &'static [Library],
    /// A row of each, by which the reading of `src/hooks.rs` is checked.
    pub known_rows: &'static [&'static str],
}

/// A line of a decisions file.
pub struct Line {
    gap: bool,
    pattern: String,
    reason: String,
}

/// A row of `src/hooks.rs`.
struct Row {
    verb: String,
    reason: String,
}

impl Subject {
    fn read(&self, path: &str) -> String {
        let path = Path::new(self.directory).join(path);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The rows by name, read from the source: a library of this kind cannot be linked to a test.
    fn rows(&self) -> BTreeMap<String, Row> {
        const VERBS: &[&str] = &["account", "gate", "sync", "virtualize", "forward", "opaque"];
        let source = self.read("src/hooks.rs");
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
                    let (reason, _) =
                        reason.unwrap_or_else(|| panic!("no reason on the line: {line}"));
                    let verb = if verb == "opaque" { "forward" } else { verb };
                    let row = Row {
                        verb: verb.into(),
                        reason: reason.into(),
                    };
                    (name.to_owned(), row)
                })
            })
            .collect();
        for name in self.known_rows {
            assert!(rows.contains_key(*name), "{name} is recognised as a row");
        }
        rows
    }

    fn lines(&self, library: &Library) -> Vec<Line> {
        let path = format!("tests/decisions/{}.txt", library.name);
        self.read(&path)
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

    /// What any version of the library exports. A symbol's version, after `@`, is not part of its name.
    fn exported(&self, library: &Library) -> BTreeSet<String> {
        library
            .exports
            .iter()
            .flat_map(|path| {
                let names: Vec<String> = self
                    .read(path)
                    .lines()
                    .filter_map(|line| line.split('@').next())
                    .map(str::to_owned)
                    .collect();
                names
            })
            .collect()
    }

    /// Names of the functions that the header declares, from the bindings generated from it.
    fn declared(&self, library: &Library) -> BTreeSet<String> {
        let names: BTreeSet<_> = self
            .read(library.signatures)
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("pub type "))
            .filter_map(|line| line.split_once(" = ").map(|(name, _)| name.to_owned()))
            .collect();
        assert!(
            names.len() > 80,
            "{}: {} functions recognised",
            library.signatures,
            names.len()
        );
        names
    }

    /// Every function that is exported has a decision, and every decision an export.
    pub fn check_exports(&self) {
        let rows = self.rows();
        for library in self.libraries {
            let exports = self.exported(library);
            let lines = self.lines(library);
            let undecided: Vec<_> = exports
                .iter()
                .filter(|name| {
                    !rows.contains_key(*name)
                        && !lines.iter().any(|line| matches(&line.pattern, name))
                })
                .collect();
            let name = library.name;
            assert!(
                undecided.is_empty(),
                "{name}: no decision for {undecided:?}"
            );
            for line in &lines {
                assert!(
                    exports.iter().any(|name| matches(&line.pattern, name)),
                    "{name}: no export matches `{}`",
                    line.pattern
                );
                assert!(
                    !line.reason.is_empty(),
                    "{name}: `{}` has no reason",
                    line.pattern
                );
            }
            let hooked = exports.iter().filter(|it| rows.contains_key(*it)).count();
            println!("{name}: {} exports, {hooked} rows", exports.len());
        }
    }

    /// Every function that the headers declare has a decision.
    pub fn check_headers(&self) {
        let rows = self.rows();
        for library in self.libraries {
            let lines = self.lines(library);
            let undecided: Vec<_> = self
                .declared(library)
                .into_iter()
                .filter(|name| !rows.contains_key(name))
                .filter(|name| !lines.iter().any(|line| matches(&line.pattern, name)))
                .collect();
            assert!(
                undecided.is_empty(),
                "{}: no decision for {undecided:?}",
                library.signatures
            );
        }
    }

    /// Every row names a function that some version exports.
    pub fn check_rows(&self) {
        let exports: BTreeSet<_> = self
            .libraries
            .iter()
            .flat_map(|library| self.exported(library))
            .collect();
        let unknown: Vec<_> = self
            .rows()
            .into_keys()
            .filter(|name| !exports.contains(name))
            .collect();
        assert!(unknown.is_empty(), "no driver exports {unknown:?}");
    }

    /// No decision is put off but those named here.
    pub fn check_gaps(&self, known: &[&str]) {
        let gaps: Vec<_> = self
            .libraries
            .iter()
            .flat_map(|library| self.lines(library))
            .filter(|line| line.gap)
            .map(|line| line.pattern)
            .collect();
        assert_eq!(gaps, known, "what is still to be handled");
    }

    /// One line for each function that is exported or has a row, by library and name.
    fn table(&self) -> String {
        let mut text = format!(
            "# Written by `FCSP_BLESS=1 cargo test -p {} --test decisions` from src/hooks.rs and\n\
             # tests/decisions; checked by the same test without the variable. What each column means: \
             `fcsp hooks --help`.\n",
            self.package
        );
        let rows = self.rows();
        for library in self.libraries {
            let lines = self.lines(library);
            for name in self.exported(library) {
                let (decision, reason) = match rows.get(&name) {
                    Some(row) => (row.verb.as_str(), row.reason.as_str()),
                    None => match lines.iter().find(|line| matches(&line.pattern, &name)) {
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
                let library = library.name;
                writeln!(text, "{library}\t{name}\t{decision}\t{fails}\t{reason}")
                    .expect("to a string");
            }
        }
        text
    }

    /// `decisions.tsv` is what the table is; written if it is to be blessed.
    pub fn check_table(&self) {
        let path = Path::new(self.directory).join("decisions.tsv");
        let table = self.table();
        if std::env::var_os("FCSP_BLESS").is_some() {
            fs::write(&path, &table).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        assert!(
            self.read("decisions.tsv") == table,
            "decisions.tsv is not what src/hooks.rs and tests/decisions say: run this test with FCSP_BLESS=1"
        );
    }
}

/// Whether a name matches a pattern in which `*` stands for any characters.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).any(|from| tail.get(from..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}
