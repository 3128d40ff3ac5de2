//! Makes a program a client of the run directory's daemon.

use super::place::{Place, State};
use fcsp_backend_nvidia::partition::MPS_VARIABLE;
use fcsp_core::policy::{Policy, Sharing};
use std::path::Path;
use std::process::Command;

/// Lets `command`, which uses simulated devices or real ones, run beside the others if MPS was started
/// in `run_dir`, unless its user has chosen another daemon or the policy wants turns on every device.
/// The size of its partition is the preload library's to set.
pub fn join(command: &mut Command, run_dir: &Path, simulated: bool, policy: Option<&Policy>) {
    let Ok(place) = Place::in_run_dir(run_dir) else {
        return;
    };
    match (place.state(), simulated) {
        (State::Running, false) | (State::Simulated, true) => {}
        (State::Foreign(uid), _) => {
            let pipes = place.pipes.display();
            tracing::warn!("{pipes} belongs to user {uid}: the program does not use MPS there");
            return;
        }
        _ => return,
    }
    if let Some(chosen) = std::env::var_os(MPS_VARIABLE).filter(|it| !it.is_empty()) {
        tracing::info!(
            "{MPS_VARIABLE}={} is left as it is",
            chosen.to_string_lossy()
        );
        return;
    }
    if policy.is_some_and(wants_turns_everywhere) {
        tracing::info!("the policy says sharing = \"exclusive\": the program is no client of MPS");
        return;
    }
    command.env(MPS_VARIABLE, &place.pipes);
    if simulated {
        command.env("FCSP_SIM_MPS", "1");
    }
}

fn wants_turns_everywhere(policy: &Policy) -> bool {
    let exclusive = |sharing: Option<Sharing>| sharing == Some(Sharing::Exclusive);
    let mut of_devices = policy
        .devices
        .values()
        .filter(|device| device.sharing.is_some());
    exclusive(policy.sharing) && of_devices.all(|device| exclusive(device.sharing))
}
