//! Obtains the vendor headers and libclang as PyPI wheels, into `target/headers/`.
//!
//! Versions are pinned, so that a regeneration next year gives the same files. The C library's own headers are not used
//! at all: three stubs give cuda.h the few names it needs, which makes the result independent of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A wheel and the file inside it that we want.
struct Wheel {
    requirement: &'static str,
    /// Path below the directory the wheel is unpacked to.
    file: &'static str,
    /// Name it gets under `target/headers/include` or `target/headers/lib`.
    to: &'static str,
}

const HEADER_WHEELS: &[Wheel] = &[
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        file: "nvidia/cu13/include/cuda.h",
        to: "include/cuda.h",
    },
    Wheel {
        requirement: "nvidia-nvml-dev==13.0.87",
        file: "nvidia/cu13/include/nvml.h",
        to: "include/nvml.h",
    },
];

const LIBCLANG: Wheel = Wheel {
    requirement: "libclang==18.1.1",
    file: "libclang-18.1.1.data/platlib/clang/native/libclang.so",
    to: "lib/libclang.so",
};

/// What cuda.h takes from the C library.
const STUBS: &[(&str, &str)] = &[
    (
        "stddef.h",
        "typedef __SIZE_TYPE__ size_t;\n#define NULL ((void *)0)\n",
    ),
    ("stdlib.h", "#include <stddef.h>\n"),
    (
        "stdint.h",
        "typedef __INT8_TYPE__ int8_t;\ntypedef __INT16_TYPE__ int16_t;\ntypedef __INT32_TYPE__ int32_t;\n\
         typedef __INT64_TYPE__ int64_t;\ntypedef __UINT8_TYPE__ uint8_t;\ntypedef __UINT16_TYPE__ uint16_t;\n\
         typedef __UINT32_TYPE__ uint32_t;\ntypedef __UINT64_TYPE__ uint64_t;\ntypedef __UINTPTR_TYPE__ uintptr_t;\n",
    ),
];

/// Makes headers and libclang available and returns the include directory.
///
/// A `LIBCLANG_PATH` in the environment is respected; otherwise it is set for this process, before any thread exists.
pub fn ensure(root: &Path) -> Result<PathBuf> {
    let base = root.join("target/headers");
    let include = base.join("include");
    fs::create_dir_all(&include).with_context(|| format!("cannot create {}", include.display()))?;
    for wheel in HEADER_WHEELS {
        obtain(&base, wheel)?;
    }
    for (name, text) in STUBS {
        fs::write(include.join(name), text)?;
    }
    if std::env::var_os("LIBCLANG_PATH").is_none() {
        obtain(&base, &LIBCLANG)?;
        // SAFETY: xtask has a single thread at this point, so nothing reads the environment meanwhile.
        unsafe { std::env::set_var("LIBCLANG_PATH", base.join("lib")) };
    }
    Ok(include)
}

fn obtain(base: &Path, wheel: &Wheel) -> Result<()> {
    let to = base.join(wheel.to);
    let stamp = base.join(format!("{}.from", wheel.to));
    if to.exists() && fs::read_to_string(&stamp).is_ok_and(|from| from == wheel.requirement) {
        return Ok(());
    }
    let scratch = base.join("scratch");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--dest",
    ])
    .arg(&scratch)
    .arg(wheel.requirement);
    workspace::run(&mut pip).with_context(|| {
        format!(
            "cannot download {}: codegen needs python3 with pip and a reachable package index",
            wheel.requirement
        )
    })?;
    let Some(archive) = fs::read_dir(&scratch)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
    else {
        bail!("pip downloaded no wheel for {}", wheel.requirement);
    };
    workspace::run(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&archive)
            .arg(&scratch),
    )?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let from = scratch.join(wheel.file);
    fs::rename(&from, &to)
        .with_context(|| format!("{} has no {}", wheel.requirement, wheel.file))?;
    fs::write(&stamp, wheel.requirement)?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}
