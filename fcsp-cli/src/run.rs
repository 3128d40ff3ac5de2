//! `fcsp run`: starts a program as a tenant.
//!
//! Everything goes through the environment, which the preload library reads: this process only
//! prepares it and then becomes the program.

use crate::exit::{Outcome, WithCode};
use crate::install::{self, Install};
use crate::level_zero;
use crate::mps;
use crate::regions::RunDirArg;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use fcsp_core::policy::{
    MemoryAmount, MemoryMode, Mode, Policy, Priority, Share, file, tenant_name,
};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Run a program as a tenant, with its limits
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fcsp run --tenant a --compute 25% --memory 8GiB -- python train.py
  fcsp run --tenant b --compute 50% --mode strict -- ./serve
  fcsp run --simulated --compute 25% -- fcsp-load saturate

What is not given here comes from the environment (BUD_SM_LIMIT and others) and from the policy
file; docs/policy.md has all of it. Programs started with the same --tenant share its limits.

After fcsp mps start the program runs beside the others of the same run directory, on a part of the
device as large as the most its tenant may have. A fatal fault of one then ends all of them.
CUDA_MPS_PIPE_DIRECTORY and CUDA_MPS_ACTIVE_THREAD_PERCENTAGE are left alone where they are set.")]
pub struct Args {
    /// Whose limits hold [default: the container, or a job of its own]
    #[arg(long, value_name = "NAME", value_parser = parse_tenant)]
    pub tenant: Option<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Use a simulated device instead of a real one
    #[arg(long, value_name = "VENDOR", num_args = 0..=1, require_equals = true,
          default_missing_value = "nvidia")]
    pub simulated: Option<Simulated>,
    /// Directory of the regions through which programs agree
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Policy file
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// Limits as options.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LimitArgs {
    /// Entitlement to compute, percent of the device: 25%, 12.5
    #[arg(long, value_name = "SHARE")]
    pub compute: Option<Share>,
    /// Memory quota: 8GiB, 512M, 50% of the device, a number of bytes, unlimited
    #[arg(long, value_name = "MEMORY")]
    pub memory: Option<MemoryAmount>,
    /// Over the quota: hard refuses, soft counts [possible values: hard, soft]
    #[arg(long, value_name = "MODE")]
    pub memory_mode: Option<MemoryMode>,
    /// How compute is shared [possible values: balanced, strict, none, adaptive]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<Mode>,
    /// Most to take from the burst pool, percent of the device
    #[arg(long, value_name = "SHARE")]
    pub burst_max: Option<Share>,
    /// Who goes first [possible values: high, normal, low]
    #[arg(long, value_name = "PRIORITY")]
    pub priority: Option<Priority>,
}

/// Whose device is simulated, or whose a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Simulated {
    /// An NVIDIA device.
    Nvidia,
    /// An AMD device.
    Amd,
    /// An Intel device.
    Intel,
}

fn parse_tenant(name: &str) -> Result<String, fcsp_core::policy::ValueError> {
    tenant_name::check(name)?;
    Ok(name.to_owned())
}

/// Runs the subcommand. Comes back only with an error.
pub fn run(args: &Args) -> Result<Outcome> {
    let install = Install::find()?;
    let (program, arguments) = args.program.split_first().context("no program was given")?;
    let mut command = Command::new(program);
    command.args(arguments);
    prepare(&mut command, &install, args.simulated)?;
    args.limits.set(&mut command);
    if let Some(tenant) = &args.tenant {
        command.env(tenant_name::VARIABLE, tenant);
    }
    if let Some(run_dir) = &args.run_dir {
        command.env("FCSP_RUN_DIR", absolute(run_dir)?);
    }
    let policy = match &args.policy {
        Some(path) => {
            // A bad file is better known before the program starts.
            let policy = Policy::read(path)?;
            command.env(file::VARIABLE, absolute(path)?);
            Some(policy)
        }
        // The program tells what is wrong with one that it finds by itself.
        None => Policy::find().unwrap_or_default(),
    };
    let run_dir = RunDirArg {
        run_dir: args.run_dir.clone(),
    };
    match run_dir.path() {
        Ok(run_dir) => mps::join(
            &mut command,
            &run_dir,
            args.simulated.is_some(),
            policy.as_ref(),
        ),
        // The program meets the same error and does what its policy says about failing.
        Err(error) => tracing::info!("{error:#}"),
    }
    for (name, value) in command.get_envs() {
        let value = value.unwrap_or(OsStr::new("(unset)"));
        tracing::info!("{}={}", name.to_string_lossy(), value.to_string_lossy());
    }
    let error = command.exec();
    let program = program.to_string_lossy();
    Err(match error.kind() {
        ErrorKind::NotFound => WithCode {
            code: 127,
            message: format!("{program}: not found"),
        },
        _ => WithCode {
            code: 126,
            message: format!("{program}: cannot be executed: {error}"),
        },
    }
    .into())
}

/// Makes `command` load the preload libraries and, if asked to, the simulated driver.
pub fn prepare(
    command: &mut Command,
    install: &Install,
    simulated: Option<Simulated>,
) -> Result<()> {
    let mut list = std::env::var_os("LD_PRELOAD");
    let simulated_amd = simulated == Some(Simulated::Amd);
    let mut libraries = install.preload_libraries(simulated_amd)?;
    if simulated == Some(Simulated::Intel) || fcsp_backend_intel::driver::is_loaded() {
        let library = install.preload_ze()?;
        level_zero::stand_before_driver(command, &library);
        libraries.push(library);
    }
    for library in libraries {
        if library.as_os_str().to_string_lossy().contains([' ', ':']) {
            bail!(
                "{} has a space or a colon in its path, which LD_PRELOAD cannot express; install \
                 FCSP elsewhere",
                library.display()
            );
        }
        list = Some(install::append(list, &library));
    }
    command.env("LD_PRELOAD", list.unwrap_or_default());
    if let Some(vendor) = simulated {
        use_simulated(command, install, vendor)?;
    }
    Ok(())
}

/// Makes `command` find the simulated driver before any other.
pub fn use_simulated(command: &mut Command, install: &Install, vendor: Simulated) -> Result<()> {
    let directory = match vendor {
        Simulated::Nvidia => install.simulated_nvidia()?,
        Simulated::Amd => install.simulated_amd()?,
        Simulated::Intel => install.simulated_intel()?,
    };
    let path = install::prepend(std::env::var_os("LD_LIBRARY_PATH"), &directory);
    if vendor == Simulated::Amd {
        command.env(KFD_NODES, directory.join("kfd"));
    }
    command.env("LD_LIBRARY_PATH", path);
    Ok(())
}

/// Where the HIP preload library finds how many compute units devices have, in place of the kernel driver's own description.
const KFD_NODES: &str = "FCSP_KFD_NODES";

impl LimitArgs {
    /// Puts the limits into the environment of `command`. What is given here goes before what is
    /// inherited for one device.
    pub fn set(&self, command: &mut Command) {
        if let Some(compute) = self.compute {
            unset_per_device(command, "BUD_SM_LIMIT_DEV");
            command.env("BUD_SM_LIMIT", compute.to_string());
        }
        if let Some(memory) = self.memory {
            unset_per_device(command, "BUD_MEMORY_LIMIT_DEV");
            // Exact, where the amount's own text is rounded for people.
            let exact = match memory {
                MemoryAmount::Bytes(bytes) => bytes.to_string(),
                other => other.to_string(),
            };
            command.env("BUD_MEMORY_LIMIT", exact);
        }
        if let Some(memory_mode) = self.memory_mode {
            command.env("BUD_MEMORY_LIMIT_MODE", memory_mode.word());
        }
        if let Some(mode) = self.mode {
            command.env("BUD_ISOLATION_MODE", mode.word());
        }
        if let Some(burst_max) = self.burst_max {
            command.env("BUD_BURST_MAX_PCT", burst_max.to_string());
        }
        if let Some(priority) = self.priority {
            command.env("BUD_PRIORITY", priority.word());
        }
    }

    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        self.compute.is_none()
            && self.memory.is_none()
            && self.memory_mode.is_none()
            && self.mode.is_none()
            && self.burst_max.is_none()
            && self.priority.is_none()
    }
}

fn unset_per_device(command: &mut Command, prefix: &str) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} cannot be used", path.display()))
}
