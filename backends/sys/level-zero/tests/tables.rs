//! Are the tables complete, and is each field what it is said to be?

use level_zero_sys::{TABLES, ddi_tables, fn_types};
use std::collections::BTreeSet;

const SIGNATURES: &str = include_str!("../src/generated/level_zero_signatures.rs");

macro_rules! types_agree {
    ($(table $table:ident from $getter:ident {
        $($field:ident $function:ident since $major:literal $minor:literal;)*
    })*) => {
        $({
            let table = level_zero_sys::$table::default();
            $(let _: Option<fn_types::$function> = table.$field;)*
            let _: Option<fn_types::$getter> = None;
        })*
    };
}

#[test]
fn each_field_has_the_type_of_its_function() {
    ddi_tables! { types_agree, }
}

#[test]
fn every_function_of_a_header_is_in_one_table() {
    let mut in_tables = BTreeSet::new();
    for entry in TABLES.iter().flat_map(|table| table.entries) {
        assert!(in_tables.insert(entry.function), "{} twice", entry.function);
    }
    let declared: BTreeSet<&str> = SIGNATURES
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub use ")?.strip_suffix(';'))
        .filter(|name| !name.starts_with("zel") && !name.ends_with("ProcAddrTable"))
        .collect();
    assert!(in_tables.len() > 450);
    let missing: Vec<_> = declared.difference(&in_tables).collect();
    assert!(missing.is_empty(), "in no table: {missing:?}");
}

#[test]
fn tables_grow_only_at_their_end() {
    for table in TABLES {
        let since: Vec<_> = table.entries.iter().map(|entry| entry.since.0).collect();
        assert!(since.is_sorted(), "{}: {since:x?}", table.name);
    }
}
