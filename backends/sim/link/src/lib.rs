//! Makes a shared library with symbol versions out of a Rust archive.
//!
//! Programs ask for `hipMalloc@hip_4.2`. Where a cdylib is linked with a version script, rustc's own comes last and the
//! versions are dropped; so simulated libraries whose symbols have versions are built as archives and linked here, by the
//! C compiler. A small C file may go with the archive: what it calls by an exported name goes through the procedure linkage
//! table, as in the real library, where a call from Rust would go straight to its own function.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What to link.
#[derive(Debug)]
pub struct Library<'a> {
    /// The archive.
    pub archive: &'a Path,
    /// The C file that goes with it.
    pub c_file: &'a Path,
    /// Macros for the C file, as `NAME=value`.
    pub defines: &'a [&'a str],
    /// What the real library exports, `name@node` a line.
    pub exports: &'a str,
    /// Name by which the dynamic linker knows the result.
    pub soname: &'a str,
}

/// Links to `output`; its directory exists.
///
/// # Errors
/// The C compiler is missing or refuses; a line of the exports names no version node.
pub fn link(library: &Library, output: &Path) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(library.defines.iter().map(|define| format!("-D{define}")))
        .arg(library.c_file);
    run(cc, library.archive, library.exports, library.soname, output)
}

/// As [`link`], for a library that calls nothing of what it exports and so needs no C file.
///
/// # Errors
/// As [`link`].
pub fn link_archive(archive: &Path, exports: &str, soname: &str, output: &Path) -> Result<()> {
    run(Command::new("cc"), archive, exports, soname, output)
}

fn run(mut cc: Command, archive: &Path, exports: &str, soname: &str, output: &Path) -> Result<()> {
    let script = output.with_extension("map");
    fs::write(&script, version_script(exports)?)
        .with_context(|| format!("cannot write {}", script.display()))?;
    cc.args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(output)
        .arg("-Wl,--whole-archive")
        .arg(archive)
        .arg("-Wl,--no-whole-archive")
        .arg(format!("-Wl,-soname,{soname}"))
        .arg(format!("-Wl,--version-script={}", script.display()))
        // Its worker thread must not lose its code to dlclose.
        .args([
            "-Wl,-z,nodelete",
            "-Wl,--gc-sections",
            "-Wl,--undefined-version",
        ])
        .args(["-lgcc_s", "-lc", "-lm", "-lpthread", "-ldl"]);
    let result = cc.output().context("cannot start `cc`")?;
    fs::remove_file(&script)?;
    if !result.status.success() {
        bail!(
            "cannot link {soname}:\n{}",
            String::from_utf8_lossy(&result.stderr)
        );
    }
    Ok(())
}

/// The version script of a list of exports: every node with its names, each node after the one before it.
///
/// # Errors
/// A line without a node.
pub fn version_script(exports: &str) -> Result<String> {
    let mut nodes: BTreeMap<(Vec<u32>, &str), Vec<&str>> = BTreeMap::new();
    for line in exports.lines() {
        let (name, node) = line
            .split_once('@')
            .with_context(|| format!("{line} names no version node"))?;
        let number = node
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect();
        nodes.entry((number, node)).or_default().push(name);
    }
    let mut script = String::new();
    let mut before = String::new();
    for (index, ((_, node), names)) in nodes.into_iter().enumerate() {
        script.push_str(&format!("{node} {{\n  global:\n"));
        for name in names {
            script.push_str(&format!("    {name};\n"));
        }
        if index == 0 {
            script.push_str("  local: *;\n");
        }
        script.push_str(&format!("}}{before};\n"));
        before = format!(" {node}");
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_in_the_order_of_their_numbers() {
        let script = version_script("b@hip_10.0\na@hip_4.2\nc@hip_4.2").expect("all have nodes");
        assert_eq!(
            script,
            "hip_4.2 {\n  global:\n    a;\n    c;\n  local: *;\n};\nhip_10.0 {\n  global:\n    b;\n} hip_4.2;\n"
        );
        assert!(version_script("plain").is_err());
    }
}
