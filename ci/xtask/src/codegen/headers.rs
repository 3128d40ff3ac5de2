//! Obtains the vendor headers and libclang as PyPI wheels and Debian packages, into `target/headers/`.
//!
//! Versions are pinned, so that a regeneration next year gives the same files. Headers that no registry keeps, and whose
//! licence allows it, are checked in instead, beside the bindings made from them. The C library's own headers are not
//! used at all: stubs give the few names that are needed, which makes the result independent of the machine.

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

/// A package of Debian's archive, by its path there, and the headers inside it that we want.
struct Package {
    path: &'static str,
    sha256: &'static str,
    /// Path below `usr/include`, which it keeps below `target/headers/include`.
    files: &'static [&'static str],
}

const HEADER_PACKAGES: &[Package] = &[Package {
    path: "pool/main/r/rocm-smi-lib/librocm-smi-dev_6.1.2-1_amd64.deb",
    sha256: "10fb5124bda49305c8daf450beb22d9b5ce63f88815996b2893db8714eaedead",
    files: &["rocm_smi/rocm_smi.h", "rocm_smi/kfd_ioctl.h"],
}];

/// What the headers take from the C library and the kernel.
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
    (
        "stdbool.h",
        "#define bool _Bool\n#define true 1\n#define false 0\n",
    ),
    ("limits.h", ""),
    ("string.h", "#include <stddef.h>\n"),
    (
        "time.h",
        "#include <stddef.h>\nstruct timespec { long tv_sec; long tv_nsec; };\n",
    ),
    ("linux/ioctl.h", ""),
    (
        "linux/types.h",
        "typedef __UINT8_TYPE__ __u8;\ntypedef __UINT16_TYPE__ __u16;\ntypedef __UINT32_TYPE__ __u32;\n\
         typedef __UINT64_TYPE__ __u64;\n",
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
    for package in HEADER_PACKAGES {
        unpack(&base, package)?;
    }
    for (name, text) in STUBS {
        let path = include.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
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
    unpack_wheel(wheel.requirement, &scratch)?;
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

/// Downloads a wheel and unpacks it into a directory, which is made if it is not there.
pub fn unpack_wheel(requirement: &str, into: &Path) -> Result<()> {
    let archives = into.join("archives");
    fs::create_dir_all(&archives)
        .with_context(|| format!("cannot create {}", archives.display()))?;
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
    .arg(&archives)
    .arg(requirement);
    workspace::run(&mut pip).with_context(|| {
        format!(
            "cannot download {requirement}: codegen needs python3 with pip and a reachable package index"
        )
    })?;
    let Some(archive) = fs::read_dir(&archives)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
    else {
        bail!("pip downloaded no wheel for {requirement}");
    };
    workspace::run(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&archive)
            .arg(into),
    )?;
    fs::remove_dir_all(&archives)?;
    Ok(())
}

/// Downloads a Debian package from the archive this machine installs from, whatever suites it has configured.
fn unpack(base: &Path, package: &Package) -> Result<()> {
    let stamp = base.join(format!("{}.from", package.files[0].replace('/', "+")));
    if fs::read_to_string(&stamp).is_ok_and(|from| from == package.sha256) {
        return Ok(());
    }
    let targets = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)"])
        .output()
        .context("cannot start `apt-get`: codegen takes some headers from Debian's archive")?;
    let targets = String::from_utf8_lossy(&targets.stdout).into_owned();
    let archive = targets
        .lines()
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
        .context("apt has no archive of Debian configured")?;
    let scratch = base.join("scratch");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let file = scratch.join("package.deb");
    workspace::run(
        Command::new("/usr/lib/apt/apt-helper")
            .arg("download-file")
            .arg(format!(
                "{}/{}",
                archive.trim_end_matches('/'),
                package.path
            ))
            .arg(&file)
            .arg(format!("SHA256:{}", package.sha256)),
    )?;
    workspace::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&scratch))?;
    for name in package.files {
        let to = base.join("include").join(name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(scratch.join("usr/include").join(name), &to)
            .with_context(|| format!("{} has no {name}", package.path))?;
    }
    fs::write(&stamp, package.sha256)?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}
