//! `fcsp mps start`.

use super::control::Control;
use super::place::{Place, State};
use super::{SHARED_FATE, status};
use crate::exit::Outcome;
use anyhow::{Context, Result, bail};
use fcsp_backend_nvidia::Nvidia;
use fcsp_backend_nvidia::partition::{self, MpsDaemon};
use fcsp_core::backend::{DeviceInfo, GpuBackend};
use std::io::Write;
use std::time::{Duration, Instant};

/// How long a daemon that does not answer is given to end before it is made to.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Starts the daemon unless it runs, and waits until it answers.
pub fn daemon(place: &Place, devices: &[String], bound: Duration) -> Result<Outcome> {
    let _alone = place.lock(bound)?;
    match place.state() {
        State::Running => return already(place),
        State::Simulated => bail!(
            "{} is in use for simulated devices; fcsp mps stop ends that",
            place.pipes.display()
        ),
        other => refuse(place, other)?,
    }
    if let Some(directory) = status::elsewhere(place) {
        bail!(
            "an MPS daemon that is not of this run directory listens in {}; two would not share a \
             device. Use that one (programs find it by {}), or stop it first",
            directory.display(),
            partition::MPS_VARIABLE
        );
    }
    let control = Control::find()?;
    let devices = check_devices(devices)?;
    place.make()?;
    tracing::info!(
        "{} -d, pipes in {}",
        control.path().display(),
        place.pipes.display()
    );
    let started = Instant::now();
    if let Err(error) = control
        .start(place, &devices, bound)
        .and_then(|()| answers(&control, place, bound.saturating_sub(started.elapsed())))
    {
        // Nothing is left for programs to find, but why it failed is.
        if place.state() != State::Running {
            end_daemon(place);
            place.remove_pipes()?;
        }
        return Err(error.context(format!(
            "the MPS daemon did not start; its logs are in {}",
            place.logs.display()
        )));
    }
    let serves = match devices.len() {
        0 => "all devices".to_owned(),
        _ => devices.join(", "),
    };
    let pid = place
        .pid()
        .map_or(String::new(), |pid| format!(" (pid {pid})"));
    writeln!(
        std::io::stdout(),
        "MPS daemon started{pid} for {serves}; pipes in {}, logs in {}\n\
         Programs started with fcsp run from now on run together. Those that run already go on as they \
         are, and while one of them is on a device, its programs take turns.\n\
         Shared fate: {SHARED_FATE}.",
        place.pipes.display(),
        place.logs.display()
    )?;
    Ok(Outcome::Good)
}

/// Lets the programs of simulated devices run together.
pub fn simulated(place: &Place, bound: Duration) -> Result<Outcome> {
    let _alone = place.lock(bound)?;
    match place.state() {
        State::Running => bail!(
            "an MPS daemon for real devices runs in {}",
            place.pipes.display()
        ),
        State::Simulated => return already(place),
        other => refuse(place, other)?,
    }
    place.make()?;
    place.mark_simulated()?;
    writeln!(
        std::io::stdout(),
        "simulated MPS: no daemon was started. Programs started with fcsp run --simulated from now on \
         run together on the simulated device, once those on it have ended.\n\
         Shared fate, which is not simulated: {SHARED_FATE}."
    )?;
    Ok(Outcome::Good)
}

fn already(place: &Place) -> Result<Outcome> {
    let what = match place.state() {
        State::Simulated => "simulated MPS is on already".to_owned(),
        _ => {
            let pid = place
                .pid()
                .map_or(String::new(), |pid| format!(" (pid {pid})"));
            format!("the MPS daemon runs already{pid}")
        }
    };
    writeln!(std::io::stdout(), "{what} in {}", place.pipes.display())?;
    Ok(Outcome::Good)
}

/// Refuses where another user was first.
pub fn refuse(place: &Place, state: State) -> Result<()> {
    match state {
        State::Foreign(uid) => bail!(
            "{} belongs to user {uid}, who alone can start and stop MPS there; use another run \
             directory (--run-dir)",
            place.pipes.display()
        ),
        State::Denied => bail!(
            "an MPS daemon runs in {}, and this user may not talk to it; it was started by another \
             user, probably root",
            place.pipes.display()
        ),
        State::Stopped | State::Running | State::Simulated => Ok(()),
    }
}

/// The identities of the devices that are asked for; none for all. Refuses those that MPS cannot serve
/// as a whole.
fn check_devices(asked: &[String]) -> Result<Vec<String>> {
    let nvidia = match Nvidia::open() {
        Ok(nvidia) => nvidia,
        Err(error) if asked.is_empty() => {
            tracing::warn!("the devices were not looked at: {error}");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).context("--devices cannot be checked"),
    };
    let present = nvidia.devices()?;
    if let Some(device) = present.iter().find(|device| device.simulated) {
        bail!(
            "{} has no MPS daemon; fcsp mps start --simulated lets the programs on it run together",
            device.name
        );
    }
    let chosen = choose(asked, &present)?;
    for device in present
        .iter()
        .filter(|it| chosen.is_empty() || chosen.contains(&it.id))
    {
        if nvidia.setup(&device.id)?.mig == Some(true) {
            bail!(
                "MIG is on for {} ({}); fcsp manages MPS for whole devices only. Leave it out with \
                 --devices, or switch MIG off",
                device.id,
                device.name
            );
        }
    }
    Ok(chosen)
}

/// The identities of `asked`, which are numbers or identities, among those `present`.
fn choose(asked: &[String], present: &[DeviceInfo]) -> Result<Vec<String>> {
    let choose = |asked: &String| {
        let asked = asked.trim();
        let by_number = asked
            .parse()
            .ok()
            .and_then(|number: usize| present.get(number));
        let device = by_number.or_else(|| present.iter().find(|device| device.id == asked));
        device.map(|device| device.id.clone()).with_context(|| {
            let known = present.iter().map(|device| device.id.as_str());
            let known: Vec<&str> = known.collect();
            format!(
                "there is no device {asked:?}; there are {}",
                known.join(", ")
            )
        })
    };
    asked.iter().map(choose).collect()
}

/// Waits until the daemon answers a question.
fn answers(control: &Control, place: &Place, bound: Duration) -> Result<()> {
    let deadline = Instant::now() + bound;
    loop {
        let last = match partition::mps_daemon(&place.pipes) {
            MpsDaemon::Listening => match control.default_percentage(place) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            },
            found => anyhow::anyhow!("nobody listens in {} ({found:?})", place.pipes.display()),
        };
        if Instant::now() >= deadline {
            return Err(last.context(format!("no answer within {} s", bound.as_secs_f64())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends a daemon that was started and does not answer: nobody could stop it without its pipes.
fn end_daemon(place: &Place) {
    let deadline = Instant::now() + END_WITHIN;
    while let Some(pid) = place.pid() {
        let signal = if Instant::now() < deadline {
            libc::SIGTERM
        } else {
            libc::SIGKILL
        };
        // SAFETY: sends a signal to the process that the daemon's own file names and that has its name.
        if unsafe { libc::kill(pid.cast_signed(), signal) } != 0 || signal == libc::SIGKILL {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fcsp_core::backend::{SharingMode, Vendor};

    fn device(id: &str) -> DeviceInfo {
        DeviceInfo {
            vendor: Vendor::Nvidia,
            id: id.into(),
            name: "some".into(),
            total_bytes: 1,
            sharing: SharingMode::Exclusive,
            simulated: false,
        }
    }

    #[test]
    fn devices_are_chosen_by_number_or_identity() {
        let present = [device("GPU-a"), device("GPU-b")];
        let choose = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|it| (*it).to_owned()).collect();
            super::choose(&asked, &present)
        };
        assert_eq!(choose(&[]).expect("all"), Vec::<String>::new());
        assert_eq!(choose(&["1", "GPU-a"]).expect("both"), ["GPU-b", "GPU-a"]);
        for unknown in ["2", "GPU-c", "", "-1"] {
            let error = choose(&[unknown]).expect_err("absent").to_string();
            assert!(error.ends_with("there are GPU-a, GPU-b"), "{error}");
        }
    }
}
