//! A place to run programs in, with the simulated driver.

#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

pub mod books;
#[path = "../../../built.rs"]
mod build;
pub mod library;
#[path = "../../../stage.rs"]
mod stage;

pub use stage::{Stage, TENANT, Vendor, built, said};

/// A mebibyte.
pub const MIB: u64 = 1 << 20;
/// What a context is charged where the management library is not asked: what one takes on an H200.
pub const CONTEXT_BYTES: u64 = (518 + 12) * MIB;

/// The simulated CUDA driver.
pub const VENDOR: Vendor = Vendor {
    packages: &["fcsp-preload-cuda", "fcsp-sim-cuda", "fcsp-sim-nvml"],
    preload: "libfcsp_cuda.so",
    driver: || built().join("libfcsp_sim_cuda.so"),
    driver_name: "libcuda.so.1",
    inherited: &["CUDA_VISIBLE_DEVICES", "BUD_MEMORY_LIMIT", "BUD_SM_LIMIT"],
    sources: "tests/processes/c",
};

impl Stage {
    /// Adds the simulated management library, which programs else do not find.
    pub fn with_nvml(self) -> Self {
        self.link(&built().join("libfcsp_sim_nvml.so"), "libnvidia-ml.so.1");
        self
    }
}
