//! The tables of shares in `docs/policy.md` are what the scheduler computes.

use super::{LowPriority, Mode, Priority, Profile};
use crate::sched::shares::{Promise, shares};

const DOCS: &str = include_str!("../../../docs/policy.md");

/// The tenants of the tables and their entitlements in percent.
const TENANTS: [(&str, u32); 3] = [("a", 25), ("b", 35), ("c", 40)];

/// Who is active in the rows of a table.
const ROWS: [&str; 6] = ["abc", "ab", "ac", "bc", "a", "c"];

/// A table of who gets what of the device, for tenants that `promise` makes of the default ones.
fn table(promise: impl Fn(&str, Promise) -> Promise) -> String {
    let names: Vec<String> = TENANTS
        .iter()
        .map(|(name, percent)| format!("{name} ({percent} %)"))
        .collect();
    let mut text = format!("| Active | {} |\n|---|---|---|---|\n", names.join(" | "));
    for row in ROWS {
        let promises = TENANTS.map(|(name, percent)| {
            let active = row.contains(name);
            let entitled = Promise {
                entitlement_ppm: percent * 10_000,
                ..Promise::default()
            };
            Promise {
                active,
                ..promise(name, entitled)
            }
        });
        let cells: Vec<String> = promises
            .iter()
            .zip(shares(&promises))
            .map(|(promise, share)| match (promise.active, share.paused) {
                (false, _) => "".to_owned(),
                (true, true) => "waits".to_owned(),
                (true, false) => format!("{:.1} %", f64::from(share.share_ppm) / 10_000.0),
            })
            .collect();
        let active: Vec<&str> = row.split("").filter(|name| !name.is_empty()).collect();
        text += &format!("| {} | {} |\n", active.join(", "), cells.join(" | "));
    }
    text.replace("|  |", "| |").replace("|  |", "| |")
}

#[track_caller]
fn documented(heading: &str, table: &str) {
    let after = DOCS.split_once(heading).map(|(_, after)| after);
    let after = after.unwrap_or_else(|| panic!("docs/policy.md has no {heading:?}"));
    let found = after.find("| Active |").map_or("", |at| &after[at..]);
    assert!(
        found.starts_with(table),
        "under {heading:?} docs/policy.md should have\n{table}"
    );
}

#[test]
fn balanced_and_adaptive() {
    let of = |mode| move |_: &str, promise| Promise { mode, ..promise };
    documented("**`balanced`**", &table(of(Mode::Balanced)));
    assert_eq!(table(of(Mode::Adaptive)), table(of(Mode::Balanced)));
}

#[test]
fn strict() {
    let strict = |_: &str, promise| Promise {
        mode: Mode::Strict,
        ..promise
    };
    documented("**`strict`**", &table(strict));
}

#[test]
fn a_maximum_of_bursts() {
    let frugal = |name: &str, promise: Promise| Promise {
        burst_max_ppm: if name == "a" {
            0
        } else {
            promise.burst_max_ppm
        },
        ..promise
    };
    documented("With `burst_max = 0`", &table(frugal));
}

/// The first tenant is of low priority.
fn low(low_priority: LowPriority, pools: Option<Profile>) -> impl Fn(&str, Promise) -> Promise {
    move |name, promise| Promise {
        priority: if name == "a" {
            Priority::Low
        } else {
            Priority::Normal
        },
        low_priority,
        pools_ppm: match pools {
            Some(profile) => {
                let pools = profile.pools();
                [pools.floor, pools.shared, pools.burst].map(|pool| pool.ppm())
            }
            None => promise.pools_ppm,
        },
        ..promise
    }
}

#[test]
fn low_priorities() {
    documented(
        "of low priority, with `low_priority = \"floor\"`",
        &table(low(LowPriority::Floor, None)),
    );
    documented(
        "The same with the floors of `serving`",
        &table(low(LowPriority::Floor, Some(Profile::Serving))),
    );
    documented(
        "And with `low_priority = \"pause\"`",
        &table(low(LowPriority::Pause, None)),
    );
}
