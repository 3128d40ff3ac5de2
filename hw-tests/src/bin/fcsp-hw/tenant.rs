//! Who runs, under which limits, and the environment that says so.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::site::Site;

/// What a tenant is promised.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Share of the device, in percent.
    pub sm_pct: Option<u32>,
    /// Memory quota in bytes.
    pub quota_bytes: Option<u64>,
    /// `none`, `strict`, `balanced` or `adaptive`.
    pub isolation: &'static str,
    /// `high`, `normal` or `low`.
    pub priority: &'static str,
}

impl Limits {
    /// A share, nothing else.
    pub fn share(sm_pct: u32) -> Self {
        Self {
            sm_pct: Some(sm_pct),
            quota_bytes: None,
            isolation: "balanced",
            priority: "normal",
        }
    }

    /// A memory quota, nothing else.
    pub fn quota(quota_bytes: u64) -> Self {
        Self {
            sm_pct: None,
            quota_bytes: Some(quota_bytes),
            isolation: "balanced",
            priority: "normal",
        }
    }
}

/// Whether FCSP stands between a program and the driver.
#[derive(Debug, Clone)]
pub enum Sharing {
    /// It does not.
    Native,
    /// It does.
    Fcsp(Limits),
}

/// One process to start.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Whose limits these are; processes of one name share them.
    pub name: String,
    /// With or without FCSP.
    pub sharing: Sharing,
    /// Program and arguments.
    pub command: Vec<OsString>,
}

impl Tenant {
    /// A process called `name`.
    pub fn new(name: impl Into<String>, sharing: Sharing, command: Vec<OsString>) -> Self {
        Self {
            name: name.into(),
            sharing,
            command,
        }
    }

    /// The command with the environment it is to see, and none that this harness happened to have.
    pub fn to_command(&self, site: &Site, run_dir: &Path) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            let limit = name.starts_with("BUD_") || name.starts_with("FCSP_");
            // What configures the simulated device or the log is the user's to say.
            let kept = name.starts_with("FCSP_SIM_") || name == "FCSP_LOG" || name == "FCSP_TUNE";
            if (limit && !kept) || name == "LD_PRELOAD" {
                command.env_remove(&key);
            }
        }
        // A failure's reason is its message; a backtrace would push that out of the report.
        command.env("RUST_BACKTRACE", "0");
        if site.simulated {
            command.env("LD_LIBRARY_PATH", site.simulated_drivers());
            command.env("FCSP_SIM_DIR", site.simulated_devices());
        }
        if let Sharing::Fcsp(limits) = &self.sharing {
            command.env("LD_PRELOAD", site.preload());
            command.env("FCSP_RUN_DIR", run_dir);
            command.env("FCSP_TENANT", &self.name);
            command.env("BUD_ISOLATION_MODE", limits.isolation);
            command.env("BUD_PRIORITY", limits.priority);
            if let Some(sm_pct) = limits.sm_pct {
                command.env("BUD_SM_LIMIT", sm_pct.to_string());
            }
            if let Some(quota_bytes) = limits.quota_bytes {
                command.env("BUD_MEMORY_LIMIT", quota_bytes.to_string());
            }
        }
        command
    }
}
