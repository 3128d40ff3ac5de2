//! What a trace comes to.

use super::line::millis;
use crate::table::{Align, Table};
use fcsp_core::sched::segment::reached;
use fcsp_core::sched::trace::{Event, What};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a trace of one device comes to.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Identity of the device.
    pub device: String,
    /// How long the trace took.
    pub seconds: f64,
    /// Turns that passed from one tenant to another.
    pub handovers: u64,
    /// Steps of the arbiter.
    pub steps_per_s: f64,
    /// Part of them that the doorbell caused; `null` if there were none.
    pub steps_rung: Option<f64>,
    /// How much later than planned the others were, on average; `null` if there were none.
    pub late_ns_mean: Option<f64>,
    /// Events that were recorded and could not be read.
    pub lost: u64,
    /// Those of whom anything was heard, by name.
    pub tenants: Vec<TenantSummary>,
}

/// One tenant in it.
#[derive(Debug, Serialize)]
pub struct TenantSummary {
    /// Its name.
    pub tenant: String,
    /// Turns that began.
    pub turns: u64,
    /// Of those that ended; `null` if none did.
    pub turn_ns_mean: Option<f64>,
    /// From the grant of a segment to its retirement, of those that existed when they were granted;
    /// `null` if there were none.
    pub grant_to_retirement_ns_mean: Option<f64>,
}

/// A mean in the making.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: u64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: u64) {
        self.sum += value;
        self.count += 1;
    }

    fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

#[derive(Debug, Default)]
struct Tenant {
    began: u64,
    turns: Mean,
    granted: Mean,
}

/// What happened so far on one device.
#[derive(Debug, Default)]
pub struct Counts {
    woken: u64,
    rung: u64,
    late: Mean,
    tenants: BTreeMap<String, Tenant>,
    /// When segments were granted, by slot and number.
    granted_ns: BTreeMap<usize, BTreeMap<u32, u64>>,
}

impl Counts {
    /// Counts an event of `tenant`.
    pub fn count(&mut self, event: &Event, tenant: Option<&str>) {
        match (event.what, event.slot, tenant) {
            (What::Woke { rung, late_ns }, ..) => {
                self.woken += 1;
                self.rung += u64::from(rung);
                late_ns.into_iter().for_each(|late| self.late.add(late));
            }
            (what, Some(slot), Some(tenant)) => self.count_of(slot, tenant, event.time_ns, &what),
            _ => {}
        }
    }

    fn count_of(&mut self, slot: usize, tenant: &str, now_ns: u64, what: &What) {
        let tenant = self.tenants.entry(tenant.to_owned()).or_default();
        let granted_ns = self.granted_ns.entry(slot).or_default();
        match *what {
            What::TurnBegan { .. } => tenant.began += 1,
            What::TurnEnded { used_ns } => tenant.turns.add(used_ns),
            What::Granted {
                from,
                to,
                first: Some(_),
                ..
            } => {
                let count = to.wrapping_sub(from);
                let numbers = (0..=count).map(|i| from.wrapping_add(i));
                granted_ns.extend(numbers.map(|number| (number, now_ns)));
            }
            What::Revoked { to, .. } => granted_ns.retain(|number, _| reached(to, *number)),
            What::Retired { number, .. } => {
                if let Some(granted) = granted_ns.remove(&number) {
                    tenant.granted.add(now_ns.saturating_sub(granted));
                }
            }
            _ => {}
        }
    }

    /// Puts what was counted into `summary`.
    pub fn summarize(&self, summary: Summary) -> Summary {
        let tenant = |(name, tenant): (&String, &Tenant)| TenantSummary {
            tenant: name.clone(),
            turns: tenant.began,
            turn_ns_mean: tenant.turns.get(),
            grant_to_retirement_ns_mean: tenant.granted.get(),
        };
        Summary {
            steps_rung: (self.woken > 0).then(|| self.rung as f64 / self.woken as f64),
            late_ns_mean: self.late.get(),
            tenants: self.tenants.iter().map(tenant).collect(),
            ..summary
        }
    }
}

/// The summaries for people, each ended by a newline.
pub fn render(summaries: &[Summary]) -> String {
    summaries.iter().map(render_one).collect()
}

fn render_one(summary: &Summary) -> String {
    let mut text = format!(
        "{}: {} hand-overs in {:.3} s, {:.0} steps of the arbiter per second",
        summary.device, summary.handovers, summary.seconds, summary.steps_per_s
    );
    // Writing to a string cannot fail, here and below.
    if let Some(rung) = summary.steps_rung {
        let _ok = write!(text, ", {:.1}% by the doorbell", rung * 100.0);
    }
    if let Some(late_ns) = summary.late_ns_mean {
        let _ok = write!(text, ", the others {} ms late", millis(late_ns as u64));
    }
    let _ok = match summary.lost {
        0 => writeln!(text, ", no event lost"),
        lost => writeln!(text, ", {lost} events lost"),
    };
    if summary.tenants.is_empty() {
        text.push_str("  nothing was decided: no program had work, or one tenant was alone\n");
        return text;
    }
    let mut table = Table::new(&[
        ("tenant", Align::Left),
        ("turns", Align::Right),
        ("mean turn", Align::Right),
        ("grant to retirement", Align::Right),
    ]);
    let mean = |ns: Option<f64>| {
        ns.map_or_else(|| "-".to_owned(), |ns| format!("{} ms", millis(ns as u64)))
    };
    for tenant in &summary.tenants {
        table.row([
            tenant.tenant.clone(),
            tenant.turns.to_string(),
            mean(tenant.turn_ns_mean),
            mean(tenant.grant_to_retirement_ns_mean),
        ]);
    }
    text.push_str(&table.render(2));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use fcsp_core::sched::SegmentState;
    use fcsp_core::sched::clock::{ms, us};

    fn counts(events: &[(u64, What)]) -> Counts {
        let mut counts = Counts::default();
        for (time_ns, what) in events {
            let event = Event {
                time_ns: *time_ns,
                tenant: None,
                slot: Some(3),
                what: *what,
            };
            counts.count(&event, Some("a"));
        }
        counts
    }

    fn granted(from: u32, to: u32, first: Option<SegmentState>) -> What {
        What::Granted {
            from,
            to,
            expected_ns: 0,
            first,
            just_in_time: false,
        }
    }

    fn retired(number: u32) -> What {
        What::Retired {
            number,
            expected_ns: 0,
            took_ns: None,
            exact: true,
            given_up: false,
        }
    }

    #[test]
    fn segments_count_from_the_grant_that_held_if_they_existed_then() {
        let closed = Some(SegmentState::Closed);
        let counts = counts(&[
            (ms(1), granted(u32::MAX, 1, closed)),
            (ms(2), retired(u32::MAX)),
            (
                ms(3),
                What::Revoked {
                    to: 0,
                    from: 1,
                    cut_short: false,
                },
            ),
            (ms(4), retired(0)),
            (ms(8), granted(1, 1, closed)),
            (ms(10), retired(1)),
            (ms(10), granted(2, 9, None)),
            (ms(90), retired(2)),
        ]);
        let summary = counts.summarize(Summary::default());
        let mean_ns = summary.tenants[0].grant_to_retirement_ns_mean;
        assert_eq!(mean_ns, Some(ms(1 + 3 + 2) as f64 / 3.0));
    }

    #[test]
    fn turns_and_wakes_are_averaged() {
        let woke = |rung, late_ns| (0, What::Woke { rung, late_ns });
        let began = What::TurnBegan {
            budget_ns: 1,
            handover_ns: 0,
            handed_over: true,
        };
        let counts = counts(&[
            woke(true, None),
            woke(false, Some(us(10))),
            woke(false, Some(us(30))),
            woke(false, None),
            (0, began),
            (1, What::TurnEnded { used_ns: ms(4) }),
            (1, began),
            (2, What::TurnEnded { used_ns: ms(6) }),
            (2, began),
        ]);
        let summary = counts.summarize(Summary {
            device: "GPU-1".into(),
            seconds: 2.0,
            handovers: 7,
            steps_per_s: 1234.4,
            ..Summary::default()
        });
        assert_eq!(
            render(&[summary]),
            "GPU-1: 7 hand-overs in 2.000 s, 1234 steps of the arbiter per second, 25.0% by the doorbell, \
             the others 0.020 ms late, no event lost\n  \
             tenant  turns  mean turn  grant to retirement\n  \
             a           3   5.000 ms                    -\n"
        );
    }
}
