//! The `fcsp` command of the install tree, on one run directory: what an operator would type.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Output};

use crate::site::Site;

/// A run directory, and the command that reads and changes it.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    site: &'a Site,
    run_dir: &'a Path,
}

/// The part of `fcsp status --json` that is judged here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// One per device.
    pub regions: Vec<RegionStatus>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionStatus {
    /// Turns that passed from one tenant to another so far.
    pub handoffs: u64,
    /// Bytes that tenants are charged.
    pub used_bytes: u64,
    /// Of the device itself.
    pub device: DeviceStatus,
    /// Everybody the region knows.
    pub tenants: Vec<TenantStatus>,
}

/// A device, as its driver sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// `exclusive` or `concurrent`: how its programs share it now.
    pub sharing: String,
    /// What decides that.
    pub sharing_because: String,
    /// Bytes in use; nothing if no driver answers.
    pub driver_used_bytes: Option<u64>,
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantStatus {
    /// Name.
    pub name: String,
    /// Bytes it is charged.
    pub used_bytes: u64,
    /// Its processes.
    pub processes: Vec<ProcessStatus>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its id.
    pub pid: u32,
}

impl<'a> Node<'a> {
    /// The programs that meet in `run_dir`.
    pub fn new(site: &'a Site, run_dir: &'a Path) -> Self {
        Self { site, run_dir }
    }

    /// `fcsp set TENANT …`.
    pub fn set(&self, tenant: &str, limits: &[&str]) -> Result<()> {
        let mut arguments = vec!["set", tenant];
        arguments.extend(limits);
        self.fcsp(&arguments).map(|_| ())
    }

    /// The one region of a run directory in which one device is used.
    pub fn region(&self) -> Result<RegionStatus> {
        let output = self.fcsp(&["status", "--json", "--interval", "0.05"])?;
        let status: Status = serde_json::from_slice(&output.stdout)
            .context("`fcsp status --json` printed something else")?;
        let count = status.regions.len();
        let only = status.regions.into_iter().next().filter(|_| count == 1);
        only.with_context(|| format!("there are {count} regions where one device is used"))
    }

    /// The command with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.site.fcsp());
        self.site.only_given_variables(&mut command);
        command.args(arguments).env("FCSP_RUN_DIR", self.run_dir);
        command
    }

    /// Runs the command; an error with what it said if it fails.
    pub fn fcsp(&self, arguments: &[&str]) -> Result<Output> {
        let output = self
            .command(arguments)
            .output()
            .with_context(|| format!("cannot start {}", self.site.fcsp().display()))?;
        ensure!(
            output.status.success(),
            "`fcsp {}` failed ({}): {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(output)
    }
}

impl RegionStatus {
    /// How many processes it knows.
    pub fn processes(&self) -> usize {
        self.tenants.iter().map(|it| it.processes.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_judged_is_found_in_what_is_printed() {
        let text = r#"{"run_dir":"/r","regions":[{"handoffs":7,"used_bytes":9,"path":"p",
            "device":{"id":"GPU-1","sharing":"exclusive","sharing_because":"no MPS","driver_used_bytes":null},
            "tenants":[{"name":"a","used_bytes":9,"mode":"strict",
                "processes":[{"pid":1,"command":"x"},{"pid":2,"command":"y"}]}]}]}"#;
        let status: Status = serde_json::from_str(text).expect("as printed");
        assert_eq!(status.regions[0].processes(), 2);
        assert_eq!(status.regions[0].handoffs, 7);
        assert_eq!(status.regions[0].device.driver_used_bytes, None);
        assert_eq!(status.regions[0].device.sharing, "exclusive");
    }
}
