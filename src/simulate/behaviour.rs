//! How a simulated provider is told to misbehave: the behaviour string and what it means.
//!
//! A behaviour is a comma-separated list; the empty string and `ok` are health. `body=` and `flap=` take the rest
//! of the string. The vocabulary is the table in the room's documentation.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tokens one answer may have; an answer for ever is `endless`.
const TOKENS_MAX: usize = 1_000_000;

/// A behaviour string that means nothing, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadBehaviour(String);

impl fmt::Display for BadBehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadBehaviour {}

/// What comes in place of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Instead {
    /// Nothing: the answer comes.
    #[default]
    Answer,
    /// Connections are closed as they are accepted, and on their next request.
    Down,
    /// The connection is closed without a byte.
    Close,
    /// The connection is reset without a byte.
    Reset,
    /// Silence until the peer leaves.
    Stall,
    /// Bytes that are not HTTP.
    GarbageHttp,
    /// 200 and a body that is not the dialect's.
    Garbage,
    /// 200 and no body.
    EmptyBody,
    /// 200 and a proper answer without content.
    EmptyContent,
    /// 200 and the vendor's error body, or error frame.
    Error200,
    /// 307 to a path of the simulator's own, so that following it would be seen.
    Redirect,
    /// This status, with the vendor's error body for it.
    Status(u16),
    /// 400: the vendor's complaint about the context window.
    ContextLength,
    /// 404: the vendor's complaint about the model.
    UnknownModel,
    /// 400: the vendor's complaint about a parameter.
    BadRequest,
    /// 400: the vendor's content policy.
    ContentPolicy,
    /// The vendor's words for an account without credit.
    InsufficientQuota,
}

/// Where an answer breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// After this many content frames; a whole answer breaks in the middle of its body.
    Frames(usize),
    /// After this many bytes of the body, transfer coding not counted.
    Bytes(usize),
}

/// How an answer breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// The connection is closed.
    Cut,
    /// The connection is reset.
    Reset,
    /// Silence until the peer leaves.
    Stall,
    /// The vendor's error frame; then the body ends cleanly.
    Error,
}

/// How much of a stream's end is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ending {
    /// Finish and sentinel.
    #[default]
    Proper,
    /// The finish, but not the sentinel.
    NoSentinel,
    /// Neither; the body ends cleanly after the last content.
    NoFinish,
}

/// Healthy and misbehaving by turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flap {
    healthy: Duration,
    sick: Duration,
    then: Arc<Behaviour>,
}

/// How an answer goes on that somebody else began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Onward {
    /// With the word after the last one.
    #[default]
    Exactly,
    /// With the last few words again.
    Repeating(usize),
    /// From its beginning.
    FromTheTop,
    /// With other words, before it goes on.
    Astray,
}

/// A behaviour string, understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Behaviour {
    /// Waiting time before the head.
    pub delay: Duration,
    /// Waiting time between the head and the first token.
    pub first: Duration,
    /// Waiting time between tokens.
    pub pace: Duration,
    /// Something meaningless is sent this often while the stream waits or stalls.
    pub comments: Option<Duration>,
    /// Wait at the gate before the head.
    pub hold: bool,
    /// Wait at the gate after this many content frames.
    pub hold_after: Option<usize>,
    /// What comes in place of the answer.
    pub instead: Instead,
    /// Exactly this many tokens.
    pub tokens: Option<usize>,
    /// This many reasoning tokens come first.
    pub reasoning: usize,
    /// Tokens without end.
    pub endless: bool,
    /// How an answer goes on that somebody else began.
    pub onward: Onward,
    /// A conversation that ends with the assistant's words is refused, as newer models do.
    pub no_prefill: bool,
    /// The caller's bound on output holds, however much is to be said.
    pub bounded: bool,
    /// Parameters that are refused.
    pub refuses: Vec<String>,
    /// Where and how it breaks off.
    pub break_off: Option<(Place, Manner)>,
    /// A malformed frame is put before this content frame (counted from 1).
    pub malformed_at: Option<usize>,
    /// What of the end is sent.
    pub ending: Ending,
    /// Headers to add.
    pub headers: Vec<(String, String)>,
    /// A literal body in place of the vendor's.
    pub body: Option<String>,
    flap: Option<Flap>,
}

impl Behaviour {
    /// Understands a behaviour string.
    pub(super) fn parse(text: &str) -> Result<Self, BadBehaviour> {
        let mut behaviour = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(body) = rest.strip_prefix("body=") {
                behaviour.body = Some(body.to_owned());
                break;
            }
            if let Some(flap) = rest.strip_prefix("flap=") {
                let before = &text[..text.len() - rest.len()];
                behaviour.flap = Some(Flap::parse(before, flap)?);
                break;
            }
            let (item, after) = rest.split_once(',').unwrap_or((rest, ""));
            behaviour.add(item.trim())?;
            rest = after.trim_start();
        }
        Ok(behaviour)
    }

    fn add(&mut self, item: &str) -> Result<(), BadBehaviour> {
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (item, None),
        };
        match (name, value) {
            ("" | "ok", None) => {}
            ("hold", None) => self.hold = true,
            ("endless", None) => self.endless = true,
            ("no_prefill", None) => self.no_prefill = true,
            ("bounded", None) => self.bounded = true,
            ("repeats", None) => self.onward = Onward::FromTheTop,
            ("repeats", Some(value)) => self.onward = Onward::Repeating(number(value)?),
            ("strays", None) => self.onward = Onward::Astray,
            ("refuses", Some(name)) => self.refuses.push(name.to_owned()),
            ("no_end", None) => self.ending = Ending::NoSentinel,
            ("no_finish", None) => self.ending = Ending::NoFinish,
            ("delay", Some(value)) => self.delay = duration(value)?,
            ("first", Some(value)) => self.first = duration(value)?,
            ("pace", Some(value)) => self.pace = duration(value)?,
            ("comments", Some(value)) => self.comments = Some(duration(value)?.max(Duration::from_millis(1))),
            ("tokens", Some(value)) => self.tokens = Some(number(value)?),
            ("reasoning", Some(value)) => self.reasoning = number(value)?,
            ("hold_after", Some(value)) => self.hold_after = Some(number(value)?),
            ("malformed_at", Some(value)) => self.malformed_at = Some(number(value)?),
            ("header", Some(value)) => {
                let (name, value) = value.split_once(':').ok_or_else(|| bad(item, "wants Name:value"))?;
                self.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            ("cut_after", Some(n)) => self.break_off(item, Place::Frames(number(n)?), Manner::Cut)?,
            ("cut_at_byte", Some(n)) => self.break_off(item, Place::Bytes(number(n)?), Manner::Cut)?,
            ("reset_after", Some(n)) => self.break_off(item, Place::Frames(number(n)?), Manner::Reset)?,
            ("stall_after", Some(n)) => self.break_off(item, Place::Frames(number(n)?), Manner::Stall)?,
            ("error_after", Some(n)) => self.break_off(item, Place::Frames(number(n)?), Manner::Error)?,
            _ => {
                let instead = instead(name, value)?.ok_or_else(|| bad(item, "is not a behaviour"))?;
                if self.instead != Instead::Answer {
                    return Err(bad(item, "comes second: there can be only one in place of the answer"));
                }
                self.instead = instead;
            }
        }
        Ok(())
    }

    fn break_off(&mut self, item: &str, place: Place, manner: Manner) -> Result<(), BadBehaviour> {
        if self.break_off.replace((place, manner)).is_some() {
            return Err(bad(item, "comes second: an answer breaks off once"));
        }
        Ok(())
    }

    /// What of this behaviour shows in a health check that was told nothing of its own: being down, reset, closed,
    /// and statuses; nothing that is about tokens.
    pub(super) fn for_checks(&self) -> Self {
        match self.instead {
            Instead::Down | Instead::Close | Instead::Reset | Instead::Status(_) => Self {
                instead: self.instead,
                headers: self.headers.clone(),
                body: self.body.clone(),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

impl Flap {
    /// Understands `10s/5s:status=503`; `before` holds in both states.
    fn parse(before: &str, text: &str) -> Result<Self, BadBehaviour> {
        let shape = || bad(text, "wants flap=HEALTHY/SICK:BEHAVIOUR, as in flap=10s/5s:status=503");
        let (times, then) = text.split_once(':').ok_or_else(shape)?;
        let (healthy, sick) = times.split_once('/').ok_or_else(shape)?;
        if then.starts_with("flap=") || then.contains(",flap=") {
            return Err(bad(text, "flaps within a flap"));
        }
        let (healthy, sick) = (duration(healthy)?, duration(sick)?);
        if healthy + sick < Duration::from_millis(1) {
            return Err(bad(text, "flaps faster than once a millisecond"));
        }
        let then = Arc::new(Behaviour::parse(&format!("{before}{then}"))?);
        Ok(Self { healthy, sick, then })
    }
}

/// A behaviour that began at a time, so that it can flap.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    behaviour: Arc<Behaviour>,
    since: Instant,
}

impl Entry {
    /// This behaviour from now on.
    pub(super) fn new(behaviour: Behaviour, since: Instant) -> Self {
        Self { behaviour: Arc::new(behaviour), since }
    }

    /// What it is at this time.
    pub(super) fn at(&self, now: Instant) -> Arc<Behaviour> {
        let Some(flap) = &self.behaviour.flap else { return Arc::clone(&self.behaviour) };
        let turn = flap.healthy + flap.sick;
        let into = now.saturating_duration_since(self.since).as_nanos() % turn.as_nanos();
        Arc::clone(if into < flap.healthy.as_nanos() { &self.behaviour } else { &flap.then })
    }
}

fn instead(name: &str, value: Option<&str>) -> Result<Option<Instead>, BadBehaviour> {
    Ok(Some(match (name, value) {
        ("down", None) => Instead::Down,
        ("close", None) => Instead::Close,
        ("reset", None) => Instead::Reset,
        ("stall", None) => Instead::Stall,
        ("garbage", None) => Instead::Garbage,
        ("garbage_http", None) => Instead::GarbageHttp,
        ("empty", None) => Instead::EmptyBody,
        ("empty", Some("content")) => Instead::EmptyContent,
        ("error_200", None) => Instead::Error200,
        ("redirect", None) => Instead::Redirect,
        ("context_length", None) => Instead::ContextLength,
        ("unknown_model", None) => Instead::UnknownModel,
        ("bad_request", None) => Instead::BadRequest,
        ("content_policy", None) => Instead::ContentPolicy,
        ("insufficient_quota", None) => Instead::InsufficientQuota,
        ("status", Some(value)) => match value.parse() {
            Ok(status @ 200..=599) => Instead::Status(status),
            _ => return Err(bad(value, "is not a status from 200 to 599")),
        },
        _ => return Ok(None),
    }))
}

fn bad(what: &str, why: &str) -> BadBehaviour {
    BadBehaviour(format!("behaviour: `{what}` {why}"))
}

fn number(text: &str) -> Result<usize, BadBehaviour> {
    text.parse()
        .ok()
        .filter(|number| *number <= TOKENS_MAX)
        .ok_or_else(|| bad(text, "is not a whole number up to 1000000"))
}

fn duration(text: &str) -> Result<Duration, BadBehaviour> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let micros = match &text[unit..] {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => return Err(bad(text, "is not a duration such as 200ms (us, ms, s, m)")),
    };
    let count: u32 = text[..unit].parse().map_err(|_| bad(text, "is not a duration such as 200ms"))?;
    Ok(Duration::from_micros(u64::from(count) * micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn parsed(text: &str) -> Behaviour {
        Behaviour::parse(text).expect("a behaviour")
    }

    #[test]
    fn a_list_is_the_sum_of_its_items_and_nothing_is_health() {
        assert_eq!(parsed(""), Behaviour::default());
        assert_eq!(parsed("ok"), Behaviour::default());
        let behaviour = parsed("status=429, header=Retry-After: 2,delay=200ms");
        assert_eq!(behaviour.instead, Instead::Status(429));
        assert_eq!(behaviour.headers, [("Retry-After".to_owned(), "2".to_owned())]);
        assert_eq!(behaviour.delay, Duration::from_millis(200));
    }

    #[test]
    fn as_many_tokens_as_the_limit_may_be_asked_for() {
        assert_eq!(parsed("tokens=1000000").tokens, Some(TOKENS_MAX));
    }

    #[test]
    fn a_body_takes_the_rest_with_its_commas() {
        let behaviour = parsed(r#"status=500,body={"a":1,"b":2}"#);
        assert_eq!(behaviour.body.as_deref(), Some(r#"{"a":1,"b":2}"#));
    }

    #[test]
    fn what_means_nothing_is_named() {
        for (text, word) in [
            ("statu=503", "statu=503"),
            ("status=42", "42"),
            ("delay=200", "200"),
            ("tokens=many", "many"),
            ("tokens=1000001", "1000001"),
            ("status=503,reset", "reset"),
            ("cut_after=1,stall_after=2", "stall_after=2"),
            ("header=X", "header=X"),
            ("flap=10s:reset", "10s:reset"),
            ("flap=0s/0s:reset", "0s/0s"),
            ("flap=1s/1s:flap=1s/1s:reset", "1s/1s"),
            ("stall=5", "stall=5"),
        ] {
            let error = Behaviour::parse(text).expect_err(text).to_string();
            assert!(error.contains(&format!("`{word}")), "{text}: {error}");
        }
    }

    #[test]
    fn flapping_follows_the_time_and_keeps_what_was_said_before() {
        let start = SystemClock.now();
        let entry = Entry::new(parsed("pace=5ms,flap=10s/5s:status=503,header=a:b"), start);
        for (seconds, sick) in [(0, false), (9, false), (10, true), (14, true), (15, false), (25, true)] {
            let behaviour = entry.at(start + Duration::from_secs(seconds));
            assert_eq!(behaviour.instead == Instead::Status(503), sick, "after {seconds} s");
            assert_eq!(behaviour.pace, Duration::from_millis(5));
        }
    }

    #[test]
    fn a_check_sees_refusals_and_statuses_but_nothing_about_tokens() {
        assert_eq!(parsed("status=503,pace=5ms").for_checks(), parsed("status=503"));
        assert_eq!(parsed("down").for_checks(), parsed("down"));
        for text in ["stall", "cut_after=3", "garbage", "delay=5s", "context_length", "tokens=5"] {
            assert_eq!(parsed(text).for_checks(), Behaviour::default(), "{text}");
        }
    }
}
