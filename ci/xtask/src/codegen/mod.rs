//! `cargo xtask codegen`: the vendor bindings, generated from the vendors' own headers, and the benchmark's kernels, compiled;
//! all checked in.
//!
//! Headers come from where the vendor publishes them or are checked in (`headers`), bindgen reads them (`bindings`), and
//! what it found is split into types and function signatures (`signatures`). Kernels are compiled by the vendor's compiler
//! (`kernels`) and by Debian's (`compiled`). Nothing here runs in an ordinary build: only
//! who changes the header version, and CI with `--check`, need Python and libclang.

mod bindings;
mod compiled;
mod difference;
mod headers;
mod kernels;
mod signatures;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use syn::Item;

use crate::workspace;

/// Arguments of `cargo xtask codegen`.
#[derive(clap::Args)]
pub struct Args {
    /// Change nothing; fail when a checked-in file differs from what would be generated.
    #[arg(long)]
    check: bool,
}

/// One vendor header and the files generated from it.
struct Header {
    /// Directory below `backends/sys` of the crate it belongs to.
    package: &'static str,
    /// Path of the header below its include directory.
    file: &'static str,
    /// Include directories that are checked in, below the workspace; none for the headers that are downloaded.
    checked_in: &'static [&'static str],
    /// Stem of the generated files.
    stem: &'static str,
    version: &'static str,
    /// Regular expression of the functions and types that belong to this header.
    items: &'static str,
    /// Regular expression of its macro constants.
    constants: &'static str,
    defines: &'static [&'static str],
    /// The stem of a newer version of the same header. Only types that differ from it are written then, and no
    /// signatures: functions keep their names, and pointers to what changed are cast by who knows the version.
    since: Option<&'static str>,
    /// Enums whose values get a function that names them: function, enum, what the documentation calls it.
    names: &'static [(&'static str, &'static str, &'static str)],
}

const HEADERS: &[Header] = &[
    Header {
        package: "cuda",
        file: "cuda.h",
        checked_in: &[],
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
        since: None,
        names: &[("result_name", "cudaError_enum", "`CUresult`")],
    },
    Header {
        package: "cuda",
        file: "nvml.h",
        checked_in: &[],
        stem: "nvml",
        version: "13.0",
        items: "nvml.*",
        constants: "NVML_.*",
        // Real names only: without it `nvmlInit` would be read as `nvmlInit_v2`.
        defines: &["NVML_NO_UNVERSIONED_FUNC_DEFS"],
        since: None,
        names: &[("nvml_return_name", "nvmlReturn_enum", "`nvmlReturn_t`")],
    },
    Header {
        package: "hip",
        file: "hip_exported.h",
        checked_in: &[
            "backends/sys/hip/headers/6.4.3",
            "backends/sys/hip/headers/beyond",
        ],
        stem: "hip",
        version: "6.4.3",
        items: HIP_ITEMS,
        constants: HIP_CONSTANTS,
        defines: HIP_DEFINES,
        since: None,
        names: &[("error_name", "hipError_t", "`hipError_t`")],
    },
    Header {
        package: "hip",
        file: "hip_exported.h",
        checked_in: &[
            "backends/sys/hip/headers/5.7.1",
            "backends/sys/hip/headers/beyond",
        ],
        stem: "hip5",
        version: "5.7.1",
        items: HIP_ITEMS,
        constants: HIP_CONSTANTS,
        defines: HIP_DEFINES,
        since: Some("hip"),
        names: &[],
    },
    Header {
        package: "rocm-smi",
        file: "rocm_smi/rocm_smi.h",
        checked_in: &[],
        stem: "rocm_smi",
        version: "6.1.2",
        items: "(rsmi|RSMI).*",
        constants: "RSMI_.*",
        defines: &[],
        since: None,
        names: &[("rsmi_status_name", "rsmi_status_t", "`rsmi_status_t`")],
    },
    Header {
        package: "rocm-smi",
        file: "amd_smi/amdsmi.h",
        checked_in: &["backends/sys/rocm-smi/headers/10.1"],
        stem: "amd_smi",
        version: "10.1",
        items: "(amdsmi|AMDSMI).*",
        constants: "AMDSMI_.*",
        // The processor side of the library is declared only with it.
        defines: &["ENABLE_ESMI_LIB"],
        since: None,
        names: &[("amdsmi_status_name", "amdsmi_status_t", "`amdsmi_status_t`")],
    },
    Header {
        package: "level-zero",
        file: "level_zero.h",
        checked_in: &[
            "backends/sys/level-zero/headers",
            "backends/sys/level-zero/headers/1.32.0",
        ],
        stem: "level_zero",
        version: "1.32.0",
        items: "_?ze[strl]?(_|[A-Z]).*",
        constants: "ZE[STRL]?_.*",
        defines: &[],
        since: None,
        names: &[("result_name", "_ze_result_t", "`ze_result_t`")],
    },
];

const HIP_ITEMS: &str = "(hip|HIP|ihip|dim3|__hip|_Z[0-9]*hip|_ZN8hip).*";
const HIP_CONSTANTS: &str = "(hip|HIP)[A-Z_].*";
const HIP_DEFINES: &[&str] = &["__HIP_PLATFORM_AMD__"];

impl Header {
    /// Where its generated files live, below the workspace root.
    fn generated(&self) -> String {
        format!("backends/sys/{}/src/generated", self.package)
    }
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let downloaded = headers::ensure(&root)?;
    let mut stale = Vec::new();
    let mut written: BTreeMap<&str, Vec<Item>> = BTreeMap::new();
    for header in HEADERS {
        let mut include = vec![downloaded.clone()];
        include.extend(
            header
                .checked_in
                .iter()
                .map(|directory| root.join(directory)),
        );
        let mut parsed = bindings::parse(header, &include)?;
        let mut files = Vec::new();
        if let Some(newer) = header.since.and_then(|stem| written.get(stem)) {
            difference::keep_what_differs(&mut parsed.items, newer);
        } else {
            let signatures = signatures::file(header, &parsed);
            files.push((format!("{}_signatures.rs", header.stem), signatures));
            if let Some(tables) = tables::file(header, &parsed, &root)? {
                files.push((format!("{}_tables.rs", header.stem), tables));
            }
            written.insert(header.stem, parsed.items.clone());
        }
        files.push((
            format!("{}.rs", header.stem),
            bindings::types_file(header, &parsed),
        ));
        let generated = header.generated();
        for (name, text) in files {
            settle(
                args,
                &root,
                &format!("{generated}/{name}"),
                &text,
                &mut stale,
            )?;
        }
    }
    let (name, text) = kernels::compile(&root)?;
    settle(args, &root, &name, &text, &mut stale)?;
    compiled::settle(args, &root, &mut stale)?;
    if !stale.is_empty() {
        bail!(
            "generated files are not what their sources give:\n  {}\nrun `cargo xtask codegen` and commit the result",
            stale.join("\n  ")
        );
    }
    if args.check {
        println!("generated files are up to date");
    }
    Ok(())
}

/// Writes a generated file, or notes how the one that is checked in differs from it.
fn settle(args: &Args, root: &Path, name: &str, text: &str, stale: &mut Vec<String>) -> Result<()> {
    let path = root.join(name);
    if args.check {
        if let Some(difference) = first_difference(&path, text)? {
            stale.push(format!("{name}: {difference}"));
        }
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {name}");
    Ok(())
}

/// The first line in which a checked-in file differs from its regeneration.
fn first_difference(path: &Path, expected: &str) -> Result<Option<String>> {
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
