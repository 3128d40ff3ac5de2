//! The compute units that a program's queues may use: `HSA_CU_MASK`, which the runtime reads when it starts. Set when the
//! library is loaded, where the policy gives every tenant a part of its own ([`partition::stretch`]) and nobody has chosen
//! otherwise. Then programs keep to their ceilings by where they run, and time need not be kept for them.
//!
//! How many units there are is read where the kernel driver describes its devices, because the runtime cannot be asked before it
//! starts. A stream that the program itself gives a mask (`hipExtStreamCreateWithCUMask`) stays within the process's.

use core::ffi::CStr;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};
use std::ffi::CString;
use std::path::{Path, PathBuf};

use fcsp_core::policy::{EnvSettings, Policy, partition, tenant_name};

/// The runtime's variable: for each of the devices that the process sees, which of its compute units.
const MASK: &CStr = c"HSA_CU_MASK";
/// What we set [`MASK`] to, so that a child knows that it was us and not somebody else.
const OURS: &CStr = c"FCSP_HSA_CU_MASK";
/// Where the kernel driver describes its devices, a folder each.
const NODES: &str = "/sys/class/kfd/kfd/topology/nodes";
/// Says where, in place of that, simulated devices are described.
const NODES_VARIABLE: &str = "FCSP_KFD_NODES";
/// The first `gfx_target_version` whose compute units come in pairs, of which a mask must name both: RDNA (gfx1010).
const PAIRS_SINCE: u64 = 100_000;

/// Percent of the device that the mask leaves this process; 0 while we have set none.
static PERCENT: AtomicU32 = AtomicU32::new(0);

/// Devices, as far as masks are concerned. All of a node are alike, or there is no mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Units {
    devices: u32,
    /// Compute units of each.
    units: u32,
    /// How many must be named together.
    together: u32,
}

/// Gives this process its compute units. Runs while the program is loaded, before it has threads. One system call where there
/// are no devices of this vendor.
pub fn set() {
    let (theirs, ours) = (get(MASK), get(OURS));
    if theirs.is_some() && theirs != ours {
        return;
    }
    let nodes = std::env::var_os(NODES_VARIABLE).map_or_else(|| NODES.into(), PathBuf::from);
    let found = units(&nodes).and_then(|units| {
        let stretch = stretch()?;
        units.mask(&stretch)
    });
    match found {
        Some((mask, percent)) => {
            put(MASK, &mask);
            put(OURS, &mask);
            // Relaxed: no thread but this one exists yet.
            PERCENT.store(percent, Ordering::Relaxed);
        }
        // What a parent with other limits was given.
        None if ours.is_some() => {
            // SAFETY: as in `put`.
            unsafe {
                libc::unsetenv(MASK.as_ptr());
                libc::unsetenv(OURS.as_ptr());
            }
        }
        None => {}
    }
}

/// Percent of the device that this process is confined to, by us.
pub fn percent() -> Option<u32> {
    // Relaxed: set before there were threads.
    Some(PERCENT.load(Ordering::Relaxed)).filter(|percent| *percent != 0)
}

fn stretch() -> Option<Range<u32>> {
    // What is wrong with either is told when a device is attached.
    let (env, _mistakes) = EnvSettings::from_process();
    let policy = Policy::find().unwrap_or_default();
    let tenant = env.tenant.clone();
    let tenant = tenant.unwrap_or_else(tenant_name::from_process);
    partition::stretch(&tenant, policy.as_ref(), &env)
}

/// What the kernel driver says of its devices; `None` if there is none, or they differ.
fn units(nodes: &Path) -> Option<Units> {
    let mut found: Option<Units> = None;
    for node in std::fs::read_dir(nodes).ok()?.flatten() {
        let Ok(properties) = std::fs::read_to_string(node.path().join("properties")) else {
            continue;
        };
        let Some(one) = Units::of(&properties) else {
            continue;
        };
        let alike = |it: Units| (it.units, it.together) == (one.units, one.together);
        if !found.is_none_or(alike) {
            return None;
        }
        found.get_or_insert(Units { devices: 0, ..one }).devices += 1;
    }
    found
}

impl Units {
    /// Of one device, from its `properties`; `None` for a processor, which is a node as well.
    fn of(properties: &str) -> Option<Self> {
        let number = |name: &str| {
            let mut lines = properties.lines();
            lines.find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        let simds = number("simd_count ")?;
        let units = simds.checked_div(number("simd_per_cu ")?)?;
        let in_pairs = number("gfx_target_version ")? >= PAIRS_SINCE;
        let units = u32::try_from(units).ok().filter(|units| *units > 0)?;
        Some(Self {
            devices: 1,
            units,
            together: if in_pairs { 2 } else { 1 },
        })
    }

    /// The variable's text for those percent of every device, and how many percent that is, rounded up. `None` where it
    /// would be nothing.
    fn mask(self, stretch: &Range<u32>) -> Option<(String, u32)> {
        // Rounded inwards: no unit is two tenants'.
        let groups = self.units / self.together;
        let first = (groups * stretch.start).div_ceil(100) * self.together;
        let end = groups * stretch.end / 100 * self.together;
        let last = end.checked_sub(1).filter(|last| *last >= first)?;
        let of_each = (0..self.devices).map(|device| format!("{device}:{first}-{last}"));
        let percent = ((end - first) * 100).div_ceil(self.units);
        Some((of_each.collect::<Vec<_>>().join(";"), percent))
    }
}

/// A variable that is set and not empty.
fn get(name: &CStr) -> Option<CString> {
    // SAFETY: a C string. As with any reader of the environment, a program that changes it in another thread at this
    // instant breaks its own rules.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: not null, so a C string, which is copied at once.
    let value = (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_owned());
    value.filter(|value| !value.is_empty())
}

fn put(name: &CStr, value: &str) {
    // Numbers and signs have no NUL.
    let value = CString::new(value).unwrap_or_default();
    // SAFETY: both are C strings, and no thread but this one exists yet.
    unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const MI210: &str =
        "cpu_cores_count 0\nsimd_count 416\nsimd_per_cu 4\ngfx_target_version 90010\n";
    const RX6800: &str =
        "cpu_cores_count 0\nsimd_count 120\nsimd_per_cu 2\ngfx_target_version 100300\n";
    const PROCESSOR: &str =
        "cpu_cores_count 64\nsimd_count 0\nsimd_per_cu 0\ngfx_target_version 0\n";

    fn text(properties: &str, stretch: Range<u32>) -> Option<(String, u32)> {
        Units::of(properties).expect("a device").mask(&stretch)
    }

    #[test]
    fn stretches_become_units_that_no_two_have() {
        assert_eq!(text(MI210, 0..25), Some(("0:0-25".into(), 25)));
        assert_eq!(text(MI210, 25..100), Some(("0:26-103".into(), 75)));
        assert_eq!(text(MI210, 10..33), Some(("0:11-33".into(), 23)));
        assert_eq!(text(MI210, 50..50), None);
        assert_eq!(Units::of(PROCESSOR), None);
    }

    #[test]
    fn units_of_rdna_come_in_pairs() {
        assert_eq!(text(RX6800, 0..25), Some(("0:0-13".into(), 24)));
        assert_eq!(text(RX6800, 25..100), Some(("0:16-59".into(), 74)));
        assert_eq!(text(RX6800, 0..3), None, "less than a pair");
    }

    #[test]
    fn devices_of_a_node_are_alike_or_there_is_no_mask() {
        let nodes = std::env::temp_dir().join(format!("fcsp-kfd-{}", std::process::id()));
        let describe = |number: u32, properties: &str| {
            let node = nodes.join(number.to_string());
            std::fs::create_dir_all(&node).expect("a temporary directory");
            std::fs::write(node.join("properties"), properties).expect("room for it");
        };
        assert_eq!(units(&nodes), None);
        describe(0, PROCESSOR);
        describe(1, MI210);
        describe(2, MI210);
        let two = units(&nodes).expect("two devices");
        assert_eq!(two.mask(&(0..50)), Some(("0:0-51;1:0-51".into(), 50)));
        describe(3, RX6800);
        assert_eq!(units(&nodes), None);
        std::fs::remove_dir_all(&nodes).expect("made above");
    }
}
