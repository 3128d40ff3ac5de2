//! Where a value is on an axis.

/// An axis from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    log: bool,
    left: f64,
    width: f64,
}

/// Above this ratio of the ends an axis is logarithmic, if it can be.
const LOG_FROM: f64 = 20.0;

/// Decades that have a line of their own.
const DECADES_MAX: usize = 8;

/// The largest number that is drawn; room beside it must still be a number.
const LARGEST: f64 = 1e300;

/// A number that can be drawn.
pub(super) fn bounded(value: f64) -> f64 {
    value.clamp(-LARGEST, LARGEST)
}

impl Scale {
    /// An axis that holds these values with some room beside them, on `width` from `left`.
    pub(super) fn around(values: impl IntoIterator<Item = f64>, left: f64, width: f64) -> Self {
        let finite = values.into_iter().filter(|it| it.is_finite()).map(bounded);
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| {
            (low.min(it), high.max(it))
        });
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        if low > 1.0 / LARGEST && high / low > LOG_FROM {
            return Self::log(low / 1.15, high * 1.15, left, width);
        }
        // What differs by less than floating point can tell apart is one value.
        let room = match high - low {
            span if span <= low.abs() * 1e-9 => low.abs().max(1.0) * 0.05,
            span => span * 0.06,
        };
        Self {
            from: low - room,
            to: high + room,
            log: false,
            left,
            width,
        }
    }

    /// A logarithmic axis; both ends must be above 0.
    pub(super) fn log(from: f64, to: f64, left: f64, width: f64) -> Self {
        Self {
            from,
            to,
            log: true,
            left,
            width,
        }
    }

    /// A linear axis.
    pub(super) fn linear(from: f64, to: f64, left: f64, width: f64) -> Self {
        let log = false;
        Self {
            from,
            to,
            log,
            left,
            width,
        }
    }

    fn along(&self, value: f64) -> f64 {
        if self.log {
            // Not logarithms of quotients, which more than 308 decades are too many for.
            let (from, to) = (self.from.ln(), self.to.ln());
            (value.max(f64::MIN_POSITIVE).ln() - from) / (to - from)
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }

    /// The place of a value; what is beyond an end is at that end.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.left + self.width * self.along(value).clamp(0.0, 1.0)
    }

    /// Whether a value is on it.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.from..=self.to).contains(&value)
    }

    /// Values at which to draw a line: round ones, 3 to 7.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.log && self.to / self.from >= LOG_FROM {
            let decades = (self.from.log10().floor() as i32)..=(self.to.log10().ceil() as i32);
            let per_decade: &[f64] = if self.to / self.from > 1e3 {
                &[1.0]
            } else {
                &[1.0, 3.0]
            };
            // Of very many decades some.
            let step = (decades.clone().count() / DECADES_MAX).max(1);
            let all = decades
                .step_by(step)
                .flat_map(|power| per_decade.iter().map(move |it| it * 10f64.powi(power)));
            return all.filter(|it| self.holds(*it)).collect();
        }
        let span = self.to - self.from;
        let rough = span / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|it| it * power)
            .find(|it| *it >= rough)
            .unwrap_or(span);
        if !step.is_normal() {
            // An axis of next to nothing, or of everything.
            return vec![self.from, self.to];
        }
        let first = (self.from / step).ceil() as i64;
        let last = (self.to / step).floor() as i64;
        (first..=last).map(|it| it as f64 * step).collect()
    }
}

/// A coordinate: a tenth of a pixel is enough.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// What stands at a tick: as few digits as tell it apart from the next.
pub(super) fn tick_label(value: f64) -> String {
    let text = match value.abs() {
        0.0 => return "0".to_owned(),
        1e6.. => return format!("{}M", trimmed(&format!("{:.2}", value / 1e6))),
        1e4.. => return format!("{}k", trimmed(&format!("{:.1}", value / 1e3))),
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        1e-3.. => format!("{value:.4}"),
        _ => format!("{value:.0e}"),
    };
    trimmed(&text).to_owned()
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_are_at_the_ends() {
        let scale = Scale::linear(10.0, 20.0, 100.0, 50.0);
        assert_eq!(
            [10.0, 15.0, 20.0, 99.0].map(|it| scale.at(it)),
            [100.0, 125.0, 150.0, 150.0]
        );
        let scale = Scale::log(1.0, 100.0, 0.0, 100.0);
        assert!((scale.at(10.0) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn an_axis_from_next_to_nothing_to_next_to_everything_has_places_and_few_lines() {
        let scale = Scale::around([1e-200, 1.0, 1e200], 0.0, 100.0);
        let places = [1e-200, 1.0, 1e200, f64::MAX, f64::INFINITY, 0.0].map(|it| scale.at(it));
        assert!(
            places.iter().all(|it| (0.0..=100.0).contains(it)),
            "{places:?}"
        );
        assert!((places[1] - 50.0).abs() < 0.1, "{places:?}");
        let lines = scale.ticks().len();
        assert!((3..=2 * DECADES_MAX).contains(&lines), "{lines}");
    }

    #[test]
    fn labels_are_short() {
        let seen = [0.0, 1.0, 1.05, 2500.0, 20_000.0, 1.5e6, 0.025, 1e-5].map(tick_label);
        assert_eq!(
            seen,
            ["0", "1", "1.05", "2500", "20k", "1.5M", "0.025", "1e-5"]
        );
        assert_eq!([px(1.0), px(2.25)], ["1", "2.2"]);
    }

    proptest! {
        #[test]
        fn ticks_are_on_the_axis_and_not_too_many(a in -1e7..1e7f64, span in 1e-6..1e7f64) {
            let scale = Scale::around([a, a + span], 0.0, 100.0);
            let ticks = scale.ticks();
            prop_assert!((2..=9).contains(&ticks.len()), "{:?}", ticks);
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(scale.holds(a) && scale.holds(a + span));
        }
    }
}
