//! The environment and the policy file that a program started now would read.

use super::Check;
use fcsp_core::policy::{EnvSettings, Policy};

pub fn checks() -> Vec<Check> {
    let mut checks = vec![policy()];
    let (settings, errors) = EnvSettings::from_process();
    for error in errors {
        let advice = "it counts as unset, or refuses the device where the policy fails closed";
        checks.push(Check::fail("environment", error.to_string(), advice));
    }
    for unheeded in settings.unheeded {
        let advice = "docs/policy.md lists the variables that have an effect";
        checks.push(Check::warn("environment", unheeded.to_string(), advice));
    }
    checks
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
