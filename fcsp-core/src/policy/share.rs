//! A share of a device.

use super::ValueError;
use super::decimal::Decimal;
use super::mode::text_or_number;
use std::fmt;
use std::str::FromStr;

/// A share of one device: millionths, from nothing to all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

/// Millionths in one percent.
const PPM_PER_PERCENT: u32 = 10_000;

impl Share {
    /// Nothing. As an entitlement it means that none was given.
    pub const ZERO: Self = Self(0);
    /// The whole device.
    pub const WHOLE: Self = Self(1_000_000);

    /// That many percent; more than 100 is the whole.
    pub const fn from_percent(percent: u32) -> Self {
        if percent >= 100 {
            Self::WHOLE
        } else {
            Self(percent * PPM_PER_PERCENT)
        }
    }

    /// That many millionths; more than a million is the whole.
    pub const fn from_ppm(ppm: u32) -> Self {
        if ppm > Self::WHOLE.0 {
            Self::WHOLE
        } else {
            Self(ppm)
        }
    }

    /// In millionths of the device.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// As a fraction of the device, 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE.0)
    }

    /// True for [`Share::ZERO`].
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The share of `total`, rounded down.
    pub const fn of(self, total: u64) -> u64 {
        // At most `total`, so it fits.
        (total as u128 * self.0 as u128 / Self::WHOLE.0 as u128) as u64
    }

    /// What is left of the whole.
    pub const fn rest(self) -> Self {
        Self(Self::WHOLE.0 - self.0)
    }

    fn wrong(text: &str, fix: &str) -> ValueError {
        ValueError {
            value: text.to_owned(),
            what: "a share of a device",
            fix: fix.to_owned(),
        }
    }
}

impl FromStr for Share {
    type Err = ValueError;

    /// Reads a percentage from 0 to 100 with up to four decimals; the `%` may be left out. A number
    /// between 0 and 1 needs the sign, because `0.25` can be meant either way.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = text.trim();
        let (number, signed) = match number.strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (number, false),
        };
        let decimal = Decimal::parse(number)
            .ok_or_else(|| Self::wrong(text, "write a percentage from 0 to 100, such as 25%"))?;
        let ppm = decimal
            .times_exact(u64::from(PPM_PER_PERCENT))
            .ok_or_else(|| Self::wrong(text, "a percentage has at most four decimals"))?;
        if ppm > u64::from(Self::WHOLE.0) {
            return Err(Self::wrong(text, "a share is at most 100%"));
        }
        if !signed && ppm > 0 && ppm < u64::from(PPM_PER_PERCENT) {
            let fix = format!(
                "this can be read as a fraction or as a percentage; write {} or {number}%",
                // `ppm` is below 10 000, so a hundred times it is still a share.
                Self(ppm as u32 * 100)
            );
            return Err(Self::wrong(text, &fix));
        }
        Ok(Self(ppm as u32))
    }
}

impl fmt::Display for Share {
    /// `25%`, `12.5%`: the shortest text that reads back as the same share.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / PPM_PER_PERCENT, self.0 % PPM_PER_PERCENT);
        let text = if fraction == 0 {
            format!("{whole}%")
        } else {
            let fraction = format!("{fraction:04}");
            format!("{whole}.{}%", fraction.trim_end_matches('0'))
        };
        f.pad(&text)
    }
}

// A number is a percentage.
text_or_number!(Share, decimal, "a percentage such as \"25%\" or 25");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentages_are_read_with_and_without_the_sign() {
        for text in ["25%", "25", " 25 % ", "25.0", "25.0000%"] {
            assert_eq!(text.parse(), Ok(Share::from_percent(25)), "{text}");
        }
        assert_eq!("33.3333%".parse(), Ok(Share::from_ppm(333_333)));
        assert_eq!("0.25%".parse(), Ok(Share::from_ppm(2_500)));
        assert_eq!("0".parse(), Ok(Share::ZERO));
        assert_eq!("100".parse(), Ok(Share::WHOLE));
    }

    #[test]
    fn a_bare_fraction_is_refused_because_it_can_be_meant_either_way() {
        let error = "0.25".parse::<Share>().expect_err("ambiguous");
        assert!(error.to_string().ends_with("write 25% or 0.25%"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "%",
            "-5",
            "101",
            "1e2",
            "25 percent",
            "33.33333%",
            "0x10",
            ".",
        ] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ppm in 0_u32..=1_000_000) {
            let share = Share::from_ppm(ppm);
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }

        #[test]
        fn a_share_of_something_is_never_more_than_it(ppm: u32, total: u64) {
            let share = Share::from_ppm(ppm);
            prop_assert!(share.of(total) <= total);
            prop_assert_eq!(Share::WHOLE.of(total), total);
        }
    }
}
