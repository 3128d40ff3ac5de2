//! The load program for Intel devices, which needs the headers and the loader of Level Zero.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Compiles `hw-tests/ze/load.cpp` into the tree, twice: linked to the loader, and as one that opens it. Says so where the
/// loader and its headers (Debian: libze-dev) are missing.
pub fn load_program(tree: &Path) -> Result<()> {
    if !has_level_zero()? {
        println!(
            "fcsp-load-ze is left out: the Level Zero loader and its headers are missing (libze-dev)"
        );
        return Ok(());
    }
    compile(tree, "fcsp-load-ze", &["-lze_loader"])?;
    compile(tree, "fcsp-load-ze-opened", &["-DOPENED", "-ldl"])
}

fn compiler() -> Command {
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-O2", "-pthread"]);
    compiler
}

fn has_level_zero() -> Result<bool> {
    let source = "hw-tests/ze/probe.cpp";
    let status = compiler()
        .arg(workspace::root().join(source))
        .args(["-o", "/dev/null", "-lze_loader"])
        .stderr(Stdio::null())
        .status()
        .context("c++ does not start")?;
    Ok(status.success())
}

fn compile(tree: &Path, name: &str, arguments: &[&str]) -> Result<()> {
    let built = tree.join(format!("bin/{name}.new"));
    let status = compiler()
        .arg("-o")
        .arg(&built)
        .arg(workspace::root().join("hw-tests/ze/load.cpp"))
        .args(arguments)
        .status()
        .context("c++ does not start")?;
    if !status.success() {
        bail!("c++ ended with {status} on {name}");
    }
    super::install(&built, &tree.join("bin").join(name))?;
    std::fs::remove_file(&built)?;
    Ok(())
}
