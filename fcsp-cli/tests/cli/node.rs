//! A run directory with a region in it, and the `fcsp` command to look at it.

use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::policy::{Limits, Share};
use fcsp_core::region::{Region, TenantIndex, tenant};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;

/// One gibibyte.
pub const GIB: u64 = 1 << 30;
/// Identity of the device of every [`Node`].
pub const DEVICE: &str = "GPU-00000000-0000-0000-0000-000000000001";

/// A machine with one simulated device that nobody uses yet.
pub struct Node {
    /// Its run directory, removed at the end.
    pub run_dir: TempDir,
    /// The region of its device.
    pub region: Arc<Region>,
}

impl Node {
    /// A fresh one.
    pub fn new() -> Self {
        let run_dir = TempDir::new().expect("a temporary directory");
        let device = DeviceInfo {
            vendor: Vendor::Nvidia,
            id: DEVICE.into(),
            name: "Test device (simulated)".into(),
            total_bytes: 100 * GIB,
            sharing: SharingMode::Exclusive,
            simulated: true,
        };
        let region = Region::create_or_open(run_dir.path(), &device).expect("a region");
        Self {
            run_dir,
            region: Arc::new(region),
        }
    }

    /// Makes a tenant with that compute and memory.
    pub fn tenant(&self, name: &str, percent: u32, quota_bytes: u64) -> TenantIndex {
        let limits = Limits {
            entitlement: Share::from_percent(percent),
            quota_bytes: Some(quota_bytes),
            ..Limits::default()
        };
        tenant::find_or_make(&self.region, name, |page| limits.store(page)).expect("a tenant")
    }

    /// The limits of a tenant as they stand in the region.
    pub fn limits(&self, name: &str) -> Limits {
        let index = tenant::find(&self.region, name).expect("it is there");
        Limits::load(self.region.tenant(index))
    }

    /// Runs `fcsp` here.
    pub fn fcsp(&self, arguments: &[&str]) -> Output {
        fcsp_in(self.run_dir.path(), arguments)
    }
}

/// Runs `fcsp` with that run directory and no settings from outside.
pub fn fcsp_in(run_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fcsp"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("BUD_") || name.starts_with("FCSP_") || name.starts_with("CUDA_") {
            command.env_remove(name);
        }
    }
    command
        .env("FCSP_RUN_DIR", run_dir)
        .output()
        .expect("fcsp starts")
}

/// What it wrote to stdout.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it wrote to stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
