//! How long each step of something took, for the log at debug level: [`Steps`].

use core::fmt;

use fcsp_core::sched::clock::now_ns;
use fcsp_preload::log::{self, Level};

/// Steps that are remembered; those beyond count with the last one.
const STEPS_MAX: usize = 12;

/// A clock that is stopped at the end of each step. It reads the time only if the log says it: where that needs
/// the kernel, nobody pays for it otherwise.
#[derive(Debug)]
pub struct Steps {
    /// When the last step ended; 0 if the log does not say it.
    last_ns: u64,
    /// Name and length of each step, nanoseconds.
    taken: [(&'static str, u64); STEPS_MAX],
    count: usize,
}

impl Steps {
    /// The first step begins.
    pub fn begin() -> Self {
        Self::of(if log::enabled(Level::Debug) {
            now_ns()
        } else {
            0
        })
    }

    fn of(last_ns: u64) -> Self {
        Self {
            last_ns,
            taken: [("", 0); STEPS_MAX],
            count: 0,
        }
    }

    /// The step with that name is over, and the next one begins.
    pub fn done(&mut self, step: &'static str) {
        if self.last_ns != 0 {
            self.done_at(step, now_ns());
        }
    }

    fn done_at(&mut self, step: &'static str, now_ns: u64) {
        let took_ns = now_ns.saturating_sub(self.last_ns);
        self.last_ns = now_ns;
        if self.count < STEPS_MAX {
            self.taken[self.count] = (step, took_ns);
            self.count += 1;
        } else {
            self.taken[STEPS_MAX - 1].1 += took_ns;
        }
    }
}

/// `region 12, policy 5, slot 8 us`.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (step, took_ns)) in self.taken[..self.count].iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{step} {}", (took_ns + 500) / 1_000)?;
        }
        f.write_str(" us")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_their_order_in_whole_microseconds() {
        let mut steps = Steps::of(1_000);
        steps.done_at("region", 13_400);
        steps.done_at("policy", 18_900);
        steps.done_at("slot", 18_900);
        assert_eq!(steps.to_string(), "region 12, policy 6, slot 0 us");
    }

    #[test]
    fn one_step_too_many_counts_with_the_last() {
        let mut steps = Steps::of(1);
        for step in 1..=STEPS_MAX as u64 + 1 {
            steps.done_at("step", 1 + step * 1_000);
        }
        let text = steps.to_string();
        assert_eq!(text.matches("step 1").count(), STEPS_MAX - 1);
        assert!(text.ends_with("step 2 us"), "{text}");
    }
}
