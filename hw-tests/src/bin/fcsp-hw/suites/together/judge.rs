//! Holds what a pair reached against its bars. Pure: measurements in, rows out.

use serde::Serialize;

use super::cases::Bound;
use crate::result::{Bar, Row};

/// What one side of a pair reached.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Side {
    /// Of what it reaches alone: in steps where it has steps, else in device time.
    pub of_alone: f64,
    /// 99th percentile of its latencies, for programs that wait.
    pub p99_ms: Option<f64>,
}

/// A pair beside each other, in one way.
#[derive(Debug, Clone, Serialize)]
pub struct Beside {
    /// Both.
    pub sides: [Side; 2],
    /// Largest deviation of a 1 s window from the entitlements, where samples tell.
    pub share_error_max_points: Option<f64>,
}

/// What `fcsp status` said while a pair ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// `exclusive` or `concurrent`.
    pub sharing: String,
    /// Why.
    pub because: String,
    /// Turns that were handed over until then.
    pub handoffs: u64,
    /// When: since the programs began.
    pub after_s: f64,
}

/// All that was measured of a pair.
#[derive(Debug)]
pub struct Found<'a> {
    /// The pair, in words.
    pub title: &'a str,
    /// Entitlements, percent.
    pub entitled_pct: [u32; 2],
    /// 99th percentile of each side's latencies alone.
    pub alone_p99_ms: [Option<f64>; 2],
    /// Under MPS without FCSP.
    pub raw: Option<Beside>,
    /// Under MPS with FCSP.
    pub fcsp: Beside,
    /// What was seen of that while it ran, or why nothing was.
    pub look: Result<Look, String>,
    /// With FCSP, without MPS.
    pub in_turns: Option<Beside>,
}

impl Beside {
    fn total(&self) -> f64 {
        self.sides.iter().map(|side| side.of_alone).sum()
    }

    fn text(&self) -> String {
        let [a, b] = self.sides;
        let p99 = |side: Side| {
            side.p99_ms
                .map_or(String::new(), |ms| format!(" (p99 {ms:.2} ms)"))
        };
        format!(
            "{:.3}{} and {:.3}{}, total {:.3}",
            a.of_alone,
            p99(a),
            b.of_alone,
            p99(b),
            self.total()
        )
    }
}

/// The rows of a pair: what is in force, the bars, and what stands beside them for comparison.
pub fn rows(found: &Found, bounds: &[Bound]) -> Vec<Row> {
    let title = found.title;
    let mut rows = vec![in_force(title, &found.look)];
    rows.extend(bounds.iter().map(|bound| bar(found, *bound)));
    rows.push(Row::info(
        format!("{title}: each of alone"),
        found.fcsp.text(),
    ));
    let parts = found.fcsp.sides.iter().zip(found.entitled_pct);
    let least = parts
        .map(|(side, pct)| side.of_alone * 100.0 / f64::from(pct))
        .fold(f64::INFINITY, f64::min);
    rows.push(Row::number(
        format!("{title}: the least of an entitlement that somebody had"),
        least,
        "",
        Bar::None,
    ));
    if let Some(raw) = &found.raw {
        rows.push(Row::info(
            format!("{title}, plain MPS: each of alone"),
            raw.text(),
        ));
        rows.push(Row::number(
            format!("{title}: total, of plain MPS's"),
            found.fcsp.total() / raw.total(),
            "",
            Bar::None,
        ));
    }
    if let Some(in_turns) = &found.in_turns {
        rows.push(Row::info(
            format!("{title}, in turns (no MPS): each of alone"),
            in_turns.text(),
        ));
    }
    rows
}

/// Whether the programs could run together, as an operator would see it.
fn in_force(title: &str, look: &Result<Look, String>) -> Row {
    let measure = format!("{title}: fcsp status says that programs run together");
    match look {
        Ok(look) => Row::fact(
            measure,
            format!(
                "{}: {}; {} turns handed over in the first {:.1} s",
                look.sharing, look.because, look.handoffs, look.after_s
            ),
            look.sharing == "concurrent",
        ),
        Err(reason) => Row::fact(measure, reason.as_str(), false),
    }
}

fn bar(found: &Found, bound: Bound) -> Row {
    let title = found.title;
    let which = |side: usize| ["the first", "the second"][side];
    // What was not measured is not a number, which meets no bar.
    let p99 = |side: usize| {
        let here = found.fcsp.sides[side].p99_ms.unwrap_or(f64::NAN);
        (here, found.alone_p99_ms[side].unwrap_or(f64::NAN))
    };
    match bound {
        Bound::TotalAtLeast(least) => Row::number(
            format!("{title}: total, of alone"),
            found.fcsp.total(),
            "",
            Bar::AtLeast(least),
        ),
        Bound::SideAtLeast(side, least) => Row::number(
            format!("{title}: {}, of alone", which(side)),
            found.fcsp.sides[side].of_alone,
            "",
            Bar::AtLeast(least),
        ),
        Bound::AddedP99MsAtMost(side, most_ms) => {
            let (here, alone) = p99(side);
            Row::number(
                format!(
                    "{title}: added to p99 of {} (alone {alone:.2} ms)",
                    which(side)
                ),
                here - alone,
                "ms",
                Bar::AtMost(most_ms),
            )
        }
        Bound::P99TimesAtMost(side, most) => {
            let (here, alone) = p99(side);
            Row::number(
                format!("{title}: p99 of {}, of alone ({alone:.3} ms)", which(side)),
                here / alone,
                "",
                Bar::AtMost(most),
            )
        }
        Bound::ShareErrorAtMost(most) => Row::number(
            format!("{title}: share error, largest of 1 s windows"),
            found.fcsp.share_error_max_points.unwrap_or(f64::NAN),
            "points",
            Bar::AtMost(most),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict;

    fn beside(a: f64, b: f64) -> Beside {
        let side = |of_alone| Side {
            of_alone,
            p99_ms: Some(1.0),
        };
        Beside {
            sides: [side(a), side(b)],
            share_error_max_points: Some(0.5),
        }
    }

    fn look(sharing: &str) -> Look {
        Look {
            sharing: sharing.into(),
            because: "MPS server 12 serves this device".into(),
            handoffs: 3,
            after_s: 2.0,
        }
    }

    fn found(a: f64, b: f64) -> Found<'static> {
        Found {
            title: "x",
            entitled_pct: [25, 75],
            alone_p99_ms: [Some(0.8), None],
            raw: Some(beside(0.9, 0.6)),
            fcsp: beside(a, b),
            look: Ok(look("concurrent")),
            in_turns: None,
        }
    }

    fn verdict(found: &Found, bound: Bound) -> Verdict {
        rows(found, &[bound])[1].verdict
    }

    #[test]
    fn each_bar_is_held_against_its_own_measure() {
        let it = found(0.9, 0.6);
        let expected = [
            (Bound::TotalAtLeast(1.5), Verdict::Pass),
            (Bound::TotalAtLeast(1.51), Verdict::Miss),
            (Bound::SideAtLeast(0, 0.9), Verdict::Pass),
            (Bound::SideAtLeast(1, 0.9), Verdict::Miss),
            (Bound::AddedP99MsAtMost(0, 0.21), Verdict::Pass),
            (Bound::AddedP99MsAtMost(0, 0.19), Verdict::Miss),
            (Bound::P99TimesAtMost(0, 1.25), Verdict::Pass),
            (Bound::P99TimesAtMost(0, 1.24), Verdict::Miss),
            (Bound::ShareErrorAtMost(0.5), Verdict::Pass),
            (Bound::ShareErrorAtMost(0.4), Verdict::Miss),
            // Its alone was not measured.
            (Bound::P99TimesAtMost(1, 9.0), Verdict::Miss),
        ];
        for (bound, verdict) in expected {
            assert_eq!(super::tests::verdict(&it, bound), verdict, "{bound:?}");
        }
    }

    #[test]
    fn a_device_in_turns_is_a_miss_that_says_why() {
        let mut it = found(0.5, 0.5);
        it.look = Ok(look("exclusive"));
        let row = &rows(&it, &[])[0];
        assert_eq!(row.verdict, Verdict::Miss);
        assert!(row.measured.contains("MPS server 12"), "{}", row.measured);
        it.look = Err("no answer".into());
        assert_eq!(rows(&it, &[])[0].verdict, Verdict::Miss);
        it.look = Ok(look("concurrent"));
        assert_eq!(rows(&it, &[])[0].verdict, Verdict::Pass);
    }

    #[test]
    fn entitlements_and_plain_mps_are_told_beside_the_bars() {
        let all = rows(&found(0.5, 0.6), &[]);
        let value = |part: &str| {
            let row = all.iter().find(|row| row.measure.contains(part));
            row.and_then(|row| row.value).expect("it is there")
        };
        assert!((value("least of an entitlement") - 0.8).abs() < 1e-9);
        assert!((value("of plain MPS's") - 1.1 / 1.5).abs() < 1e-9);
    }
}
