//! Where the demo plays: which device, which run directory, which programs.

use crate::install::Install;
use crate::run::{self, Simulated};
use crate::vendor;
use anyhow::{Context, Result, bail};
use fcsp_core::region::{self, Region};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything the programs of the demo have in common.
pub struct Stage {
    install: Install,
    load_program: PathBuf,
    simulated: Option<Simulated>,
    run_dir: RunDir,
    /// The device, and how fast it is.
    pub calibration: Calibration,
}

/// What `fcsp-load calibrate` prints, as far as it matters here.
#[derive(Debug, Deserialize)]
pub struct Calibration {
    /// The device.
    pub device: Device,
    /// Rounds of the work kernel per microsecond.
    pub iters_per_us: f64,
    /// Blocks that fill the device.
    pub grid_blocks: u32,
}

/// A device as the driver names it.
#[derive(Clone, Debug, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Whether it is a simulated one.
    pub simulated: bool,
}

impl Stage {
    /// Chooses the device, makes a run directory of its own and calibrates the programs.
    pub fn set(install: &Install, simulated: Option<Simulated>) -> Result<Self> {
        let (vendor, simulated) = match (simulated, vendor::here()) {
            (Some(vendor), _) => (vendor, Some(vendor)),
            (None, Some(vendor)) => (vendor, None),
            (None, None) => (Simulated::Nvidia, Some(Simulated::Nvidia)),
        };
        let load_program = match vendor {
            Simulated::Nvidia => {
                install.preload_cuda()?;
                install.load_program()?
            }
            Simulated::Amd => {
                install.preload_hip()?;
                install.load_program_hip()?
            }
            Simulated::Intel => {
                install.preload_ze()?;
                install.load_program_ze()?
            }
        };
        match simulated {
            Some(Simulated::Nvidia) => drop(install.simulated_nvidia()?),
            Some(Simulated::Amd) => drop(install.simulated_amd()?),
            Some(Simulated::Intel) => drop(install.simulated_intel()?),
            None => {}
        }
        let mut stage = Self {
            install: install.clone(),
            load_program,
            simulated,
            run_dir: RunDir::make()?,
            calibration: Calibration {
                device: Device {
                    name: String::new(),
                    simulated: simulated.is_some(),
                },
                iters_per_us: 0.0,
                grid_blocks: 0,
            },
        };
        stage.calibration = stage.calibrate()?;
        if stage.calibration.device.simulated != simulated.is_some() {
            bail!(
                "the programs found {}, which is not the device that was chosen; check \
                 LD_LIBRARY_PATH",
                stage.calibration.device.name
            );
        }
        Ok(stage)
    }

    /// Which device, for people.
    pub fn announcement(&self) -> String {
        let name = &self.calibration.device.name;
        if self.simulated.is_some() {
            format!("On a simulated device ({name}): this shows the machinery, not a GPU.")
        } else {
            format!("On {name}.")
        }
    }

    /// The region of the device, once a program has made it.
    pub fn region(&self) -> Result<Region> {
        let found = region::list(&self.run_dir.0)?;
        match found.into_iter().next() {
            Some((_, region)) => Ok(region?),
            None => bail!(
                "the programs run, but made no region in {}: the preload library is not in force",
                self.run_dir.0.display()
            ),
        }
    }

    /// The load program, without limits.
    pub fn native(&self) -> Result<Command> {
        let mut command = Command::new(&self.load_program);
        for (name, _) in std::env::vars_os() {
            if is_setting(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command.env("FCSP_RUN_DIR", &self.run_dir.0);
        // The operator's policy is not for the demo's tenants.
        command.env("FCSP_POLICY", self.run_dir.policy());
        if let Some(vendor) = self.simulated {
            run::use_simulated(&mut command, &self.install, vendor)?;
        }
        Ok(command)
    }

    /// The load program as a tenant.
    pub fn tenant(&self, name: &str, limits: &run::LimitArgs) -> Result<Command> {
        let mut command = self.native()?;
        run::prepare(&mut command, &self.install, self.simulated)?;
        limits.set(&mut command);
        command.env("FCSP_TENANT", name);
        Ok(command)
    }

    fn calibrate(&self) -> Result<Calibration> {
        let output = self
            .native()?
            .arg("calibrate")
            .output()
            .with_context(|| format!("cannot start {}", self.load_program.display()))?;
        if !output.status.success() {
            bail!(
                "fcsp-load calibrate ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context(
            "fcsp-load calibrate wrote something else than expected; are both of one build?",
        )
    }
}

/// Whether a variable would change what the demo shows.
fn is_setting(name: &str) -> bool {
    [
        "BUD_",
        "FCSP_",
        "CUDA_DEVICE_SM_LIMIT",
        "CUDA_DEVICE_MEMORY_LIMIT",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix) && !name.starts_with("FCSP_SIM_"))
}

/// A run directory that is gone with the demo.
struct RunDir(PathBuf);

impl RunDir {
    fn make() -> Result<Self> {
        // Devices can write into memory only.
        let memory = Path::new("/dev/shm");
        let base = if region::is_in_memory(memory) {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = base.join(format!("fcsp-demo-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let run_dir = Self(path);
        std::fs::write(
            run_dir.policy(),
            "# No policy: the demo's limits are in the environment.\n",
        )
        .with_context(|| format!("cannot write into {}", run_dir.0.display()))?;
        Ok(run_dir)
    }

    fn policy(&self) -> PathBuf {
        self.0.join("policy.toml")
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!("cannot remove {}: {error}", path.display());
    }
}
