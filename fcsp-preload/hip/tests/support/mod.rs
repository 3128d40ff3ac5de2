//! A place to run programs in, with the simulated driver of both families.

#![allow(
    dead_code,
    reason = "the stage is shared with other libraries, whose tests use more of it"
)]

#[path = "../../../built.rs"]
mod build;
#[path = "../../../opened.rs"]
mod opened;
#[path = "../../../stage.rs"]
mod stage;

pub use opened::Library;
pub use stage::{Stage, Vendor, built};

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A mebibyte.
pub const MIB: u64 = 1 << 20;
/// What a context is charged where the management library is not asked.
pub const CONTEXT_BYTES: u64 = (256 + 12) * MIB;
/// The tenant's quota.
pub const QUOTA_BYTES: u64 = 2048 * MIB;

/// Lists of what the real libraries export, by major version.
const EXPORTS: [(u32, &str); 2] = [
    (
        5,
        include_str!("../../../../backends/sys/hip/exports/libamdhip64-5.2.3.txt"),
    ),
    (
        6,
        include_str!("../../../../backends/sys/hip/exports/libamdhip64-6.4.3.txt"),
    ),
];

/// AMD SMI, and what the real one exports.
const AMD_SMI: &str = "libamd_smi.so.27";
const AMD_SMI_EXPORTS: &str =
    include_str!("../../../../backends/sys/rocm-smi/exports/libamd_smi-10.1.txt");

/// The simulated HIP driver.
pub const VENDOR: Vendor = Vendor {
    packages: &[
        "fcsp-preload-hip",
        "fcsp-sim-hip",
        "fcsp-sim-rocm-smi",
        "fcsp-sim-amd-smi",
        // For programs of two vendors.
        "fcsp-preload-cuda",
        "fcsp-sim-cuda",
    ],
    preload: "libfcsp_hip.so",
    driver: || linked(6),
    driver_name: "libamdhip64.so.6",
    inherited: &[
        "HIP_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "BUD_MEMORY_LIMIT",
        "BUD_SM_LIMIT",
    ],
    sources: "tests/c",
};

/// The simulated library of a major version, linked as it is installed.
pub fn linked(major: u32) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let built = stage::built();
        let exe = std::env::current_exe().expect("own path");
        // One directory for each test binary: several link at the same time.
        let directory = built
            .join("preload-hip")
            .join(exe.file_name().expect("a file"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../backends/sim/libamdhip64/src/own.c");
        for (major, exports) in EXPORTS {
            let soname = format!("libamdhip64.so.{major}");
            let define = format!("FCSP_SIM_HIP_MAJOR={major}");
            let library = fcsp_sim_link::Library {
                archive: &built.join("libfcsp_sim_hip.a"),
                c_file: &source,
                defines: &[&define],
                exports,
                soname: &soname,
            };
            fcsp_sim_link::link(&library, &directory.join(&soname)).expect("linked");
        }
        let archive = built.join("libfcsp_sim_amd_smi.a");
        let output = directory.join(AMD_SMI);
        fcsp_sim_link::link_archive(&archive, AMD_SMI_EXPORTS, AMD_SMI, &output).expect("linked");
        directory
    });
    directory.join(format!("libamdhip64.so.{major}"))
}

/// Calls a function of the driver by its exported name.
#[macro_export]
macro_rules! hip {
    ($hip:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        let function: hip_sys::fn_types::$name = $hip.function(stringify!($name));
        #[allow(clippy::macro_metavars_in_unsafe, reason = "a call is all the macro makes")]
        // SAFETY: the arguments are what the vendor's header wants of this function, or what it refuses.
        unsafe { function($($arg),*) }
    }};
}

/// Calls a function that must succeed.
#[macro_export]
macro_rules! ok {
    ($hip:expr, $name:ident($($arg:expr),* $(,)?)) => {
        assert_eq!($crate::hip!($hip, $name($($arg),*)), hip_sys::hipError_t::hipSuccess, stringify!($name))
    };
}

/// Calls a function that must be refused as over the quota.
#[macro_export]
macro_rules! refused {
    ($hip:expr, $name:ident($($arg:expr),* $(,)?)) => {
        assert_eq!(
            $crate::hip!($hip, $name($($arg),*)),
            hip_sys::hipError_t::hipErrorOutOfMemory,
            stringify!($name)
        )
    };
}

/// Runs `body` in a program of its own with a quota of [`QUOTA_BYTES`] and those variables, once on the driver of each
/// family.
pub fn run(here: &str, set: &[(&str, &str)], body: impl Fn(&Library, u32)) {
    start(here, set, false, body);
}

/// As [`run`], with ROCm SMI and AMD SMI.
pub fn run_managed(here: &str, set: &[(&str, &str)], body: impl Fn(&Library, u32)) {
    start(here, set, true, body);
}

fn start(here: &str, set: &[(&str, &str)], management: bool, body: impl Fn(&Library, u32)) {
    const MAJOR: &str = "FCSP_TEST_HIP";
    let quota = QUOTA_BYTES.to_string();
    // In the program only the family that it was started with.
    let majors = match std::env::var(MAJOR) {
        Ok(major) => vec![major.parse().expect("a number")],
        Err(_) => vec![5, 6],
    };
    for major in majors {
        let text = u32::to_string(&major);
        let mut set = set.to_vec();
        set.extend([(MAJOR, text.as_str()), ("BUD_MEMORY_LIMIT", quota.as_str())]);
        let prepare = |stage: &Stage| {
            stage.link(&linked(5), "libamdhip64.so.5");
            if management {
                let library = built().join("libfcsp_sim_rocm_smi.so");
                stage.link(&library, "librocm_smi64.so.1");
                stage.link(&linked(6).with_file_name(AMD_SMI), AMD_SMI);
            }
        };
        Stage::run_self_on(here, &set, prepare, || {
            let name = [c"libamdhip64.so.5", c"libamdhip64.so.6"][major as usize - 5];
            body(&Library::open(name), major);
        });
    }
}

impl Library {
    /// Bytes that the tenant has left.
    pub fn free_bytes(&self) -> u64 {
        let (mut free, mut total) = (0, 0);
        ok!(self, hipMemGetInfo(&mut free, &mut total));
        assert_eq!(total as u64, QUOTA_BYTES);
        free as u64
    }

    /// Bytes that are charged beside the context.
    pub fn charged_bytes(&self) -> u64 {
        QUOTA_BYTES - CONTEXT_BYTES - self.free_bytes()
    }
}
