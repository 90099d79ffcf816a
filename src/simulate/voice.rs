//! How a vendor words an answer, whole or as a stream; and the calendar in a form that two of them use.

use super::route::Vendor;
use super::talk::Delta;
use std::time::{Duration, SystemTime};

/// One answer's voice. A frame is everything up to and with its end mark; several events may share one.
pub(super) trait Voice {
    /// What comes before the first content; may be empty.
    fn opening(&mut self) -> String;
    /// One content frame.
    fn delta(&mut self, delta: &Delta) -> String;
    /// The frames that say why the answer ended, and the usage.
    fn finish(&mut self) -> Vec<String>;
    /// The frame that ends the stream.
    fn sentinel(&mut self) -> String;
    /// The whole answer as one body; `finished` unless the reason why it ended is to be left out.
    fn whole(&self, finished: bool) -> String;
}

/// The content type of a vendor's streams.
pub(super) fn stream_type(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::OpenAi | Vendor::Azure | Vendor::Responses | Vendor::Anthropic => {
            "text/event-stream; charset=utf-8"
        }
        Vendor::Gemini => "text/event-stream",
        Vendor::Ollama => "application/x-ndjson",
    }
}

/// A frame that is not what the dialect says.
pub(super) fn malformed(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Gemini => "data: {\"candidates\":[{\"content\":{\"par\r\n\r\n",
        Vendor::OpenAi | Vendor::Azure => {
            "data: {\"id\":\"chatcmpl-broken\",\"choices\":[{\"index\":0,\"del\n\n"
        }
        Vendor::Responses => {
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"ite\n\n"
        }
        Vendor::Anthropic => "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"ind\n\n",
        Vendor::Ollama => "{\"model\":\"broken\",\"message\":{\"role\":\"assi\n",
    }
}

/// Something that means nothing and keeps a stream alive.
pub(super) fn comment(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::OpenAi | Vendor::Azure | Vendor::Responses | Vendor::Gemini => ": keep-alive\n\n",
        Vendor::Anthropic => "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        Vendor::Ollama => "\n",
    }
}

/// Seconds since 1970.
pub(super) fn unix_seconds(today: SystemTime) -> u64 {
    today.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// `2025-11-23T12:40:00Z` (RFC 3339), by the civil-from-days method for the Gregorian calendar.
pub(super) fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_knows_leap_years_and_centuries() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
