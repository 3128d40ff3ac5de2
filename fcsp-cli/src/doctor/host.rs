//! The machine and the installation: preload library, C library, container, run directory.

use super::Check;
use crate::install::Install;
use crate::regions::RunDirArg;
use fcsp_core::policy::tenant_name;
use fcsp_core::region::is_in_memory;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest C library that the preload library loads with.
const GLIBC_MIN: (u32, u32) = (2, 17);

pub fn checks(install: &Install, run_dir: &RunDirArg) -> Vec<Check> {
    let mut checks = vec![
        preload("CUDA preload library", install.preload_cuda()),
        preload("HIP preload library", install.preload_hip()),
        preload("Level Zero preload library", install.preload_ze()),
        simulated("simulated NVIDIA driver", install.simulated_nvidia()),
        simulated("simulated AMD driver", install.simulated_amd()),
        simulated("simulated Intel driver", install.simulated_intel()),
        glibc(),
        container(),
    ];
    checks.extend(regions(run_dir));
    checks
}

fn preload(name: &str, library: anyhow::Result<PathBuf>) -> Check {
    let library = match library {
        Ok(library) => library,
        Err(error) => {
            return Check::fail(
                name,
                error.to_string(),
                "run cargo xtask build, or reinstall",
            );
        }
    };
    match try_preload(&library) {
        Ok(()) => Check::ok(name, format!("{} loads", library.display())),
        Err(reason) => Check::fail(
            name,
            format!("{} does not load: {reason}", library.display()),
            "reinstall a build for this machine",
        ),
    }
}

/// Starts this very program under the library. The dynamic linker goes on without a library that it
/// cannot load, and says so on stderr.
fn try_preload(library: &Path) -> Result<(), String> {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(exe)
        .arg("--version")
        .env("LD_PRELOAD", library)
        .output()
        .map_err(|error| error.to_string())?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if let Some(line) = stderr.lines().find(|line| line.contains("LD_PRELOAD")) {
        return Err(line.to_owned());
    }
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "a program under it ended with {}: {}",
            output.status,
            stderr.trim()
        )),
    }
}

fn simulated(name: &str, directory: anyhow::Result<PathBuf>) -> Check {
    match directory {
        Ok(directory) => Check::ok(name, directory.display().to_string()),
        Err(error) => Check::warn(name, error.to_string(), "only --simulated needs it"),
    }
}

fn glibc() -> Check {
    // SAFETY: glibc returns a pointer to a constant text; it takes nothing and cannot fail.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) }.to_string_lossy();
    let mut parts = version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    let number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if number >= GLIBC_MIN {
        Check::ok("C library", format!("glibc {version}"))
    } else {
        Check::fail(
            "C library",
            format!("glibc {version}"),
            format!(
                "the preload library needs glibc {}.{}",
                GLIBC_MIN.0, GLIBC_MIN.1
            ),
        )
    }
}

fn container() -> Check {
    let found = match tenant_name::from_process() {
        name if name.starts_with("container-") => {
            format!("yes: programs without FCSP_TENANT are tenant {name}")
        }
        _ => "no: each job without FCSP_TENANT is a tenant of its own".to_owned(),
    };
    Check::ok("container", found)
}

fn regions(run_dir: &RunDirArg) -> Vec<Check> {
    let regions = match run_dir.open() {
        Ok(regions) => regions,
        Err(error) => {
            return vec![Check::fail(
                "run directory",
                format!("{error:#}"),
                "set FCSP_RUN_DIR to a directory that all programs on the device can write",
            )];
        }
    };
    let found = format!(
        "{}, {} region(s)",
        regions.run_dir.display(),
        regions.usable.len()
    );
    let mut checks = vec![if is_in_memory(&regions.run_dir) {
        Check::ok("run directory", found)
    } else {
        Check::warn(
            "run directory",
            format!("{found}; it is on a disk"),
            "compute limits need a directory in memory: set FCSP_RUN_DIR to one under /dev/shm",
        )
    }];
    checks.extend(regions.unusable.into_iter().map(|(_, error)| {
        Check::fail(
            "region",
            error.to_string(),
            "programs on this device run without limits or are refused",
        )
    }));
    checks
}
