//! What the environment says about the simulated devices.
//!
//! Owns: the names and defaults of the `FCSP_SIM_*` variables. Read once per process, when the
//! first device is opened.

use crate::calibration::{BOARD_MEMORY_BYTES, DRIVER_RESERVE_BYTES, POOL_CHUNK_BYTES};
use std::path::PathBuf;

/// Devices beyond this number are not simulated.
pub const DEVICES_MAX: u32 = 16;

/// The simulated machine as the environment describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Directory of the shared files (`FCSP_SIM_DIR`, else `$FCSP_RUN_DIR/sim`, else
    /// `/dev/shm/fcsp-sim-<uid>`).
    pub dir: PathBuf,
    /// Number of devices (`FCSP_SIM_DEVICES`, 1 to 16, default 1).
    pub devices: u32,
    /// Memory a program can see on each device (`FCSP_SIM_MEMORY_BYTES`).
    pub memory_bytes: u64,
    /// Seed of everything random (`FCSP_SIM_SEED`, default 1).
    pub seed: u64,
    /// Contexts run concurrently as under MPS (`FCSP_SIM_MPS=1`).
    pub mps: bool,
    /// Share of the device a process may use under MPS, in thousandths
    /// (`CUDA_MPS_ACTIVE_THREAD_PERCENTAGE`).
    pub active_permille: u32,
    /// Spin for the CPU time a launch costs on the real driver (`FCSP_SIM_CPU_COST=1`).
    pub cpu_cost: bool,
    /// Device time of kernels the model does not know (`FCSP_SIM_KERNEL_NS`).
    pub kernel_ns: Option<u64>,
    /// Refuse to pin memory of the program's own (`FCSP_SIM_NO_PIN=1`), as a device without a path
    /// to host memory would.
    pub no_pin: bool,
    /// Functions that `cuGetProcAddress` does not find (`FCSP_SIM_HIDE`, separated by commas), as with a
    /// driver that is older. Exported symbols are not affected.
    pub hidden: Vec<String>,
    /// What memory pools grow by (`FCSP_SIM_POOL_CHUNK_BYTES`, default 32 MiB).
    pub pool_chunk_bytes: u64,
}

impl Config {
    /// Reads the process environment. A value that does not parse counts as absent.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
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
            dir,
            devices: number("FCSP_SIM_DEVICES")
                .unwrap_or(1)
                .min(u64::from(DEVICES_MAX)) as u32,
            memory_bytes: number("FCSP_SIM_MEMORY_BYTES")
                .unwrap_or(BOARD_MEMORY_BYTES - DRIVER_RESERVE_BYTES),
            seed: number("FCSP_SIM_SEED").unwrap_or(1),
            mps: get("FCSP_SIM_MPS").is_some_and(|v| v == "1"),
            active_permille: ((percentage * 10.0) as u32).max(1),
            cpu_cost: get("FCSP_SIM_CPU_COST").is_some_and(|v| v == "1"),
            kernel_ns: number("FCSP_SIM_KERNEL_NS"),
            no_pin: get("FCSP_SIM_NO_PIN").is_some_and(|v| v == "1"),
            hidden: get("FCSP_SIM_HIDE").map_or(Vec::new(), |list| {
                list.split(',').map(|name| name.trim().to_owned()).collect()
            }),
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
