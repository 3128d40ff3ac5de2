//! NVIDIA's `nvidia-cuda-mps-control`: starts the daemon and carries commands to it.
//!
//! Every call has a bound: a daemon that hangs must not take its operator with it. It never runs under
//! the preload library, and no setting of this process's MPS reaches it.

use super::place::Place;
use anyhow::{Context, Result, bail};
use fcsp_backend_nvidia::partition;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "nvidia-cuda-mps-control";
/// Where drivers are installed that are not on the path of every user: by hand or by a package, in
/// containers of the device plugin, by the GPU operator, on NixOS.
const BESIDE_DRIVERS: [&str; 4] = [
    "/usr/bin",
    "/usr/local/nvidia/bin",
    "/run/nvidia/driver/usr/bin",
    "/run/opengl-driver/bin",
];
/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often to look whether a child has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The program.
#[derive(Clone, Debug)]
pub struct Control {
    binary: PathBuf,
}

impl Control {
    /// Finds it on the path, or beside a driver.
    ///
    /// # Errors
    /// If it is nowhere.
    pub fn find() -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::env::split_paths(&path);
        let found = directories
            .chain(BESIDE_DRIVERS.map(PathBuf::from))
            .map(|directory| directory.join(NAME))
            .find(|binary| binary.is_file());
        match found {
            Some(binary) => Ok(Self { binary }),
            None => bail!(
                "{NAME} is neither on the PATH nor in {}; it comes with NVIDIA's driver (package \
                 nvidia-compute-utils or nvidia-driver-cuda)",
                BESIDE_DRIVERS.join(", ")
            ),
        }
    }

    /// The program's path.
    pub fn path(&self) -> &Path {
        &self.binary
    }

    /// Starts the daemon for `devices` (all, if there are none) and waits until the starter has ended,
    /// which is before the daemon answers.
    ///
    /// # Errors
    /// If it cannot be started; with what it said.
    pub fn start(&self, place: &Place, devices: &[String], bound: Duration) -> Result<()> {
        let said = place.logs.join("start.log");
        let open =
            || File::create(&said).with_context(|| format!("cannot write {}", said.display()));
        let mut command = self.command(place);
        // To a file: the daemon keeps what it is given open, so a pipe would never end.
        command.arg("-d").stdin(Stdio::null());
        command.stdout(open()?).stderr(open()?);
        if !devices.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", devices.join(","));
        }
        let status = wait(self.spawn(&mut command)?, bound)?.1;
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        bail!(
            "{} -d ended with {status}: {}",
            self.binary.display(),
            said.trim()
        )
    }

    /// Gives the daemon of `place` a command, and its answer back.
    ///
    /// # Errors
    /// If there is no answer within a few seconds, or it refuses.
    pub fn ask(&self, place: &Place, command: &str) -> Result<String> {
        self.ask_within(place, command, ANSWER_WITHIN)
    }

    /// As [`Control::ask`], with another bound.
    pub fn ask_within(&self, place: &Place, command: &str, bound: Duration) -> Result<String> {
        let mut child = self.spawn(
            self.command(place)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that has ended already says why below.
            let _broken_pipe = writeln!(stdin, "{command}");
        }
        let (mut child, status) =
            wait(child, bound).with_context(|| format!("the MPS daemon, asked {command:?}"))?;
        let mut text = String::new();
        let mut error = String::new();
        child
            .stdout
            .take()
            .map(|mut it| it.read_to_string(&mut text))
            .transpose()?;
        child
            .stderr
            .take()
            .map(|mut it| it.read_to_string(&mut error))
            .transpose()?;
        if !status.success() {
            let said = format!("{} {}", text.trim(), error.trim());
            bail!(
                "the MPS daemon, asked {command:?}, answered with {status}: {}",
                said.trim()
            );
        }
        Ok(text)
    }

    /// The ids of its servers.
    ///
    /// # Errors
    /// As [`Control::ask`], or if the answer is not a list of ids.
    pub fn servers(&self, place: &Place) -> Result<Vec<u32>> {
        ids(&self.ask(place, "get_server_list")?)
    }

    /// The ids of the programs that a server serves.
    ///
    /// # Errors
    /// As [`Control::servers`].
    pub fn clients(&self, place: &Place, server: u32) -> Result<Vec<u32>> {
        ids(&self.ask(place, &format!("get_client_list {server}"))?)
    }

    /// The partition of clients that choose none, percent.
    ///
    /// # Errors
    /// As [`Control::ask`], or if the answer is no number.
    pub fn default_percentage(&self, place: &Place) -> Result<f64> {
        let answer = self.ask(place, "get_default_active_thread_percentage")?;
        let number = answer.trim().trim_end_matches('%').parse();
        number.with_context(|| format!("the MPS daemon answered {:?}", answer.trim()))
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env(partition::MPS_VARIABLE, &place.pipes)
            .env("CUDA_MPS_LOG_DIRECTORY", &place.logs);
        let ours = |name: &OsString| {
            let name = name.to_string_lossy();
            let kept = name.as_ref() == partition::MPS_VARIABLE || name == "CUDA_MPS_LOG_DIRECTORY";
            name == "LD_PRELOAD"
                || name == "CUDA_VISIBLE_DEVICES"
                || (name.starts_with("CUDA_MPS_") && !kept)
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Child> {
        let spawned = command.spawn();
        spawned.with_context(|| format!("{} cannot be started", self.binary.display()))
    }
}

/// Waits for a child; kills it at the bound.
fn wait(mut child: Child, bound: Duration) -> Result<(Child, ExitStatus)> {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((child, status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("no answer within {} s", bound.as_secs_f64());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Process ids, one a line.
fn ids(text: &str) -> Result<Vec<u32>> {
    let parse = |line: &str| {
        let id = line.parse();
        id.with_context(|| format!("the MPS daemon answered {line:?} where an id was expected"))
    };
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_list_of_ids_or_an_error() {
        assert!(ids("").expect("nobody").is_empty());
        assert_eq!(ids("12\n  7\n\n").expect("two"), [12, 7]);
        for text in ["Cannot find MPS control daemon process", "-1", "4294967296"] {
            assert!(ids(text).is_err(), "{text}");
        }
    }
}
