//! This process's variables, as far as they can be settings. A container can have thousands of others, which
//! are not copied: a program waits for this when it makes its first context.

use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::OsStrExt;

unsafe extern "C" {
    /// POSIX: ends with a null pointer, and is null itself if there is nothing.
    static environ: *const *const c_char;
}

/// What the names of settings begin with: ours, others' that are read, and those that are only remarked on.
const BEGINNINGS: [&str; 6] = [
    "FCSP_",
    "BUD_",
    "CUDA_",
    "PID_DEFAULT_",
    "BATCH_TOKENS_",
    "GPU_CORE_",
];

fn may_be_setting(name: &[u8]) -> bool {
    let mut beginnings = BEGINNINGS.iter();
    beginnings.any(|beginning| name.starts_with(beginning.as_bytes()))
}

/// The variables whose names begin as those of settings do, with their values.
pub(super) fn candidates() -> impl Iterator<Item = (OsString, OsString)> {
    // SAFETY: the C library's own variable. As with any reader of the environment, a program that changes it
    // in another thread at this instant breaks its own rules.
    let mut place = unsafe { environ };
    let entries = std::iter::from_fn(move || {
        if place.is_null() {
            return None;
        }
        // SAFETY: as above: not past the null pointer at the end, where this stops.
        let entry = unsafe { *place };
        if entry.is_null() {
            return None;
        }
        // SAFETY: not the last one.
        place = unsafe { place.add(1) };
        // SAFETY: a C string, which is copied before anybody else can run in this thread.
        Some(unsafe { CStr::from_ptr(entry) }.to_bytes())
    });
    entries.filter_map(candidate)
}

fn candidate(entry: &[u8]) -> Option<(OsString, OsString)> {
    if !may_be_setting(entry) {
        return None;
    }
    let end = entry.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&entry[..end], &entry[end + 1..]);
    Some((
        OsStr::from_bytes(name).to_owned(),
        OsStr::from_bytes(value).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::env::VARIABLES;
    use crate::policy::unheeded;

    #[test]
    fn every_setting_and_every_remark_has_a_name_that_begins_so() {
        let known = VARIABLES.iter().map(|(name, _)| *name);
        for name in known.chain(unheeded::names()) {
            assert!(may_be_setting(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_variable_is_split_at_its_first_sign() {
        let pair = |name: &str, value: &str| Some((name.into(), value.into()));
        assert_eq!(candidate(b"BUD_A=b=c"), pair("BUD_A", "b=c"));
        assert_eq!(candidate(b"FCSP_TENANT="), pair("FCSP_TENANT", ""));
        assert_eq!(candidate(b"FCSP_"), None);
        assert_eq!(candidate(b"PATH=BUD_A=b"), None);
    }

    #[test]
    fn what_the_standard_library_finds_is_found() {
        let expected: Vec<_> = std::env::vars_os()
            .filter(|(name, _)| may_be_setting(name.as_bytes()))
            .collect();
        assert_eq!(candidates().collect::<Vec<_>>(), expected);
    }
}
