//! `cargo xtask codegen`: the vendor bindings, generated from the vendors' own headers and checked in.
//!
//! Headers come from the vendor's PyPI wheels (`headers`), bindgen reads them (`bindings`), and what it found is split
//! into types and function signatures (`signatures`). Nothing here runs in an ordinary build: only who changes the
//! header version, and CI with `--check`, need Python and libclang.

mod bindings;
mod headers;
mod signatures;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Arguments of `cargo xtask codegen`.
#[derive(clap::Args)]
pub struct Args {
    /// Change nothing; fail when a checked-in file differs from what would be generated.
    #[arg(long)]
    check: bool,
}

/// One vendor header and the two files generated from it.
struct Header {
    /// File name, also the stem of the generated files.
    file: &'static str,
    stem: &'static str,
    version: &'static str,
    /// Regular expression of the functions and types that belong to this header.
    items: &'static str,
    /// Regular expression of its macro constants.
    constants: &'static str,
    defines: &'static [&'static str],
}

const HEADERS: &[Header] = &[
    Header {
        file: "cuda.h",
        stem: "cuda",
        version: "13.0",
        items: "(cu|CU|cuda|CUDA).*",
        constants: "(CU_|CUDA_).*",
        // The first makes the header declare every exported variant by its real name, old versions and per-thread
        // default streams included. The second keeps the count-of-enum members out that the first would add.
        defines: &[
            "__CUDA_API_VERSION_INTERNAL",
            "__CUDA_API_VERSION_INTERNAL_ODR",
        ],
    },
    Header {
        file: "nvml.h",
        stem: "nvml",
        version: "13.0",
        items: "nvml.*",
        constants: "NVML_.*",
        // Real names only: without it `nvmlInit` would be read as `nvmlInit_v2`.
        defines: &["NVML_NO_UNVERSIONED_FUNC_DEFS"],
    },
];

/// Where the generated files live, below the workspace root.
const GENERATED: &str = "backends/sys/cuda/src/generated";

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let include = headers::ensure(&root)?;
    let mut stale = Vec::new();
    for header in HEADERS {
        let parsed = bindings::parse(header, &include)?;
        for (name, text) in [
            (
                format!("{}.rs", header.stem),
                bindings::types_file(header, &parsed),
            ),
            (
                format!("{}_signatures.rs", header.stem),
                signatures::file(header, &parsed),
            ),
        ] {
            let path = root.join(GENERATED).join(&name);
            if args.check {
                if let Some(difference) = difference(&path, &text)? {
                    stale.push(format!("{GENERATED}/{name}: {difference}"));
                }
            } else {
                fs::create_dir_all(root.join(GENERATED))?;
                fs::write(&path, text)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                println!("wrote {GENERATED}/{name}");
            }
        }
    }
    if !stale.is_empty() {
        bail!(
            "generated bindings are not what the headers give:\n  {}\nrun `cargo xtask codegen` and commit the result",
            stale.join("\n  ")
        );
    }
    if args.check {
        println!("generated bindings are up to date");
    }
    Ok(())
}

/// The first line in which a checked-in file differs from its regeneration.
fn difference(path: &Path, expected: &str) -> Result<Option<String>> {
    let found = match fs::read_to_string(path) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Some("missing".into())),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    if found == expected {
        return Ok(None);
    }
    let line = found
        .lines()
        .zip(expected.lines())
        .position(|(a, b)| a != b)
        .unwrap_or_else(|| found.lines().count().min(expected.lines().count()));
    let at = |text: &str| {
        text.lines()
            .nth(line)
            .unwrap_or("<end of file>")
            .trim()
            .to_owned()
    };
    Ok(Some(format!(
        "line {}: found `{}`, generated `{}`",
        line + 1,
        at(&found),
        at(expected)
    )))
}
