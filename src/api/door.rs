//! Who is asking: the request's id, the caller's key, the caller's address.

use super::errors::Problem;
use crate::domain::digits;
use crate::domain::key::{Key, Keyring, Unrecognised};
use crate::gateway::meter::Meter;
use crate::gateway::ports::Caller;
use crate::server::Headers;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

/// Longest request id taken over from a caller.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Longest `traceparent` passed on, of a version yet to come.
const TRACE_BYTES_MAX: usize = 256;
/// Longest `X-Forwarded-For` looked at, in addresses.
const FORWARDED_MAX: usize = 32;

/// OpenAI's code for a key that nobody has.
pub(super) const UNKNOWN_KEY: &str = "invalid_api_key";

/// Makes request ids that differ within a process by a counter, and between processes by chance.
#[derive(Debug)]
pub(super) struct Ids {
    /// The first of them.
    first: [u8; 28],
    next: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> Self {
        let mut first = *b"req_0123456789abcdef00000000";
        digits::hex(&mut first[4..20], RandomState::new().build_hasher().finish());
        Self { first, next: AtomicU64::new(1) }
    }

    /// The caller's own id where it is a proper one, else a new one.
    pub(super) fn of(&self, headers: &Headers) -> Arc<str> {
        match headers.get("x-request-id") {
            Some(id) if proper(id) => id.into(),
            _ => {
                let mut id = self.first;
                digits::hex(&mut id[20..], self.next.fetch_add(1, Ordering::Relaxed));
                std::str::from_utf8(&id).unwrap_or_default().into()
            }
        }
    }
}

fn proper(id: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// The trace a request belongs to: a well-formed `traceparent` (W3C Trace Context, section 3.2), as it came, and the
/// trace's id in it.
pub(super) fn trace(headers: &Headers) -> Option<(&str, &str)> {
    let parent = headers.get("traceparent")?;
    let (version, rest) = parent.split_at_checked(2)?;
    let hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (trace, rest) = rest.strip_prefix('-')?.split_at_checked(32)?;
    let (span, rest) = rest.strip_prefix('-')?.split_at_checked(16)?;
    let (flags, rest) = rest.strip_prefix('-')?.split_at_checked(2)?;
    // A later version may say more; version 00 may not, and ff is none.
    let proper =
        rest.is_empty() || (version != "00" && rest.starts_with('-') && parent.len() <= TRACE_BYTES_MAX);
    let some = |id: &str| id.bytes().any(|digit| digit != b'0');
    ([version, trace, span, flags].into_iter().all(hexadecimal) && version != "ff" && proper)
        .then_some((parent, trace))
        .filter(|_| some(trace) && some(span))
}

/// The key a request shows: `Authorization: Bearer K` (RFC 6750) or `X-API-Key: K`, never the query string.
fn shown(headers: &Headers) -> Option<&str> {
    let bearer = headers.get("authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim_start())
    });
    bearer.or_else(|| headers.get("x-api-key")).filter(|key| !key.is_empty())
}

/// Recognises the caller, by his key or by its place in the ring where that is known; `None` when no key is configured
/// and so none is needed.
///
/// # Errors
/// 401 when a key is needed and none, an unknown or an expired one is shown.
pub(super) fn caller<'a>(
    keyring: &'a Keyring,
    headers: &Headers,
    place: Option<usize>,
    today: impl FnOnce() -> SystemTime,
) -> Result<Option<&'a Key>, Problem> {
    if keyring.is_empty() {
        return Ok(None);
    }
    let recognised = if let Some(place) = place {
        keyring.at(place, today)
    } else if let Some(key) = shown(headers) {
        keyring.recognise(key, today)
    } else {
        let how = "an API key is needed: send Authorization: Bearer KEY or X-API-Key: KEY";
        return Err(Problem::new(401, how).code("missing_api_key"));
    };
    recognised.map(Some).map_err(|reason| match reason {
        Unrecognised::Unknown => Problem::new(401, "this API key is not known").code(UNKNOWN_KEY),
        Unrecognised::Expired => Problem::new(401, "this API key has expired").code("expired_api_key"),
    })
}

/// Slows down whoever tries keys: past so many wrong ones a minute his address is told to wait before the next, and
/// nobody waits for him. A right key from the same address is recognised before anyone counts.
pub(super) fn slowed(
    problem: Problem,
    meter: &Meter,
    address: impl FnOnce() -> IpAddr,
    now: Instant,
) -> Problem {
    if problem.code.as_deref() != Some(UNKNOWN_KEY) {
        return problem;
    }
    match meter.stranger(address(), now) {
        None => problem,
        Some(wait) => Problem::new(429, "too many keys that are not known: wait before the next one")
            .code("too_many_wrong_keys")
            .retry_after(wait),
    }
}

/// Whether the caller's key may ask at this path, or at the endpoint it is another name of.
///
/// # Errors
/// 403 when it may not.
pub(super) fn allowed(key: Option<&Key>, path: &str, label: &str) -> Result<(), Problem> {
    if key.is_some_and(|key| !key.may_ask_at(path) && !key.may_ask_at(label)) {
        return Err(Problem::new(403, "this API key may not use this endpoint").code("endpoint_not_allowed"));
    }
    Ok(())
}

/// A request the key may not make is one of so many per minute as well: past the limit its caller is told to wait.
pub(super) fn counted(problem: Problem, meter: &Meter, key: Option<&Key>, now: Instant) -> Problem {
    let Some(key) = key else { return problem };
    match meter.admit_alone(&Caller::Key(Arc::clone(&key.name)), now) {
        Ok(()) => problem,
        Err(limited) => Problem::of_limit(&limited),
    }
}

/// An address range whose members may say for whom they speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The network's address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let ((ours, width), (theirs, other)) = (bits(self.address), bits(address));
        let prefix = self.prefix.min(width);
        width == other && (prefix == 0 || (ours ^ theirs) >> (128 - u32::from(prefix)) == 0)
    }
}

/// The caller's address: the last one in `X-Forwarded-For` that is not a trusted proxy's own.
pub(super) fn address(peer: IpAddr, headers: &Headers, trusted: &[Network]) -> IpAddr {
    let trusts = |address: IpAddr| trusted.iter().any(|network| network.holds(address));
    let mut client = peer.to_canonical();
    if trusted.is_empty() || !trusts(client) {
        return client;
    }
    let Some(forwarded) = headers.get("x-forwarded-for") else { return client };
    for hop in forwarded.rsplit(',').take(FORWARDED_MAX) {
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
        client = hop.to_canonical();
        if !trusts(client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        fields.iter().copied().collect()
    }

    #[test]
    fn a_callers_request_id_is_kept_if_it_is_proper() {
        let ids = Ids::new();
        assert_eq!(&*ids.of(&headers(&[("X-Request-ID", "a.B-9_")])), "a.B-9_");
        let long = "x".repeat(REQUEST_ID_BYTES_MAX + 1);
        for wrong in ["", "a b", "a\u{e9}", "a;b", &long] {
            assert!(ids.of(&headers(&[("X-Request-ID", wrong)])).starts_with("req_"), "{wrong:?}");
        }
        assert_eq!(ids.of(&headers(&[("x-request-id", &long[1..])])).len(), REQUEST_ID_BYTES_MAX);
        assert_ne!(ids.of(&headers(&[])), ids.of(&headers(&[])));
    }

    #[test]
    fn a_trace_is_known_by_a_well_formed_parent_only() {
        let (id, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let of = |parent: &str| trace(&headers(&[("Traceparent", parent)])).map(|(_, id)| id.to_owned());
        assert_eq!(of(&format!("00-{id}-{span}-01")).as_deref(), Some(id));
        assert_eq!(of(&format!("01-{id}-{span}-01-more")).as_deref(), Some(id));
        for wrong in [
            String::new(),
            format!("00-{id}-{span}-01-more"),
            format!("ff-{id}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{id}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", id.to_uppercase()),
            format!("00-{id}-{span}-0"),
            format!("00_{id}-{span}-01"),
            format!("01-{id}-{span}-01-{}", "x".repeat(300)),
            "\u{e9}".repeat(28),
        ] {
            assert_eq!(of(&wrong), None, "{wrong}");
        }
        assert_eq!(trace(&headers(&[])), None);
    }

    #[test]
    fn a_key_is_shown_in_two_ways_and_no_other() {
        assert_eq!(shown(&headers(&[("Authorization", "bearer  k")])), Some("k"));
        assert_eq!(shown(&headers(&[("X-API-Key", "k")])), Some("k"));
        assert_eq!(shown(&headers(&[("Authorization", "Basic k")])), None);
        assert_eq!(shown(&headers(&[("Authorization", "Bearer ")])), None);
    }

    #[test]
    fn only_a_trusted_proxy_may_say_for_whom_it_speaks() {
        let at = |text: &str| text.parse::<IpAddr>().expect("an address");
        let proxies = [Network { address: at("10.0.0.0"), prefix: 8 }];
        let said = headers(&[("X-Forwarded-For", "6.6.6.6, 203.0.113.7, 10.1.2.3")]);
        assert_eq!(address(at("10.9.9.9"), &said, &proxies), at("203.0.113.7"));
        assert_eq!(address(at("192.0.2.1"), &said, &proxies), at("192.0.2.1"));
        assert_eq!(address(at("10.9.9.9"), &said, &[]), at("10.9.9.9"));
        assert_eq!(address(at("::ffff:10.9.9.9"), &headers(&[]), &proxies), at("10.9.9.9"));
        let broken = headers(&[("X-Forwarded-For", "6.6.6.6, nonsense")]);
        assert_eq!(address(at("10.9.9.9"), &broken, &proxies), at("10.9.9.9"));
    }
}
