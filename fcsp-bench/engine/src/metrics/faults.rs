//! A tenant beside one that fails.

use super::isolation::{SATURATING, pass};
use crate::failure::Failure;
use crate::lab::{number, pause_until};
use crate::protocol::{Load, Task, Way};
use crate::turn::{Block, Turn};
use fcsp_measure::clock::{NS_PER_MS, NS_PER_S, now_ns};
use fcsp_measure::random::Random;
use fcsp_measure::stats::Cumulative;
use std::time::Duration;

/// Nobody may stand for longer (nor for half of the time that it is watched), nor what the dead held be gone for longer.
const STANDS_MAX_NS: u64 = NS_PER_S;
const FREE_AGAIN_WITHIN_NS: u64 = 5 * NS_PER_S;

/// In turn an illegal access, a kill inside an allocation and one inside a launch.
pub(super) fn faults(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = (turn.seconds / 3.0).max(0.5);
    let tenants = turn.lab.tenants(&[50, 50]);
    let mut seen = Vec::new();
    let mut random = Random::new(u64::from(turn.block) + 1);
    for fault in [
        "an illegal access",
        "a kill inside an allocation",
        "a kill inside a launch",
    ] {
        let stop = turn.lab.stop;
        let group = turn.group_of(&tenants)?;
        let free_before = number(&group.ask(1, &Task::Describe, 1.0)?, "free_bytes")?;
        let begin_ns = now_ns();
        let to_ns = begin_ns + (seconds * 1e9) as u64;
        group.begin(0, SATURATING, to_ns)?;
        // Not always at the same moment of a call.
        let when_ns = begin_ns + (seconds * 0.3e9) as u64 + random.below(1_000_000) as u64;
        match fault {
            "an illegal access" => {
                pause_until(when_ns, stop)?;
                let told = group.ask(1, &Task::Fault, 5.0)?;
                if number(&told, "status")? == 0.0 {
                    seen.push(format!("after {fault} its own program was told nothing"));
                }
            }
            "a kill inside an allocation" => {
                let load = Load::Allocations {
                    way: Way::Plain,
                    bytes: 64 << 20,
                };
                group.begin(1, load, to_ns)?;
                pause_until(when_ns, stop)?;
            }
            _ => {
                group.begin(1, Load::Launches, to_ns)?;
                pause_until(when_ns, stop)?;
            }
        }
        group.members[1].kill();
        let dead_ns = now_ns();
        match group.finish(0, seconds) {
            Ok(answer) => {
                let curve = Cumulative::new(answer.points);
                let rest = curve.longest_rest_ns(begin_ns + (seconds * 0.1e9) as u64, to_ns);
                if rest > STANDS_MAX_NS.min((seconds * 0.5e9) as u64) {
                    seen.push(format!(
                        "after {fault} the neighbour stood for {} ms",
                        rest / NS_PER_MS
                    ));
                }
            }
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => seen.push(format!("after {fault} the neighbour failed: {failure}")),
        }
        let (index, directory) = (turn.index, turn.group_of(&tenants)?.directory.clone());
        // Most of what the tenant had free, in one piece; of native's, as much as a tenant of a system has.
        let bytes = 0.9 * free_before.min(0.8 * tenants[1].memory_bytes as f64);
        if !free_again(turn, index, &tenants[1], &directory, bytes as u64, dead_ns)? {
            seen.push(format!(
                "after {fault} what the dead held could not be had again within 5 s"
            ));
        }
        turn.lab.drop_group(index, &tenants);
    }
    pass(&seen)
}

/// Whether a fresh process of the tenant can have that much memory before time is over.
fn free_again(
    turn: &mut Turn<'_>,
    index: usize,
    tenant: &crate::system::Tenant,
    directory: &std::path::Path,
    bytes: u64,
    dead_ns: u64,
) -> Result<bool, Failure> {
    let stop = turn.lab.stop;
    let mut heir = turn.lab.join(index, tenant, directory)?;
    turn.lab.make_ready(&mut heir)?;
    loop {
        match heir.ask(&Task::Work { bytes }, Duration::from_secs(10), stop) {
            Ok(_) => return Ok(true),
            Err(Failure::Failed(_)) if now_ns() < dead_ns + FREE_AGAIN_WITHIN_NS => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Failure::Failed(_)) => return Ok(false),
            Err(other) => return Err(other),
        }
    }
}
