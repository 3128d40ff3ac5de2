//! `fcsp mps` over a fake of NVIDIA's control program (`fake/`).

use crate::node::{stderr, stdout};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Directory of the fake.
pub const FAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/fake");

/// A run directory in which MPS is started and stopped; stopped by force at the end.
pub struct Mps {
    /// Its run directory.
    pub run_dir: TempDir,
}

impl Mps {
    pub fn new() -> Self {
        let run_dir = TempDir::new().expect("a temporary directory");
        Self { run_dir }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(self.run_dir.path(), FAKE, arguments)
    }

    pub fn fcsp(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("fcsp starts")
    }

    pub fn started() -> Self {
        let mps = Self::new();
        let output = mps.fcsp(&["mps", "start"]);
        assert!(output.status.success(), "{}", stderr(&output));
        mps
    }

    fn status(&self) -> serde_json::Value {
        let output = self.fcsp(&["mps", "status", "--json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.run_dir.path().join("mps").join(name)
    }

    /// Lets the fake daemon have a server with these clients.
    fn serve(&self, server: u32, clients: &str) {
        fs::write(self.path("pipe/servers"), format!("{server}\n")).expect("writes");
        fs::write(self.path("pipe/clients"), clients).expect("writes");
    }
}

impl Drop for Mps {
    fn drop(&mut self) {
        self.fcsp(&["mps", "stop", "--force", "--purge"]);
    }
}

/// `fcsp` with that run directory, the program's directory `bin` first on the path, and no settings.
pub fn command(run_dir: &Path, bin: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fcsp"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["BUD_", "FCSP_", "CUDA_", "FAKE_"]
            .iter()
            .any(|it| name.starts_with(it))
        {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env("FCSP_RUN_DIR", run_dir)
        .env("PATH", format!("{bin}:/usr/bin:/bin"));
    command
}

/// It failed, and said that.
pub fn refused(output: &Output, with: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(with), "{with:?} is missing in {said}");
}

#[test]
fn start_comes_back_when_the_daemon_answers_and_does_nothing_twice() {
    let mps = Mps::new();
    let output = mps.fcsp(&["mps", "start"]);
    let text = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(text.starts_with("MPS daemon started (pid "), "{text}");
    assert!(
        text.contains("Shared fate: under MPS a fatal fault"),
        "{text}"
    );
    let status = mps.status();
    assert_eq!(
        (&status["running"], &status["simulated"]),
        (&true.into(), &false.into())
    );
    assert_eq!(status["default_active_thread_percentage"], 100.0);
    assert_eq!(status["servers"], serde_json::json!([]));
    let pid = status["pid"].as_u64().expect("its pid");
    let again = stdout(&mps.fcsp(&["mps", "start"]));
    assert!(
        again.starts_with(&format!("the MPS daemon runs already (pid {pid})")),
        "{again}"
    );
    assert_eq!(mps.status()["pid"], pid);
}

#[test]
fn the_daemon_has_directories_of_its_own_and_nothing_of_the_operators() {
    let mps = Mps::new();
    let output = mps
        .command(&["mps", "start"])
        .env("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "10")
        .env("CUDA_VISIBLE_DEVICES", "7")
        .env("CUDA_MPS_PIPE_DIRECTORY", "/nowhere")
        .output()
        .expect("fcsp starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let environment = fs::read_to_string(mps.path("log/environment")).expect("the fake wrote it");
    let has = |line: String| environment.lines().any(|it| it == line);
    assert!(has(format!(
        "CUDA_MPS_PIPE_DIRECTORY={}",
        mps.path("pipe").display()
    )));
    assert!(has(format!(
        "CUDA_MPS_LOG_DIRECTORY={}",
        mps.path("log").display()
    )));
    for absent in [
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
        "CUDA_VISIBLE_DEVICES",
        "LD_PRELOAD",
    ] {
        assert!(!environment.contains(absent), "{absent}");
    }
}

#[test]
fn status_names_servers_and_programs() {
    let mps = Mps::started();
    mps.serve(1234, "77\n78\n");
    let servers = mps.status()["servers"].clone();
    assert_eq!(
        servers,
        serde_json::json!([{ "pid": 1234, "clients": [77, 78] }])
    );
    let text = stdout(&mps.fcsp(&["mps", "status"]));
    assert!(text.contains("server    1234; programs: 77, 78"), "{text}");
    assert!(text.contains("Shared fate: "), "{text}");
    // What is no list of ids is no server.
    fs::write(mps.path("pipe/servers"), "who knows\n").expect("writes");
    assert_eq!(mps.status()["servers"], serde_json::json!([]));
}

#[test]
fn stop_leaves_the_logs_and_nothing_else() {
    let mps = Mps::started();
    let text = stdout(&mps.fcsp(&["mps", "stop"]));
    assert!(
        text.starts_with("MPS daemon stopped; logs are in "),
        "{text}"
    );
    assert!(!mps.path("pipe").exists() && mps.path("log/control.log").exists());
    assert_eq!(mps.status()["running"], false);
    let again = mps.fcsp(&["mps", "stop", "--purge"]);
    assert!(again.status.success());
    assert_eq!(stdout(&again), "no MPS daemon runs here\n");
    assert_eq!(fs::read_dir(mps.run_dir.path()).expect("reads").count(), 0);
}

#[test]
fn stop_waits_for_programs_and_force_does_not() {
    let mps = Mps::started();
    mps.serve(1234, "77\n");
    let output = mps.fcsp(&["mps", "stop", "--timeout", "0.3"]);
    refused(
        &output,
        "ends with those it serves: 77. fcsp mps stop --force ends them",
    );
    assert!(mps.path("pipe/control").exists(), "it still serves");
    let output = mps.fcsp(&["mps", "stop", "--force"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("ending the programs 77"),
        "{}",
        stderr(&output)
    );
    assert!(!mps.path("pipe").exists());
}

#[test]
fn a_daemon_that_is_deaf_and_serves_on_has_not_stopped() {
    let mps = Mps::new();
    let started = mps
        .command(&["mps", "start"])
        .env("FAKE_MPS", "deaf")
        .output();
    assert!(started.expect("fcsp starts").status.success());
    mps.serve(1234, "77\n");
    let output = mps.fcsp(&["mps", "stop", "--timeout", "0.5"]);
    refused(&output, "ends with those it serves: 77");
    assert!(mps.path("pipe").exists());
    assert_eq!(mps.status()["running"], false, "it listens no more");
    fs::write(mps.path("pipe/clients"), "").expect("writes");
}

#[test]
fn a_daemon_that_never_listens_is_ended() {
    let mps = Mps::new();
    let mut command = mps.command(&["mps", "start", "--timeout", "1"]);
    let output = command
        .env("FAKE_MPS", "mute")
        .output()
        .expect("fcsp starts");
    refused(&output, "nobody listens in ");
    let pid = fs::read_to_string(mps.path("log/pid")).expect("the daemon ran");
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
    // Where nobody asks for its status, it stays as a zombie.
    let ended = status.is_empty() || status.contains("State:\tZ");
    assert!(ended, "{status}");
    assert!(!mps.path("pipe").exists());
}

#[test]
fn a_daemon_that_does_not_come_is_told_with_what_it_said() {
    for (how, with) in [
        ("fails", "An instance of this daemon is already running"),
        ("silent", "nobody listens in "),
        ("hangs", "no answer within 0.5 s"),
    ] {
        let mps = Mps::new();
        let mut command = mps.command(&["mps", "start", "--timeout", "0.5"]);
        let output = command.env("FAKE_MPS", how).output().expect("fcsp starts");
        refused(&output, with);
        refused(&output, "its logs are in ");
        assert!(!mps.path("pipe").exists(), "{how}");
        assert_eq!(mps.status()["running"], false, "{how}");
    }
}

#[test]
fn without_the_control_program_start_says_where_it_looked() {
    if Path::new("/usr/bin/nvidia-cuda-mps-control").exists() {
        return;
    }
    let run_dir = TempDir::new().expect("a temporary directory");
    let output = command(run_dir.path(), "/nowhere", &["mps", "start"]).output();
    refused(
        &output.expect("fcsp starts"),
        "nvidia-cuda-mps-control is neither on the PATH nor in /usr/bin",
    );
    assert_eq!(fs::read_dir(run_dir.path()).expect("reads").count(), 0);
}

#[test]
fn a_daemon_of_somebody_else_is_not_joined_by_a_second_one() {
    let theirs = Mps::started();
    let ours = Mps::new();
    let output = ours
        .command(&["mps", "start"])
        .env("CUDA_MPS_PIPE_DIRECTORY", theirs.path("pipe"))
        .output()
        .expect("fcsp starts");
    refused(
        &output,
        "an MPS daemon that is not of this run directory listens in ",
    );
    assert!(!ours.path("pipe").exists());
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let mps = Mps::new();
    let long = mps.run_dir.path().join("x".repeat(90));
    fs::create_dir(&long).expect("a directory");
    let output = mps.fcsp(&["mps", "start", "--run-dir", long.to_str().expect("UTF-8")]);
    refused(
        &output,
        "bytes too long for a socket; use a shorter run directory",
    );
    for bad in [["--timeout", "0"], ["--timeout", "x"], ["--timeout", "-1"]] {
        let output = mps.fcsp(&["mps", "start", bad[0], bad[1]]);
        assert_eq!(output.status.code(), Some(2), "{bad:?}");
    }
    let output = mps.fcsp(&["mps", "start", "--simulated", "--devices", "0"]);
    assert_eq!(output.status.code(), Some(2));
    let unwritable = mps.fcsp(&["mps", "start", "--run-dir", "/proc"]);
    refused(
        &unwritable,
        "MPS needs a run directory that this user can write",
    );
}

#[test]
fn on_simulated_devices_nothing_is_started_and_all_say_so() {
    let mps = Mps::new();
    let output = mps.fcsp(&["mps", "start", "--simulated"]);
    let text = stdout(&output);
    assert!(
        text.starts_with("simulated MPS: no daemon was started."),
        "{text}"
    );
    let status = mps.status();
    assert_eq!(
        (&status["running"], &status["simulated"]),
        (&true.into(), &true.into())
    );
    assert_eq!(status["pid"], serde_json::Value::Null);
    refused(
        &mps.fcsp(&["mps", "start"]),
        "is in use for simulated devices",
    );
    let text = stdout(&mps.fcsp(&["mps", "stop"]));
    assert_eq!(text, "simulated MPS is off; no daemon ran\n");
    assert_eq!(fs::read_dir(mps.run_dir.path()).expect("reads").count(), 0);
}

#[test]
fn of_two_that_start_at_once_one_finds_the_others_daemon() {
    let mps = Mps::new();
    let start = || mps.command(&["mps", "start"]);
    let outputs = std::thread::scope(|scope| {
        let started = [(); 4].map(|()| scope.spawn(|| start().output().expect("fcsp starts")));
        started.map(|it| it.join().expect("runs"))
    });
    let said: Vec<String> = outputs.iter().map(stdout).collect();
    let count = |what: &str| said.iter().filter(|text| text.starts_with(what)).count();
    assert_eq!(
        (
            count("MPS daemon started"),
            count("the MPS daemon runs already")
        ),
        (1, 3),
        "{said:?}"
    );
    let held = fs::File::open(mps.run_dir.path()).expect("opens");
    held.lock().expect("locks");
    let late = mps.fcsp(&["mps", "stop", "--timeout", "0.2"]);
    refused(&late, "another fcsp mps start or stop is at work");
    drop(held);
}

#[test]
fn simulated_devices_have_no_daemon_to_be_started() {
    let mps = Mps::new();
    let fcsp = crate::demo::installed();
    let tree = fcsp.ancestors().nth(2).expect("an install tree");
    let on_simulated = |arguments: &[&str]| {
        let mut command = mps.command(arguments);
        command.env("LD_LIBRARY_PATH", tree.join("lib/sim"));
        command.env("FCSP_SIM_DIR", mps.run_dir.path().join("sim"));
        command.output().expect("fcsp starts")
    };
    refused(
        &on_simulated(&["mps", "start"]),
        "(simulated) has no MPS daemon; fcsp mps start --simulated lets the programs on it run",
    );
    assert!(!mps.path("pipe").exists());
    let found = |with: &str| {
        let text = stdout(&on_simulated(&["doctor"]));
        let line = text.lines().find(|line| line.contains("  MPS  "));
        assert!(line.is_some_and(|line| line.contains(with)), "{text}");
    };
    found("not active: programs take turns");
    assert!(
        on_simulated(&["mps", "start", "--simulated"])
            .status
            .success()
    );
    found("simulated MPS is on: programs run together; under MPS a fatal fault");
}
