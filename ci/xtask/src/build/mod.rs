//! `cargo xtask build`: builds what users run and lays it out as it is installed.
//!
//! ```text
//! target/fcsp/bin/fcsp                     the command line
//! target/fcsp/bin/fcsp-load, fcsp-hw       load programs and hardware suites
//! target/fcsp/bin/fcsp-load-hip            the load program for AMD devices, where hipcc is installed
//! target/fcsp/bin/fcsp-load-ze, -ze-opened the load program for Intel devices, where libze-dev is installed
//! target/fcsp/bin/fcsp-conformance         checks of backends and gates
//! target/fcsp/lib/libfcsp-cuda.so          the CUDA preload library
//! target/fcsp/lib/libfcsp-hip.so           the HIP preload library
//! target/fcsp/lib/libfcsp-ze.so            the Level Zero preload library and shim driver
//! target/fcsp/lib/sim/libcuda.so.1, …      the simulated driver and management library
//! target/fcsp/lib/sim/intel/libze_intel_gpu.so.1  a simulated driver for the Level Zero loader
//! target/fcsp/lib/sim/amd/…                the same of AMD's
//! ```
//!
//! The tree has its place whatever `CARGO_TARGET_DIR` says, so that scripts and tests find it. Files are put in place
//! by rename: a library that changes under a process that has it mapped kills that process.

mod hip;
mod library;
mod ze;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Arguments of `cargo xtask build`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Build without optimization.
    #[arg(long)]
    debug: bool,
}

/// A cargo target and the name it is installed under. Cargo allows neither `-` nor a version in a library's name.
struct Product {
    package: &'static str,
    target: &'static str,
    install: &'static str,
}

impl Product {
    /// Whether it is loaded into programs.
    fn is_preload(&self) -> bool {
        self.install.starts_with("lib/libfcsp-")
    }
}

const PRODUCTS: &[Product] = &[
    Product {
        package: "fcsp-cli",
        target: "fcsp",
        install: "bin/fcsp",
    },
    Product {
        package: "fcsp-hw-tests",
        target: "fcsp-load",
        install: "bin/fcsp-load",
    },
    Product {
        package: "fcsp-hw-tests",
        target: "fcsp-hw",
        install: "bin/fcsp-hw",
    },
    Product {
        package: "fcsp-conformance",
        target: "fcsp-conformance",
        install: "bin/fcsp-conformance",
    },
    Product {
        package: "fcsp-preload-cuda",
        target: "fcsp_cuda",
        install: "lib/libfcsp-cuda.so",
    },
    Product {
        package: "fcsp-preload-hip",
        target: "fcsp_hip",
        install: "lib/libfcsp-hip.so",
    },
    Product {
        package: "fcsp-preload-ze",
        target: "fcsp_ze",
        install: "lib/libfcsp-ze.so",
    },
    Product {
        package: "fcsp-sim-cuda",
        target: "fcsp_sim_cuda",
        install: "lib/sim/libcuda.so.1",
    },
    Product {
        package: "fcsp-sim-nvml",
        target: "fcsp_sim_nvml",
        install: "lib/sim/libnvidia-ml.so.1",
    },
    Product {
        package: "fcsp-sim-ze",
        target: "fcsp_sim_ze",
        install: "lib/sim/intel/libze_intel_gpu.so.1",
    },
    Product {
        package: "fcsp-sim-rocm-smi",
        target: "fcsp_sim_rocm_smi",
        install: "lib/sim/amd/librocm_smi64.so.1",
    },
];

/// A static library that is linked into one with the version nodes of a real library.
struct Versioned {
    package: &'static str,
    target: &'static str,
    /// The C file that goes with it, if any, and macros for it.
    c_file: Option<&'static str>,
    defines: &'static [&'static str],
    /// The list of what the real library exports.
    exports: &'static str,
    install: &'static str,
}

const VERSIONED: &[Versioned] = &[
    Versioned {
        package: "fcsp-sim-hip",
        target: "fcsp_sim_hip",
        c_file: Some("backends/sim/libamdhip64/src/own.c"),
        defines: &["FCSP_SIM_HIP_MAJOR=5"],
        exports: "backends/sys/hip/exports/libamdhip64-5.2.3.txt",
        install: "lib/sim/amd/libamdhip64.so.5",
    },
    Versioned {
        package: "fcsp-sim-hip",
        target: "fcsp_sim_hip",
        c_file: Some("backends/sim/libamdhip64/src/own.c"),
        defines: &["FCSP_SIM_HIP_MAJOR=6"],
        exports: "backends/sys/hip/exports/libamdhip64-6.4.3.txt",
        install: "lib/sim/amd/libamdhip64.so.6",
    },
    Versioned {
        package: "fcsp-sim-amd-smi",
        target: "fcsp_sim_amd_smi",
        c_file: None,
        defines: &[],
        exports: "backends/sys/rocm-smi/exports/libamd_smi-10.1.txt",
        install: "lib/sim/amd/libamd_smi.so.27",
    },
];

/// Files that are installed as they are: here how a kernel driver would describe the simulated device of AMD's.
const FILES: &[(&str, &str)] = &[(
    "backends/sim/libamdhip64/kfd/1/properties",
    "lib/sim/amd/kfd/1/properties",
)];

/// The install tree.
pub fn tree() -> PathBuf {
    workspace::root().join("target/fcsp")
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let (preload, rest): (Vec<_>, Vec<_>) = PRODUCTS.iter().partition(|it| it.is_preload());
    let [preload_profile, rest_profile] = if args.debug {
        ["dev", "dev"]
    } else {
        ["preload", "release"]
    };
    let packages = |products: &[&Product]| products.iter().map(|it| it.package).collect::<Vec<_>>();
    let mut others = packages(&rest);
    others.extend(VERSIONED.iter().map(|product| product.package));
    let mut built = cargo_build(rest_profile, others)?;
    built.extend(cargo_build(preload_profile, packages(&preload))?);
    let tree = tree();
    for product in PRODUCTS {
        let Some(from) = built.get(product.target) else {
            bail!(
                "package {} built no target named {}",
                product.package,
                product.target
            );
        };
        let to = tree.join(product.install);
        if product.install.starts_with("lib/") {
            library::check(from, &to, product.is_preload())?;
        }
        install(from, &to)?;
    }
    for product in VERSIONED {
        link(product, &built, &tree)?;
    }
    for (file, to) in FILES {
        install(&workspace::root().join(file), &tree.join(to))?;
    }
    hip::load_program(&tree)?;
    ze::load_program(&tree)?;
    println!("installed in {}", tree.display());
    Ok(())
}

/// Links a library with version nodes and installs it.
fn link(product: &Versioned, built: &BTreeMap<String, PathBuf>, tree: &Path) -> Result<()> {
    let Some(archive) = built.get(product.target) else {
        bail!("package {} built no archive", product.package);
    };
    let root = workspace::root();
    let exports = fs::read_to_string(root.join(product.exports))?;
    let to = tree.join(product.install);
    let soname = to
        .file_name()
        .context("an installed file has a name")?
        .to_string_lossy()
        .into_owned();
    let scratch = archive.with_file_name(&soname);
    match product.c_file {
        Some(file) => fcsp_sim_link::link(
            &fcsp_sim_link::Library {
                archive,
                c_file: &root.join(file),
                defines: product.defines,
                exports: &exports,
                soname: &soname,
            },
            &scratch,
        )?,
        None => fcsp_sim_link::link_archive(archive, &exports, &soname, &scratch)?,
    }
    library::check(&scratch, &to, false)?;
    install(&scratch, &to)?;
    fs::remove_file(&scratch)?;
    Ok(())
}

/// Builds packages; returns what cargo says it made, by target name.
fn cargo_build(profile: &str, mut packages: Vec<&str>) -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = workspace::cargo();
    cargo
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(["--profile", profile])
        .stdout(Stdio::piped());
    packages.dedup();
    for package in packages {
        cargo.args(["--package", package]);
    }
    let shown = workspace::show(&cargo);
    let mut child = cargo
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let mut built = BTreeMap::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let message: serde_json::Value =
                serde_json::from_str(&line?).context("cargo wrote a message that is not JSON")?;
            if let Some((target, file)) = artifact(&message) {
                built.insert(target, file);
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(built)
}

/// The program, shared library or archive an artifact message announces.
fn artifact(message: &serde_json::Value) -> Option<(String, PathBuf)> {
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let file = match message["executable"].as_str() {
        Some(program) => program,
        None => message["filenames"]
            .as_array()?
            .iter()
            .filter_map(serde_json::Value::as_str)
            .find(|file| file.ends_with(".so") || file.ends_with(".a"))?,
    };
    Some((
        message["target"]["name"].as_str()?.to_owned(),
        PathBuf::from(file),
    ))
}

/// Copies beside the destination, then renames over it.
fn install(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("an installed file has a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let scratch = to.with_extension(format!("new-{}", std::process::id()));
    fs::copy(from, &scratch)
        .with_context(|| format!("cannot copy {} to {}", from.display(), scratch.display()))?;
    fs::rename(&scratch, to).with_context(|| format!("cannot put {} in place", to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_libraries_are_recognised_in_cargo_messages() {
        let program = serde_json::json!({
            "reason": "compiler-artifact", "target": {"name": "fcsp"},
            "filenames": ["/t/fcsp"], "executable": "/t/fcsp"
        });
        assert_eq!(artifact(&program), Some(("fcsp".into(), "/t/fcsp".into())));
        let library = serde_json::json!({
            "reason": "compiler-artifact", "target": {"name": "fcsp_cuda"},
            "filenames": ["/t/libfcsp_cuda.so"], "executable": null
        });
        assert_eq!(
            artifact(&library),
            Some(("fcsp_cuda".into(), "/t/libfcsp_cuda.so".into()))
        );
        let archive = serde_json::json!({
            "reason": "compiler-artifact", "target": {"name": "fcsp_sim_hip"},
            "filenames": ["/t/libfcsp_sim_hip.a", "/t/libfcsp_sim_hip.rlib"], "executable": null
        });
        assert_eq!(
            artifact(&archive),
            Some(("fcsp_sim_hip".into(), "/t/libfcsp_sim_hip.a".into()))
        );
        let rlib = serde_json::json!({
            "reason": "compiler-artifact", "target": {"name": "libc"},
            "filenames": ["/t/liblibc.rlib"], "executable": null
        });
        assert_eq!(artifact(&rlib), None);
        assert_eq!(
            artifact(&serde_json::json!({"reason": "build-finished"})),
            None
        );
    }

    #[test]
    fn installing_replaces_the_file_and_leaves_the_old_one_to_who_has_it_open() {
        use std::io::Read;
        let directory = std::env::temp_dir().join(format!("fcsp-install-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a writable temporary directory");
        let (from, to) = (directory.join("from"), directory.join("lib/to.so.1"));
        fs::write(&from, "old").expect("write");
        install(&from, &to).expect("first install");
        let mut open = fs::File::open(&to).expect("open what was installed");
        fs::write(&from, "new").expect("write");
        install(&from, &to).expect("second install");
        let mut mapped = String::new();
        open.read_to_string(&mut mapped).expect("read");
        assert_eq!(
            mapped, "old",
            "a process that has the old library mapped keeps it"
        );
        assert_eq!(fs::read_to_string(&to).expect("read"), "new");
        assert_eq!(
            fs::read_dir(to.parent().expect("parent"))
                .expect("list")
                .count(),
            1,
            "no scratch file is left"
        );
        fs::remove_dir_all(&directory).expect("clean up");
    }
}
