//! Loads the example preload library into C programs and checks what they see: the one place where the exported
//! `dlsym`, the dynamic linker and the wrappers meet as they do in a real program.
//!
//! Everything is compiled by the test, so it needs a C compiler, which linking Rust needs as well.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

struct Fixture {
    directory: PathBuf,
    interposer: PathBuf,
}

impl Fixture {
    fn get() -> &'static Self {
        static FIXTURE: OnceLock<Fixture> = OnceLock::new();
        FIXTURE.get_or_init(Self::build)
    }

    fn build() -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("preload");
        std::fs::create_dir_all(&directory).expect("cargo gives tests a writable directory");
        let exe = std::env::current_exe().expect("the test knows where it is");
        let interposer = exe.with_file_name("libfcsp_example.so");
        assert!(
            interposer.exists(),
            "cargo builds {} with this test",
            interposer.display()
        );
        let fixture = Self {
            directory,
            interposer,
        };
        let map = format!("-Wl,--version-script={}", source("toy.map").display());
        fixture.cc(
            &["-shared", "-fPIC", "-Wl,-soname,libtoy.so.1", &map],
            "toy.c",
            "libtoy.so.1",
            &[],
        );
        fixture.cc(
            &["-shared", "-fPIC"],
            "user.c",
            "libuser.so",
            &["libtoy.so.1"],
        );
        fixture.cc(&["-shared", "-fPIC"], "other.c", "libother.so", &[]);
        fixture.cc(
            &["-DLINKED"],
            "client.c",
            "linked",
            &["libuser.so", "libtoy.so.1"],
        );
        fixture.cc(&[], "client.c", "client", &[]);
        fixture
    }

    fn cc(&self, flags: &[&str], from: &str, to: &str, libraries: &[&str]) {
        let output = Command::new("cc")
            .args(["-Wall", "-O1", "-Wl,--no-as-needed"])
            .args(flags)
            .arg("-o")
            .arg(self.directory.join(to))
            .arg(source(from))
            .args(libraries.iter().map(|library| self.directory.join(library)))
            .args(["-Wl,-rpath-link", "."])
            .arg("-ldl")
            .output()
            .expect("a C compiler named cc");
        assert!(
            output.status.success(),
            "cc {from}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs a scenario under the given preloads; returns its stdout and stderr.
    fn run(&self, program: &str, scenario: &str, preload: &[&Path]) -> (String, String) {
        let preload: Vec<_> = preload
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let output = Command::new(self.directory.join(program))
            .arg(scenario)
            .env("LD_LIBRARY_PATH", &self.directory)
            .env("LD_PRELOAD", preload.join(":"))
            .output()
            .expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{program} {scenario}: {}\n{stdout}{stderr}",
            output.status
        );
        (stdout, stderr)
    }

    fn see(&self, program: &str, scenario: &str) -> String {
        self.run(program, scenario, &[&self.interposer]).0
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/c")
        .join(name)
}

#[test]
fn a_linked_program_and_its_libraries_call_the_wrappers() {
    assert_eq!(
        Fixture::get().see("linked", "direct"),
        "small=0 over=2 charged=100 pointer=100\nfrom_library=2\n"
    );
}

#[test]
fn a_program_that_loads_the_driver_privately_gets_wrappers_from_dlsym_and_dlvsym() {
    assert_eq!(
        Fixture::get().see("client", "lookup"),
        "dlsym=wrapper dlvsym=wrapper bad_version=(nil)\n\
         lacking=(nil) unknown=(nil) forwarded=1\n\
         found_dlsym=wrapper\n"
    );
}

#[test]
fn the_vendors_own_lookup_gives_the_same_wrapper() {
    assert_eq!(
        Fixture::get().see("client", "find"),
        "found=0 kind=wrapper same=1 forwarded=1 missing=1\n"
    );
}

#[test]
fn without_the_driver_our_exports_do_not_exist() {
    assert_eq!(
        Fixture::get().see("client", "unloaded"),
        "default=(nil) next=(nil)\nfound=(nil) error=1\nloaded=0\n"
    );
}

#[test]
fn rtld_next_and_default_give_wrappers_to_the_program_and_to_libraries() {
    assert_eq!(
        Fixture::get().see("linked", "next"),
        "program=wrapper library=wrapper\n\
         lacking=(nil) stranger=1\n\
         default=wrapper default_lacking=(nil)\n\
         self=wrapper\n"
    );
}

#[test]
fn another_preloaded_tool_keeps_its_place_before_and_behind_us() {
    let fixture = Fixture::get();
    let other = fixture.directory.join("libother.so");
    // Behind us the program's call reaches us first, and we call the driver; its getenv still finds the C library's.
    let (seen, _) = fixture.run("linked", "other", &[&fixture.interposer, &other]);
    assert_eq!(seen, "result=2 allocs=0 getenvs=1\n");
    // Before us it is called first, and its RTLD_NEXT is our wrapper.
    let (seen, _) = fixture.run("linked", "other", &[&other, &fixture.interposer]);
    assert_eq!(seen, "result=2 allocs=1 getenvs=1\n");
}

#[test]
fn a_driver_that_calls_itself_is_charged_once() {
    assert_eq!(
        Fixture::get().see("linked", "reentry"),
        "result=0 charged=100 driver_calls=2\n"
    );
}

#[test]
fn a_panic_ends_at_the_border_and_never_repeats_a_driver_call() {
    let fixture = Fixture::get();
    let (seen, errors) = fixture.run("linked", "panics", &[&fixture.interposer]);
    assert_eq!(
        seen,
        "open=13 calls=1\nafter=999 calls=1\nclosed=999 calls=0\nthen=1 quick=7\n"
    );
    assert_eq!(
        errors.matches("which is a bug in FCSP").count(),
        3,
        "{errors}"
    );
}

#[test]
fn the_redirected_c_library_functions_work() {
    // Naming the frames of a backtrace makes the standard library look at files, and end a thread's data.
    let fixture = Fixture::get();
    let output = Command::new(fixture.directory.join("linked"))
        .arg("panics")
        .env("LD_LIBRARY_PATH", &fixture.directory)
        .env("LD_PRELOAD", &fixture.interposer)
        .env("RUST_BACKTRACE", "1")
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    assert!(
        errors.contains("fcsp_example::launch"),
        "a named frame: {errors}"
    );
}

#[test]
fn lookups_of_other_names_are_as_without_us() {
    let fixture = Fixture::get();
    assert_eq!(
        fixture.see("client", "strangers"),
        fixture.run("client", "strangers", &[]).0
    );
}
