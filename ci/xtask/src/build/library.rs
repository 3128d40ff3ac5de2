//! Checks a library before it is installed: would it be found, and would it load where our users are?
//!
//! A preload library is loaded into every program of a container whose C library may be ten years old. One symbol with a
//! newer version, and no program starts there at all.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The newest symbol version a preload library may ask for: glibc 2.17, of RHEL 7 and the manylinux2014 images.
const GLIBC_MAX: (u32, u32) = (2, 17);

/// Libraries a preload library may need: the C library's own.
const NEEDED: &[&str] = &[
    "libc.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "libm.so.6",
    "librt.so.1",
    "ld-linux",
];

/// Checks a built library that is to be installed as `to`. `preload` asks for what a preload library must satisfy in
/// addition.
pub fn check(path: &Path, to: &Path, preload: bool) -> Result<()> {
    let mut complaints = Vec::new();
    let dynamic = readelf("--dynamic", path)?;
    let name = to
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let soname = bracketed(&dynamic, "(SONAME)").next();
    if soname != Some(&name) {
        complaints.push(format!(
            "its SONAME is {}, not {name}",
            soname.unwrap_or("missing")
        ));
    }
    if preload {
        let stranger = |library: &&str| !NEEDED.iter().any(|known| library.starts_with(known));
        for library in bracketed(&dynamic, "(NEEDED)").filter(stranger) {
            complaints.push(format!(
                "it needs {library}, which a container may not have"
            ));
        }
        let symbols = readelf("--dyn-syms", path)?;
        complaints.extend(symbols.lines().filter_map(complain_about_symbol));
    }
    if complaints.is_empty() {
        return Ok(());
    }
    bail!(
        "{} is not fit for use:\n  {}",
        path.display(),
        complaints.join("\n  ")
    )
}

fn readelf(what: &str, path: &Path) -> Result<String> {
    let output = Command::new("readelf")
        .args([what, "--wide"])
        .arg(path)
        .env("LC_ALL", "C")
        .output()
        .context("cannot start `readelf`, which comes with binutils, as does the linker")?;
    if !output.status.success() {
        bail!(
            "readelf {what} {}: {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `libc.so.6` of ` 0x01 (NEEDED)  Shared library: [libc.so.6]`.
fn bracketed<'a>(dynamic: &'a str, tag: &'a str) -> impl Iterator<Item = &'a str> {
    dynamic
        .lines()
        .filter(move |line| line.contains(tag))
        .filter_map(|line| line.split_once('[')?.1.split(']').next())
}

/// Judges a line such as `12: 0000000000000000  0 FUNC  GLOBAL DEFAULT  UND abort@GLIBC_2.2.5 (2)`.
fn complain_about_symbol(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace().skip(4);
    let (binding, _visibility, section) = (fields.next()?, fields.next()?, fields.next()?);
    let symbol = fields.next()?;
    if section != "UND" {
        return None;
    }
    let Some((name, version)) = symbol.split_once('@') else {
        return (binding == "GLOBAL").then(|| format!("nothing defines {symbol}"));
    };
    let number = version.trim_start_matches('@').strip_prefix("GLIBC_")?;
    let mut parts = number
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
    let version = (parts.next()?, parts.next().unwrap_or(0));
    (version > GLIBC_MAX).then(|| {
        format!("it asks for {name} of glibc {number}; fcsp-preload/link.rs can redirect it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_newer_than_old_containers_are_refused() {
        let line = |binding, symbol| {
            complain_about_symbol(&format!(
                "  12: 0000000000000000     0 FUNC    {binding} DEFAULT  UND {symbol} (2)"
            ))
        };
        assert_eq!(line("GLOBAL", "abort@GLIBC_2.2.5"), None);
        assert_eq!(line("GLOBAL", "clock_gettime@GLIBC_2.17"), None);
        assert!(
            line("GLOBAL", "pthread_create@GLIBC_2.34")
                .is_some_and(|text| text.contains("pthread_create"))
        );
        assert!(
            line("WEAK", "gettid@GLIBC_2.30").is_some(),
            "a weak reference asks for the version all the same"
        );
        assert!(line("GLOBAL", "fcsp_forgotten").is_some());
        assert_eq!(line("WEAK", "__gmon_start__"), None);
        assert_eq!(
            complain_about_symbol(
                "  40: 0000000000019d20   686 FUNC    GLOBAL DEFAULT   12 cuMemAlloc_v2"
            ),
            None
        );
        assert_eq!(
            complain_about_symbol("Symbol table '.dynsym' contains 60 entries:"),
            None
        );
    }

    #[test]
    fn names_are_read_from_the_dynamic_section() {
        let dynamic = " 0x01 (NEEDED)  Shared library: [libc.so.6]\n 0x0e (SONAME)  Library soname: [libx.so]\n";
        assert_eq!(
            bracketed(dynamic, "(NEEDED)").collect::<Vec<_>>(),
            ["libc.so.6"]
        );
        assert_eq!(bracketed(dynamic, "(SONAME)").next(), Some("libx.so"));
    }
}
