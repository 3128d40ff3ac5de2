//! `fcsp mps stop`.

use super::control::Control;
use super::place::{Place, State, is_daemon};
use super::{start, status};
use crate::exit::Outcome;
use anyhow::Result;
use std::io::Write;
use std::time::{Duration, Instant};

/// Longest wait for servers that are ended by force, before the daemon ends them with a signal.
const FORCE_AFTER_S: u64 = 2;

/// Stops the daemon, or what stands for one, and removes its pipes.
pub fn stop(place: &Place, force: bool, purge: bool, bound: Duration) -> Result<Outcome> {
    let _alone = place.lock(bound)?;
    let state = place.state();
    start::refuse(place, state)?;
    let did = match state {
        State::Running => {
            if let Err(waits_for) = quit(place, force, bound)? {
                eprintln!(
                    "fcsp: the MPS daemon takes no new programs and ends with those it serves: {}. \
                     fcsp mps stop --force ends them",
                    show(&waits_for)
                );
                return Ok(Outcome::Bad);
            }
            "MPS daemon stopped"
        }
        State::Simulated => "simulated MPS is off; no daemon ran",
        _ => "no MPS daemon runs here",
    };
    place.remove_pipes()?;
    if purge || !place.has_logs() {
        place.remove_logs()?;
    }
    let logs = if place.has_logs() {
        format!("; logs are in {}", place.logs.display())
    } else {
        String::new()
    };
    writeln!(std::io::stdout(), "{did}{logs}")?;
    Ok(Outcome::Good)
}

/// Asks the daemon to end and waits for that. If it does not end within the bound: the programs it
/// served when it was asked.
fn quit(place: &Place, force: bool, bound: Duration) -> Result<Result<(), Vec<u32>>> {
    let control = Control::find()?;
    let pid = place.pid();
    let clients = status::all_clients(&control, place);
    let deadline = Instant::now() + bound;
    let command = if force {
        if !clients.is_empty() {
            tracing::warn!("ending the programs {}", show(&clients));
        }
        format!("quit -t {FORCE_AFTER_S}")
    } else {
        "quit".to_owned()
    };
    // Some versions answer at once, others when the last program has ended: the end is what counts.
    if let Err(error) = control.ask_within(place, &command, bound) {
        tracing::info!("{error:#}");
    }
    // It may stop listening first and serve until its programs have ended.
    while place.state() == State::Running || pid.is_some_and(is_daemon) {
        if Instant::now() >= deadline {
            return Ok(Err(clients));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Ok(()))
}

fn show(pids: &[u32]) -> String {
    if pids.is_empty() {
        return "none that it names".to_owned();
    }
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    pids.join(", ")
}
