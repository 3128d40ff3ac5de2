//! Puts the Level Zero library where a loader looks for drivers: by `ZE_ENABLE_ALT_DRIVERS`, which takes the place of the
//! loader's own search.

use std::path::Path;
use std::process::Command;

/// Drivers to use, by name or path, separated by commas.
const DRIVERS: &str = "ZE_ENABLE_ALT_DRIVERS";
/// The driver that the library stands before; `VARIABLE` in fcsp-preload/ze/src/shim.rs.
const BEHIND: &str = "FCSP_ZE_DRIVER";
/// What the driver of Intel's GPUs is called.
const GPU_DRIVER: &str = "libze_intel_gpu.so";
/// What a loader looks for where nobody says anything (1.32; source/loader/linux/driver_discovery_lin.cpp). It goes on
/// without those that are not there.
const SEARCHED: [&str; 4] = [
    "libze_intel_gpu.so.1",
    "libze_intel_gpu_legacy1.so.1",
    "libze_intel_vpu.so.1",
    "libze_intel_npu.so.1",
];

/// The list with `library` in the place of the driver of Intel's GPUs, and that driver; nothing if the list has none.
fn replaced(list: &str, library: &str) -> Option<(String, String)> {
    let file = |entry: &str| entry.rsplit('/').next().unwrap_or("").to_owned();
    let mut behind = None;
    let entries: Vec<&str> = list
        .split(',')
        .map(|entry| {
            if behind.is_none() && file(entry).starts_with(GPU_DRIVER) {
                behind = Some(entry.to_owned());
                return library;
            }
            entry
        })
        .collect();
    Some((entries.join(","), behind?))
}

/// Makes the loader in `command` open `library` in the place of the driver of Intel's GPUs, beside the other drivers.
pub fn stand_before_driver(command: &mut Command, library: &Path) {
    let list = std::env::var(DRIVERS).unwrap_or_default();
    let list = if list.is_empty() {
        SEARCHED.join(",")
    } else {
        list
    };
    if let Some((list, behind)) = replaced(&list, &library.to_string_lossy()) {
        command.env(DRIVERS, list).env(BEHIND, behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_drivers_stay_in_the_list() {
        let of = |list: &str| replaced(list, "/opt/fcsp.so");
        let pair = |list: &str, behind: &str| Some((list.to_owned(), behind.to_owned()));
        assert_eq!(
            of("/x/libze_intel_gpu.so.1,libze_intel_npu.so.1"),
            pair(
                "/opt/fcsp.so,libze_intel_npu.so.1",
                "/x/libze_intel_gpu.so.1"
            )
        );
        assert_eq!(
            of(&SEARCHED.join(",")).map(|(_, behind)| behind),
            Some("libze_intel_gpu.so.1".into())
        );
        assert_eq!(of("libze_intel_npu.so.1"), None, "nothing to stand before");
        assert_eq!(of("/opt/fcsp.so"), None, "it does already");
    }
}
