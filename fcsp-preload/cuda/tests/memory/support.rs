//! A program under the preload library and on the simulated driver: this test's own binary, started
//! again with `LD_PRELOAD`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::OnceLock;

use cuda_sys::CUcontext;

#[path = "../support/library.rs"]
#[macro_use]
mod library;

pub use library::Library;

/// A mebibyte.
pub const MIB: u64 = 1 << 20;
/// What a context is charged where the management library is not asked: what one takes on an H200.
pub const CONTEXT_BYTES: u64 = CONTEXT_MIB * MIB;
/// The same in MiB: what it takes, and what the driver may come to take for itself.
pub const CONTEXT_MIB: u64 = TAKEN_MIB + 12;
/// What a context takes of the simulated device.
pub const TAKEN_MIB: u64 = 518;
/// Set in the program.
const CHILD: &str = "FCSP_TEST_CHILD";
/// What the program says at its end: without it nothing was tested.
const DONE: &str = "the program came to its end";

/// Calls a function that must be refused as over the quota.
#[macro_export]
macro_rules! refused {
    ($cuda:expr, $name:ident($($arg:expr),* $(,)?)) => {
        assert_eq!(
            $crate::cu!($cuda, $name($($arg),*)),
            cuda_sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY,
            stringify!($name)
        )
    };
}

/// The name of the test it stands in, as the harness knows it.
#[macro_export]
macro_rules! here {
    () => {{
        fn inside() {}
        std::any::type_name_of_val(&inside)
    }};
}

/// How the program is started.
pub struct Program {
    /// `BUD_MEMORY_LIMIT` in MiB; none if it is 0.
    pub quota_mib: u64,
    /// Memory of the simulated device in MiB.
    pub device_mib: u64,
    /// More variables.
    pub env: &'static [(&'static str, &'static str)],
    /// Whether there is a management library.
    pub nvml: bool,
    /// What answers.
    pub driver: Driver,
}

/// A driver for tests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The simulated one.
    Simulated,
    /// One with the functions of the first CUDA releases.
    Old,
}

/// A tenant with 2 GiB of a device of 8, its context included.
pub const TENANT: Program = Program {
    quota_mib: 2048,
    device_mib: 8192,
    env: &[("FCSP_TENANT", "tester")],
    nvml: false,
    driver: Driver::Simulated,
};

impl Program {
    /// Runs `body` as a program of its own, with the primary context current. `here` is [`here!`].
    pub fn run(&self, here: &str, body: impl FnOnce(&Library)) {
        self.run_bare(here, |cuda| {
            ok!(cuda, cuInit(0));
            let mut context: CUcontext = null_mut();
            ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
            ok!(cuda, cuCtxSetCurrent(context));
            body(cuda);
        });
    }

    /// As [`Program::run`], without a context.
    pub fn run_bare(&self, here: &str, body: impl FnOnce(&Library)) {
        if std::env::var_os(CHILD).is_some() {
            body(&Library::open(c"libcuda.so.1"));
            eprintln!("{DONE}");
            return;
        }
        let directory = Directory::new(here);
        let output = self.start(here, &directory.0);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success() && said.contains(DONE), "{said}");
    }

    fn start(&self, here: &str, run_dir: &Path) -> std::process::Output {
        let name = here
            .strip_suffix("::inside")
            .and_then(|name| name.split_once("::"))
            .expect("here! names a function in this crate")
            .1;
        let built = built();
        let links = run_dir.join("lib");
        std::fs::create_dir_all(&links).expect("a directory");
        let mut libraries = Vec::new();
        match self.driver {
            Driver::Simulated => libraries.push(("libfcsp_sim_cuda.so", "libcuda.so.1")),
            Driver::Old => compile("old_driver.c", &links.join("libcuda.so.1")),
        }
        if self.nvml {
            libraries.push(("libfcsp_sim_nvml.so", "libnvidia-ml.so.1"));
        }
        for (library, name) in libraries {
            std::os::unix::fs::symlink(built.join(library), links.join(name)).expect("a link");
        }
        let mut command = Command::new(std::env::current_exe().expect("own path"));
        command
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .env("FCSP_RUN_DIR", run_dir)
            .env("FCSP_SIM_DIR", run_dir.join("sim"))
            .env("FCSP_SIM_MEMORY_BYTES", (self.device_mib * MIB).to_string())
            .env("LD_LIBRARY_PATH", &links)
            .env("LD_PRELOAD", built.join("libfcsp_cuda.so"))
            .envs(self.env.iter().copied());
        if self.quota_mib > 0 {
            command.env("BUD_MEMORY_LIMIT", format!("{}MiB", self.quota_mib));
        }
        command.output().expect("the program starts")
    }
}

fn compile(source: &str, library: &Path) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/memory/c");
    let output = Command::new("cc")
        .args([
            "-w",
            "-O0",
            "-shared",
            "-fPIC",
            "-Wl,-soname,libcuda.so.1",
            "-o",
        ])
        .args([library, &directory.join(source)])
        .output()
        .expect("a C compiler named cc");
    assert!(
        output.status.success(),
        "{source}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A directory that ends with its test.
struct Directory(PathBuf);

impl Directory {
    fn new(here: &str) -> Self {
        let name = format!("{}-{}", here.replace("::", "-"), std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("cargo gives tests a writable directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where cargo put the libraries, built if need be: it does not build a package's cdylib for its tests.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let exe = std::env::current_exe().expect("own path");
        // <target>/<profile>/deps/<test>
        let profile = exe.ancestors().nth(2).expect("profile directory");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--lib", "--target-dir"]);
        build.arg(profile.parent().expect("target directory"));
        build.args([
            "-p",
            "fcsp-preload-cuda",
            "-p",
            "fcsp-sim-cuda",
            "-p",
            "fcsp-sim-nvml",
        ]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo runs");
        assert!(status.success(), "the libraries do not build");
        profile.to_owned()
    })
}

impl Library {
    /// What the tenant is charged beside its first context.
    pub fn charged_mib(&self) -> u64 {
        let (mut free, mut total) = (0, 0);
        ok!(self, cuMemGetInfo_v2(&mut free, &mut total));
        let bytes = (total - free) as u64;
        assert!(bytes >= CONTEXT_BYTES, "{bytes} bytes are used");
        assert_eq!(
            bytes % MIB,
            0,
            "whole mebibytes are allocated in these tests"
        );
        (bytes - CONTEXT_BYTES) / MIB
    }

    /// Allocates, and gives the address.
    pub fn alloc_mib(&self, mib: u64) -> u64 {
        let mut address = 0;
        ok!(self, cuMemAlloc_v2(&mut address, (mib * MIB) as usize));
        address
    }
}
