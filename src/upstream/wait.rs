//! How long a provider asks us to wait: `retry-after-ms` (OpenAI's), else `Retry-After` (RFC 9110, 10.2.3).

use std::time::{Duration, SystemTime};

/// A longer wait is not believed.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// What an answer's head says of waiting, as it came.
#[derive(Debug, Default, Clone)]
pub(super) struct Waits {
    /// `retry-after-ms`.
    pub(super) milliseconds: Option<String>,
    /// `retry-after`: seconds, or a date.
    pub(super) seconds: Option<String>,
}

impl Waits {
    /// The wait that is asked for, at most [`WAIT_MAX`]; `None` when none is that can be understood.
    pub(super) fn asked_for(&self, today: SystemTime) -> Option<Duration> {
        let milliseconds = self.milliseconds.as_deref().and_then(|text| seconds(text.trim(), 0.001));
        milliseconds.or_else(|| {
            let text = self.seconds.as_deref()?.trim();
            seconds(text, 1.0).or_else(|| {
                let at = httpdate::parse_http_date(text).ok()?;
                Some(at.duration_since(today).unwrap_or_default().min(WAIT_MAX))
            })
        })
    }
}

/// A number, not always whole, of units.
fn seconds(text: &str, unit: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    let wait = (number * unit).clamp(0.0, WAIT_MAX.as_secs_f64());
    Duration::try_from_secs_f64(wait).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let text = |wanted: &str| {
            headers.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
        };
        let waits = Waits { milliseconds: text("retry-after-ms"), seconds: text("retry-after") };
        // 1994-11-06 08:49:30 GMT
        waits.asked_for(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770))
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(
            wait(&[("retry-after", "7"), ("retry-after-ms", "250")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")]), Some(Duration::ZERO));
    }

    #[test]
    fn absurd_waits_are_capped_and_nonsense_is_none() {
        assert_eq!(wait(&[("retry-after", "99999999999")]), Some(WAIT_MAX));
        assert_eq!(wait(&[("retry-after", "inf")]), Some(WAIT_MAX));
        assert_eq!(wait(&[("retry-after", "Sat, 06 Nov 2094 08:49:37 GMT")]), Some(WAIT_MAX));
        assert_eq!(wait(&[("retry-after", "-5")]), Some(Duration::ZERO));
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[("retry-after", "NaN")]), None);
        assert_eq!(wait(&[]), None);
    }
}
