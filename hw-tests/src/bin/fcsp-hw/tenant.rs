//! Who runs, under which limits, and the environment that says so.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::site::Site;

/// What a tenant is promised.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Share of the device, in percent.
    pub sm_pct: Option<f64>,
    /// Memory quota in bytes.
    pub quota_bytes: Option<u64>,
    /// `none`, `strict`, `balanced` or `adaptive`.
    pub isolation: &'static str,
    /// `high`, `normal` or `low`.
    pub priority: &'static str,
}

impl Limits {
    /// A share, nothing else.
    pub fn share(sm_pct: impl Into<f64>) -> Self {
        Self {
            sm_pct: Some(sm_pct.into()),
            quota_bytes: None,
            isolation: "balanced",
            priority: "normal",
        }
    }

    /// Nothing of the environment's: the policy file says it all.
    pub fn from_policy() -> Self {
        Self {
            sm_pct: None,
            ..Self::share(0)
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
    /// More variables, which go before all others.
    pub env: Vec<(String, OsString)>,
}

impl Tenant {
    /// A process called `name`.
    pub fn new(name: impl Into<String>, sharing: Sharing, command: Vec<OsString>) -> Self {
        Self {
            name: name.into(),
            sharing,
            command,
            env: Vec::new(),
        }
    }

    /// The same with one more variable.
    pub fn with_env(mut self, key: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Whether FCSP limits it.
    pub fn is_limited(&self) -> bool {
        matches!(self.sharing, Sharing::Fcsp(_))
    }

    /// How long a load program runs, by its command line.
    pub fn seconds(&self) -> Option<f64> {
        let mut arguments = self.command.iter().skip_while(|it| *it != "--seconds");
        arguments.nth(1)?.to_str()?.parse().ok()
    }

    /// The command with the environment it is to see, and none that this harness happened to have.
    pub fn to_command(&self, site: &Site, run_dir: &Path) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        site.only_given_variables(&mut command);
        if let Sharing::Fcsp(limits) = &self.sharing {
            site.enforce(&mut command);
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
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_program_runs_is_in_its_command() {
        let tenant = |text: &str| {
            let command = text.split(' ').map(OsString::from).collect();
            Tenant::new("a", Sharing::Native, command)
        };
        assert_eq!(tenant("load --seconds 2.5 --blocks 1").seconds(), Some(2.5));
        assert_eq!(tenant("load calibrate").seconds(), None);
        assert_eq!(tenant("load --seconds").seconds(), None);
    }
}
