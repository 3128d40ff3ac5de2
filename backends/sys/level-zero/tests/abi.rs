//! Does a C compiler with the vendor's headers see every structure as these bindings do?
//!
//! bindgen asserts sizes, alignments and offsets of everything it wrote; here the same numbers are put to the compiler
//! of this machine.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const BINDINGS: &str = include_str!("../src/generated/level_zero.rs");

/// `["Size of _ze_x_t"][::core::mem::size_of::<_ze_x_t>() - 24usize];` and its like, as what is asserted and the number.
fn assertions() -> Vec<(String, u64)> {
    BINDINGS
        .split('[')
        .zip(BINDINGS.split('[').skip(1))
        .filter_map(|(what, rest)| {
            let (what, _) = what.trim().strip_prefix('"')?.split_once('"')?;
            let (_, number) = rest.split_once("- ")?;
            let (number, _) = number.split_once("usize")?;
            let c = if let Some(name) = what.strip_prefix("Size of ") {
                format!("sizeof({})", c_type(name))
            } else if let Some(name) = what.strip_prefix("Alignment of ") {
                format!("_Alignof({})", c_type(name))
            } else {
                let (name, field) = what.strip_prefix("Offset of field: ")?.split_once("::")?;
                let field = field.trim_end_matches('_');
                format!("offsetof({}, {field})", c_type(name))
            };
            Some((c, number.trim().parse().ok()?))
        })
        .collect()
}

/// The header gives every structure `_x_t` the name `x_t`; those of the loader it does not.
fn c_type(name: &str) -> String {
    match name.strip_prefix('_') {
        Some(alias) if name.ends_with("_t") => alias.to_owned(),
        _ => format!("struct {name}"),
    }
}

#[test]
fn a_c_compiler_agrees_on_every_layout() {
    let assertions = assertions();
    assert!(assertions.len() > 2000, "only {}", assertions.len());
    let mut source = String::from("#include <stddef.h>\n#include \"level_zero.h\"\n");
    for (what, number) in &assertions {
        writeln!(source, "_Static_assert({what} == {number}, \"{what}\");").expect("to a string");
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layout.c");
    std::fs::write(&file, source).expect("a writable target directory");
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("headers");
    let compiler = Command::new("cc")
        .args(["-std=c11", "-fsyntax-only", "-I"])
        .arg(&headers)
        .arg("-I")
        .arg(headers.join("1.32.0"))
        .arg(&file)
        .output();
    let output = compiler.expect("cc runs: cargo needs it to link");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
