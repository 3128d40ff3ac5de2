//! Where FCSP is installed: everything is found relative to this executable.
//!
//! ```text
//! <root>/bin/fcsp, fcsp-load, fcsp-load-hip, fcsp-load-ze
//! <root>/lib/libfcsp-cuda.so, libfcsp-hip.so, libfcsp-ze.so
//! <root>/lib/sim/libcuda.so.1, libnvidia-ml.so.1
//! <root>/lib/sim/amd/libamdhip64.so.5, libamdhip64.so.6, librocm_smi64.so.1, libamd_smi.so.27
//! <root>/lib/sim/intel/libze_intel_gpu.so.1
//! ```

use anyhow::{Context, Result, bail};
use fcsp_backend_amd::driver;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The install tree.
#[derive(Clone, Debug)]
pub struct Install {
    root: PathBuf,
}

impl Install {
    /// The tree this executable is in. Links to the executable are followed.
    pub fn find() -> Result<Self> {
        let exe = std::env::current_exe()
            .and_then(|exe| exe.canonicalize())
            .context("cannot find out where this program is")?;
        let root = exe
            .ancestors()
            .nth(2)
            .context("this program is in no directory")?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The library that is preloaded into CUDA programs.
    pub fn preload_cuda(&self) -> Result<PathBuf> {
        self.existing("lib/libfcsp-cuda.so", "the preload library")
    }

    /// The library that is preloaded into HIP programs.
    pub fn preload_hip(&self) -> Result<PathBuf> {
        self.existing("lib/libfcsp-hip.so", "the preload library for HIP")
    }

    /// The library that is preloaded into Level Zero programs, and that their loader opens as a driver.
    pub fn preload_ze(&self) -> Result<PathBuf> {
        self.existing("lib/libfcsp-ze.so", "the preload library for Level Zero")
    }

    /// The directory of the simulated Level Zero driver.
    pub fn simulated_intel(&self) -> Result<PathBuf> {
        self.existing(
            "lib/sim/intel/libze_intel_gpu.so.1",
            "the simulated Level Zero driver",
        )?;
        Ok(self.root.join("lib/sim/intel"))
    }

    /// The libraries that programs on this machine are to load: CUDA's, and HIP's where there may be a device for it, or
    /// one is `simulated`.
    pub fn preload_libraries(&self, simulated: bool) -> Result<Vec<PathBuf>> {
        let mut libraries = vec![self.preload_cuda()?];
        if simulated || driver::is_loaded() {
            libraries.push(self.preload_hip()?);
        }
        Ok(libraries)
    }

    /// The directory of the simulated CUDA driver.
    pub fn simulated_nvidia(&self) -> Result<PathBuf> {
        self.existing("lib/sim/libcuda.so.1", "the simulated driver")?;
        Ok(self.root.join("lib/sim"))
    }

    /// The directory of AMD's simulated runtime.
    pub fn simulated_amd(&self) -> Result<PathBuf> {
        self.existing("lib/sim/amd/libamdhip64.so.6", "the simulated HIP runtime")?;
        Ok(self.root.join("lib/sim/amd"))
    }

    /// The load program of `fcsp demo`.
    pub fn load_program(&self) -> Result<PathBuf> {
        self.existing("bin/fcsp-load", "the load program")
    }

    /// The load program of `fcsp demo` on AMD devices.
    pub fn load_program_hip(&self) -> Result<PathBuf> {
        let program = self.existing("bin/fcsp-load-hip", "the load program for HIP");
        program.context("cargo xtask build makes it where hipcc is installed")
    }

    /// The load program of `fcsp demo` on Intel devices.
    pub fn load_program_ze(&self) -> Result<PathBuf> {
        let program = self.existing("bin/fcsp-load-ze", "the load program for Level Zero");
        program.context("cargo xtask build makes it where libze-dev is installed")
    }

    fn existing(&self, relative: &str, what: &str) -> Result<PathBuf> {
        let path = self.root.join(relative);
        if !path.exists() {
            bail!(
                "{what} is not at {}; fcsp looks for it relative to its own place, so run fcsp \
                 from a complete install tree (cargo xtask build makes one in target/fcsp)",
                path.display()
            );
        }
        Ok(path)
    }
}

/// `list`, which is colon-separated, with `path` at its end unless it has it.
pub fn append(list: Option<OsString>, path: &Path) -> OsString {
    join(list, path, |list, path| [list, path])
}

/// `list`, which is colon-separated, with `path` at its beginning unless it has it.
pub fn prepend(list: Option<OsString>, path: &Path) -> OsString {
    join(list, path, |list, path| [path, list])
}

fn join(
    list: Option<OsString>,
    path: &Path,
    order: impl for<'a> Fn(&'a OsStr, &'a OsStr) -> [&'a OsStr; 2],
) -> OsString {
    let list = list.unwrap_or_default();
    if list.is_empty() {
        return path.into();
    }
    if std::env::split_paths(&list).any(|entry| entry == path) {
        return list;
    }
    order(&list, path.as_os_str()).join(OsStr::new(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_added_once_and_what_was_there_stays() {
        let library = Path::new("/opt/fcsp.so");
        let appended = |list: &str| append(Some(list.into()), library);
        assert_eq!(append(None, library), "/opt/fcsp.so");
        assert_eq!(appended(""), "/opt/fcsp.so");
        assert_eq!(appended("/x.so"), "/x.so:/opt/fcsp.so");
        assert_eq!(appended("/opt/fcsp.so:/x.so"), "/opt/fcsp.so:/x.so");
        assert_eq!(prepend(Some("/x".into()), Path::new("/opt")), "/opt:/x");
    }
}
