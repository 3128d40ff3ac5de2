//! The policy file: its shape, how it is found, and errors that point at the place.
//!
//! A file is taken whole or not at all. What is wrong in itself (an unknown key, a strict tenant
//! without compute, strict shares beyond the device) is an error here; what is only remarkable is
//! a warning of [`super::validate`]. `docs/policy.md` describes every key.

use super::nearest::hint;
use super::{
    ClassWeights, Edition, Fail, LowPriority, MemoryAmount, MemoryMode, Mode, Pools, Priority,
    Profile, Share, Sharing, Weight, validate,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The variable that names the policy file.
pub const VARIABLE: &str = "FCSP_POLICY";
/// Where the policy file is when the variable is unset.
pub const DEFAULT_PATH: &str = "/etc/fcsp/policy.toml";

/// Where this process's policy file is, and whether it must be there.
pub fn path_of_process() -> (PathBuf, bool) {
    match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => (path.into(), true),
        None => (DEFAULT_PATH.into(), false),
    }
}

/// Why there is no policy although there should be one.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("cannot read the policy file {path}: {source}", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is wrong at one place.
    #[error("{path}:{line}:{column}: {message}", path = path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong, and what would be right.
        message: String,
    },
}

/// A policy file. Everything in it is optional.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Where it was read from.
    pub path: PathBuf,
    /// Which edition of it; none if the text did not come from a file.
    pub edition: Edition,
    /// Where `mode` and `pools` come from as far as they are not written out.
    pub profile: Option<Profile>,
    /// What happens when FCSP cannot do its work.
    pub fail: Option<Fail>,
    /// Mode of tenants that have none of their own.
    pub mode: Option<Mode>,
    /// Memory mode of tenants that have none of their own.
    pub memory_mode: Option<MemoryMode>,
    /// What a tenant of low priority has while others are active.
    pub low_priority: Option<LowPriority>,
    /// How programs share devices that have no word of their own.
    pub sharing: Option<Sharing>,
    /// What classes of work count.
    pub classes: ClassWeights,
    /// Division of devices that have none of their own.
    pub pools: Option<Pools>,
    /// Devices with settings of their own, by identity or ordinal.
    pub devices: BTreeMap<String, DevicePolicy>,
    /// Tenants, in the order of the file.
    pub tenants: Vec<TenantPolicy>,
}

/// Settings of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DevicePolicy {
    /// Mode of tenants that have none of their own.
    pub mode: Option<Mode>,
    /// How programs share it.
    pub sharing: Option<Sharing>,
    /// Division of the device.
    pub pools: Option<Pools>,
}

/// Limits of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantPolicy {
    /// Its name.
    pub name: String,
    /// Line of the file that names it, from 1.
    pub line: usize,
    /// Where `mode`, `pools` and `burst_max` come from as far as they are not written out.
    pub profile: Option<Profile>,
    /// Entitlement to compute on every device.
    pub compute: Option<Share>,
    /// Memory quota on every device.
    pub memory: Option<MemoryAmount>,
    /// What happens to an allocation over the quota.
    pub memory_mode: Option<MemoryMode>,
    /// How compute is shared.
    pub mode: Option<Mode>,
    /// Division of the device as far as it concerns this tenant; of its profile.
    pub pools: Option<Pools>,
    /// Most it takes from the burst pool.
    pub burst_max: Option<Share>,
    /// When it gets its part.
    pub priority: Option<Priority>,
    /// Its part of what tenants with compute leave; only for a tenant without.
    pub weight: Option<Weight>,
    /// What happens when FCSP cannot do its work.
    pub fail: Option<Fail>,
    /// Other limits on some devices, by identity or ordinal.
    pub devices: BTreeMap<String, TenantDevicePolicy>,
}

/// Limits of one tenant on one device; what is left out is as on every device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantDevicePolicy {
    /// Entitlement to compute.
    pub compute: Option<Share>,
    /// Memory quota.
    pub memory: Option<MemoryAmount>,
}

impl Policy {
    /// Finds and reads the policy file: the one that `FCSP_POLICY` names, which must then exist,
    /// else [`DEFAULT_PATH`]. `None` if there is none. Reads the file system.
    pub fn find() -> Result<Option<Self>, PolicyError> {
        match path_of_process() {
            (path, true) => Self::read(&path).map(Some),
            (path, false) => match Self::read(&path) {
                Err(PolicyError::Unreadable { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    Ok(None)
                }
                found => found.map(Some),
            },
        }
    }

    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let read = || {
            let mut file = std::fs::File::open(path)?;
            // Before the text: what is written meanwhile makes another edition.
            let facts = file.metadata()?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok((Edition::of(path, &facts, text.as_bytes())?, text))
        };
        let (edition, text) = read().map_err(|source| PolicyError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            edition,
            ..Self::parse(path, &text)?
        })
    }

    /// Reads `text`; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, PolicyError> {
        let wrong = |at: usize, message: String| {
            let (line, column) = position(text, at);
            PolicyError::Wrong {
                path: path.to_owned(),
                line,
                column,
                message,
            }
        };
        let shape: Shape = toml::from_str(text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(at, explain(error.message()))
        })?;
        let of_profile = shape.profile.map(Profile::pools);
        let pools = |shape: Option<Spanned<PoolsShape>>| {
            shape
                .map(|shape| {
                    let at = shape.span().start;
                    let PoolsShape {
                        floor,
                        shared,
                        burst,
                    } = shape.into_inner();
                    let pools = of_profile.unwrap_or_default();
                    pools
                        .override_with(floor, shared, burst)
                        .map_err(|what| wrong(at, what))
                })
                .transpose()
        };
        let mut policy = Self {
            path: path.to_owned(),
            profile: shape.profile,
            fail: shape.fail,
            mode: shape.mode.or(shape.profile.map(Profile::mode)),
            memory_mode: shape.memory_mode,
            low_priority: shape.low_priority,
            sharing: shape.sharing,
            classes: shape.classes,
            pools: pools(shape.pools)?.or(of_profile),
            ..Self::default()
        };
        for (device, shape) in shape.device {
            let of_device = DevicePolicy {
                mode: shape.mode,
                sharing: shape.sharing,
                pools: pools(shape.pools)?,
            };
            policy.devices.insert(device, of_device);
        }
        for shape in shape.tenant {
            let at = shape.name.span().start;
            let tenant = shape.into_tenant(position(text, at).0);
            validate::tenant(&policy, &tenant).map_err(|what| wrong(at, what))?;
            policy.tenants.push(tenant);
            validate::strict_sums(&policy).map_err(|what| wrong(at, what))?;
        }
        Ok(policy)
    }

    /// The tenant with that name.
    pub fn tenant(&self, name: &str) -> Option<&TenantPolicy> {
        self.tenants.iter().find(|tenant| tenant.name == name)
    }

    /// Mode of `tenant` on the device that `keys` name, if the file says anything about it.
    pub(super) fn mode_of(&self, tenant: Option<&TenantPolicy>, keys: &[&str]) -> Option<Mode> {
        let of_device = || keys.iter().find_map(|key| self.devices.get(*key)?.mode);
        tenant
            .and_then(|tenant| tenant.mode)
            .or_else(of_device)
            .or(self.mode)
    }

    /// Pools for `tenant` on the device that `keys` name, if the file says anything about them.
    pub(super) fn pools_of(&self, tenant: Option<&TenantPolicy>, keys: &[&str]) -> Option<Pools> {
        let of_device = || keys.iter().find_map(|key| self.devices.get(*key)?.pools);
        tenant
            .and_then(|tenant| tenant.pools)
            .or_else(of_device)
            .or(self.pools)
    }
}

impl TenantPolicy {
    /// Compute on the device that `keys` name, the first key first.
    pub(super) fn compute_on(&self, keys: &[&str]) -> Option<Share> {
        keys.iter()
            .find_map(|key| self.devices.get(*key)?.compute)
            .or(self.compute)
    }

    /// Memory on the device that `keys` name, the first key first.
    pub(super) fn memory_on(&self, keys: &[&str]) -> Option<MemoryAmount> {
        keys.iter()
            .find_map(|key| self.devices.get(*key)?.memory)
            .or(self.memory)
    }
}

/// The file as TOML has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    profile: Option<Profile>,
    fail: Option<Fail>,
    mode: Option<Mode>,
    memory_mode: Option<MemoryMode>,
    low_priority: Option<LowPriority>,
    sharing: Option<Sharing>,
    #[serde(default)]
    classes: ClassWeights,
    pools: Option<Spanned<PoolsShape>>,
    #[serde(default)]
    device: BTreeMap<String, DeviceShape>,
    #[serde(default)]
    tenant: Vec<TenantShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolsShape {
    floor: Option<Share>,
    shared: Option<Share>,
    burst: Option<Share>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceShape {
    mode: Option<Mode>,
    sharing: Option<Sharing>,
    pools: Option<Spanned<PoolsShape>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantShape {
    name: Spanned<String>,
    profile: Option<Profile>,
    compute: Option<Share>,
    memory: Option<MemoryAmount>,
    memory_mode: Option<MemoryMode>,
    mode: Option<Mode>,
    burst_max: Option<Share>,
    priority: Option<Priority>,
    weight: Option<Weight>,
    fail: Option<Fail>,
    #[serde(default)]
    device: BTreeMap<String, TenantDevicePolicy>,
}

impl TenantShape {
    fn into_tenant(self, line: usize) -> TenantPolicy {
        TenantPolicy {
            name: self.name.into_inner(),
            line,
            profile: self.profile,
            compute: self.compute,
            memory: self.memory,
            memory_mode: self.memory_mode,
            mode: self.mode.or(self.profile.map(Profile::mode)),
            pools: self.profile.map(Profile::pools),
            burst_max: self.burst_max.or(self.profile.map(Profile::burst_max)),
            priority: self.priority,
            weight: self.weight,
            fail: self.fail,
            devices: self.device,
        }
    }
}

/// Line and column, both from 1, of the byte at `at`.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[line_start..])
        .chars()
        .count()
        + 1;
    (line, column)
}

/// Serde's message, with the key that was probably meant. Serde writes unknown keys as
/// ``unknown field `x`, expected one of `a`, `b` `` and knows no better way to tell.
fn explain(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    match (message.starts_with("unknown field"), quoted.next()) {
        (true, Some(unknown)) => {
            let known: Vec<&str> = quoted.collect();
            format!(
                "unknown key {unknown:?}{}; the keys here are {}",
                hint(unknown, known.iter().copied()),
                known.join(", ")
            )
        }
        _ => message.trim_end().to_owned(),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
