//! The three choices a tenant has besides its numbers, with the numbers that stand for them in the
//! region. Zero is always the default, because a zeroed region is a valid one.

use super::ValueError;
use super::nearest::hint;
use std::fmt;
use std::str::FromStr;

/// How compute is shared.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Everybody gets the entitlement when all are active; what idle tenants leave is lent out and
    /// taken back at once.
    #[default]
    Balanced = 0,
    /// Nothing is enforced; use is still counted.
    None = 1,
    /// The entitlement is also the ceiling, alone or not.
    Strict = 2,
    /// Watches contention and moves between running together and taking turns.
    Adaptive = 3,
}

impl Mode {
    /// Every mode, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Balanced, Self::None, Self::Strict, Self::Adaptive];

    /// The mode with that number; an unknown number is the default.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::None,
            2 => Self::Strict,
            3 => Self::Adaptive,
            _ => Self::Balanced,
        }
    }

    /// The number that stands for it in the region.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The word for it in files, variables and options.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::None => "none",
            Self::Strict => "strict",
            Self::Adaptive => "adaptive",
        }
    }

    /// How far it holds a tenant back when others are idle: a tenant under a policy may choose a
    /// mode of the same or a higher rank than the policy's.
    pub(super) const fn rank(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Balanced | Self::Adaptive => 1,
            Self::Strict => 2,
        }
    }
}

/// What happens to an allocation that passes the quota.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MemoryMode {
    /// It is refused with the vendor's own out-of-memory code.
    #[default]
    Hard = 0,
    /// It is let through and counted, for the operator to see.
    Soft = 1,
}

impl MemoryMode {
    /// Both modes.
    pub const ALL: [Self; 2] = [Self::Hard, Self::Soft];

    /// The mode with that number; an unknown number is the default.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Soft,
            _ => Self::Hard,
        }
    }

    /// The number that stands for it in the region.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The word for it in files, variables and options.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

/// What happens when FCSP itself cannot do its work: no region, a bad setting, a full table.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fail {
    /// The program runs without limits, and a message says so.
    #[default]
    Open = 0,
    /// The program is refused the device.
    Closed = 1,
}

impl Fail {
    /// Both choices.
    pub const ALL: [Self; 2] = [Self::Open, Self::Closed];

    /// The choice with that number; an unknown number is the default.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Closed,
            _ => Self::Open,
        }
    }

    /// The number that stands for it in the region.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The word for it in files, variables and options.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What enums of choices have alike: a word each, read from text and from a policy file.
macro_rules! words {
    ($type:ty, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl FromStr for $type {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                let words = Self::ALL.map(Self::word);
                Self::ALL
                    .into_iter()
                    .find(|choice| choice.word().eq_ignore_ascii_case(text.trim()))
                    .ok_or_else(|| ValueError {
                        value: text.to_owned(),
                        what: $what,
                        fix: format!("use {}{}", words.join(", "), hint(text.trim(), words)),
                    })
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                let text = String::deserialize(source)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use words;

/// Reads a type that is written as text from a string or from a number: a whole one, or a decimal one too. The last
/// argument says what is expected, as `format!` takes it.
macro_rules! text_or_number {
    ($type:ty, whole, $($expects:tt)+) => {
        text_or_number!(@ $type, {}, $($expects)+);
    };
    ($type:ty, decimal, $($expects:tt)+) => {
        text_or_number!(@ $type, {
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<$type, E> {
                self.visit_str(&number.to_string())
            }
        }, $($expects)+);
    };
    (@ $type:ty, {$($decimal:item)*}, $($expects:tt)+) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, $($expects)+)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }

                    $($decimal)*
                }
                source.deserialize_any(Visitor)
            }
        }
    };
}

pub(super) use text_or_number;

words!(Mode, "an isolation mode");
words!(MemoryMode, "a memory mode");
words!(Fail, "a way to fail");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_lead_back_to_the_choice() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_number(mode.number()), mode);
            assert_eq!(mode.word().parse(), Ok(mode));
        }
        for mode in MemoryMode::ALL {
            assert_eq!(MemoryMode::from_number(mode.number()), mode);
            assert_eq!(mode.word().to_uppercase().parse(), Ok(mode));
        }
        for fail in Fail::ALL {
            assert_eq!(Fail::from_number(fail.number()), fail);
            assert_eq!(format!(" {fail} ").parse(), Ok(fail));
        }
    }

    #[test]
    fn zero_is_the_default() {
        assert_eq!(Mode::from_number(0), Mode::default());
        assert_eq!(MemoryMode::from_number(0), MemoryMode::default());
        assert_eq!(Fail::from_number(0), Fail::default());
    }

    #[test]
    fn a_misspelt_mode_is_told_what_was_meant() {
        let error = "ballanced".parse::<Mode>().expect_err("misspelt");
        assert_eq!(
            error.to_string(),
            "\"ballanced\" is not an isolation mode: use balanced, none, strict, adaptive; \
             did you mean \"balanced\"?"
        );
    }
}
