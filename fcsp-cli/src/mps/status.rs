//! `fcsp mps status`, and what other subcommands ask about the daemon.

use super::SHARED_FATE;
use super::control::Control;
use super::place::{Place, State};
use crate::exit::Outcome;
use anyhow::Result;
use fcsp_backend_nvidia::Nvidia;
use fcsp_backend_nvidia::partition::{self, MpsDaemon};
use fcsp_core::backend::GpuBackend;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// All that is known about MPS in a run directory.
#[derive(Debug, Serialize)]
struct Status {
    /// Whether programs that fcsp starts here run together.
    running: bool,
    /// Whether that is on simulated devices only; no daemon runs then.
    simulated: bool,
    /// Why nothing more is known, if this user may not ask.
    refused: Option<String>,
    /// The daemon.
    pid: Option<u32>,
    pipe_directory: PathBuf,
    log_directory: PathBuf,
    /// Partition of programs that choose none.
    default_active_thread_percentage: Option<f64>,
    /// Devices it serves, by identity; `null` if that is not known.
    devices: Option<Vec<String>>,
    /// Its servers: one for each user whose programs run; none before the first program.
    servers: Vec<Server>,
    /// Where a daemon listens that is not of this run directory.
    elsewhere: Option<PathBuf>,
    shared_fate: &'static str,
}

/// A server and whom it serves.
#[derive(Debug, Serialize)]
struct Server {
    pid: u32,
    clients: Vec<u32>,
}

/// Shows it.
pub fn show(place: &Place, json: bool) -> Result<Outcome> {
    let status = look(place);
    let mut stdout = std::io::stdout();
    if json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        write!(stdout, "{}", render(&status))?;
    }
    Ok(Outcome::Good)
}

/// The daemon's servers, as text for people: `MPS server 1234`. `None` if no daemon of this run
/// directory or environment can be asked.
pub fn servers(run_dir: &Path) -> Option<String> {
    let place = Place::in_run_dir(run_dir).ok()?;
    match place.state() {
        State::Simulated => return Some("simulated MPS".to_owned()),
        State::Running => {}
        _ => return None,
    }
    let asked = Control::find().and_then(|control| control.servers(&place));
    let servers = asked.map_err(|error| tracing::debug!("{error:#}")).ok()?;
    let servers: Vec<String> = servers.iter().map(u32::to_string).collect();
    (!servers.is_empty()).then(|| format!("MPS server {}", servers.join(", ")))
}

/// Where a daemon listens that is not of `place`: where this environment's programs look for one, or
/// where all do by default.
pub fn elsewhere(place: &Place) -> Option<PathBuf> {
    let default = PathBuf::from(partition::MPS_DIRECTORY);
    [partition::mps_directory(), default]
        .into_iter()
        .filter(|directory| *directory != place.pipes)
        .find(|directory| {
            let found = partition::mps_daemon(directory);
            matches!(found, MpsDaemon::Listening | MpsDaemon::Denied)
        })
}

/// Every program that the daemon serves; none if it does not say.
pub fn all_clients(control: &Control, place: &Place) -> Vec<u32> {
    let servers = servers_of(control, place);
    servers
        .into_iter()
        .flat_map(|server| server.clients)
        .collect()
}

fn servers_of(control: &Control, place: &Place) -> Vec<Server> {
    let said = |error: &anyhow::Error| tracing::warn!("{error:#}");
    let servers = control.servers(place).inspect_err(said).unwrap_or_default();
    let server = |pid| Server {
        pid,
        clients: control
            .clients(place, pid)
            .inspect_err(said)
            .unwrap_or_default(),
    };
    servers.into_iter().map(server).collect()
}

fn look(place: &Place) -> Status {
    let state = place.state();
    let mut status = Status {
        running: matches!(state, State::Running | State::Simulated),
        simulated: state == State::Simulated,
        refused: super::start::refuse(place, state)
            .err()
            .map(|error| error.to_string()),
        pid: None,
        pipe_directory: place.pipes.clone(),
        log_directory: place.logs.clone(),
        default_active_thread_percentage: None,
        devices: None,
        servers: Vec::new(),
        elsewhere: elsewhere(place),
        shared_fate: SHARED_FATE,
    };
    if state != State::Running {
        return status;
    }
    status.pid = place.pid();
    status.devices = devices(status.pid);
    match Control::find() {
        Ok(control) => {
            let percentage = control.default_percentage(place);
            status.default_active_thread_percentage = percentage
                .inspect_err(|error| tracing::warn!("{error:#}"))
                .ok();
            status.servers = servers_of(&control, place);
        }
        Err(error) => tracing::warn!("{error:#}"),
    }
    status
}

/// The devices of the daemon: those of the environment it was started with, else all.
fn devices(pid: Option<u32>) -> Option<Vec<String>> {
    let environment = std::fs::read(format!("/proc/{}/environ", pid?)).ok()?;
    let chosen = environment.split(|byte| *byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(b"CUDA_VISIBLE_DEVICES=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    });
    match chosen {
        Some(list) => Some(list.split(',').map(str::to_owned).collect()),
        None => {
            let devices = Nvidia::open().and_then(|nvidia| nvidia.devices()).ok()?;
            Some(devices.into_iter().map(|device| device.id).collect())
        }
    }
}

fn render(status: &Status) -> String {
    let mut lines = Vec::new();
    let pipes = status.pipe_directory.display();
    if let Some(refused) = &status.refused {
        lines.push(refused.clone());
    } else if status.simulated {
        lines.push(format!(
            "simulated MPS is on in {pipes}: programs of fcsp run --simulated run together; no daemon runs"
        ));
    } else if status.running {
        let pid = status.pid.map_or("its pid is not known".to_owned(), |pid| {
            format!("pid {pid}")
        });
        lines.push(format!("MPS daemon runs, {pid}; pipes in {pipes}"));
        lines.push(format!("  logs      {}", status.log_directory.display()));
        let devices = status.devices.as_ref().map(|devices| devices.join(", "));
        lines.push(format!(
            "  devices   {}",
            devices.unwrap_or("not known".to_owned())
        ));
        if let Some(percentage) = status.default_active_thread_percentage {
            lines.push(format!(
                "  partition {percentage}% of a device for a program that chooses none"
            ));
        }
        if status.servers.is_empty() {
            lines.push("  servers   none: no program has come yet".to_owned());
        }
        for server in &status.servers {
            let clients: Vec<String> = server.clients.iter().map(u32::to_string).collect();
            let clients = if clients.is_empty() {
                "none".to_owned()
            } else {
                clients.join(", ")
            };
            lines.push(format!("  server    {}; programs: {clients}", server.pid));
        }
    } else {
        lines.push(format!(
            "no MPS daemon runs in {pipes}: programs take turns. fcsp mps start starts one"
        ));
    }
    if let Some(elsewhere) = &status.elsewhere {
        lines.push(format!(
            "an MPS daemon that fcsp does not manage listens in {}",
            elsewhere.display()
        ));
    }
    if status.running || status.elsewhere.is_some() {
        lines.push(format!("Shared fate: {}.", status.shared_fate));
    }
    lines.join("\n") + "\n"
}
