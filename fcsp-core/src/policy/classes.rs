//! What classes of work count: `[classes]` of a policy file, and the words in a region's header.
//!
//! A tenant whose work counts twice has twice the part of the pools ([`crate::sched::shares`]). It is a word about all
//! devices and tenants, not about one.

use super::ValueError;
use super::decimal::Decimal;
use super::mode::text_or_number;
use crate::region::layout::RegionLayout;
use crate::sched::class::{CLASSES, Class, EVEN_MILLI};
use crate::sync::Ordering::Relaxed;
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// What a nanosecond of a class counts, in thousandths: 0.1 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassWeight(u32);

impl ClassWeight {
    /// As much as without a policy.
    pub const ONE: Self = Self(EVEN_MILLI);
    /// The least and the most: beyond it one tenant would hardly ever run beside another.
    const RANGE_MILLI: std::ops::RangeInclusive<u64> = 100..=10_000;

    /// In thousandths.
    pub const fn milli(self) -> u32 {
        self.0
    }
}

impl Default for ClassWeight {
    fn default() -> Self {
        Self::ONE
    }
}

impl FromStr for ClassWeight {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Decimal::parse(text.trim())
            .and_then(|decimal| decimal.times_exact(1_000))
            .filter(|milli| Self::RANGE_MILLI.contains(milli))
            .map(|milli| Self(milli as u32))
            .ok_or_else(|| ValueError {
                value: text.to_owned(),
                what: "a weight of a class",
                fix: "write a number from 0.1 to 10 with at most three decimals".to_owned(),
            })
    }
}

text_or_number!(ClassWeight, decimal, "a number from 0.1 to 10");

/// `[classes]`: what is left out counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ClassWeights {
    /// [`Class::Other`].
    pub other: ClassWeight,
    /// [`Class::Attention`].
    pub attention: ClassWeight,
    /// [`Class::FeedForward`].
    pub feed_forward: ClassWeight,
    /// [`Class::Copy`].
    pub copy: ClassWeight,
    /// [`Class::Graph`].
    pub graph: ClassWeight,
}

impl ClassWeights {
    /// What that class counts.
    pub const fn of(&self, class: Class) -> ClassWeight {
        match class {
            Class::Other => self.other,
            Class::Attention => self.attention,
            Class::FeedForward => self.feed_forward,
            Class::Copy => self.copy,
            Class::Graph => self.graph,
        }
    }

    /// Writes them into a region. The caller rings the doorbell.
    pub fn store(&self, layout: &RegionLayout) {
        for class in Class::ALL {
            let word = &layout.header.class_weights_milli[class.place()];
            // Relaxed: a number alone; a step later it counts.
            word.store(self.of(class).milli(), Relaxed);
        }
        const { assert!(Class::ALL.len() <= CLASSES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_exact_and_bounded() {
        for (text, milli) in [("1", 1_000), ("0.1", 100), (" 2.5 ", 2_500), ("10", 10_000)] {
            assert_eq!(text.parse::<ClassWeight>().expect(text).milli(), milli);
        }
        for text in ["0", "0.0999", "11", "-1", "x", "1.0001", ""] {
            let error = text.parse::<ClassWeight>().expect_err(text).to_string();
            assert!(error.contains("0.1 to 10"), "{error}");
        }
    }

    #[test]
    fn what_is_left_out_counts_once() {
        let weights: ClassWeights =
            toml::from_str("attention = 2\nfeed-forward = 0.5\n").expect("right");
        assert_eq!(weights.of(Class::Attention).milli(), 2_000);
        assert_eq!(weights.of(Class::FeedForward).milli(), 500);
        for class in [Class::Other, Class::Copy, Class::Graph] {
            assert_eq!(weights.of(class), ClassWeight::ONE, "{class}");
        }
    }
}
