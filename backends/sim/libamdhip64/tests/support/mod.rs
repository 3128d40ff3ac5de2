//! The simulated libraries, linked as they are installed, and programs that hipcc compiles for them.

#![allow(dead_code, reason = "each test uses its part")]

use fcsp_sim_link::{Library, link};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A release of the library.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// Major number.
    pub major: u32,
    /// What the real one exports.
    pub exports: &'static str,
}

/// The releases that are simulated.
pub const RELEASES: [Release; 2] = [
    Release {
        major: 5,
        exports: include_str!("../../../../sys/hip/exports/libamdhip64-5.2.3.txt"),
    },
    Release {
        major: 6,
        exports: include_str!("../../../../sys/hip/exports/libamdhip64-6.4.3.txt"),
    },
];

/// The directory with both libraries, built and linked if need be.
pub fn libraries() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let exe = std::env::current_exe().expect("own path");
        // <target>/<profile>/deps/<test>
        let profile = exe.ancestors().nth(2).expect("profile directory");
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "-p",
            "fcsp-sim-hip",
            "--lib",
            "--target-dir",
        ]);
        build.arg(profile.parent().expect("target directory"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo runs").success(),
            "the archive does not build"
        );
        // One directory for each test program: several link at the same time.
        let name = exe
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let directory = profile.join("sim-hip").join(name);
        std::fs::create_dir_all(&directory).expect("a directory in target");
        for release in RELEASES {
            let soname = format!("libamdhip64.so.{}", release.major);
            let define = format!("FCSP_SIM_HIP_MAJOR={}", release.major);
            let library = Library {
                archive: &profile.join("libfcsp_sim_hip.a"),
                c_file: &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/own.c"),
                defines: &[&define],
                exports: release.exports,
                soname: &soname,
            };
            link(&library, &directory.join(&soname)).expect("linked");
        }
        directory
    })
}

/// A program that hipcc compiled; nothing if hipcc is not installed, which is said.
pub struct Program {
    path: PathBuf,
    /// Where the simulated devices live.
    pub devices: tempfile::TempDir,
}

impl Program {
    /// Compiles `tests/programs/<name>.cpp`.
    pub fn compile(name: &str, options: &[&str]) -> Option<Self> {
        let devices = tempfile::tempdir().expect("a temporary directory");
        let path = devices.path().join(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/programs")
            .join(format!("{name}.cpp"));
        let mut hipcc = Command::new("hipcc");
        hipcc.args(["--offload-arch=gfx90a", "-O1", "-std=c++17"]);
        hipcc.args(options).arg("-o").arg(&path).arg(source);
        match hipcc.output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fcsp_skipped::skip("hipcc is not installed (Debian: apt-get install hipcc)");
                None
            }
            Err(error) => panic!("hipcc does not start: {error}"),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{name} does not compile:\n{said}");
                Some(Self { path, devices })
            }
        }
    }

    /// The command that runs it on the simulated library.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .env("LD_LIBRARY_PATH", libraries())
            .env("FCSP_SIM_DIR", self.devices.path())
            .env_remove("HIP_VISIBLE_DEVICES")
            .env_remove("ROCR_VISIBLE_DEVICES");
        command
    }

    /// Runs it to its end, which must be a good one; what it printed.
    pub fn run(&self, arguments: &[&str], env: &[(&str, &str)]) -> String {
        let output = self
            .command()
            .args(arguments)
            .envs(env.iter().copied())
            .output()
            .expect("the program starts");
        checked(&output, self.path.as_os_str())
    }
}

/// What a program printed, if it ended well.
pub fn checked(output: &Output, name: &OsStr) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{} ended with {}:\n{text}{}",
        name.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
