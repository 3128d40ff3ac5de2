//! The environment and the policy file that a program started now would read.

use super::Check;
use fcsp_core::policy::{EnvSettings, Policy, env};

pub fn checks() -> Vec<Check> {
    let mut checks = vec![policy()];
    let (_, errors) = EnvSettings::from_process();
    for error in errors {
        let advice = "it counts as unset, or refuses the device where the policy fails closed";
        checks.push(Check::fail("environment", error.to_string(), advice));
    }
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in variables.filter(|name| is_unread(name)) {
        checks.push(Check::warn(
            "environment",
            format!("{name} is set and is not read by this version"),
            "docs/policy.md lists the variables that are",
        ));
    }
    checks
}

/// Whether a variable looks like ours and is none that anything reads.
fn is_unread(name: &str) -> bool {
    let known = env::VARIABLES
        .iter()
        .any(|(pattern, _)| match pattern.strip_suffix("<n>") {
            Some(prefix) => name
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.parse::<u32>().is_ok()),
            None => name == *pattern,
        });
    name.starts_with("BUD_") && !known
}

fn policy() -> Check {
    match Policy::find() {
        Ok(None) => Check::ok("policy", "none; limits come from the environment"),
        Ok(Some(policy)) => Check::ok(
            "policy",
            format!(
                "{}, {} tenant(s)",
                policy.path.display(),
                policy.tenants.len()
            ),
        ),
        Err(error) => Check::fail("policy", error.to_string(), "fcsp policy check FILE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_that_look_like_ours_and_are_not_read_are_reported() {
        assert!(is_unread("BUD_UVM_ENABLED") && is_unread("BUD_SM_LIMIT_DEVX"));
        assert!(!is_unread("BUD_SM_LIMIT_DEV7") && !is_unread("BUD_MEMORY_LIMIT"));
        assert!(!is_unread("PATH"));
    }
}
