//! Where things are: the install tree, the results, and scratch space for regions.

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::traces::Traces;

/// Scratch space is called this and the process id of the harness it belongs to.
const SCRATCH_PREFIX: &str = "fcsp-hw-";

/// Whose devices programs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vendor {
    /// NVIDIA's, by `fcsp-load`.
    Nvidia,
    /// AMD's, by `fcsp-load-hip`, which has some of its modes.
    Amd,
    /// Intel's, by `fcsp-load-ze`, which has the same.
    Intel,
}

/// Paths of one run of the harness. Scratch space goes when this does.
#[derive(Debug)]
pub struct Site {
    install: PathBuf,
    scratch: PathBuf,
    disk: PathBuf,
    runs: Cell<u32>,
    /// Where results go.
    pub out: PathBuf,
    /// Whether tenants get the simulated driver.
    pub simulated: bool,
    /// Whose device it is.
    pub vendor: Vendor,
    /// Device ordinal.
    pub device: i32,
    /// Python interpreter.
    pub python: PathBuf,
    /// What the scheduler decides, where that is recorded.
    pub traces: Traces,
}

impl Site {
    /// Finds the install tree and makes the directories.
    pub fn open(
        install: Option<&Path>,
        out: &Path,
        simulated: bool,
        vendor: Vendor,
        device: i32,
        python: &Path,
    ) -> Result<Self> {
        let install = match install {
            Some(given) => given.to_owned(),
            None => own_tree()?,
        };
        let install = fs::canonicalize(&install)
            .with_context(|| format!("there is no install tree {}", install.display()))?;
        fs::create_dir_all(out.join("logs"))
            .with_context(|| format!("cannot make {}", out.display()))?;
        let site = Self {
            scratch: scratch_root().join(format!("{SCRATCH_PREFIX}{}", std::process::id())),
            disk: env::temp_dir().join(format!("{SCRATCH_PREFIX}{}", std::process::id())),
            install,
            runs: Cell::new(0),
            out: fs::canonicalize(out)?,
            simulated,
            vendor,
            device,
            python: python.to_owned(),
            traces: Traces::default(),
        };
        let mut needed = vec![site.load(), site.preload()];
        if simulated {
            needed.push(site.simulated_driver());
        }
        for file in needed {
            ensure!(
                file.exists(),
                "{} is missing; build the install tree with `cargo xtask build` (which needs hipcc for \
                 programs on AMD devices, and libze-dev for those on Intel devices), or name one with --install",
                file.display()
            );
        }
        remove_abandoned(&scratch_root());
        remove_abandoned(&env::temp_dir());
        for dir in [&site.simulated_devices(), &site.disk] {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(site)
    }

    /// The load program.
    pub fn load(&self) -> PathBuf {
        self.install.join(match self.vendor {
            Vendor::Nvidia => "bin/fcsp-load",
            Vendor::Amd => "bin/fcsp-load-hip",
            Vendor::Intel => "bin/fcsp-load-ze",
        })
    }

    /// The command.
    pub fn fcsp(&self) -> PathBuf {
        self.install.join("bin/fcsp")
    }

    /// Takes from `command` what this harness happened to have in its environment that would change
    /// what is measured, and gives it what it needs to find the device.
    pub fn only_given_variables(&self, command: &mut Command) {
        for (key, _) in env::vars_os() {
            let name = key.to_string_lossy();
            let limit = name.starts_with("BUD_") || name.starts_with("FCSP_");
            // What configures the simulated device or the log is the user's to say.
            let kept = name.starts_with("FCSP_SIM_")
                || ["FCSP_LOG", "FCSP_TUNE", "FCSP_ZE_GATE"].contains(&&*name);
            if (limit && !kept) || name == "LD_PRELOAD" {
                command.env_remove(&key);
            }
        }
        // A failure's reason is its message; a backtrace would push that out of the report.
        command.env("RUST_BACKTRACE", "0");
        if self.simulated {
            // Behind them what whoever runs this wants found, a newer loader of Level Zero, say.
            let mut paths = self.simulated_drivers().into_os_string();
            if let Some(more) = std::env::var_os("LD_LIBRARY_PATH").filter(|it| !it.is_empty()) {
                paths.push(":");
                paths.push(more);
            }
            command.env("LD_LIBRARY_PATH", paths);
            command.env("FCSP_SIM_DIR", self.simulated_devices());
        }
    }

    /// Puts FCSP between a program and the driver.
    pub fn enforce(&self, command: &mut Command) {
        let library = self.preload();
        command.env("LD_PRELOAD", &library);
        if self.vendor == Vendor::Intel {
            // The loader opens it in the place of the driver, for programs that have a loader of their own.
            command.env("ZE_ENABLE_ALT_DRIVERS", &library);
        }
    }

    /// The preload library.
    fn preload(&self) -> PathBuf {
        self.install.join(match self.vendor {
            Vendor::Nvidia => "lib/libfcsp-cuda.so",
            Vendor::Amd => "lib/libfcsp-hip.so",
            Vendor::Intel => "lib/libfcsp-ze.so",
        })
    }

    fn simulated_driver(&self) -> PathBuf {
        self.simulated_drivers().join(match self.vendor {
            Vendor::Nvidia => "libcuda.so.1",
            Vendor::Amd => "libamdhip64.so.5",
            Vendor::Intel => "libze_intel_gpu.so.1",
        })
    }

    /// The directory of the simulated driver's libraries.
    pub fn simulated_drivers(&self) -> PathBuf {
        self.install.join(match self.vendor {
            Vendor::Nvidia => "lib/sim",
            Vendor::Amd => "lib/sim/amd",
            Vendor::Intel => "lib/sim/intel",
        })
    }

    /// Where simulated devices live; one for the whole run.
    pub fn simulated_devices(&self) -> PathBuf {
        self.scratch.join("sim")
    }

    /// A file in scratch space.
    pub fn scratch_file(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// A file in scratch space for programs and caches: where memory is mounted for containers, no
    /// program can be started from it.
    pub fn disk_file(&self, name: &str) -> PathBuf {
        self.disk.join(name)
    }

    /// A new, empty run directory: tenants that share it share a device.
    pub fn fresh_run_dir(&self) -> Result<PathBuf> {
        let run = self.runs.get() + 1;
        self.runs.set(run);
        let dir = self.scratch.join(format!("run-{run}"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// Where a process writes its stderr.
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.out
            .join("logs")
            .join(format!("{:03}-{name}.log", self.runs.get()))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Nothing to be done about scratch space that cannot be removed; it holds no results.
        let _ = fs::remove_dir_all(&self.scratch);
        let _ = fs::remove_dir_all(&self.disk);
    }
}

/// Removes scratch space of harnesses that were killed, which could not remove it themselves.
fn remove_abandoned(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(SCRATCH_PREFIX))
            .and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Somebody else's may not be ours to remove; it is then theirs to find.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The tree this program was installed in: `<tree>/bin/fcsp-hw`.
fn own_tree() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program is")?;
    program
        .parent()
        .and_then(Path::parent)
        .map(Path::to_owned)
        .context("this program is in no install tree; name one with --install")
}

/// Memory-backed where there is such a place: a region on a disk would be written back to it, and
/// that stalls whoever touches it.
fn scratch_root() -> PathBuf {
    let shared_memory = Path::new("/dev/shm");
    if shared_memory.is_dir() {
        shared_memory.to_owned()
    } else {
        env::temp_dir()
    }
}

/// Scratch space belongs to the process, so that tests with a site run one at a time.
#[cfg(test)]
pub fn one_at_a_time() -> std::sync::MutexGuard<'static, ()> {
    use std::sync::{Mutex, PoisonError};
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scratch_space_of_the_dead_is_removed() {
        let root = env::temp_dir().join(format!("fcsp-hw-test-site-{}", std::process::id()));
        // Above the largest process id Linux gives.
        let dead = root.join(format!("{SCRATCH_PREFIX}{}", 1 << 23));
        let alive = root.join(format!("{SCRATCH_PREFIX}{}", std::process::id()));
        let other = root.join("fcsp-hw-notes");
        for dir in [&dead, &alive, &other] {
            fs::create_dir_all(dir).expect("the temporary directory is writable");
        }
        remove_abandoned(&root);
        assert_eq!(
            [dead.exists(), alive.exists(), other.exists()],
            [false, true, true]
        );
        fs::remove_dir_all(&root).expect("it was made above");
    }
}
