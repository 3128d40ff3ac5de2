//! Exact decimal numbers: no float comes between what an operator writes and what is enforced.

/// A non-negative decimal number: `digits / 10^places`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: u64,
    places: u32,
}

impl Decimal {
    /// Reads `12`, `12.5` or `.5`. `None` for anything else, signs and exponents included, and for
    /// more digits than a `u64` holds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || whole.len() + fraction.len() == 0 {
            return None;
        }
        if text.ends_with('.') {
            return None;
        }
        Some(Self {
            digits: format!("{whole}{fraction}").parse().ok()?,
            places: u32::try_from(fraction.len()).ok()?,
        })
    }

    /// The number times `unit`, exactly; `None` if that is no whole number or more than a `u64`.
    pub(super) fn times_exact(self, unit: u64) -> Option<u64> {
        let (quotient, remainder) = self.scaled(unit)?;
        (remainder == 0).then_some(quotient)
    }

    /// The number times `unit`, rounded down; `None` if that is more than a `u64`.
    pub(super) fn times_floor(self, unit: u64) -> Option<u64> {
        self.scaled(unit).map(|(quotient, _)| quotient)
    }

    fn scaled(self, unit: u64) -> Option<(u64, u128)> {
        let product = u128::from(self.digits) * u128::from(unit);
        let divisor = 10_u128.checked_pow(self.places)?;
        let quotient = u64::try_from(product / divisor).ok()?;
        Some((quotient, product % divisor))
    }
}
