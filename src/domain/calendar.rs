//! Seconds since 1970 as people write them: RFC 3339, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-11-23T12:27:05.123Z`. Times before 1970 are written as 1970.
#[must_use]
pub fn rfc3339(at: SystemTime) -> String {
    String::from_utf8_lossy(&stamp(at)).into_owned()
}

/// The same as bytes, all of them ASCII, for where bytes are written.
#[must_use]
pub fn stamp(at: SystemTime) -> [u8; 24] {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], second / 3600);
    put(&mut text[14..16], second / 60 % 60);
    put(&mut text[17..19], second % 60);
    put(&mut text[20..23], u64::from(since.subsec_millis()));
    text
}

/// The last digits of a number, as many as there is room for.
fn put(room: &mut [u8], mut number: u64) {
    for place in room.iter_mut().rev() {
        *place = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

/// `2026-11-23`, for a day counted from 1970-01-01.
#[must_use]
pub fn date(day: u64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The day, counted from 1970-01-01, of a text like `2026-11-23`; `None` for anything else, and for days no calendar has.
#[must_use]
pub fn day_of(text: &str) -> Option<u64> {
    let number = |part: &str| part.parse::<u64>().ok();
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    // Howard Hinnant's `days_from_civil`: the year begins in March.
    let (shifted, month_from_march) = (if month > 2 { year } else { year - 1 }, (month + 9) % 12);
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = days.checked_sub(719_468)?;
    // Back again, for days no month has, and for numbers with a sign or too few digits.
    (date(days) == text).then_some(days)
}

/// Year, month and day of a day counted from 1970-01-01, after Howard Hinnant's `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // days from 0000-03-01: leap days come last
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The day a date is, counted from 1970-01-01, after Howard Hinnant's `days_from_civil`. Dates before 1970 are day 0.
#[must_use]
pub fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month > 2 { year } else { year.saturating_sub(1) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.saturating_sub(1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

/// The first day of a day's month and that of the next month, all counted from 1970-01-01.
#[must_use]
pub fn month_around(day: u64) -> (u64, u64) {
    let (year, month, _) = civil(day);
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    (days(year, month, 1), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_day_is_read_as_it_is_written_and_nothing_else_is() {
        for day in [0, 59, 60, 11_016, 11_017, 20_780, 100_000] {
            assert_eq!(day_of(&date(day)), Some(day));
        }
        for wrong in [
            "2026-02-29",
            "2026-00-10",
            "2026-13-01",
            "2026-1-01",
            "2026-01-0",
            "1969-12-31",
            "x",
            "+2026-01-01",
        ] {
            assert_eq!(day_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn writes_dates_on_both_sides_of_leap_days() {
        let text = |seconds: u64| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(text(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(1_709_251_200), "2024-03-01T00:00:00.000Z");
        assert_eq!(text(1_795_436_825), "2026-11-23T12:27:05.000Z");
    }
    #[test]
    fn every_day_is_found_again_by_its_date() {
        for day in (0..80_000).step_by(13) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
            let (first, next) = month_around(day);
            assert!(first <= day && day < next && (28..=31).contains(&(next - first)), "{day}");
        }
    }
}
