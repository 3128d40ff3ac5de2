//! Who else is there while a program is looked at: somebody who looks at the device's memory from outside every tenant, and a
//! tenant that keeps the device busy.

use anyhow::{Context, Result};
use fcsp_hw_tests::clock::{now_ns, unix_now_ms};
use fcsp_hw_tests::record::Record;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::child::Child;
use crate::programs::{Program, SATURATE};
use crate::tenant::{Limits, Sharing, Tenant};

/// Of each tenant; the active ones share the device equally.
pub const SHARE_PCT: u32 = 20;
const WATCH: Program = Program {
    name: "watch",
    args: &["watch", "--sample-ms", "5"],
};
/// Longer than any run; both are killed when they are no longer needed.
const FOR_S: f64 = 3_600.0;
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Looks at the device's memory every 5 ms. Ends when dropped.
pub struct Witness {
    child: Child,
    samples: Vec<(u64, u64)>,
}

impl Witness {
    /// Begins to look.
    pub fn start(bench: &Bench, run_dir: &Path) -> Result<Self> {
        let command = bench.command(&WATCH, FOR_S, &[]);
        let tenant = Tenant::new("witness", Sharing::Native, command);
        Ok(Self {
            child: begin(bench, &tenant, run_dir)?,
            samples: Vec::new(),
        })
    }

    /// The most memory in use in the time from `from_ns` to `to_ns`, less what is in use now.
    pub fn peak_above_now(&mut self, from_ns: u64, to_ns: u64) -> Result<u64> {
        let asked_ns = now_ns();
        let deadline = Instant::now() + READY_WITHIN;
        while self.samples.last().is_none_or(|&(t_ns, _)| t_ns < asked_ns) {
            anyhow::ensure!(Instant::now() < deadline, "the witness looks no more");
            let news = self.child.news();
            self.samples
                .extend(news.iter().filter_map(|line| sample(line)));
            std::thread::sleep(Duration::from_millis(5));
        }
        peak_above_last(&self.samples, from_ns, to_ns)
    }
}

fn sample(line: &str) -> Option<(u64, u64)> {
    match serde_json::from_str(line) {
        Ok(Record::DeviceMemory { t_ns, used_bytes }) => Some((t_ns, used_bytes)),
        _ => None,
    }
}

fn peak_above_last(samples: &[(u64, u64)], from_ns: u64, to_ns: u64) -> Result<u64> {
    let within = samples
        .iter()
        .filter(|(t_ns, _)| (from_ns..=to_ns).contains(t_ns));
    let peak = within.map(|&(_, used_bytes)| used_bytes).max();
    let peak = peak.context("the witness did not look in that time")?;
    let (_, now) = samples.last().context("the witness never looked")?;
    Ok(peak.saturating_sub(*now))
}

/// Keeps the device busy as a tenant of its own, until dropped.
pub struct Neighbour {
    // Held for its end.
    _child: Child,
}

impl Neighbour {
    /// Begins to work.
    pub fn start(bench: &Bench, run_dir: &Path) -> Result<Self> {
        let tenant = bench.limited("neighbour", Limits::share(SHARE_PCT), &SATURATE, FOR_S);
        let child = begin(bench, &tenant, run_dir)?;
        // Until it has work in flight.
        std::thread::sleep(Duration::from_millis(300));
        Ok(Self { _child: child })
    }
}

fn begin(bench: &Bench, tenant: &Tenant, run_dir: &Path) -> Result<Child> {
    let log = bench.site.log_file(&tenant.name);
    let command = tenant.to_command(&bench.site, run_dir);
    let mut child = Child::spawn(&tenant.name, command, &log)?;
    child.wait_header(Instant::now() + READY_WITHIN)?;
    child.start_at(unix_now_ms())?;
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_what_was_given_back_after_it() {
        let samples = [(10, 100), (20, 700), (30, 650), (40, 300)];
        assert_eq!(peak_above_last(&samples, 15, 35).expect("two looks"), 400);
        assert_eq!(peak_above_last(&samples, 5, 12).expect("one look"), 0);
        assert!(peak_above_last(&samples, 21, 29).is_err());
        assert!(peak_above_last(&[], 0, 50).is_err());
    }

    #[test]
    fn samples_are_found_among_other_lines() {
        let line = r#"{"record":"device_memory","t_ns":5,"used_bytes":7}"#;
        assert_eq!(sample(line), Some((5, 7)));
        assert_eq!(sample("something else"), None);
    }
}
