//! A system's turn at a metric: what a metric may ask for, and what it gives back.

use crate::failure::Failure;
use crate::lab::{Group, Lab, Shared, numbers};
use crate::protocol::{Answer, Load, Task, Way};
use crate::system::{System, Tenant};
use fcsp_bench_report::model::Series;
use std::collections::HashMap;

/// What one block of one system gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    /// The metric's value in this block, before anything of native is subtracted.
    pub(crate) value: f64,
    /// What is divided by native's for the ratio.
    pub(crate) compared: f64,
    /// The samples behind the value, in the metric's unit; nothing where the blocks' values are the samples.
    pub(crate) samples: Vec<f64>,
    /// What else was found: name, value, unit.
    pub(crate) details: Vec<(String, f64, &'static str)>,
    /// Lines over time, kept of the last block.
    pub(crate) series: Vec<Series>,
}

impl Block {
    /// A value that is also what is compared.
    pub(crate) fn of(value: f64) -> Self {
        Self {
            value,
            compared: value,
            ..Self::default()
        }
    }

    /// With something else to be compared.
    pub(crate) fn comparing(mut self, compared: f64) -> Self {
        self.compared = compared;
        self
    }

    /// With the samples behind it.
    pub(crate) fn with_samples(mut self, samples: Vec<f64>) -> Self {
        self.samples = samples;
        self
    }

    /// With a further figure.
    pub(crate) fn with(mut self, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        self.details.push((name.into(), value, unit));
        self
    }
}

/// How a process ends before the one that is timed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// As programs should.
    ByItself,
    /// After an access to memory that is nobody's.
    Fault,
    /// By SIGKILL, in the midst of work.
    Killed,
}

/// How long a library may take to find all devices and the ways between them.
const LIBRARY_SECONDS: f64 = 60.0;

/// A system's turn.
pub(crate) struct Turn<'a> {
    /// All processes.
    pub(crate) lab: &'a mut Lab,
    /// Whose turn.
    pub(crate) index: usize,
    /// Which block.
    pub(crate) block: u32,
    /// Whether a fraction of the samples is wanted.
    pub(crate) quick: bool,
    /// How long this block may take, start-up of processes not counted.
    pub(crate) seconds: f64,
    /// What loads reach natively and alone, by the load and the block.
    pub(crate) alone: &'a mut HashMap<(String, u32), f64>,
    /// How long after such an end the next process of a system could work, by system and block, in microseconds.
    pub(crate) recoveries: &'a mut HashMap<(usize, End, u32), f64>,
}

impl Turn<'_> {
    /// The system.
    pub(crate) fn system(&self) -> &System {
        &self.lab.systems[self.index]
    }

    /// So many, or a fraction of it in a quick run.
    pub(crate) fn count(&self, full: u32) -> u32 {
        match self.quick {
            true => (full / 4).max(2),
            false => full,
        }
    }

    /// Those of these ways to ask for memory that the device's interface has, each with the name of its call.
    pub(crate) fn ways(&self, ways: &[Way]) -> Vec<(Way, &'static str)> {
        let vendor = self.lab.site().vendor;
        ways.iter()
            .filter_map(|way| Some((*way, vendor.way(*way)?)))
            .collect()
    }

    /// Size of a copy over the bus. A simulated device's copies are the machine's own, which take far longer.
    pub(crate) fn copy_bytes(&self) -> u64 {
        match self.lab.device.simulated {
            true => 4 << 20,
            false => 64 << 20,
        }
    }

    /// Asks the process that has the device to itself.
    pub(crate) fn solo(&mut self, task: Task) -> Result<Answer, Failure> {
        let seconds = self.seconds;
        self.lab.solo(self.index, &task, seconds)
    }

    /// Gives it a load.
    pub(crate) fn solo_load(&mut self, load: &Load, seconds: f64) -> Result<Shared, Failure> {
        self.lab.solo_load(self.index, load, seconds)
    }

    /// Asks a process that has the device to itself and may use every processor, for what has threads of its own: a library
    /// that takes its time when it is opened.
    pub(crate) fn unpinned(&mut self, task: &Task) -> Result<Answer, Failure> {
        let seconds = self.seconds + LIBRARY_SECONDS;
        self.group(&[100])?.ask(0, task, seconds)
    }

    /// The samples that it answers with.
    pub(crate) fn solo_samples(&mut self, task: Task, name: &str) -> Result<Vec<f64>, Failure> {
        Ok(numbers(&self.solo(task)?, name)?.to_vec())
    }

    /// A group of tenants with that compute.
    pub(crate) fn group(&mut self, percents: &[u32]) -> Result<&mut Group, Failure> {
        let tenants = self.lab.tenants(percents);
        self.group_of(&tenants)
    }

    /// A group of these tenants.
    pub(crate) fn group_of(&mut self, tenants: &[Tenant]) -> Result<&mut Group, Failure> {
        self.lab.group(self.index, tenants)
    }

    /// Runs a load on each of a group of tenants with that compute; in a quick run once for each block, whatever metric asks.
    pub(crate) fn together(
        &mut self,
        percents: &[u32],
        loads: &[Load],
        seconds: f64,
    ) -> Result<Shared, Failure> {
        if !self.quick {
            return self.group(percents)?.run(loads, seconds);
        }
        let key = format!("{} {} {percents:?} {loads:?}", self.index, self.block);
        if let Some(shared) = self.lab.kept.get(&key) {
            return Ok(shared.clone());
        }
        let shared = self.group(percents)?.run(loads, seconds)?;
        self.lab.kept.insert(key, shared.clone());
        Ok(shared)
    }

    /// What a load reaches natively and alone, in progress a nanosecond; measured once for each block, whichever system asks,
    /// and in a quick run whatever metric.
    pub(crate) fn native_alone(&mut self, load: &Load, seconds: f64) -> Result<f64, Failure> {
        let key = (format!("{load:?}"), self.block);
        if let Some(rate) = self.alone.get(&key) {
            return Ok(*rate);
        }
        let tenants = self.lab.tenants(&[100]);
        let result = self
            .lab
            .group_of_native(&tenants)
            .and_then(|group| group.run(std::slice::from_ref(load), seconds));
        if result.is_err() {
            // It is native's, which is not whose turn it is.
            self.lab.drop_group(0, &tenants);
        }
        let shared = result?;
        let rate = shared.rates().first().copied().unwrap_or(0.0);
        if rate <= 0.0 {
            return Err(Failure::failed(
                "natively and alone the load made no progress",
            ));
        }
        self.alone.insert(key, rate);
        Ok(rate)
    }
}
