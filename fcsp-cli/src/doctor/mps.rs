//! Whether programs run together under MPS, and whether that is what the policy wants.

use super::Check;
use crate::mps::{Place, SHARED_FATE, State};
use crate::regions::RunDirArg;
use fcsp_backend_nvidia::partition;
use fcsp_core::policy::{Policy, Sharing};

/// What was found of MPS.
pub struct Found {
    /// Whether a daemon listens, ours or where this environment's programs look for one.
    pub listens: bool,
    /// Where.
    place: String,
    state: Option<State>,
}

impl Found {
    /// Looks for the daemon of the run directory, and for one of the environment.
    pub fn look(run_dir: &RunDirArg) -> Self {
        let place = run_dir.path().and_then(|it| Place::in_run_dir(&it)).ok();
        let state = place.as_ref().map(Place::state);
        let directory = partition::mps_directory();
        let (listens, place) = match (&place, state) {
            (Some(place), Some(State::Running)) => (true, place.pipes.display().to_string()),
            _ => (
                partition::mps_is_active(&directory),
                directory.display().to_string(),
            ),
        };
        Self {
            listens,
            place,
            state,
        }
    }

    /// The findings. On simulated devices only what stands for a daemon counts.
    pub fn checks(&self, simulated: bool) -> Vec<Check> {
        let name = "MPS";
        let on = match simulated {
            true => self.state == Some(State::Simulated),
            false => self.listens,
        };
        let found = match (on, simulated) {
            (true, true) => format!("simulated MPS is on: programs run together; {SHARED_FATE}"),
            (true, false) => {
                format!(
                    "active in {}: its programs run together; {SHARED_FATE}",
                    self.place
                )
            }
            (false, _) => "not active: programs take turns".to_owned(),
        };
        let mut checks = vec![Check::ok(name, found)];
        if !on && wants_concurrent() {
            checks.push(Check::warn(
                name,
                "the policy says sharing = \"concurrent\", and programs take turns",
                "fcsp mps start, then start programs with fcsp run; docs/sharing.md says what that risks",
            ));
        }
        if let Some(State::Foreign(uid)) = self.state {
            checks.push(Check::warn(
                name,
                format!("the MPS directory in the run directory belongs to user {uid}"),
                "programs of this user do not use it; remove it, or use another run directory",
            ));
        }
        checks
    }
}

fn wants_concurrent() -> bool {
    // One that cannot be read is another check's.
    let policy = Policy::find().unwrap_or_default();
    policy.is_some_and(|policy| {
        let of_devices = policy.devices.values().map(|device| device.sharing);
        of_devices
            .chain([policy.sharing])
            .any(|sharing| sharing == Some(Sharing::Concurrent))
    })
}
