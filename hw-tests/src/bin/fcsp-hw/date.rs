//! The date of a result, in UTC.

use fcsp_hw_tests::clock::unix_now_ms;

/// Now, as `2026-11-20 16:40 UTC`.
pub fn now_utc() -> String {
    of_unix_s(unix_now_ms() / 1_000)
}

/// Gregorian date of a Unix time (the algorithm of Howard Hinnant's `civil_from_days`).
fn of_unix_s(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        second / 3_600,
        second % 3_600 / 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_have_their_dates() {
        assert_eq!(of_unix_s(0), "1970-01-01 00:00 UTC");
        assert_eq!(of_unix_s(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(of_unix_s(1_767_225_599), "2025-12-31 23:59 UTC");
    }
}
