//! Variables that ask for something this version does not do, or does anyway.
//!
//! Nobody should set a variable and wrongly believe that it has an effect. So each that looks like
//! ours and changes nothing here gets a remark, which the preload library logs and `fcsp doctor`
//! shows; unless it asks for what is the case in any event.

use super::ValueError;
use std::ffi::OsStr;
use std::fmt;

/// A variable without an effect, and why it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheeded {
    /// Which variable.
    pub variable: String,
    /// Why it has no effect.
    pub reason: &'static str,
}

impl fmt::Display for Unheeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is set and has no effect: {}",
            self.variable, self.reason
        )
    }
}

/// What a known variable would have to say to be no surprise.
enum Asks {
    /// A switch that is always on.
    On,
    /// A number that is always this one.
    Number(&'static str),
    /// Something that there is not.
    Else,
}

/// Known variables, and why they have no effect.
const KNOWN: [(&str, Asks, &str); 9] = [
    (
        "BUD_COOPERATIVE_MODE",
        Asks::On,
        "work always waits for its turn in the stream, and there is no abrupt way to choose instead",
    ),
    (
        "BUD_FAST_PATH_ENABLED",
        Asks::On,
        "a tenant that is alone passes untouched, or with everything granted in advance",
    ),
    (
        "BUD_USE_PID_CONTROLLER",
        Asks::On,
        "a controller holds back who gains at the expense of others wherever programs run together, and turns need none",
    ),
    ("PID_DEFAULT_KP", Asks::Number("0.8"), GAINS),
    ("PID_DEFAULT_KI", Asks::Number("0.2"), GAINS),
    (
        "BUD_OBSERVER_INTERVAL_US",
        Asks::Else,
        "the observer is woken by what happens and looks at no interval",
    ),
    (
        "BATCH_TOKENS_DEFAULT_SIZE",
        Asks::Else,
        "launches are charged by the segment, whose length follows the shares",
    ),
    (
        "BUD_ENABLE_METRICS",
        Asks::On,
        "use is always counted, which costs a launch nothing",
    ),
    (
        "GPU_CORE_UTILIZATION_POLICY",
        Asks::Else,
        "set BUD_ISOLATION_MODE=strict for force, none for disable",
    ),
];

const GAINS: &str = "the controller's gains are 0.8 and 0.2";

/// Variables that look like ours, are not limits, and are read by others.
const READ_ELSEWHERE: [&str; 1] = ["BUD_LOG_LEVEL"];

/// The names of the known variables without an effect.
pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, ..)| *name)
}

/// A remark about a variable that is no setting. `None` if it is not ours, or asks for what is the
/// case.
///
/// # Errors
/// If it is a switch and its value is neither on nor off.
pub(super) fn remark(name: &str, value: &OsStr) -> Result<Option<Unheeded>, ValueError> {
    let unheeded = |reason| {
        Some(Unheeded {
            variable: name.to_owned(),
            reason,
        })
    };
    let known = KNOWN.iter().find(|(known, ..)| *known == name);
    let Some((_, asks, reason)) = known else {
        let ours = name.starts_with("BUD_") && !READ_ELSEWHERE.contains(&name);
        return Ok(ours
            .then(|| unheeded("this version does not read it"))
            .flatten());
    };
    let as_it_is = match asks {
        Asks::On => switch(value)?,
        Asks::Number(number) => value == *number,
        Asks::Else => false,
    };
    Ok((!as_it_is).then(|| unheeded(reason)).flatten())
}

fn switch(value: &OsStr) -> Result<bool, ValueError> {
    let text = value.to_string_lossy();
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "on" | "true" | "yes" => Ok(true),
        "0" | "off" | "false" | "no" => Ok(false),
        _ => Err(ValueError {
            value: text.into_owned(),
            what: "a switch",
            fix: "use 1 or 0".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &str, value: &str) -> Option<&'static str> {
        let remark = remark(name, OsStr::new(value)).expect("a value");
        remark.map(|unheeded| unheeded.reason)
    }

    #[test]
    fn what_is_the_case_anyway_needs_no_remark() {
        assert_eq!(reason("BUD_COOPERATIVE_MODE", "1"), None);
        assert_eq!(reason("BUD_FAST_PATH_ENABLED", "true"), None);
        assert_eq!(reason("BUD_USE_PID_CONTROLLER", "on"), None);
        assert_eq!(reason("PID_DEFAULT_KP", "0.8"), None);
        assert_eq!(reason("BUD_LOG_LEVEL", "error"), None);
        assert_eq!(reason("PATH", "x"), None);
    }

    #[test]
    fn what_cannot_be_had_is_said() {
        for (name, value) in [
            ("BUD_COOPERATIVE_MODE", "0"),
            ("BUD_USE_PID_CONTROLLER", "0"),
            ("PID_DEFAULT_KP", "0.5"),
            ("BUD_OBSERVER_INTERVAL_US", "2000"),
            ("BATCH_TOKENS_DEFAULT_SIZE", "64"),
            ("GPU_CORE_UTILIZATION_POLICY", "force"),
        ] {
            assert!(reason(name, value).is_some(), "{name}={value}");
        }
        assert_eq!(
            remark("BUD_UVM_ENABLED", OsStr::new("1"))
                .expect("no switch of ours")
                .expect("ours")
                .to_string(),
            "BUD_UVM_ENABLED is set and has no effect: this version does not read it"
        );
    }

    #[test]
    fn a_switch_is_on_or_off() {
        let error = remark("BUD_COOPERATIVE_MODE", OsStr::new("2")).expect_err("neither");
        assert_eq!(error.to_string(), "\"2\" is not a switch: use 1 or 0");
    }
}
