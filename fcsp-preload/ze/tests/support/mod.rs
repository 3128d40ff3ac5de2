//! C programs on Debian's loader and the simulated driver, with this library before the loader, before the driver, or both.
//!
//! They need `libze1` and `libze-dev`; without them every test says so and passes. `FCSP_ZE_LOADER_DIR` names a directory
//! with another version of the loader to run them on.

#[path = "../../../built.rs"]
mod build;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A mebibyte.
pub const MIB: u64 = 1 << 20;
/// The tenant's quota.
pub const QUOTA_BYTES: u64 = 1024 * MIB;

/// By which way calls come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The exports of the loader's names.
    Preload,
    /// The tables of a driver.
    Shim,
    /// Both, as `fcsp run` has it.
    Both,
    /// Neither: the program sees the device as it is.
    Neither,
}

/// All ways in.
pub const WAYS: [Way; 3] = [Way::Preload, Way::Shim, Way::Both];

fn libraries() -> &'static Path {
    build::built(&["fcsp-preload-ze", "fcsp-sim-ze"])
}

/// Why programs cannot be built here; nothing if they can.
fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<&'static str>> = OnceLock::new();
    *MISSING.get_or_init(|| {
        let mut cc = Command::new("cc")
            .args(["-x", "c", "-", "-o", "/dev/null", "-lze_loader"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("cc runs: cargo needs it to link");
        let mut input = cc.stdin.take().expect("piped");
        let source = "#include <level_zero/ze_api.h>\nint main(void) { return zeInit(0); }";
        input.write_all(source.as_bytes()).expect("cc reads");
        drop(input);
        (!cc.wait().expect("cc ends").success())
            .then_some("the Level Zero loader and its headers are missing (libze1, libze-dev)")
    })
}

/// A machine of its own.
pub struct Node {
    directory: TempDir,
}

impl Node {
    /// A new one; nothing, and a line that says why, where no program can be built.
    pub fn new() -> Option<Self> {
        if let Some(reason) = missing() {
            fcsp_skipped::skip(reason);
            return None;
        }
        // In shared memory, as a run directory has to be.
        let directory = tempfile::tempdir_in("/dev/shm").expect("a temporary directory");
        Some(Self { directory })
    }

    /// This library, and the simulated driver.
    pub fn libraries() -> [PathBuf; 2] {
        ["libfcsp_ze.so", "libfcsp_sim_ze.so"].map(|name| libraries().join(name))
    }

    /// Where programs on it agree.
    pub fn run_dir(&self) -> &Path {
        self.directory.path()
    }

    /// Builds a program.
    pub fn build(&self, name: &str) -> PathBuf {
        self.build_from(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs"),
            name,
        )
    }

    /// Builds one of the simulated driver's own test programs.
    pub fn build_simulators(&self, name: &str) -> PathBuf {
        self.build_from(&simulators(), name)
    }

    fn build_from(&self, directory: &Path, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&path)
            .arg(directory.join(format!("{name}.c")))
            .arg(format!("-I{}", simulators().display()))
            .args(["-lze_loader", "-ldl"]);
        assert!(cc.status().expect("cc runs").success(), "{name}.c");
        path
    }

    /// A program whose calls come in that way, not started yet.
    pub fn command(&self, program: &Path, way: Way) -> Command {
        let [ours, driver] = Self::libraries();
        let mut command = Command::new(program);
        command
            .env("ZE_ENABLE_ALT_DRIVERS", &driver)
            .env("ZES_ENABLE_SYSMAN", "1")
            .env("ZE_ENABLE_VALIDATION_LAYER", "1")
            .env("ZE_ENABLE_PARAMETER_VALIDATION", "1")
            .env("FCSP_SIM_DIR", self.directory.path().join("sim"))
            .env("FCSP_RUN_DIR", self.run_dir())
            .env("FCSP_TENANT", "tester")
            .env("BUD_MEMORY_LIMIT", QUOTA_BYTES.to_string())
            .env_remove("BUD_SM_LIMIT")
            .env_remove("LD_PRELOAD");
        if matches!(way, Way::Preload | Way::Both) {
            command.env("LD_PRELOAD", &ours);
        }
        if matches!(way, Way::Shim | Way::Both) {
            command
                .env("ZE_ENABLE_ALT_DRIVERS", &ours)
                .env("FCSP_ZE_DRIVER", &driver);
        }
        if let Some(directory) = std::env::var_os("FCSP_ZE_LOADER_DIR") {
            command.env("LD_LIBRARY_PATH", directory);
        }
        command
    }

    /// What a program that must succeed says.
    pub fn passes(&self, command: &mut Command) -> String {
        let output = command.output().expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{}\n{stdout}\n{stderr}",
            output.status
        );
        stdout
    }
}

fn simulators() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../backends/sim/libze/tests/programs")
}
