//! The benchmark's kernels as SPIR-V, and as code for the simulated AMD device, compiled by what Debian 12 has: clang 15, the
//! SPIR-V translator for it, and hipcc, which calls that clang.
//!
//! Other versions write other bytes. Where these are not installed, a check says so and leaves the files unchecked.

use super::{Args, workspace};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Directory of the sources and of what is generated, below the workspace.
const DIRECTORY: &str = "fcsp-bench/engine/src/kernels";
/// The processor of the simulated device.
const PROCESSOR: &str = "gfx90a";

/// What compiles a file.
struct Compiled {
    name: &'static str,
    tools: &'static [&'static str],
    packages: &'static str,
    /// Compiles what is in the first directory, to the file.
    compile: fn(&Path, &Path) -> Result<()>,
}

const FILES: [Compiled; 2] = [
    Compiled {
        name: "kernels.spv",
        tools: &["clang-15", "llvm-spirv-15"],
        packages: "clang-15 and llvm-spirv-15",
        compile: spirv,
    },
    Compiled {
        name: "kernels.gfx90a",
        tools: &["clang-15", "hipcc"],
        packages: "hipcc",
        compile: code_object,
    },
];

/// Writes the files, or notes which differ.
pub fn settle(args: &Args, root: &Path, stale: &mut Vec<String>) -> Result<()> {
    let scratch = root.join("target/kernels");
    fs::create_dir_all(&scratch)?;
    for file in &FILES {
        let name = format!("{DIRECTORY}/{}", file.name);
        if !file.tools.iter().all(|tool| starts(tool)) {
            let needs = format!("{name} needs {} of Debian 12", file.packages);
            if !args.check {
                bail!("{needs}");
            }
            println!("{needs}: not checked");
            continue;
        }
        let made = scratch.join(file.name);
        (file.compile)(&root.join(DIRECTORY), &made)?;
        let bytes = fs::read(&made)?;
        let path = root.join(&name);
        if !args.check {
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {name}");
        } else if fs::read(&path).ok() != Some(bytes) {
            stale.push(name);
        }
    }
    Ok(())
}

fn starts(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Not optimized: the translator orders blocks of optimized code as no validator takes them, and the driver optimizes.
fn spirv(source: &Path, made: &Path) -> Result<()> {
    let code = made.with_extension("bc");
    workspace::run(
        Command::new("clang-15")
            .current_dir(source)
            .args(["-c", "-target", "spir64", "-O0", "-cl-std=CL2.0"])
            .args(["-emit-llvm", "kernels.cl", "-o"])
            .arg(&code),
    )?;
    workspace::run(
        Command::new("llvm-spirv-15")
            .arg("--spirv-max-version=1.2")
            .arg(&code)
            .arg("-o")
            .arg(made),
    )
}

fn code_object(source: &Path, made: &Path) -> Result<()> {
    workspace::run(
        Command::new("hipcc")
            .current_dir(source)
            .args(["-x", "hip", "--genco", "-O3"])
            .arg(format!("--offload-arch={PROCESSOR}"))
            .args(["kernels.cu", "-o"])
            .arg(made),
    )
}
