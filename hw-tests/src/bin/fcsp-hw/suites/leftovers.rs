//! What is left when programs have come and gone: slots, bytes and threads, before and after.

use anyhow::Result;
use serde::Serialize;
use std::fs;
use std::time::{Duration, Instant};

use crate::node::{Node, RegionStatus};
use crate::result::Row;
use crate::runner::Runner;

/// What the dead held comes back when somebody looks; the arbiter does every 100 ms.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What those who stay have, and what the region knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holdings {
    /// Slots in use.
    processes: usize,
    /// Bytes charged to all tenants.
    used_bytes: u64,
    /// Bytes in use on the device; nothing if its driver does not say.
    device_bytes: Option<u64>,
    /// Threads of all who stay.
    threads: usize,
    /// Open descriptors of all who stay.
    descriptors: usize,
}

impl Holdings {
    /// As it is now.
    pub fn now<'a>(node: &Node, staying: impl Iterator<Item = &'a Runner>) -> Result<Self> {
        let region = node.region()?;
        Self::of(&region, staying.map(|it| it.header.pid))
    }

    fn of(region: &RegionStatus, pids: impl Iterator<Item = u32>) -> Result<Self> {
        let mut holdings = Self {
            processes: region.processes(),
            used_bytes: region.used_bytes,
            device_bytes: region.device.driver_used_bytes,
            threads: 0,
            descriptors: 0,
        };
        for pid in pids {
            holdings.threads += fs::read_dir(format!("/proc/{pid}/task"))?.count();
            holdings.descriptors += fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        }
        Ok(holdings)
    }

    /// Waits until nothing is more than it was `before`; what is left when it is, or never is.
    pub fn settled<'a>(
        before: &Self,
        node: &Node,
        staying: impl Iterator<Item = &'a Runner> + Clone,
    ) -> Result<Self> {
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let now = Self::now(node, staying.clone())?;
            if now.within(before) || Instant::now() > deadline {
                return Ok(now);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn within(&self, before: &Self) -> bool {
        let device = self.device_bytes.zip(before.device_bytes);
        self.processes <= before.processes
            && self.used_bytes <= before.used_bytes
            && device.is_none_or(|(now, before)| now <= before)
            && self.threads <= before.threads
            && self.descriptors <= before.descriptors
    }

    /// Whether nothing is left of those who came and went.
    pub fn row(&self, before: &Self, title: &str) -> Row {
        let more = |what: &str, now: u64, before: u64| {
            (now > before).then(|| format!("{} {what}", now - before))
        };
        let device = self.device_bytes.zip(before.device_bytes);
        let left: Vec<String> = [
            more("slots", self.processes as u64, before.processes as u64),
            more("bytes charged", self.used_bytes, before.used_bytes),
            device.and_then(|(now, before)| more("bytes on the device", now, before)),
            more("threads", self.threads as u64, before.threads as u64),
            more(
                "descriptors",
                self.descriptors as u64,
                before.descriptors as u64,
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        let told = if left.is_empty() {
            format!("nothing; {} processes stay", self.processes)
        } else {
            left.join(", ")
        };
        Row::fact(title, told, left.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict;

    fn holdings() -> Holdings {
        Holdings {
            processes: 2,
            used_bytes: 100,
            device_bytes: Some(200),
            threads: 9,
            descriptors: 30,
        }
    }

    #[test]
    fn whatever_is_left_is_named() {
        let before = holdings();
        assert_eq!(before.row(&before, "left").verdict, Verdict::Pass);
        let slot = Holdings {
            processes: 3,
            ..holdings()
        };
        let row = slot.row(&before, "left");
        assert_eq!(
            (row.verdict, row.measured.as_str()),
            (Verdict::Miss, "1 slots")
        );
        let thread = Holdings {
            threads: 10,
            device_bytes: Some(264),
            ..holdings()
        };
        let row = thread.row(&before, "left");
        assert_eq!(row.measured, "64 bytes on the device, 1 threads");
        assert!(!thread.within(&before));
    }

    #[test]
    fn less_than_before_is_nothing_left_and_an_unknown_device_is_not_judged() {
        let after = Holdings {
            used_bytes: 50,
            device_bytes: None,
            ..holdings()
        };
        assert!(after.within(&holdings()));
        assert_eq!(after.row(&holdings(), "left").verdict, Verdict::Pass);
    }
}
