//! A load program that is read while it runs, for measurements whose end nobody knows when they begin.
//!
//! It is killed when it is dropped. Programs that end by themselves and report are a
//! [`crate::cast::Cast`]'s.

use anyhow::{Result, bail};
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns, unix_now_ms};
use fcsp_hw_tests::record::{Header, Record};
use fcsp_hw_tests::stats::Cumulative;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::child::Child;
use crate::tenant::Tenant;

/// Longer than any run.
pub const FOR_EVER_S: f64 = 1e6;
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A program writes its samples out every 50 ms.
const SAMPLES_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// Starts `tenant` as a process, waits until it is ready and lets it begin.
pub fn begin(bench: &Bench, tenant: &Tenant, run_dir: &Path) -> Result<(Child, Header)> {
    let log = bench.site.log_file(&tenant.name);
    let command = tenant.to_command(&bench.site, run_dir);
    let mut child = Child::spawn(&tenant.name, command, &log)?;
    let header = child.wait_header(Instant::now() + READY_WITHIN)?;
    child.start_at(unix_now_ms())?;
    Ok((child, header))
}

/// A program at work.
pub struct Runner {
    child: Child,
    /// What it said before it began.
    pub header: Header,
    points: Vec<(u64, u64)>,
}

impl Runner {
    /// Starts `tenant`; its command should be one that goes on [`FOR_EVER_S`].
    pub fn start(bench: &Bench, tenant: &Tenant, run_dir: &Path) -> Result<Self> {
        let (child, header) = begin(bench, tenant, run_dir)?;
        Ok(Self {
            child,
            header,
            points: Vec::new(),
        })
    }

    /// Device time it finished, over time, until now. Waits for the samples of this moment.
    pub fn work(&mut self) -> Result<Cumulative> {
        let asked_ns = now_ns();
        let deadline = Instant::now() + SAMPLES_WITHIN;
        loop {
            self.points
                .extend(self.child.news().iter().filter_map(|line| sample(line)));
            if self.points.last().is_some_and(|last| last.0 >= asked_ns) {
                return Ok(Cumulative::new(self.points.iter().copied()));
            }
            if Instant::now() > deadline {
                bail!("process {} samples no more", self.header.pid);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Forgets what is older than `ms`, so that a long run needs no more memory than a short one.
    pub fn keep_ms(&mut self, ms: u64) -> Result<()> {
        self.work()?;
        let from_ns = now_ns().saturating_sub(ms * NS_PER_MS);
        self.points.retain(|point| point.0 >= from_ns);
        Ok(())
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill_now()?;
        self.child.finish_killed(Instant::now() + READY_WITHIN)?;
        Ok(())
    }
}

fn sample(line: &str) -> Option<(u64, u64)> {
    match serde_json::from_str(line) {
        Ok(Record::Sample { t_ns, work_ns }) => Some((t_ns, work_ns)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_samples_are_points() {
        let line = r#"{"record":"sample","t_ns":5,"work_ns":7}"#;
        assert_eq!(sample(line), Some((5, 7)));
        assert_eq!(sample(r#"{"record":"start","t_ns":5,"late_ns":0}"#), None);
        assert_eq!(sample("something else"), None);
    }
}
