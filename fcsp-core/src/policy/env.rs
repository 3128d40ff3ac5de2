//! The environment as a source of limits.
//!
//! A bad value never becomes a limit and never stops the others from being read: [`EnvSettings::read`]
//! returns what is right together with an error for each thing that is wrong, and the caller, who
//! knows whether to fail open or closed, decides what follows.

use super::{
    Fail, MemoryAmount, MemoryMode, Mode, Pools, Priority, Share, Unheeded, ValueError, environ,
    tenant_name, unheeded,
};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::str::FromStr;

/// Variables that are read, with their meaning in a few words. `_DEV<n>` and `_<n>` stand for a
/// device as the program numbers it.
pub const VARIABLES: [(&str, &str); 19] = [
    (tenant_name::VARIABLE, "whose limits hold"),
    (
        "FCSP_FAIL",
        "open or closed: what happens when FCSP cannot do its work",
    ),
    ("BUD_SM_LIMIT", "entitlement to compute, percent"),
    ("BUD_SM_LIMIT_DEV<n>", "the same for one device"),
    ("BUD_MEMORY_LIMIT", "memory quota"),
    ("BUD_MEMORY_LIMIT_DEV<n>", "the same for one device"),
    ("BUD_MEMORY_LIMIT_MODE", "hard or soft"),
    ("BUD_ISOLATION_MODE", "none, balanced, strict or adaptive"),
    ("BUD_TENANT_FLOOR_PCT", "floor pool, percent"),
    ("BUD_SHARED_POOL_PCT", "shared pool, percent"),
    (
        "BUD_BURST_MAX_PCT",
        "most the tenant takes from the burst pool, percent",
    ),
    (
        "BUD_ADAPTIVE_SM_MAX_BURST_PCT",
        "most an adaptive tenant may have of the device, percent",
    ),
    ("BUD_PRIORITY", "high, normal or low"),
    (
        "CUDA_DEVICE_SM_LIMIT",
        "as HAMi-core reads it; 0 is no limit",
    ),
    ("CUDA_DEVICE_SM_LIMIT_<n>", "the same for one device"),
    (
        "CUDA_DEVICE_MEMORY_LIMIT",
        "as HAMi-core reads it; 0 is no limit",
    ),
    ("CUDA_DEVICE_MEMORY_LIMIT_<n>", "the same for one device"),
    (
        "CUDA_TASK_PRIORITY",
        "as HAMi-core reads it; 0 is high, 1 is low",
    ),
    ("FCSP_POLICY", "path of the policy file"),
];

/// A variable that cannot be used. It counts as unset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={error}")]
pub struct EnvError {
    /// Which variable.
    pub variable: String,
    /// What is wrong with it, and what would be right.
    pub error: ValueError,
}

/// A setting with one value for every device and others for some.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PerDevice<T> {
    every: Option<T>,
    one: BTreeMap<u32, T>,
}

impl<T> Default for PerDevice<T> {
    fn default() -> Self {
        Self {
            every: None,
            one: BTreeMap::new(),
        }
    }
}

impl<T: Copy> PerDevice<T> {
    fn get(&self, ordinal: u32) -> Option<T> {
        self.one.get(&ordinal).copied().or(self.every)
    }

    /// Takes the value if the variable is `name` or `name`, `infix` and a number. `None` if the
    /// variable is another one.
    fn take(
        &mut self,
        variable: &str,
        (name, infix): (&str, &str),
        value: impl FnOnce() -> Result<T, ValueError>,
    ) -> Option<Result<(), ValueError>> {
        let rest = variable.strip_prefix(name)?;
        if rest.is_empty() {
            return Some(value().map(|value| self.every = Some(value)));
        }
        let ordinal = rest.strip_prefix(infix)?.parse().ok()?;
        Some(value().map(|value| {
            self.one.insert(ordinal, value);
        }))
    }
}

/// What the environment of one process asks for. The default asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvSettings {
    /// `FCSP_TENANT`.
    pub tenant: Option<String>,
    /// `FCSP_FAIL`.
    pub fail: Option<Fail>,
    /// `BUD_ISOLATION_MODE`.
    pub mode: Option<Mode>,
    /// `BUD_MEMORY_LIMIT_MODE`.
    pub memory_mode: Option<MemoryMode>,
    /// `BUD_TENANT_FLOOR_PCT`.
    pub floor: Option<Share>,
    /// `BUD_SHARED_POOL_PCT`.
    pub shared: Option<Share>,
    /// `BUD_BURST_MAX_PCT`.
    pub burst_max: Option<Share>,
    /// `BUD_ADAPTIVE_SM_MAX_BURST_PCT`.
    pub adaptive_max: Option<Share>,
    /// Variables that look like ours and have no effect, by name.
    pub unheeded: Vec<Unheeded>,
    priority: Option<Priority>,
    hami_priority: Option<Priority>,
    compute: PerDevice<Share>,
    memory: PerDevice<MemoryAmount>,
    hami_compute: PerDevice<Share>,
    hami_memory: PerDevice<MemoryAmount>,
}

impl EnvSettings {
    /// Reads this process's environment.
    pub fn from_process() -> (Self, Vec<EnvError>) {
        Self::read(environ::candidates())
    }

    /// Reads the settings among `variables`; those of others and empty ones are passed over.
    pub fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> (Self, Vec<EnvError>) {
        let mut settings = Self::default();
        let mut errors = Vec::new();
        for (name, value) in variables {
            let (Some(name), false) = (name.to_str(), value.is_empty()) else {
                continue;
            };
            if let Err(error) = settings.take(name, &value) {
                errors.push(EnvError {
                    variable: name.to_owned(),
                    error,
                });
            }
        }
        if let Err(what) = Pools::complete(settings.floor, settings.shared, None) {
            let share = |share: Option<Share>| share.map(|share| share.to_string());
            errors.push(EnvError {
                variable: "BUD_TENANT_FLOOR_PCT,BUD_SHARED_POOL_PCT".to_owned(),
                error: ValueError {
                    value: [share(settings.floor), share(settings.shared)]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join(","),
                    what: "a division of the device",
                    fix: format!("{what}; both are at most 100% together"),
                },
            });
            (settings.floor, settings.shared) = (None, None);
        }
        errors.sort_by(|a, b| a.variable.cmp(&b.variable));
        settings
            .unheeded
            .sort_by(|a, b| a.variable.cmp(&b.variable));
        (settings, errors)
    }

    /// Compute that device `ordinal`, as the program numbers it, is asked for.
    pub fn compute(&self, ordinal: u32) -> Option<Share> {
        self.compute
            .get(ordinal)
            .or_else(|| self.hami_compute.get(ordinal))
    }

    /// Devices, as the program numbers them, for which compute is asked for on their own.
    pub(super) fn numbered_for_compute(&self) -> impl Iterator<Item = u32> {
        let ours = self.compute.one.keys();
        ours.chain(self.hami_compute.one.keys()).copied()
    }

    /// Memory that device `ordinal`, as the program numbers it, is asked for.
    pub fn memory(&self, ordinal: u32) -> Option<MemoryAmount> {
        self.memory
            .get(ordinal)
            .or_else(|| self.hami_memory.get(ordinal))
    }

    /// Priority that is asked for.
    pub fn priority(&self) -> Option<Priority> {
        self.priority.or(self.hami_priority)
    }

    fn take(&mut self, name: &str, value: &OsStr) -> Result<(), ValueError> {
        fn text(value: &OsStr) -> Result<&str, ValueError> {
            value.to_str().ok_or_else(|| ValueError {
                value: value.to_string_lossy().into_owned(),
                what: "a setting",
                fix: "it is not UTF-8".to_owned(),
            })
        }
        /// The value as a `T`.
        fn parse<T: FromStr<Err = ValueError>>(value: &OsStr) -> Result<T, ValueError> {
            text(value)?.parse()
        }
        match name {
            tenant_name::VARIABLE => {
                self.tenant = Some(tenant_name::from_variable(Some(value))?);
            }
            "FCSP_FAIL" => self.fail = Some(parse(value)?),
            "BUD_ISOLATION_MODE" => self.mode = Some(parse(value)?),
            "BUD_MEMORY_LIMIT_MODE" => self.memory_mode = Some(parse(value)?),
            "BUD_TENANT_FLOOR_PCT" => self.floor = Some(parse(value)?),
            "BUD_SHARED_POOL_PCT" => self.shared = Some(parse(value)?),
            "BUD_BURST_MAX_PCT" => self.burst_max = Some(parse(value)?),
            "BUD_ADAPTIVE_SM_MAX_BURST_PCT" => self.adaptive_max = Some(parse(value)?),
            "BUD_PRIORITY" => self.priority = Some(parse(value)?),
            "CUDA_TASK_PRIORITY" => {
                self.hami_priority = Some(Priority::from_hami(text(value)?)?);
            }
            _ => {
                let hami_memory = || {
                    // HAMi-core takes 0 for no limit.
                    parse(value).map(|amount| match amount {
                        MemoryAmount::Bytes(0) => MemoryAmount::Unlimited,
                        amount => amount,
                    })
                };
                let taken = self
                    .compute
                    .take(name, ("BUD_SM_LIMIT", "_DEV"), || parse(value))
                    .or_else(|| {
                        self.memory
                            .take(name, ("BUD_MEMORY_LIMIT", "_DEV"), || parse(value))
                    })
                    .or_else(|| {
                        self.hami_compute
                            .take(name, ("CUDA_DEVICE_SM_LIMIT", "_"), || parse(value))
                    })
                    .or_else(|| {
                        self.hami_memory
                            .take(name, ("CUDA_DEVICE_MEMORY_LIMIT", "_"), hami_memory)
                    });
                return match taken {
                    Some(taken) => taken,
                    None => {
                        self.unheeded.extend(unheeded::remark(name, value)?);
                        Ok(())
                    }
                };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(variables: &[(&str, &str)]) -> (EnvSettings, Vec<EnvError>) {
        EnvSettings::read(
            variables
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_device_of_its_own_goes_before_every_device() {
        let (settings, errors) = read(&[
            ("BUD_SM_LIMIT", "50"),
            ("BUD_SM_LIMIT_DEV1", "70"),
            ("BUD_MEMORY_LIMIT", "8G"),
            ("BUD_MEMORY_LIMIT_DEV0", "50%"),
        ]);
        assert_eq!(errors, []);
        assert_eq!(settings.compute(0), Some(Share::from_percent(50)));
        assert_eq!(settings.compute(1), Some(Share::from_percent(70)));
        assert_eq!(
            settings.memory(0),
            Some(MemoryAmount::OfDevice(Share::from_percent(50)))
        );
        assert_eq!(settings.memory(1), Some(MemoryAmount::Bytes(8 * GIB)));
    }

    #[test]
    fn hami_names_are_read_with_their_own_meaning_and_come_second() {
        let (settings, errors) = read(&[
            ("CUDA_DEVICE_SM_LIMIT", "30"),
            ("CUDA_DEVICE_MEMORY_LIMIT", "0"),
            ("CUDA_DEVICE_MEMORY_LIMIT_1", "3000m"),
            ("BUD_SM_LIMIT_DEV1", "70"),
        ]);
        assert_eq!(errors, []);
        assert_eq!(settings.compute(0), Some(Share::from_percent(30)));
        assert_eq!(settings.compute(1), Some(Share::from_percent(70)));
        assert_eq!(settings.memory(0), Some(MemoryAmount::Unlimited));
        assert_eq!(settings.memory(1), Some(MemoryAmount::Bytes(3000 << 20)));
    }

    #[test]
    fn a_priority_of_our_own_goes_before_that_of_hami() {
        let (settings, errors) = read(&[("CUDA_TASK_PRIORITY", "1")]);
        assert_eq!((settings.priority(), errors), (Some(Priority::Low), vec![]));
        let (settings, _) = read(&[("CUDA_TASK_PRIORITY", "1"), ("BUD_PRIORITY", "high")]);
        assert_eq!(settings.priority(), Some(Priority::High));
        let (settings, errors) = read(&[("BUD_PRIORITY", "0"), ("CUDA_TASK_PRIORITY", "2")]);
        assert_eq!((settings.priority(), errors.len()), (None, 2));
        assert_eq!(
            errors[0].to_string(),
            "BUD_PRIORITY=\"0\" is not a priority: use high, normal, low"
        );
    }

    #[test]
    fn a_zero_quota_of_our_own_is_a_quota() {
        let (settings, _) = read(&[("BUD_MEMORY_LIMIT", "0")]);
        assert_eq!(settings.memory(0), Some(MemoryAmount::Bytes(0)));
    }

    #[test]
    fn a_bad_variable_is_named_and_the_others_still_hold() {
        let (settings, errors) =
            read(&[("BUD_SM_LIMIT", "half"), ("BUD_ISOLATION_MODE", "strict")]);
        assert_eq!(settings.compute(0), None);
        assert_eq!(settings.mode, Some(Mode::Strict));
        assert_eq!(errors.len(), 1);
        assert_eq!(
            errors[0].to_string(),
            "BUD_SM_LIMIT=\"half\" is not a share of a device: \
             write a percentage from 0 to 100, such as 25%"
        );
    }

    #[test]
    fn pools_that_pass_the_whole_are_ignored_together() {
        let (settings, errors) = read(&[
            ("BUD_TENANT_FLOOR_PCT", "70"),
            ("BUD_SHARED_POOL_PCT", "60"),
        ]);
        assert_eq!((settings.floor, settings.shared), (None, None));
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains("130%"), "{}", errors[0]);
    }

    #[test]
    fn empty_and_foreign_variables_are_passed_over() {
        let (settings, errors) = read(&[
            ("BUD_SM_LIMIT", ""),
            ("CUDA_DEVICE_SM_LIMIT_X", "x"),
            ("PATH", "x"),
        ]);
        assert_eq!((settings, errors), (EnvSettings::default(), Vec::new()));
    }

    #[test]
    fn what_looks_like_ours_and_has_no_effect_is_remarked() {
        let (settings, errors) = read(&[
            ("BUD_SM_LIMIT_DEVICE", "x"),
            ("BUD_COOPERATIVE_MODE", "1"),
            ("BATCH_TOKENS_DEFAULT_SIZE", "64"),
            ("BUD_USE_PID_CONTROLLER", "maybe"),
        ]);
        let names: Vec<_> = settings.unheeded.iter().map(|it| &it.variable).collect();
        assert_eq!(names, ["BATCH_TOKENS_DEFAULT_SIZE", "BUD_SM_LIMIT_DEVICE"]);
        assert_eq!(errors.len(), 1);
        assert_eq!(
            errors[0].to_string(),
            "BUD_USE_PID_CONTROLLER=\"maybe\" is not a switch: use 1 or 0"
        );
    }

    #[test]
    fn every_variable_of_the_table_is_read() {
        for (name, _) in VARIABLES {
            if name == "FCSP_POLICY" {
                continue; // read by `Policy::find`
            }
            let name = name.replace("<n>", "3");
            // No setting takes a control character.
            let (_, errors) = read(&[(&name, "\u{7}")]);
            assert_eq!(errors.len(), 1, "{name}");
            assert_eq!(errors[0].variable, name);
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value: String, index in 0..VARIABLES.len()) {
            let name = VARIABLES[index].0.replace("<n>", "0");
            let (_, errors) = read(&[(&name, &value)]);
            prop_assert!(errors.len() <= 1);
        }
    }
}
