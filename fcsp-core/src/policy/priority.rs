//! When a tenant gets its part, as distinct from how much: its priority, what a low one means, and
//! the weight of a tenant that has no compute of its own.
//!
//! The numbers stand in the region, on the tenant's page; [`crate::sched::shares`] turns them into
//! shares. As everywhere, zero in the region is the default.

use super::ValueError;
use super::mode::{text_or_number, words};
use super::nearest::hint;
use std::fmt;
use std::str::FromStr;

/// Who goes first. The order is that of precedence: high comes before normal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Waiting work gets the next turn, as long as the tenant has not had more than its share.
    High,
    /// Whoever is furthest behind its share goes first.
    #[default]
    Normal,
    /// While anybody of a higher priority is active, it has what [`LowPriority`] says; and always
    /// what the others leave.
    Low,
}

impl Priority {
    /// Every priority, in the order of precedence.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The priority with that number in the region; an unknown number is the default.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::High,
            2 => Self::Low,
            _ => Self::Normal,
        }
    }

    /// The number that stands for it in the region.
    pub const fn number(self) -> u32 {
        match self {
            Self::Normal => 0,
            Self::High => 1,
            Self::Low => 2,
        }
    }

    /// The word for it in files, variables and options.
    pub const fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Reads what HAMi-core calls a task's priority: `0` is high, `1` is low.
    ///
    /// # Errors
    /// If it is another text.
    pub fn from_hami(text: &str) -> Result<Self, ValueError> {
        match text.trim() {
            "0" => Ok(Self::High),
            "1" => Ok(Self::Low),
            _ => Err(ValueError {
                value: text.to_owned(),
                what: "a task priority of HAMi-core",
                fix: "use 0 for high or 1 for low; or set BUD_PRIORITY".to_owned(),
            }),
        }
    }
}

/// What a tenant of low priority has while one of a higher priority is active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LowPriority {
    /// Its floor.
    #[default]
    Floor,
    /// Nothing: it is paused.
    Pause,
}

impl LowPriority {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Floor, Self::Pause];

    /// The choice with that number in the region; an unknown number is the default.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Pause,
            _ => Self::Floor,
        }
    }

    /// The number that stands for it in the region.
    pub const fn number(self) -> u32 {
        match self {
            Self::Floor => 0,
            Self::Pause => 1,
        }
    }

    /// The word for it in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Pause => "pause",
        }
    }
}

words!(Priority, "a priority");
words!(LowPriority, "a meaning of low priority");

/// How much of what tenants with compute leave goes to a tenant without, relative to others without:
/// 1 to [`Weight::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// The largest. Beyond it the smaller of two tenants would hardly ever run.
    pub const MAX: u32 = 1000;

    /// The weight with that number in the region. Nothing was written yet where it is 0.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self(1),
            number if number > Self::MAX => Self(Self::MAX),
            number => Self(number),
        }
    }

    /// The number itself.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Weight {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.trim().parse() {
            Ok(number) if (1..=Self::MAX).contains(&number) => Ok(Self(number)),
            _ => Err(ValueError {
                value: text.to_owned(),
                what: "a weight",
                fix: format!("write a whole number from 1 to {}", Self::MAX),
            }),
        }
    }
}

text_or_number!(Weight, decimal, "a whole number from 1 to {}", Weight::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_lead_back_to_the_choice() {
        for priority in Priority::ALL {
            assert_eq!(Priority::from_number(priority.number()), priority);
            assert_eq!(priority.word().to_uppercase().parse(), Ok(priority));
        }
        for low in LowPriority::ALL {
            assert_eq!(LowPriority::from_number(low.number()), low);
            assert_eq!(low.word().parse(), Ok(low));
        }
        assert_eq!(Weight::from_number(7).number(), 7);
    }

    #[test]
    fn zero_is_the_default() {
        assert_eq!(Priority::from_number(0), Priority::default());
        assert_eq!(LowPriority::from_number(0), LowPriority::default());
        assert_eq!(Weight::from_number(0), Weight::default());
    }

    #[test]
    fn high_comes_before_normal_before_low() {
        assert!(Priority::High < Priority::Normal && Priority::Normal < Priority::Low);
    }

    #[test]
    fn hami_knows_two() {
        assert_eq!(Priority::from_hami("0"), Ok(Priority::High));
        assert_eq!(Priority::from_hami(" 1 "), Ok(Priority::Low));
        let error = Priority::from_hami("high").expect_err("HAMi-core reads numbers");
        assert!(error.to_string().contains("0 for high or 1 for low"));
    }

    #[test]
    fn a_weight_is_a_whole_number_in_its_range() {
        assert_eq!("3".parse::<Weight>().map(Weight::number), Ok(3));
        for text in ["0", "-1", "1.5", "1001", "", "heavy", "99999999999"] {
            let error = text.parse::<Weight>().expect_err(text).to_string();
            assert!(
                error.ends_with("write a whole number from 1 to 1000"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_misspelt_priority_is_told_what_was_meant() {
        assert_eq!(
            "hihg"
                .parse::<Priority>()
                .expect_err("misspelt")
                .to_string(),
            "\"hihg\" is not a priority: use high, normal, low; did you mean \"high\"?"
        );
    }
}
