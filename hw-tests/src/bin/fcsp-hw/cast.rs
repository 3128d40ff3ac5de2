//! Several load programs that begin together, and what they report.

use anyhow::{Context, Result};
use fcsp_hw_tests::clock::unix_now_ms;
use fcsp_hw_tests::record::{Header, Outcome, Record, Summary, TurnCost};
use fcsp_hw_tests::stats::Cumulative;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::site::Site;
use crate::tenant::Tenant;
use crate::traces::Trace;

/// Until a program is ready: driver, context and kernel, several programs at once.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Beyond its own time: draining what is in flight and taking the context down.
const END_WITHIN: Duration = Duration::from_secs(45);
/// From "everybody is ready" to the common start.
const LEAD_MS: u64 = 100;

/// Programs that are ready, or run.
pub struct Cast<'a> {
    site: &'a Site,
    run_dir: PathBuf,
    members: Vec<(Tenant, Child, Option<Header>)>,
    trace: Option<Trace>,
}

/// What one program reported.
pub struct Reported {
    /// Its tenant's name.
    pub name: String,
    /// What it said before the start.
    pub header: Header,
    /// Device time it finished, over time.
    pub work: Cumulative,
    /// Its result; a killed program has none.
    pub summary: Option<Summary>,
}

impl Reported {
    /// The result; an error for a program that was killed.
    pub fn summary(&self) -> Result<&Summary> {
        self.summary
            .as_ref()
            .with_context(|| format!("{} wrote no summary", self.name))
    }

    /// What its mode measured.
    pub fn outcome(&self) -> Result<&Outcome> {
        Ok(&self.summary()?.outcome)
    }
}

impl<'a> Cast<'a> {
    /// Starts everybody, in a fresh run directory, and waits until all are ready.
    pub fn assemble(site: &'a Site, tenants: &[Tenant]) -> Result<Self> {
        let mut cast = Self {
            site,
            run_dir: site.fresh_run_dir()?,
            members: Vec::new(),
            trace: None,
        };
        for tenant in tenants {
            cast.enter(tenant)?;
        }
        cast.await_ready()?;
        Ok(cast)
    }

    /// Starts one more program, which shares the device with the others; it is not waited for.
    pub fn enter(&mut self, tenant: &Tenant) -> Result<()> {
        let label = format!("{}-{}", self.members.len(), tenant.name);
        let command = tenant.to_command(self.site, &self.run_dir);
        let child = Child::spawn(&label, command, &self.site.log_file(&label))?;
        self.members.push((tenant.clone(), child, None));
        Ok(())
    }

    /// Waits until all are ready.
    pub fn await_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        for (_, child, header) in &mut self.members {
            if header.is_none() {
                *header = Some(child.wait_header(deadline)?);
            }
        }
        Ok(())
    }

    /// Where they meet.
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Process ids in order of entry, of those that are ready.
    pub fn pids(&self) -> Vec<u32> {
        let headers = self
            .members
            .iter()
            .filter_map(|(_, _, header)| header.as_ref());
        headers.map(|header| header.pid).collect()
    }

    /// Lets everybody begin at one moment that is just ahead.
    pub fn start(&mut self) -> Result<()> {
        let unix_ms = unix_now_ms() + LEAD_MS;
        for (_, child, _) in &mut self.members {
            child.start_at(unix_ms)?;
        }
        self.trace = self.record();
        Ok(())
    }

    /// Records what the scheduler decides, if traces are made and it has something to decide.
    fn record(&self) -> Option<Trace> {
        let tenants = || self.members.iter().map(|(tenant, _, _)| tenant);
        let limited: Vec<&Tenant> = tenants().filter(|it| it.is_limited()).collect();
        let mut names: Vec<&str> = limited.iter().map(|it| it.name.as_str()).collect();
        names.dedup();
        if names.len() < 2 {
            return None;
        }
        let seconds = limited.iter().filter_map(|it| it.seconds());
        let seconds = seconds.reduce(f64::min);
        let traces = &self.site.traces;
        traces.record(self.site, &self.run_dir, &names, seconds)
    }

    /// Lets one member, by its order of entry, take a turn; what its calls cost.
    pub fn turn(&mut self, member: usize) -> Result<Vec<TurnCost>> {
        let (_, child, _) = self
            .members
            .get_mut(member)
            .context("there is no such member")?;
        child.turn(Instant::now() + END_WITHIN)
    }

    /// Lets the latest entrant begin at once.
    pub fn start_last(&mut self) -> Result<()> {
        let (_, child, _) = self.members.last_mut().context("nobody entered")?;
        child.start_at(unix_now_ms())
    }

    /// Kills the latest entrant, waits until it is gone and forgets it; when it was killed.
    pub fn kill_last(&mut self) -> Result<u64> {
        let (_, mut child, _) = self.members.pop().context("nobody entered")?;
        let killed_ns = child.kill_now()?;
        child.finish_killed(Instant::now() + END_WITHIN)?;
        Ok(killed_ns)
    }

    /// Waits until all have ended, at most `seconds` from now and some; what they reported.
    pub fn finish(self, seconds: f64) -> Result<Vec<Reported>> {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds) + END_WITHIN;
        let reported = self.members.into_iter().map(|(tenant, child, header)| {
            let header = header.context("finished before it was ready")?;
            let lines = child.finish(deadline)?;
            Ok(digest(tenant.name, header, &lines))
        });
        let reported = reported.collect();
        // At the latest now.
        drop(self.trace);
        reported
    }
}

/// Runs `tenants` together for `seconds`.
pub fn together(site: &Site, tenants: &[Tenant], seconds: f64) -> Result<Vec<Reported>> {
    let mut cast = Cast::assemble(site, tenants)?;
    cast.start()?;
    cast.finish(seconds)
}

fn digest(name: String, header: Header, lines: &[String]) -> Reported {
    let mut samples = Vec::new();
    let mut summary = None;
    for record in lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
    {
        match record {
            Record::Sample { t_ns, work_ns } => samples.push((t_ns, work_ns)),
            Record::Summary(found) => summary = Some(found),
            Record::Header(_)
            | Record::Start { .. }
            | Record::Turn { .. }
            | Record::DeviceMemory { .. } => {}
        }
    }
    Reported {
        name,
        header,
        work: Cumulative::new(samples),
        summary,
    }
}

/// A program that got `rate` of the device for `seconds`, sampled every millisecond.
#[cfg(test)]
pub fn steady(name: &str, rate: f64, seconds: u64) -> Reported {
    let points = (0..=seconds * 1_000).map(|ms| (ms * 1_000_000, (ms as f64 * 1e6 * rate) as u64));
    curve(name, seconds, points)
}

/// A program that worked along `points`, from 0 for `seconds`.
#[cfg(test)]
pub fn curve(name: &str, seconds: u64, points: impl Iterator<Item = (u64, u64)>) -> Reported {
    use fcsp_hw_tests::record::DeviceInfo;
    Reported {
        name: name.into(),
        header: Header {
            mode: "saturate".into(),
            pid: 1,
            device: DeviceInfo {
                name: "test".into(),
                interface_version: 13_000,
                driver_version: None,
                simulated: true,
            },
            attach_ns: 0,
            context_ns: 0,
            iters_per_us: 100.0,
            grid_blocks: 1,
            total_bytes: 0,
        },
        work: Cumulative::new(points),
        summary: Some(Summary {
            start_ns: 0,
            end_ns: seconds * 1_000_000_000,
            drain_ns: 0,
            work_ns: 0,
            launches: 0,
            outcome: Outcome::Saturate,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_summary_are_found_among_other_lines() {
        let header = steady("a", 1.0, 1).header;
        let lines = [
            r#"{"record":"start","t_ns":10,"late_ns":0}"#,
            "a line of something else",
            r#"{"record":"sample","t_ns":10,"work_ns":0}"#,
            r#"{"record":"sample","t_ns":20,"work_ns":5}"#,
            r#"{"record":"summary","start_ns":10,"end_ns":20,"drain_ns":0,"work_ns":5,"launches":1,"outcome":{"mode":"saturate"}}"#,
        ]
        .map(str::to_owned);
        let reported = digest("a".into(), header, &lines);
        assert_eq!(reported.work.rate(10, 20), 0.5);
        assert_eq!(
            reported.summary().map(|summary| summary.launches).ok(),
            Some(1)
        );
    }

    #[test]
    fn a_program_without_a_summary_is_an_error_that_names_it() {
        let header = steady("a", 1.0, 1).header;
        let error = digest("lost".into(), header, &[]).summary().err();
        assert!(error.is_some_and(|error| error.to_string().contains("lost")));
    }
}
