//! Utilization: what a tenant is shown is its own use of what it may have now.
//!
//! While tenants share a device, `gpu` is the device time charged to the tenant over the time that its
//! share of the device amounts to; `memory` is the library's figure for the whole device, in the
//! tenant's part of all device time charged. While the tenant is alone, or nobody shares the device by
//! a region, the library's figures are its own, and stay. Of the hardware's counters there is no
//! such part: they are forwarded.
//!
//! The figures are of the time since the caller's last question, at least [`WINDOW_MIN`]. The first
//! question has no last one, so its thread sleeps for that long: tools ask once in a process.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::info::tenant::Usage;

/// Shortest time that a figure is of: five rounds of turns.
const WINDOW_MIN: Duration = Duration::from_millis(100);
/// Devices whose last answers are kept; the oldest makes room.
const KEPT_MAX: usize = 16;

/// What was read at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    usage: Usage,
}

/// The readings of one device: the next figure is of the time since the older of them.
#[derive(Clone, Copy, Debug)]
struct Kept {
    device: u64,
    older: Reading,
    newer: Reading,
}

/// A tenant's figures, percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// Device time charged to it, of what it may have.
    pub gpu: u32,
    /// The tenant's part of all device time charged, thousandths.
    part_permille: u64,
}

impl Own {
    /// The tenant's part of a figure for the whole device.
    pub fn part_of(&self, whole: u32) -> u32 {
        (u64::from(whole) * self.part_permille / 1000) as u32
    }
}

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// What the tenant used between two readings.
fn between(from: &Reading, to: &Reading) -> Own {
    let wall_ns = to.at.saturating_duration_since(from.at).as_nanos() as u64;
    let own_ns = to.usage.own_ns.saturating_sub(from.usage.own_ns);
    let all_ns = to.usage.all_ns.saturating_sub(from.usage.all_ns);
    let may_ns = wall_ns / 1000 * u64::from(to.usage.share_ppm) / 1000;
    Own {
        gpu: (own_ns * 100 / may_ns.max(1)).min(100) as u32,
        part_permille: (own_ns * 1000 / all_ns.max(1)).min(1000),
    }
}

/// The tenant's own figures for the device that the management library has under the handle `device`; nothing if the
/// library's are its own. `usage` says what was used so far.
pub fn own(device: u64, usage: impl Fn() -> Option<Usage>) -> Option<Own> {
    let read = || -> Option<Reading> {
        let usage = usage()?;
        let at = Instant::now();
        Some(Reading { at, usage })
    };
    let mut now = read()?;
    let last = {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|it| it.device == device).copied()
    };
    let kept = match last {
        None => {
            let first = now;
            std::thread::sleep(WINDOW_MIN);
            now = read()?;
            Kept {
                device,
                older: first,
                newer: now,
            }
        }
        // Asked again at once: the same window, a little longer.
        Some(last) if now.at.saturating_duration_since(last.newer.at) < WINDOW_MIN => last,
        Some(last) => Kept {
            device,
            older: last.newer,
            newer: now,
        },
    };
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|it| it.device != device);
    if all.len() == KEPT_MAX {
        all.remove(0);
    }
    all.push(kept);
    Some(between(&kept.older, &now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Instant, ms: u64, own_ms: u64, all_ms: u64) -> Reading {
        Reading {
            at: at + Duration::from_millis(ms),
            usage: Usage {
                own_ns: own_ms * 1_000_000,
                all_ns: all_ms * 1_000_000,
                share_ppm: 250_000,
            },
        }
    }

    #[test]
    fn a_tenant_is_busy_when_it_uses_its_share() {
        let start = Instant::now();
        let from = reading(start, 0, 1000, 5000);
        let own = |ms, own_ms, all_ms| between(&from, &reading(start, ms, own_ms, all_ms));
        let figures = |gpu, part_permille| Own { gpu, part_permille };
        assert_eq!(own(1000, 1250, 6000), figures(100, 250));
        assert_eq!(own(1000, 1125, 5500), figures(50, 250));
        assert_eq!(own(1000, 1000, 6000), figures(0, 0));
        assert_eq!(own(1000, 1900, 6000), figures(100, 900), "what was lent");
        assert_eq!(own(0, 1000, 5000), figures(0, 0), "no time at all");
    }
}
