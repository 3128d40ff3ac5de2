//! Who a program belongs to when nobody says.
//!
//! `FCSP_TENANT` names the tenant. Without it, all the processes of a container are one tenant, and
//! outside a container each job is one of its own: the preload library exports the name it found,
//! so the children of a job inherit it.

use super::ValueError;
use crate::region::layout::TENANT_NAME_MAX;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;

/// The variable that names the tenant.
pub const VARIABLE: &str = "FCSP_TENANT";

/// Inode of the PID namespace the kernel starts with (`PROC_PID_INIT_INO` in the kernel's
/// `include/linux/proc_ns.h`).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Longest name in bytes; one less than the field, so that it always ends in a zero.
pub const LENGTH_MAX: usize = TENANT_NAME_MAX - 1;

/// Checks a name: 1 to 63 bytes of UTF-8, no control characters, no `/`, no space at either end.
pub fn check(name: &str) -> Result<(), ValueError> {
    let fix = if name.is_empty() {
        "it is empty"
    } else if name.len() > LENGTH_MAX {
        "it has more than 63 bytes"
    } else if name
        .chars()
        .any(|letter| letter.is_control() || letter == '/')
    {
        "it has a '/' or a control character in it"
    } else if name.trim() != name {
        "it begins or ends with a space"
    } else {
        return Ok(());
    };
    Err(ValueError {
        value: name.to_owned(),
        what: "a tenant name",
        fix: fix.to_owned(),
    })
}

/// The name that a process in that PID namespace has by default. `None` for the namespace means
/// that the kernel did not tell, and is taken for no container.
pub fn default_for(pid_namespace: Option<u64>, pid: u32) -> String {
    match pid_namespace {
        Some(inode) if inode != INITIAL_PID_NAMESPACE => format!("container-{inode:x}"),
        _ => format!("job-{pid}"),
    }
}

/// Inode of this process's PID namespace, if `/proc` tells.
pub fn pid_namespace() -> Option<u64> {
    std::fs::metadata("/proc/self/ns/pid")
        .ok()
        .map(|namespace| namespace.ino())
}

/// The default name of this process. One system call.
pub fn from_process() -> String {
    default_for(pid_namespace(), std::process::id())
}

/// The name in `value`, which is `FCSP_TENANT`'s, or the default name of this process if it is unset
/// or empty.
pub fn from_variable(value: Option<&OsStr>) -> Result<String, ValueError> {
    match value {
        Some(value) if !value.is_empty() => {
            let name = value.to_str().ok_or_else(|| ValueError {
                value: value.to_string_lossy().into_owned(),
                what: "a tenant name",
                fix: "it is not UTF-8".to_owned(),
            })?;
            check(name)?;
            Ok(name.to_owned())
        }
        _ => Ok(from_process()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_container_is_one_tenant_and_a_job_is_another() {
        assert_eq!(default_for(Some(4_026_531_836), 17), "job-17");
        assert_eq!(default_for(None, 17), "job-17");
        assert_eq!(default_for(Some(4_026_532_999), 17), "container-f0000487");
    }

    #[test]
    fn names_that_cannot_stand_in_the_region_are_refused() {
        assert!(check("team-a").is_ok());
        assert!(check(&"x".repeat(63)).is_ok());
        for name in ["", "a/b", "a\nb", " a", &"x".repeat(64)] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(from_variable(Some(OsStr::new(""))), from_variable(None));
        assert_eq!(from_variable(Some(OsStr::new("a"))).as_deref(), Ok("a"));
    }

    proptest! {
        #[test]
        fn a_default_name_is_always_valid(namespace: Option<u64>, pid: u32) {
            prop_assert!(check(&default_for(namespace, pid)).is_ok());
        }
    }
}
