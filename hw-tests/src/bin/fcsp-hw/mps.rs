//! The vendor's MPS, started as its users start it: by `fcsp mps start`, in a run directory. Stopped whatever
//! happens: also if this harness is killed.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::node::Node;
use crate::site::Site;
use crate::tenant::Tenant;

/// What `fcsp mps start` says where the driver came without MPS.
const ABSENT: &str = "is neither on the PATH nor in";

/// A daemon that serves the programs that [`Mps::serve`] made its clients. Stopped when dropped.
#[derive(Debug)]
pub struct Mps {
    /// The daemon's directory.
    dir: PathBuf,
    simulated: bool,
    results: PathBuf,
    keeper: Option<Keeper>,
}

impl Mps {
    /// Starts it for `run_dir`; on simulated devices what stands for it. Nothing, with the reason, where
    /// there is no MPS.
    pub fn start(site: &Site, run_dir: &Path) -> Result<Result<Self, String>> {
        let mut stop = Command::new("sh");
        site.only_given_variables(&mut stop);
        stop.env("FCSP_RUN_DIR", run_dir);
        // Before the daemon, so that there is no moment in which nobody would stop it.
        let keeper = Keeper::start(stop, &site.fcsp(), &site.log_file("mps-stop"))?;
        let mps = Self {
            dir: run_dir.join("mps"),
            simulated: site.simulated,
            results: site.out.join("logs"),
            keeper: Some(keeper),
        };
        let simulated: &[&str] = if site.simulated {
            &["--simulated"]
        } else {
            &[]
        };
        let arguments = [&["mps", "start", "--timeout", "30"], simulated].concat();
        match Node::new(site, run_dir).fcsp(&arguments) {
            Ok(_) => Ok(Ok(mps)),
            Err(error) if format!("{error:#}").contains(ABSENT) => Ok(Err(format!("{error:#}"))),
            Err(error) => Err(error),
        }
    }

    /// Makes a program its client.
    pub fn serve(&self, tenant: Tenant) -> Tenant {
        let variables = self.variables().into_iter();
        variables.fold(tenant, |tenant, (key, value)| tenant.with_env(key, value))
    }

    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![("CUDA_MPS_PIPE_DIRECTORY", self.dir.join("pipe").into())];
        if self.simulated {
            variables.push(("FCSP_SIM_MPS", "1".into()));
        }
        variables
    }
}

impl Drop for Mps {
    fn drop(&mut self) {
        drop(self.keeper.take());
        // Why programs failed, if they did; nothing is lost of what was measured if it cannot be kept.
        for name in ["control.log", "server.log"] {
            let kept = self.results.join(format!("mps-{name}"));
            let _ = fs::copy(self.dir.join("log").join(name), kept);
        }
    }
}

/// A shell that stops the daemon as soon as it reads no more from us: when this is dropped, or this process
/// ends, however that may be.
#[derive(Debug)]
struct Keeper {
    shell: Child,
}

impl Keeper {
    /// `stop` is a shell with the environment that `fcsp` needs. What that says goes to `log`.
    fn start(mut stop: Command, fcsp: &Path, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        stop.args(["-c", "read -r _; exec \"$0\" mps stop --force --timeout 20"])
            .arg(fcsp)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // What ends this harness from a terminal is not to end it.
            .process_group(0);
        let shell = stop.spawn().context("there is no shell")?;
        Ok(Self { shell })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Bounded by the time that `fcsp mps stop` was given.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_stopped_when_nobody_holds_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("log");
        let said = || fs::read_to_string(&log).expect("there is a log");
        // In place of `fcsp`.
        let keeper = Keeper::start(Command::new("sh"), Path::new("echo"), &log).expect("starts");
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(said(), "", "it waits");
        drop(keeper);
        assert_eq!(said(), "mps stop --force --timeout 20\n");
    }
}
