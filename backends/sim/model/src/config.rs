//! What the environment says about the simulated devices.
//!
//! Owns: the names and defaults of the `FCSP_SIM_*` variables. Read once per process, when the
//! first device is opened.

use crate::calibration::{
    AMD_MEMORY_BYTES, BOARD_MEMORY_BYTES, DRIVER_RESERVE_BYTES, INTEL_MEMORY_BYTES,
    POOL_CHUNK_BYTES,
};
use std::path::PathBuf;

/// Devices beyond this number are not simulated.
pub const DEVICES_MAX: u32 = 16;

/// Whose devices are meant; each vendor's have files of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vendor {
    /// NVIDIA: processes take turns, unless under MPS.
    #[default]
    Nvidia,
    /// AMD: processes run side by side.
    Amd,
    /// Intel: processes take turns.
    Intel,
}

impl Vendor {
    /// Product name of the device; says that it is simulated.
    pub fn device_name(self) -> &'static str {
        match self {
            Self::Nvidia => "NVIDIA H200 (simulated)",
            Self::Amd => "AMD Instinct MI210 (simulated)",
            Self::Intel => "Intel Data Center GPU Max 1100 (simulated)",
        }
    }

    /// Name of the file of device `index`.
    pub(crate) fn file_name(self, index: u32) -> String {
        match self {
            Self::Nvidia => format!("gpu{index}"),
            Self::Amd => format!("amd{index}"),
            Self::Intel => format!("intel{index}"),
        }
    }

    /// Memory a program can see.
    fn memory_bytes(self) -> u64 {
        match self {
            Self::Nvidia => BOARD_MEMORY_BYTES - DRIVER_RESERVE_BYTES,
            Self::Amd => AMD_MEMORY_BYTES,
            Self::Intel => INTEL_MEMORY_BYTES,
        }
    }

    /// Distinguishes its unique ids and PCI buses from other vendors'.
    pub(crate) fn number(self) -> u32 {
        self as u32
    }
}

/// The simulated machine as the environment describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whose devices these are.
    pub vendor: Vendor,
    /// Directory of the shared files (`FCSP_SIM_DIR`, else `$FCSP_RUN_DIR/sim`, else
    /// `/dev/shm/fcsp-sim-<uid>`).
    pub dir: PathBuf,
    /// Number of devices (`FCSP_SIM_DEVICES`, 0 to 16, default 1; `FCSP_SIM_AMD_DEVICES` and
    /// `FCSP_SIM_INTEL_DEVICES` for that vendor's alone).
    pub devices: u32,
    /// Memory a program can see on each device (`FCSP_SIM_MEMORY_BYTES`).
    pub memory_bytes: u64,
    /// Seed of everything random (`FCSP_SIM_SEED`, default 1).
    pub seed: u64,
    /// Contexts run concurrently as under MPS (`FCSP_SIM_MPS=1`).
    pub mps: bool,
    /// Share of the device a process may use, in thousandths: under MPS that of
    /// `CUDA_MPS_ACTIVE_THREAD_PERCENTAGE`, on AMD that of the compute units in `HSA_CU_MASK`.
    pub active_permille: u32,
    /// Spin for the CPU time a launch costs on the real driver (`FCSP_SIM_CPU_COST=1`).
    pub cpu_cost: bool,
    /// How long making a context takes, in nanoseconds (`FCSP_SIM_CONTEXT_MS`, default 0): some hundred milliseconds with a
    /// real driver.
    pub context_ns: u64,
    /// Device time of kernels the model does not know (`FCSP_SIM_KERNEL_NS`).
    pub kernel_ns: Option<u64>,
    /// Refuse to pin memory of the program's own (`FCSP_SIM_NO_PIN=1`), as a device without a path
    /// to host memory would.
    pub no_pin: bool,
    /// Functions that `cuGetProcAddress` does not find (`FCSP_SIM_HIDE`, separated by commas), as with a
    /// driver that is older. Exported symbols are not affected.
    pub hidden: Vec<String>,
    /// How AMD devices say that their compute units and their memory are partitioned
    /// (`FCSP_SIM_AMD_PARTITION`, `CPX/NPS4` for example); `None` for a device that cannot be. The devices are then
    /// the partitions of as few as there must be for so many.
    pub partition: Option<(String, String)>,
    /// What memory pools grow by (`FCSP_SIM_POOL_CHUNK_BYTES`, default 32 MiB).
    pub pool_chunk_bytes: u64,
}

impl Config {
    /// Reads the process environment, for NVIDIA's devices. A value that does not parse counts as absent.
    pub fn from_env() -> Self {
        Self::of(Vendor::Nvidia)
    }

    /// Reads the process environment, for the devices of `vendor`.
    pub fn of(vendor: Vendor) -> Self {
        let get = |name: &str| std::env::var(name).ok();
        let mut config = Self::from_lookup(get);
        match vendor {
            Vendor::Nvidia => {}
            Vendor::Amd => config.become_amd(get),
            Vendor::Intel => config.become_intel(get),
        }
        config
    }

    /// Into how many devices each device is partitioned.
    pub fn parts(&self) -> u32 {
        let compute = self.partition.as_ref().map(|it| it.0.as_str());
        match compute {
            Some("DPX") => 2,
            Some("TPX") => 3,
            Some("QPX") => 4,
            Some("CPX") => 8,
            _ => 1,
        }
    }

    fn become_intel(&mut self, get: impl Fn(&str) -> Option<String>) {
        let number = |name: &str| get(name).and_then(|v| v.trim().parse::<u64>().ok());
        self.vendor = Vendor::Intel;
        self.mps = false;
        self.active_permille = 1000;
        if number("FCSP_SIM_MEMORY_BYTES").is_none() {
            self.memory_bytes = Vendor::Intel.memory_bytes();
        }
        if let Some(devices) = number("FCSP_SIM_INTEL_DEVICES") {
            self.devices = devices.min(u64::from(DEVICES_MAX)) as u32;
        }
    }

    fn become_amd(&mut self, get: impl Fn(&str) -> Option<String>) {
        let number = |name: &str| get(name).and_then(|v| v.trim().parse::<u64>().ok());
        self.vendor = Vendor::Amd;
        self.mps = true;
        self.active_permille = 1000;
        if number("FCSP_SIM_MEMORY_BYTES").is_none() {
            self.memory_bytes = Vendor::Amd.memory_bytes();
        }
        if let Some(devices) = number("FCSP_SIM_AMD_DEVICES") {
            self.devices = devices.min(u64::from(DEVICES_MAX)) as u32;
        }
    }

    fn from_lookup(get: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| get(name).and_then(|v| v.trim().parse::<u64>().ok());
        let path = |name: &str| get(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        // SAFETY: geteuid has no preconditions.
        let uid = unsafe { libc::geteuid() };
        let dir = path("FCSP_SIM_DIR")
            .or_else(|| path("FCSP_RUN_DIR").map(|d| d.join("sim")))
            .unwrap_or_else(|| PathBuf::from(format!("/dev/shm/fcsp-sim-{uid}")));
        let percentage = get("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE")
            .and_then(|v| v.trim().parse::<f64>().ok())
            .filter(|p| *p > 0.0 && *p <= 100.0)
            .unwrap_or(100.0);
        Self {
            vendor: Vendor::Nvidia,
            dir,
            devices: number("FCSP_SIM_DEVICES")
                .unwrap_or(1)
                .min(u64::from(DEVICES_MAX)) as u32,
            memory_bytes: number("FCSP_SIM_MEMORY_BYTES").unwrap_or(Vendor::Nvidia.memory_bytes()),
            seed: number("FCSP_SIM_SEED").unwrap_or(1),
            mps: get("FCSP_SIM_MPS").is_some_and(|v| v == "1"),
            active_permille: ((percentage * 10.0) as u32).max(1),
            cpu_cost: get("FCSP_SIM_CPU_COST").is_some_and(|v| v == "1"),
            context_ns: number("FCSP_SIM_CONTEXT_MS").map_or(0, |ms| ms.saturating_mul(1_000_000)),
            kernel_ns: number("FCSP_SIM_KERNEL_NS"),
            no_pin: get("FCSP_SIM_NO_PIN").is_some_and(|v| v == "1"),
            hidden: get("FCSP_SIM_HIDE").map_or(Vec::new(), |list| {
                list.split(',').map(|name| name.trim().to_owned()).collect()
            }),
            partition: get("FCSP_SIM_AMD_PARTITION")
                .and_then(|v| v.split_once('/').map(|(c, m)| (c.to_owned(), m.to_owned()))),
            pool_chunk_bytes: number("FCSP_SIM_POOL_CHUNK_BYTES")
                .filter(|bytes| *bytes > 0)
                .unwrap_or(POOL_CHUNK_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Config {
        Config::from_lookup(|name| {
            vars.iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn defaults_are_one_h200() {
        let c = config(&[]);
        assert_eq!(c.devices, 1);
        assert_eq!(c.memory_bytes, BOARD_MEMORY_BYTES - DRIVER_RESERVE_BYTES);
        assert!(!c.mps);
        assert_eq!(c.active_permille, 1000);
        assert!(
            c.dir
                .to_str()
                .is_some_and(|d| d.starts_with("/dev/shm/fcsp-sim-"))
        );
    }

    #[test]
    fn a_context_takes_as_long_as_it_is_told_to() {
        assert_eq!(config(&[]).context_ns, 0);
        let c = config(&[("FCSP_SIM_CONTEXT_MS", "400")]);
        assert_eq!(c.context_ns, 400_000_000);
    }

    #[test]
    fn amd_devices_run_processes_side_by_side_and_have_a_number_of_their_own() {
        let vars = |name: &str| match name {
            "FCSP_SIM_AMD_DEVICES" => Some("0".to_owned()),
            _ => None,
        };
        let mut c = config(&[("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "25")]);
        c.become_amd(vars);
        assert_eq!((c.vendor, c.devices), (Vendor::Amd, 0));
        assert_eq!((c.mps, c.active_permille), (true, 1000));
        assert_eq!(c.memory_bytes, AMD_MEMORY_BYTES);
    }

    #[test]
    fn intel_devices_take_turns_whatever_is_said_of_mps() {
        let mut c = config(&[("FCSP_SIM_MPS", "1"), ("FCSP_SIM_DEVICES", "2")]);
        c.become_intel(|_| None);
        assert_eq!((c.vendor, c.devices, c.mps), (Vendor::Intel, 2, false));
        assert_eq!(c.memory_bytes, INTEL_MEMORY_BYTES);
    }

    #[test]
    fn the_sim_directory_wins_over_the_run_directory() {
        let run = ("FCSP_RUN_DIR", "/run/x");
        assert_eq!(config(&[run]).dir, PathBuf::from("/run/x/sim"));
        assert_eq!(
            config(&[run, ("FCSP_SIM_DIR", "/y")]).dir,
            PathBuf::from("/y")
        );
        assert_eq!(
            config(&[run, ("FCSP_SIM_DIR", "")]).dir,
            PathBuf::from("/run/x/sim")
        );
    }

    #[test]
    fn nonsense_counts_as_absent_and_numbers_are_bounded() {
        let c = config(&[
            ("FCSP_SIM_DEVICES", "900"),
            ("FCSP_SIM_SEED", "many"),
            ("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "25.5"),
        ]);
        assert_eq!(
            (c.devices, c.seed, c.active_permille),
            (DEVICES_MAX, 1, 255)
        );
    }
}
