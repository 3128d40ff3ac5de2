//! The arbiter's constants.

use super::clock::{ms, us};

/// The arbiter's constants. All times in nanoseconds.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// One round of turns among saturating tenants, hand-overs included; each turn is its share of
    /// it. A divisor of 100 ms, so that windows of that length hold whole rounds. A hand-over costs
    /// 0.16 ms on an H200 (driver 580.159), so three tenants lose 1.9 % to it (20 ms: 2.4 %, 10 ms:
    /// 4.8 %).
    pub cycle_ns: u64,
    /// The same while a program that waits for its results is about.
    pub cycle_ns_waiting: u64,
    /// Shortest turn.
    pub turn_ns_min: u64,
    /// Longest turn.
    pub turn_ns_max: u64,
    /// Shortest part of a turn of a program that never waits: a segment costs some 2 µs of its processor.
    pub segment_ns_min: u64,
    /// Longest part. What lies between two of them costs the device 4 to 8 µs, and whoever goes first waits for the end
    /// of one (H200, driver 580.159).
    pub segment_ns_max: u64,
    /// The same of others beside a program that goes first and may come.
    pub segment_ns_makes_way: u64,
    /// Longest segment of others beside a program that waits for its results.
    pub beside_interactive_ns: u64,
    /// How much earlier than just in time a segment that is still filling is granted, before the
    /// process's own margin is learnt.
    pub margin_ns: u64,
    /// A last result this long after the last submission, and what the kernel itself takes, is in time.
    pub late_ns: u64,
    /// A tenant without work for this long is idle.
    pub idle_ns: u64,
    /// Longest pause between two batches that keeps the turn.
    pub think_ns_max: u64,
    /// An open segment without submissions for this long has gone quiet.
    pub quiet_ns: u64,
    /// A program that keeps the device busy and had work so short a time ago is expected back before one that waits
    /// can be done. Turns of PyTorch's decoding beside training lasted 0.45 of the time otherwise, for 0.15 of work (H200).
    pub returns_ns: u64,
    /// Least time a turn's work is given before the lease moves on without it.
    pub bound_ns: u64,
    /// How long before an expected event to begin looking closely.
    pub lead_ns: u64,
    /// How often to look closely.
    pub poll_ns: u64,
    /// Longest sleep while anything is pending, so that others see a living arbiter.
    pub sleep_ns_max: u64,
    /// Segments granted beyond the running one while nobody else waits.
    pub ahead: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            cycle_ns: ms(25),
            cycle_ns_waiting: ms(10),
            turn_ns_min: us(500),
            turn_ns_max: ms(25),
            segment_ns_min: us(250),
            segment_ns_max: ms(1),
            segment_ns_makes_way: us(500),
            beside_interactive_ns: us(250),
            margin_ns: us(1500),
            late_ns: us(60),
            idle_ns: ms(200),
            think_ns_max: us(100),
            quiet_ns: us(200),
            returns_ns: ms(1),
            bound_ns: ms(50),
            lead_ns: us(20),
            poll_ns: us(10),
            sleep_ns_max: ms(8),
            ahead: 2,
        }
    }
}

impl Tuning {
    /// The defaults with some of them replaced: `name=microseconds` pairs separated by commas, as
    /// the variable `FCSP_TUNE` has them. For measurements.
    ///
    /// # Errors
    /// If a name is unknown or a value is not a number, with the pair.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tuning = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let parsed = pair
                .split_once('=')
                .and_then(|(name, value)| Some((name, value.parse().ok()?)));
            let Some((name, value)) = parsed else {
                return Err(format!("{pair:?} is not name=microseconds"));
            };
            let field = match name {
                "cycle" => &mut tuning.cycle_ns,
                "cycle_waiting" => &mut tuning.cycle_ns_waiting,
                "turn_min" => &mut tuning.turn_ns_min,
                "turn_max" => &mut tuning.turn_ns_max,
                "segment_min" => &mut tuning.segment_ns_min,
                "segment_max" => &mut tuning.segment_ns_max,
                "segment_makes_way" => &mut tuning.segment_ns_makes_way,
                "beside_interactive" => &mut tuning.beside_interactive_ns,
                "margin" => &mut tuning.margin_ns,
                "late" => &mut tuning.late_ns,
                "idle" => &mut tuning.idle_ns,
                "think_max" => &mut tuning.think_ns_max,
                "returns" => &mut tuning.returns_ns,
                "quiet" => &mut tuning.quiet_ns,
                "bound" => &mut tuning.bound_ns,
                "lead" => &mut tuning.lead_ns,
                "poll" => &mut tuning.poll_ns,
                "sleep_max" => &mut tuning.sleep_ns_max,
                _ => return Err(format!("{name:?} is not a constant of the arbiter")),
            };
            *field = us(value);
        }
        Ok(tuning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_replace_defaults() {
        let tuning = Tuning::parse("cycle=30000,poll=5").unwrap();
        assert_eq!(
            (tuning.cycle_ns, tuning.poll_ns, tuning.quiet_ns),
            (ms(30), us(5), us(200))
        );
        assert!(Tuning::parse("cylce=1").unwrap_err().contains("cylce"));
        assert!(Tuning::parse("cycle").unwrap_err().contains("microseconds"));
    }
}
