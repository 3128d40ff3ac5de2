//! The policy file that is edited while programs run.
//!
//! Of the processes in a run directory that go by a file, one watches it for all ([`Duty`]): a thread of it sleeps in the
//! kernel until the file is written or replaced, then puts it in force for the tenants that live
//! ([`live::put_in_force`]) and sleeps again. The same thread of every other process sleeps until the
//! watcher is gone. So an edit is in force within some tens of milliseconds, also for a program that
//! passes untouched, and programs are not woken while nobody edits anything.
//!
//! Not on the path of any call, and not in the observer: a file system that hangs must not keep a
//! gate shut.

mod notify;

use super::live::{self, Change};
use super::{Edition, Limits, Policy, edition};
use crate::region::{self, Duty, Region, RegionError};
use notify::Notifier;
use std::path::Path;
use std::time::Duration;

/// Between two looks that must agree before the file counts as written.
const SETTLE: Duration = Duration::from_millis(10);
/// Looks until a file that is being written all the time is read as it is.
const LOOKS_MAX: u32 = 10;
/// Looks until a file that is not there counts as gone: editors move the old one away first.
const LOOKS_UNTIL_GONE: u32 = 10;
/// Failures in a row after which the file is not watched any more.
const FAILURES_MAX: u32 = 3;

/// What an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tenant has other limits.
    Changed(String),
    /// It has them, and something may not be meant.
    Warning(String),
    /// The file is not in force, and what was in force before still is.
    Refused(String),
    /// Nobody watches the file on behalf of this process any more.
    Unwatched(String),
}

/// Queues among the processes of the run directory that go by the file at `path`. Does not wait yet.
///
/// # Errors
/// As [`Duty::open`], or if the system does not tell where the file is.
pub fn queue(run_dir: &Path, path: &Path) -> Result<Duty, RegionError> {
    let place = edition::place(path).map_err(|source| RegionError::Io {
        action: "find",
        path: path.to_owned(),
        source,
    })?;
    Duty::open(run_dir, &format!("policy-{place:08x}"))
}

/// Watches the policy file at `path` for the regions under `run_dir`, when it is this process's turn
/// to. `ordinal` gives the number that a device has here, by its identity. Comes back only if the file
/// cannot be watched; call it on a thread of its own. The file as it is when the watch begins is put in
/// force for tenants that have an earlier edition of it.
pub fn run(
    duty: &Duty,
    run_dir: &Path,
    path: &Path,
    ordinal: &dyn Fn(&str) -> Option<u32>,
    report: &mut dyn FnMut(Event),
) {
    let mut watch = Watch {
        run_dir,
        path,
        ordinal,
        report,
    };
    let ended = duty
        .wait()
        .map_err(|error| error.to_string())
        .and_then(|()| watch.follow().map_err(|error| error.to_string()));
    if let Err(error) = ended {
        duty.give_up();
        (watch.report)(Event::Unwatched(format!(
            "{} is not watched: {error}; changes take effect with fcsp policy apply",
            path.display()
        )));
    }
}

struct Watch<'a> {
    run_dir: &'a Path,
    path: &'a Path,
    ordinal: &'a dyn Fn(&str) -> Option<u32>,
    report: &'a mut dyn FnMut(Event),
}

impl Watch<'_> {
    /// Follows the file for ever.
    fn follow(&mut self) -> std::io::Result<()> {
        let mut notifier = Notifier::open()?;
        let mut seen = None;
        let mut failures = 0;
        loop {
            // Armed before the look: what is written after the look wakes us again.
            let waited = notifier.arm(self.path).and_then(|sees_file| {
                let now = self.settled()?;
                if seen != Some(now) {
                    self.take_over(now, seen);
                    seen = Some(now);
                }
                // It came or went since it was armed.
                if sees_file == (now != Edition::NONE) {
                    notifier.wait()?;
                }
                Ok(())
            });
            match waited {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES_MAX {
                        return Err(error);
                    }
                    notifier = Notifier::open()?;
                }
            }
        }
    }

    /// The edition at the path once it does not change from one look to the next.
    fn settled(&self) -> std::io::Result<Edition> {
        let mut last = Edition::at(self.path)?;
        let mut looks = 0;
        loop {
            std::thread::sleep(SETTLE);
            looks += 1;
            let now = Edition::at(self.path)?;
            let least = if now == Edition::NONE {
                LOOKS_UNTIL_GONE
            } else {
                1
            };
            if (now == last && looks >= least) || looks >= LOOKS_MAX {
                return Ok(now);
            }
            last = now;
        }
    }

    /// Puts edition `now` in force; `before` was seen last, `None` if this is the first look.
    fn take_over(&mut self, now: Edition, before: Option<Edition>) {
        if now == Edition::NONE {
            if before.is_some() {
                (self.report)(Event::Refused(format!(
                    "{} is gone; tenants at work keep their limits",
                    self.path.display()
                )));
            }
            return;
        }
        let concerns = |limits: &Limits| {
            let behind = limits.edition != now;
            let of_this_file = limits.edition.same_file(now);
            // A tenant that met no file follows the first that anybody edits.
            let of_none = before.is_some() && limits.edition == Edition::NONE;
            behind && (of_this_file || of_none)
        };
        let regions = match region::list(self.run_dir) {
            Ok(found) => found,
            Err(error) => return (self.report)(Event::Refused(error.to_string())),
        };
        let regions: Vec<Region> = regions
            .into_iter()
            .filter_map(|(_, region)| region.ok())
            .collect();
        let mut tenants = regions
            .iter()
            .flat_map(|region| region::scan::live_tenants(region.layout()));
        if before.is_none() && !tenants.any(|(_, page)| concerns(&Limits::load(page))) {
            return;
        }
        let result = Policy::read(self.path)
            .map_err(|error| error.to_string())
            .and_then(|policy| {
                live::put_in_force(&policy, &regions, self.ordinal, &concerns)
                    .map_err(|error| format!("{}: {error}", self.path.display()))
            });
        match result {
            Ok(changes) => changes.iter().for_each(|change| self.tell(change)),
            Err(error) => (self.report)(Event::Refused(format!(
                "{error}; what was in force before still is"
            ))),
        }
    }

    fn tell(&mut self, change: &Change<'_>) {
        if !change.is_felt() {
            return;
        }
        (self.report)(Event::Changed(format!(
            "tenant {} on {}: {}",
            change.tenant,
            change.region().device().id,
            change.describe()
        )));
        if let Some(warning) = change.over_quota() {
            (self.report)(Event::Warning(format!("tenant {warning}")));
        }
    }
}
