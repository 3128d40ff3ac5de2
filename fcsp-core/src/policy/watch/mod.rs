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

use super::edition::{self, Found};
use super::live::{self, Change};
use super::{Edition, Limits, Policy};
use crate::region::{self, Duty, Region, RegionError};
use notify::{News, Notifier};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// A file that nobody was seen to finish is read when it has been the same for so long.
const SETTLE: Duration = Duration::from_millis(1);
/// The same for one that somebody was seen to make. Whoever made it closes it, which ends this.
const SETTLE_NEW: Duration = Duration::from_millis(10);
/// An empty file, or none, for so long is meant: editors move the old one away first, and open the
/// new one before they write.
const SETTLE_BLANK: Duration = Duration::from_millis(100);
/// A file that is being written all the time is read as it is after so long.
const SETTLE_MAX: Duration = Duration::from_millis(500);
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
        failures: 0,
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

/// How long an edition must have been at the path before it is read.
fn settle(found: Found, news: News) -> Duration {
    match news {
        _ if found.blank => SETTLE_BLANK,
        News::Written => Duration::ZERO,
        News::Begun => SETTLE_NEW,
        News::Stirred => SETTLE,
    }
}

/// An edition that may not be finished.
#[derive(Clone, Copy)]
struct Unsettled {
    edition: Edition,
    /// When it was first seen.
    since: Instant,
    /// When the edition before was last seen.
    begun: Instant,
}

impl Unsettled {
    /// The same if the edition is still `now`.
    fn since(before: Option<Self>, now: Edition) -> Self {
        let since = Instant::now();
        match before {
            Some(same) if same.edition == now => same,
            _ => Self {
                edition: now,
                since,
                begun: before.map_or(since, |before| before.begun),
            },
        }
    }

    /// How much longer it must be the same.
    fn left(self, settle: Duration) -> Duration {
        let settle = settle.saturating_sub(self.since.elapsed());
        settle.min(SETTLE_MAX.saturating_sub(self.begun.elapsed()))
    }
}

struct Watch<'a> {
    run_dir: &'a Path,
    path: &'a Path,
    ordinal: &'a dyn Fn(&str) -> Option<u32>,
    report: &'a mut dyn FnMut(Event),
    /// So often in a row.
    failures: u32,
}

impl Watch<'_> {
    /// Follows the file for ever.
    fn follow(&mut self) -> io::Result<()> {
        let mut notifier = Notifier::open()?;
        let mut seen = None;
        loop {
            match self.next(&mut notifier, seen) {
                Ok(now) => {
                    self.take_over(now, seen);
                    seen = Some(now);
                }
                Err(error) => {
                    self.failures += 1;
                    if self.failures == FAILURES_MAX {
                        return Err(error);
                    }
                    notifier = Notifier::open()?;
                }
            }
        }
    }

    /// Waits until the file has another edition than was `seen`, which its writer has finished.
    fn next(&mut self, notifier: &mut Notifier, seen: Option<Edition>) -> io::Result<Edition> {
        let mut news = None;
        let mut unsettled: Option<Unsettled> = None;
        loop {
            // Armed before the look: what is written after the look wakes us again.
            let sees_file = notifier.arm(self.path)?;
            let found = Found::at(self.path)?;
            let now = found.edition;
            if sees_file != (now != Edition::NONE) {
                // It came or went since it was armed.
                continue;
            }
            let at_most = if seen == Some(now) {
                if news.is_some() {
                    // Of something else. Others may make many files in the directory.
                    std::thread::sleep(SETTLE);
                }
                unsettled = None;
                None
            } else {
                let since = Unsettled::since(unsettled, now);
                let left = if seen.is_none() && now == Edition::NONE {
                    // There was none before either.
                    Duration::ZERO
                } else {
                    since.left(settle(found, news.unwrap_or(News::Stirred)))
                };
                if left.is_zero() {
                    return Ok(now);
                }
                unsettled = Some(since);
                Some(left)
            };
            news = notifier.wait(at_most)?.or(news);
            self.failures = 0;
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
        let policy = Policy::read(self.path);
        let is_of = match &policy {
            Ok(policy) => policy.edition,
            // It does not say of which text.
            Err(_) => Found::at(self.path).map_or(now, |found| found.edition),
        };
        if is_of != now {
            // Somebody writes it again, which wakes us.
            return;
        }
        let result = policy
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
