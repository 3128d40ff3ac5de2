//! C programs, as anybody would write them, on the real loader with its validation layer.
//!
//! They need Debian's `libze1` and `libze-dev`, or the same from elsewhere; without them every test here says so and
//! passes. `FCSP_ZE_LOADER_DIR` names a directory with another version of the loader to run them on.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

mod support;

/// Why the programs cannot be built here; nothing if they can.
fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<&'static str>> = OnceLock::new();
    *MISSING.get_or_init(|| {
        let compiles = |source: &str, arguments: &[&str]| {
            let mut cc = Command::new("cc")
                .args(["-x", "c", "-", "-o", "/dev/null"])
                .args(arguments)
                .stdin(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("cc runs: cargo needs it to link");
            let mut input = cc.stdin.take().expect("piped");
            input.write_all(source.as_bytes()).expect("cc reads");
            drop(input);
            cc.wait().expect("cc ends").success()
        };
        if !compiles(
            "#include <level_zero/ze_api.h>\nint main(void) { return 0; }",
            &[],
        ) {
            return Some("level_zero/ze_api.h is missing (libze-dev)");
        }
        let source = "int zeInit(int); int main(void) { return zeInit(0); }";
        (!compiles(source, &["-lze_loader"]))
            .then_some("libze_loader is missing (libze1, libze-dev)")
    })
}

/// A program and a machine of its own.
struct Program {
    path: PathBuf,
    node: TempDir,
}

impl Program {
    /// Builds `programs/<name>.c`; nothing, and a line that says why, where that is not possible.
    fn build(name: &str, link: bool) -> Option<Self> {
        if let Some(reason) = missing() {
            fcsp_skipped::skip(reason);
            return None;
        }
        let node = tempfile::tempdir().expect("a temporary directory");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        let path = node.path().join(name);
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&path)
            .arg(source.join(format!("{name}.c")))
            .arg("-ldl");
        if link {
            cc.arg("-lze_loader");
        }
        assert!(
            cc.status().expect("cc runs").success(),
            "{name}.c does not compile"
        );
        Some(Self { path, node })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .env("ZE_ENABLE_ALT_DRIVERS", support::driver())
            .env("ZE_ENABLE_VALIDATION_LAYER", "1")
            .env("ZE_ENABLE_PARAMETER_VALIDATION", "1")
            .env("FCSP_SIM_DIR", self.node.path().join("sim"))
            .env_remove("ZES_ENABLE_SYSMAN");
        if let Some(directory) = std::env::var_os("FCSP_ZE_LOADER_DIR") {
            command.env("LD_LIBRARY_PATH", directory);
        }
        command
    }
}

/// Lets the validation layer follow handles, too. Up to loader 1.32 it takes immediate lists for closed ones and does
/// not know those that Sysman lists, so that it refuses what is right; programs without these can have it.
fn follow_handles(command: &mut Command) -> &mut Command {
    command.env("ZE_ENABLE_HANDLE_LIFETIME", "1")
}

/// What a program that must succeed says, with nothing on stderr: the validation layer complains there.
fn passes(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(
        status.success() && stderr.is_empty(),
        "{status}\n{stdout}\n{stderr}"
    );
    stdout.into_owned()
}

#[test]
fn lists_are_recorded_once_and_executed_many_times() {
    let Some(program) = Program::build("queues", true) else {
        return;
    };
    passes(follow_handles(&mut program.command()));
}

#[test]
fn a_loader_that_wraps_handles_changes_nothing() {
    let Some(program) = Program::build("queues", true) else {
        return;
    };
    passes(follow_handles(&mut program.command()).env("ZE_ENABLE_LOADER_INTERCEPT", "1"));
}

#[test]
fn appends_to_immediate_lists_submit() {
    let Some(program) = Program::build("immediate", true) else {
        return;
    };
    passes(&mut program.command());
}

#[test]
fn queues_wait_for_words_in_memory_and_write_them() {
    let Some(program) = Program::build("waits", true) else {
        return;
    };
    passes(follow_handles(&mut program.command()));
}

/// A compiler for OpenCL C and what turns its output into SPIR-V, of one version of LLVM.
fn opencl_to_spirv(source: &Path, to: &Path) -> Option<()> {
    let quiet = |name: &str| {
        let mut command = Command::new(name);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let there = |name: &str| {
        quiet(name)
            .arg("--version")
            .status()
            .is_ok_and(|status| status.success())
    };
    let (clang, spirv) = (14..=21)
        .map(|version| (format!("clang-{version}"), format!("llvm-spirv-{version}")))
        .find(|(clang, spirv)| there(clang) && there(spirv))?;
    let bitcode = to.with_extension("bc");
    let compiled = quiet(&clang)
        .args([
            "-c",
            "-x",
            "cl",
            "-cl-std=CL2.0",
            "-target",
            "spir64",
            "-emit-llvm",
            "-O1",
        ])
        .args(["-Xclang", "-finclude-default-header"])
        .arg(source)
        .arg("-o")
        .arg(&bitcode)
        .status();
    assert!(
        compiled.expect("clang runs").success(),
        "{clang} refuses the kernels"
    );
    let translated = quiet(&spirv).arg(&bitcode).arg("-o").arg(to).status();
    assert!(
        translated.expect("llvm-spirv runs").success(),
        "{spirv} refuses the kernels"
    );
    Some(())
}

#[test]
fn code_that_a_compiler_made_runs() {
    let Some(program) = Program::build("spirv", true) else {
        return;
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/kernels.cl");
    let module = program.node.path().join("kernels.spv");
    if opencl_to_spirv(&source, &module).is_none() {
        fcsp_skipped::skip("no clang and llvm-spirv of one version");
        return;
    }
    passes(program.command().arg(&module));
}

#[test]
fn memory_has_kinds_contents_and_an_end() {
    let Some(program) = Program::build("memory", true) else {
        return;
    };
    passes(&mut program.command());
}

#[test]
fn memory_and_events_are_shared_between_processes() {
    let Some(program) = Program::build("ipc", true) else {
        return;
    };
    passes(&mut program.command());
}

#[test]
fn sysman_answers_after_either_initialization() {
    let Some(program) = Program::build("sysman", true) else {
        return;
    };
    passes(program.command().env("ZES_ENABLE_SYSMAN", "1"));
    let said = passes(program.command().arg("init"));
    if !said.is_empty() {
        eprint!("{said}");
    }
}

#[test]
fn a_loader_that_was_opened_finds_the_devices() {
    let Some(program) = Program::build("opened", false) else {
        return;
    };
    let said = passes(follow_handles(&mut program.command()).env("FCSP_SIM_INTEL_DEVICES", "3"));
    assert!(
        said.contains("devices 3") && said.contains("(simulated)"),
        "{said}"
    );
    let said = passes(
        program
            .command()
            .env("FCSP_SIM_INTEL_DEVICES", "3")
            .env("ZE_AFFINITY_MASK", "1,2"),
    );
    assert!(said.contains("devices 2"), "{said}");
}

#[test]
fn a_node_without_devices_has_no_driver() {
    let Some(program) = Program::build("opened", false) else {
        return;
    };
    let said = passes(program.command().env("FCSP_SIM_INTEL_DEVICES", "0"));
    assert_eq!(said, "init 78000001\n", "ZE_RESULT_ERROR_UNINITIALIZED");
}

#[test]
fn processes_take_turns() {
    let Some(program) = Program::build("load", true) else {
        return;
    };
    let kernels = 150;
    let took_ms = |processes: usize| -> Vec<f64> {
        let mut all: Vec<_> = (0..processes)
            .map(|_| {
                let mut child = program
                    .command()
                    .arg(kernels.to_string())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .expect("the program starts");
                let mut out = BufReader::new(child.stdout.take().expect("piped"));
                let mut line = String::new();
                out.read_line(&mut line).expect("a line");
                assert_eq!(line, "ready\n");
                (child, out)
            })
            .collect();
        for (child, _) in &mut all {
            let mut go = child.stdin.take().expect("piped");
            go.write_all(b"\n").expect("the program reads");
        }
        all.into_iter()
            .map(|(mut child, mut out)| {
                let mut text = String::new();
                out.read_to_string(&mut text).expect("the program's answer");
                assert!(child.wait().expect("the program ends").success());
                text.trim().parse().expect("milliseconds")
            })
            .collect()
    };
    let alone_ms = took_ms(1)[0];
    assert!(alone_ms >= f64::from(kernels) * 0.99, "{alone_ms}");
    for ms in took_ms(2) {
        assert!(
            ms >= alone_ms * 1.5,
            "{ms} ms beside another, {alone_ms} alone"
        );
    }
}
