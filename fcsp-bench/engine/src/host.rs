//! The machine around the device.

use crate::driver::Vendor;

/// The kernel driver's version, as `580.159.04`; empty where it is not known, as of a driver that is a part of the kernel.
pub(crate) fn driver_version(vendor: Vendor) -> String {
    let files: &[&str] = match vendor {
        Vendor::Nvidia => &["/proc/driver/nvidia/version"],
        Vendor::Amd => &["/sys/module/amdgpu/version"],
        Vendor::Intel => &["/sys/module/xe/version", "/sys/module/i915/version"],
    };
    files
        .iter()
        .find_map(|file| version_in(&std::fs::read_to_string(file).ok()?))
        .unwrap_or_default()
}

/// The first word that is made of numbers and points.
fn version_in(text: &str) -> Option<String> {
    let is_version = |word: &&str| {
        word.contains('.')
            && word
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    text.split_whitespace().find(is_version).map(str::to_owned)
}

/// The processor's name; empty where it is not known.
pub(crate) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, name)| name.trim().to_owned())
        .unwrap_or_default()
}

/// Cores that this process may use.
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(0, |cores| cores.get() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_version_is_found_in_its_line() {
        let line = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (root)\nGCC version:  gcc version 12.2.0";
        assert_eq!(version_in(line).as_deref(), Some("580.159.04"));
        assert_eq!(version_in(""), None);
    }
}
