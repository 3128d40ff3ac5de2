//! Events as lines, for people and for programs.

use super::Args;
use super::kind::Kind;
use super::names::Who;
use anyhow::Result;
use fcsp_core::sched::SegmentState;
use fcsp_core::sched::trace::{Event, How, What};
use serde::Serialize;
use std::io::{BufWriter, Stdout, Write};

/// Narrowest column of tenants and processes.
const WHO_MIN: usize = 16;

/// Prints events.
pub struct Printer {
    out: BufWriter<Stdout>,
    kinds: Vec<Kind>,
    start_ns: u64,
    json: bool,
    silent: bool,
    /// Says of which device each event is.
    names_device: bool,
    who_width: usize,
}

/// A line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    at_ns: u64,
    device: &'a str,
    tenant: Option<&'a str>,
    pid: Option<u32>,
    slot: Option<usize>,
    #[serde(flatten)]
    what: What,
}

impl Printer {
    /// Prints what `args` ask for of so many devices.
    pub fn new(args: &Args, start_ns: u64, devices: usize) -> Self {
        Self {
            out: BufWriter::new(std::io::stdout()),
            kinds: args.events.clone(),
            start_ns,
            json: args.json,
            silent: args.summary,
            names_device: devices > 1,
            who_width: WHO_MIN,
        }
    }

    /// Prints an event on a device, if it was asked for.
    pub fn event(&mut self, device: &str, who: &Who, event: &Event) -> Result<()> {
        if self.silent || !Kind::is_among(&self.kinds, &event.what) {
            return Ok(());
        }
        let at_ns = event.time_ns.saturating_sub(self.start_ns);
        if self.json {
            let line = Line {
                at_ns,
                device,
                tenant: who.tenant.as_deref(),
                pid: who.pid,
                slot: event.slot,
                what: event.what,
            };
            writeln!(self.out, "{}", serde_json::to_string(&line)?)?;
        } else {
            let device = if self.names_device { device } else { "" };
            let line = self.text(at_ns, device, who, &event.what);
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// Shows what was printed so far.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn text(&mut self, at_ns: u64, device: &str, who: &Who, what: &What) -> String {
        let who = who.to_string();
        self.who_width = self.who_width.max(who.chars().count());
        let gap = if device.is_empty() { "" } else { "  " };
        let (event, details) = describe(what);
        let line = format!(
            "{:>10}  {device}{gap}{who:<width$}  {event:<10}  {details}",
            millis(at_ns),
            width = self.who_width
        );
        line.trim_end().to_owned()
    }
}

/// Milliseconds with microseconds behind the point.
pub fn millis(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000, ns / 1_000 % 1_000)
}

/// Name of an event, and what is to be said of it.
fn describe(what: &What) -> (&'static str, String) {
    match *what {
        What::Elected => ("elected", "is the arbiter now".to_owned()),
        What::Woke { rung: true, .. } => ("woke", "by the doorbell".to_owned()),
        What::Woke { late_ns, .. } => {
            let late = late_ns.map(|late| format!(", {} ms late", millis(late)));
            ("woke", format!("by time{}", late.unwrap_or_default()))
        }
        What::TurnBegan {
            budget_ns,
            handover_ns,
            handed_over,
        } => {
            let from = if handed_over {
                ", from another tenant"
            } else {
                ""
            };
            let handover = match handover_ns {
                0 => String::new(),
                ns => format!(", hand-over {} ms", millis(ns)),
            };
            let details = format!("for {} ms{handover}{from}", millis(budget_ns));
            ("turn began", details)
        }
        What::TurnEnded { used_ns } => ("turn ended", format!("after {} ms", millis(used_ns))),
        What::Granted {
            from,
            to,
            expected_ns,
            first,
            just_in_time,
        } => {
            let state = match first {
                None => "yet to come",
                Some(SegmentState::Open) if just_in_time => "filling, just in time",
                Some(SegmentState::Open) => "filling",
                Some(_) => "complete",
            };
            let expected = millis(expected_ns);
            let details = format!("{}, {state}, expected {expected} ms", range(from, to));
            ("granted", details)
        }
        What::Retired {
            number,
            expected_ns,
            took_ns,
            exact,
            given_up,
        } => {
            let took = match took_ns {
                None => String::new(),
                Some(ns) if exact => format!(" after {} ms", millis(ns)),
                Some(ns) => format!(" after at most {} ms", millis(ns)),
            };
            let expected = format!(", expected {} ms", millis(expected_ns));
            let given_up = if given_up { ", given up on" } else { "" };
            ("retired", format!("{number}{took}{expected}{given_up}"))
        }
        What::Expired {
            number,
            expected_ns,
            launches,
        } => {
            let expected = millis(expected_ns);
            let details = format!("{number} with {launches} submissions, expected {expected} ms");
            ("expired", details)
        }
        What::Revoked {
            to,
            from,
            cut_short,
        } => {
            let why = if cut_short {
                ", somebody goes first"
            } else {
                ""
            };
            (
                "revoked",
                format!("{}{why}", range(to.wrapping_add(1), from)),
            )
        }
        What::Gate {
            gated: false,
            measured: _,
            segment_us: _,
        } => ("gate", "submissions pass untouched".to_owned()),
        What::Gate {
            gated: true,
            measured,
            segment_us,
        } => {
            let length = millis(u64::from(segment_us) * 1_000);
            let measured = if measured { "" } else { ", beside others" };
            ("gate", format!("segments of {length} ms{measured}"))
        }
        What::Share {
            share_ppm,
            share_ppm_before,
            ceiling_ppm,
        } => {
            let [before, now, ceiling] = [share_ppm_before, share_ppm, ceiling_ppm].map(percent);
            ("share", format!("{before} -> {now}, ceiling {ceiling}"))
        }
        What::Round {
            round_ns,
            round_ns_before,
        } => {
            let length = |ns| match ns {
                0 => "as usual".to_owned(),
                ns => format!("of {} ms", millis(ns)),
            };
            let [before, now] = [round_ns_before, round_ns].map(length);
            ("round", format!("{before} -> {now}"))
        }
        What::Sharing { how, concurrent } => {
            let how = match how {
                How::Turns => "programs take turns",
                How::Trial => "programs run together, for a trial",
                How::Together => "programs run together",
            };
            let can = if concurrent {
                ""
            } else {
                "; they cannot run together"
            };
            ("sharing", format!("{how}{can}"))
        }
    }
}

fn range(from: u32, to: u32) -> String {
    if from == to {
        return from.to_string();
    }
    format!("{from}..{to}")
}

fn percent(ppm: u32) -> String {
    format!("{:.1}%", f64::from(ppm) / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use fcsp_core::sched::trace::ring::Entry;

    fn printer(names_device: bool) -> Printer {
        Printer {
            out: BufWriter::new(std::io::stdout()),
            kinds: Vec::new(),
            start_ns: 0,
            json: false,
            silent: false,
            names_device,
            who_width: WHO_MIN,
        }
    }

    #[test]
    fn a_line_has_time_who_what_and_how_much() {
        let who = Who {
            tenant: Some("a".into()),
            pid: Some(12),
        };
        let granted = What::Granted {
            from: 7,
            to: 9,
            expected_ns: 1_500_999,
            first: Some(SegmentState::Open),
            just_in_time: true,
        };
        assert_eq!(
            printer(false).text(12_345_678, "", &who, &granted),
            "    12.345  a (12)            granted     7..9, filling, just in time, expected 1.500 ms"
        );
        let revoked = What::Revoked {
            to: u32::MAX,
            from: 0,
            cut_short: true,
        };
        assert_eq!(
            printer(true).text(1, "GPU-1", &who, &revoked),
            "     0.000  GPU-1  a (12)            revoked     0, somebody goes first"
        );
        let woke = What::Woke {
            rung: true,
            late_ns: None,
        };
        assert_eq!(
            printer(false).text(1, "", &Who::default(), &woke),
            "     0.000                    woke        by the doorbell"
        );
    }

    #[test]
    fn what_nobody_could_tell_is_not_said() {
        let retired = |took_ns, exact| {
            let what = What::Retired {
                number: 3,
                expected_ns: 2_000_000,
                took_ns,
                exact,
                given_up: false,
            };
            describe(&what).1
        };
        assert_eq!(retired(None, true), "3, expected 2.000 ms");
        assert_eq!(
            retired(Some(5_000), true),
            "3 after 0.005 ms, expected 2.000 ms"
        );
        assert_eq!(
            retired(Some(5_000), false),
            "3 after at most 0.005 ms, expected 2.000 ms"
        );
    }

    #[test]
    fn the_documentation_has_every_event_with_its_kind_and_fields() {
        let page = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/running-on-hardware.md"
        );
        let page = std::fs::read_to_string(page).expect("the page is there");
        let mut events = 0;
        // All that the ring can hold, whatever the fields say.
        for what in 0..0xff {
            let entry = Entry {
                time_ns: 0,
                what,
                value: 0,
            };
            let Some(Event { what, .. }) = Event::decode(entry) else {
                continue;
            };
            events += 1;
            let json = serde_json::to_value(what).expect("plain data");
            let fields = json.as_object().expect("an object");
            let name = fields["event"].as_str().expect("a name");
            let kind = Kind::of(&what)
                .to_possible_value()
                .expect("it can be asked for");
            let row = format!("\n| `{name}` | `{}` |", kind.get_name());
            let row = page.split_once(&row).expect(&row).1;
            let row = row.split_once('\n').expect("a line").0;
            for field in fields.keys().filter(|it| *it != "event") {
                assert!(row.contains(&format!("`{field}`")), "{name}: {field}");
            }
        }
        assert!(events > 10, "{events}");
    }
}
