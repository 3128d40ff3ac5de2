//! A tenant beside one that fails.

use super::isolation::{SATURATING, pass};
use crate::failure::Failure;
use crate::lab::{Group, number, pause_until};
use crate::protocol::{Load, Task, Way};
use crate::system::Tenant;
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
    let [neighbour, failing] = <[Tenant; 2]>::try_from(turn.lab.tenants(&[50, 50]))
        .map_err(|_| Failure::failed("two tenants were asked for"))?;
    // A process for each fault, and one more of the same tenant, which is to have what they held.
    let tenants = [
        neighbour,
        failing.clone(),
        failing.clone(),
        failing.clone(),
        failing,
    ];
    let heir = tenants.len() - 1;
    let stop = turn.lab.stop;
    let mut random = Random::new(u64::from(turn.block) + 1);
    let group = turn.group_of(&tenants)?;
    let mut seen = Vec::new();
    for (fails, fault) in [
        (1, "an illegal access"),
        (2, "a kill inside an allocation"),
        (3, "a kill inside a launch"),
    ] {
        let free_before = number(&group.ask(heir, &Task::Describe, 1.0)?, "free_bytes")?;
        let begin_ns = now_ns();
        let to_ns = begin_ns + (seconds * 1e9) as u64;
        group.begin(0, SATURATING, to_ns)?;
        // Not always at the same moment of a call.
        let when_ns = begin_ns + (seconds * 0.3e9) as u64 + random.below(1_000_000) as u64;
        match fault {
            "an illegal access" => {
                pause_until(when_ns, stop)?;
                let told = group.ask(fails, &Task::Fault, 5.0)?;
                if number(&told, "status")? == 0.0 {
                    seen.push(format!("after {fault} its own program was told nothing"));
                }
            }
            "a kill inside an allocation" => {
                let load = Load::Allocations {
                    way: Way::Plain,
                    bytes: 64 << 20,
                };
                group.begin(fails, load, to_ns)?;
                pause_until(when_ns, stop)?;
            }
            _ => {
                group.begin(fails, Load::Launches, to_ns)?;
                pause_until(when_ns, stop)?;
            }
        }
        group.members[fails].kill();
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
        // Most of what the tenant had free, in one piece; of native's, as much as a tenant of a system has.
        let bytes = 0.9 * free_before.min(0.8 * tenants[heir].memory_bytes as f64);
        if !free_again(group, heir, bytes as u64, dead_ns)? {
            seen.push(format!(
                "after {fault} what the dead held could not be had again within 5 s"
            ));
        }
    }
    let index = turn.index;
    turn.lab.drop_group(index, &tenants);
    pass(&seen)
}

/// Whether another process of the tenant can have that much memory before time is over.
fn free_again(group: &mut Group, heir: usize, bytes: u64, dead_ns: u64) -> Result<bool, Failure> {
    loop {
        match group.ask(heir, &Task::Work { bytes }, 10.0) {
            Ok(_) => return Ok(true),
            Err(Failure::Failed(_)) if now_ns() < dead_ns + FREE_AGAIN_WITHIN_NS => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Failure::Failed(_)) => return Ok(false),
            Err(other) => return Err(other),
        }
    }
}
