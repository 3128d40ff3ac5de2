//! The load program for AMD devices, which only the vendor's compiler builds.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Processors that it has code for: the simulated device's, and what a Debian compiler knows of current ones.
const PROCESSORS: [&str; 4] = ["gfx90a", "gfx908", "gfx1030", "gfx906"];

/// Compiles `hw-tests/hip/load.cpp` into the tree; says so where there is no compiler. More options are hipcc's
/// own variable's to add, `HIPCC_COMPILE_FLAGS_APPEND=--offload-arch=gfx942` for example.
pub fn load_program(tree: &Path) -> Result<()> {
    let built = tree.join("bin/fcsp-load-hip.new");
    let mut hipcc = Command::new("hipcc");
    hipcc.args(PROCESSORS.map(|name| format!("--offload-arch={name}")));
    hipcc.args(["-std=c++17", "-O2", "-pthread", "-o"]);
    hipcc
        .arg(&built)
        .arg(workspace::root().join("hw-tests/hip/load.cpp"));
    match hipcc.status() {
        Ok(status) if status.success() => {}
        Ok(status) => bail!("hipcc ended with {status}"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("fcsp-load-hip is left out: hipcc is not installed");
            return Ok(());
        }
        Err(error) => return Err(error).context("hipcc does not start"),
    }
    super::install(&built, &tree.join("bin/fcsp-load-hip"))?;
    std::fs::remove_file(&built)?;
    Ok(())
}
