//! An amount of device memory.

use super::decimal::Decimal;
use super::mode::text_or_number;
use super::{Share, ValueError};
use std::fmt;
use std::str::FromStr;

/// How much memory a limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAmount {
    /// That many bytes. Zero is a real quota of nothing.
    Bytes(u64),
    /// That share of the device's memory.
    OfDevice(Share),
    /// No quota.
    Unlimited,
}

/// Units, longest first. A bare letter is binary, as in HAMi-core and in `BUD_MEMORY_LIMIT=8G`; the
/// full spellings mean what they say.
const UNITS: [(&str, u64); 17] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("ti", 1 << 40),
    ("gi", 1 << 30),
    ("mi", 1 << 20),
    ("ki", 1 << 10),
    ("t", 1 << 40),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("b", 1),
];

impl MemoryAmount {
    /// In bytes on a device with `total_bytes`; `None` is no quota.
    pub const fn quota_bytes(self, total_bytes: u64) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::OfDevice(share) => Some(share.of(total_bytes)),
            Self::Unlimited => None,
        }
    }

    fn wrong(text: &str, fix: &str) -> ValueError {
        ValueError {
            value: text.to_owned(),
            what: "an amount of memory",
            fix: fix.to_owned(),
        }
    }
}

impl FromStr for MemoryAmount {
    type Err = ValueError;

    /// Reads `8G` and `8GiB` (8 × 2³⁰), `8GB` (8 × 10⁹), `512M`, a bare number of bytes, `50%` of
    /// the device, or `unlimited`. Case does not count. Decimals are allowed where a unit follows.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let lower = text.trim().to_ascii_lowercase();
        if lower == "unlimited" {
            return Ok(Self::Unlimited);
        }
        if lower.ends_with('%') {
            return lower
                .parse()
                .map(Self::OfDevice)
                .map_err(|error: ValueError| ValueError {
                    value: text.to_owned(),
                    ..error
                });
        }
        let (number, unit) = UNITS
            .iter()
            .find_map(|(suffix, unit)| Some((lower.strip_suffix(suffix)?.trim_end(), *unit)))
            .unwrap_or((&lower, 1));
        let decimal = Decimal::parse(number).ok_or_else(|| {
            Self::wrong(
                text,
                "write 8G or 8GiB, 8GB, 512M, a number of bytes, 50% of the device, or unlimited",
            )
        })?;
        let bytes = if unit == 1 {
            decimal.times_exact(1)
        } else {
            decimal.times_floor(unit)
        };
        match bytes {
            Some(u64::MAX) => Err(Self::wrong(text, "write unlimited for no quota")),
            Some(bytes) => Ok(Self::Bytes(bytes)),
            None if unit == 1 => Err(Self::wrong(
                text,
                "bytes are whole; did you leave out the unit?",
            )),
            None => Err(Self::wrong(
                text,
                "that is more than can be counted; write unlimited for no quota",
            )),
        }
    }
}

impl fmt::Display for MemoryAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.pad(&show_bytes(*bytes)),
            Self::OfDevice(share) => f.pad(&share.to_string()),
            Self::Unlimited => f.pad("unlimited"),
        }
    }
}

/// Bytes for people: `8 GiB`, `518 MiB`, `1.25 GiB`, with two decimals at most; rounded to nearest.
pub fn show_bytes(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes} B");
    };
    // Hundredths, rounded; in 128 bits because the product may pass 64.
    let hundredths = (u128::from(bytes) * 100 + (1 << shift >> 1)) >> shift;
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => format!("{whole} {unit}"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{} {unit}", part / 10),
        (whole, part) => format!("{whole}.{part:02} {unit}"),
    }
}

text_or_number!(
    MemoryAmount,
    whole,
    "an amount of memory such as \"8G\", \"50%\" or a number of bytes"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn units_mean_what_the_documents_say() {
        for (text, bytes) in [
            ("8G", 8 * GIB),
            ("8g", 8 * GIB),
            ("8GiB", 8 * GIB),
            ("8 Gi", 8 * GIB),
            ("8GB", 8_000_000_000),
            ("512M", 512 << 20),
            ("3000m", 3000 << 20),
            ("1.5G", 3 * GIB / 2),
            ("4096", 4096),
            ("4096B", 4096),
            ("0", 0),
        ] {
            assert_eq!(text.parse(), Ok(MemoryAmount::Bytes(bytes)), "{text}");
        }
        assert_eq!(
            "50%".parse(),
            Ok(MemoryAmount::OfDevice(Share::from_percent(50)))
        );
        assert_eq!("unlimited".parse(), Ok(MemoryAmount::Unlimited));
    }

    #[test]
    fn nonsense_is_refused_with_the_text_as_it_was_written() {
        for text in [
            "",
            "G",
            "-1G",
            "8X",
            "1.5",
            "8 G B",
            "99999999T",
            "18446744073709551615",
            "120%",
        ] {
            let error = text.parse::<MemoryAmount>().expect_err(text);
            assert_eq!(error.value, text);
        }
    }

    #[test]
    fn bytes_are_shown_rounded() {
        assert_eq!(show_bytes(0), "0 B");
        assert_eq!(show_bytes(8 * GIB), "8 GiB");
        assert_eq!(show_bytes(543_162_368), "518 MiB");
        assert_eq!(show_bytes(GIB * 5 / 4), "1.25 GiB");
        assert_eq!(show_bytes(GIB * 3 / 2), "1.5 GiB");
        assert_eq!(show_bytes(u64::MAX), "16777216 TiB");
    }

    proptest! {
        #[test]
        fn a_number_of_bytes_is_exact(bytes in 0..u64::MAX) {
            prop_assert_eq!(bytes.to_string().parse(), Ok(MemoryAmount::Bytes(bytes)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _parsed: Result<MemoryAmount, ValueError> = text.parse();
            let _parsed: Result<Share, ValueError> = text.parse();
        }
    }
}
