// A place to run programs in: the simulated driver under its real name, the preload library, and a run
// directory of its own. Included by the tests of the preload libraries; not part of any crate. The module that
// includes it says whose driver it is, in `VENDOR`.
//
// Libraries are built first, because cargo does not build a package's cdylib for its tests.

use super::VENDOR;
use super::build;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whose driver programs run on.
pub struct Vendor {
    /// Packages of the preload library and the simulated ones.
    pub packages: &'static [&'static str],
    /// The preload library's file, as cargo names it.
    pub preload: &'static str,
    /// Where the simulated driver is, made if need be.
    pub driver: fn() -> PathBuf,
    /// The name that programs load it under.
    pub driver_name: &'static str,
    /// Variables by which whoever runs the tests would change what programs see.
    pub inherited: &'static [&'static str],
    /// Folder of the crate with C files for [`Stage::compile`].
    pub sources: &'static str,
}

/// The tenant of every program started here.
pub const TENANT: &str = "tester";
/// Set in a program that is this test binary once more.
const CHILD: &str = "FCSP_TEST_CHILD";
/// What such a program says at its end: without it nothing was tested.
const DONE: &str = "the program came to its end";

/// The name of the test it stands in, as the harness knows it.
#[macro_export]
macro_rules! here {
    () => {{
        fn inside() {}
        let name = std::any::type_name_of_val(&inside);
        let name = name
            .strip_suffix("::inside")
            .expect("it is named after its test");
        name.split_once("::").expect("and its crate").1
    }};
}

/// A directory with a driver and a run directory, which ends with its test.
pub struct Stage {
    /// The run directory.
    pub directory: PathBuf,
}

impl Stage {
    /// Sets up the simulated driver for the test `here`.
    pub fn new(here: &str) -> Self {
        // In shared memory, as a run directory has to be.
        let name = format!(
            "fcsp-test-{}-{}",
            here.replace("::", "-"),
            std::process::id()
        );
        let stage = Self {
            directory: Path::new("/dev/shm").join(name),
        };
        std::fs::create_dir_all(stage.libraries()).expect("shared memory");
        stage.link(&(VENDOR.driver)(), VENDOR.driver_name);
        stage
    }

    /// Adds a library that was built, under the name that programs load it by.
    pub fn link(&self, built: &Path, name: &str) {
        let to = self.libraries().join(name);
        std::os::unix::fs::symlink(built, to).expect("a link");
    }

    /// Takes exported functions out of a library, as if it were of an older version: it is replaced by a copy in
    /// which they have other names. What the driver's own lookup finds, `FCSP_SIM_HIDE` says.
    pub fn hide(&self, library: &str, functions: &[&str]) {
        let path = self.file(library);
        let mut bytes = std::fs::read(&path).expect("a library");
        for function in functions {
            // Names stand between NULs in the table of dynamic symbols, which are found by hash and then by name.
            let name = [b"\0", function.as_bytes(), b"\0"].concat();
            let places: Vec<usize> = (0..bytes.len() - name.len())
                .filter(|at| bytes[*at..].starts_with(&name))
                .collect();
            for at in places {
                bytes[at + 1] = b'x';
            }
        }
        std::fs::remove_file(&path).expect("a link");
        std::fs::write(&path, bytes).expect("shared memory");
    }

    /// Where programs find the driver, and where what [`Stage::compile`] makes goes.
    pub fn libraries(&self) -> PathBuf {
        self.directory.join("lib")
    }

    /// A file among the libraries.
    pub fn file(&self, name: &str) -> PathBuf {
        self.libraries().join(name)
    }

    /// The preload library.
    pub fn preload(&self) -> PathBuf {
        built().join(VENDOR.preload)
    }

    /// Compiles one of the C files beside the tests.
    pub fn compile(&self, source: &str, name: &str, flags: &[&str]) -> PathBuf {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join(VENDOR.sources);
        let to = self.file(name);
        let output = Command::new("cc")
            .args(["-Wall", "-Werror", "-O1", "-o"])
            .args([&to, &sources.join(source)])
            .args(flags)
            .output()
            .expect("a C compiler named cc");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{source}: {said}");
        to
    }

    /// A program with the driver and the preload library, not started yet.
    pub fn program(&self, path: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(path);
        for inherited in VENDOR.inherited {
            command.env_remove(inherited);
        }
        command
            .env("FCSP_RUN_DIR", &self.directory)
            .env("FCSP_SIM_DIR", self.directory.join("sim"))
            .env("FCSP_TENANT", TENANT)
            .env("LD_LIBRARY_PATH", self.libraries())
            .env("LD_PRELOAD", self.preload());
        command
    }

    /// Runs `body` in a program of its own: this test binary, started again, with the variables `set`.
    pub fn run_self(here: &str, set: &[(&str, &str)], body: impl FnOnce()) {
        Self::run_self_on(here, set, |_| {}, body);
    }

    /// As [`run_self`](Self::run_self), on a stage that was prepared.
    pub fn run_self_on(
        here: &str,
        set: &[(&str, &str)],
        prepare: impl FnOnce(&Self),
        body: impl FnOnce(),
    ) {
        if std::env::var_os(CHILD).is_some() {
            body();
            eprintln!("{DONE}");
            return;
        }
        let stage = Self::new(here);
        prepare(&stage);
        let mut program = stage.program(std::env::current_exe().expect("own path"));
        program
            .args(["--exact", here, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .envs(set.iter().copied());
        let output = program.output().expect("the program starts");
        let said = said(&output);
        assert!(
            output.status.success() && said.contains(DONE),
            "{}\n{said}",
            output.status
        );
        eprintln!("{said}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is left does no harm.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Both outputs of a program.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Where cargo put the libraries, built if need be.
pub fn built() -> &'static Path {
    build::built(VENDOR.packages)
}
