//! Secrets that never print themselves, and callers' keys known only by their hash.

use super::budget::Allowance;
use super::limit::Limits;
use super::pattern::Pattern;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// A secret: prints as `***` everywhere; only [`Secret::reveal`] gives it away.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself: for the one upstream header it belongs in.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The SHA-256 of a caller's key: all we keep of it. Written as `sha256:` and 64 lowercase hex digits.
#[derive(Clone, Copy)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of a key's bytes.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// A hash that is already one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads `sha256:` and 64 hex digits of either case; `None` when it is anything else.
    #[must_use]
    pub fn parse(written: &str) -> Option<Self> {
        let digits = written.strip_prefix("sha256:")?.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether two hashes are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let difference = self.0.iter().zip(other.0).fold(0, |sum, (mine, theirs)| sum | (mine ^ theirs));
        std::hint::black_box(difference) == 0
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
    }
}

impl Eq for Hash {}

impl std::hash::Hash for Hash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A caller's key, known by its hashes.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name, for logs, limits and metrics.
    pub name: Arc<str>,
    /// The hashes of the key itself: several while one is replaced by the next. They are one caller.
    pub hashes: Vec<Hash>,
    /// The models it may ask for; empty: all.
    pub models: Vec<Pattern>,
    /// The paths it may ask at; empty: all.
    pub endpoints: Vec<Pattern>,
    /// The operator's own words about it.
    pub labels: Vec<(String, String)>,
    /// From this moment on it is refused.
    pub expires: Option<SystemTime>,
    /// What it may use.
    pub limits: Limits,
    /// What it may cost.
    pub budget: Option<Allowance>,
    /// Whether it may pin a provider with `X-Hapax-Provider`.
    pub may_pin: bool,
    /// Whether it sees the requests and the usage of others.
    pub admin: bool,
}

impl Key {
    /// Whether it may ask for this model, by the name the caller used.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }

    /// Whether it may ask at this path.
    #[must_use]
    pub fn may_ask_at(&self, path: &str) -> bool {
        self.endpoints.is_empty() || self.endpoints.iter().any(|pattern| pattern.matches(path))
    }
}

/// Why a caller's key opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrecognised {
    /// Nobody has this key.
    Unknown,
    /// Somebody had it.
    Expired,
}

/// Every key that opens the door.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
    /// Whose hash it is. What is looked up is a hash already, so how long it takes tells nothing of any key: whoever
    /// could choose the hash's first byte could break SHA-256.
    owners: HashMap<Hash, usize>,
}

impl Keyring {
    /// A ring of these keys. A hash that stands twice opens for the first.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Self {
        let mut owners = HashMap::new();
        for (place, key) in keys.iter().enumerate() {
            for hash in &key.hashes {
                owners.entry(*hash).or_insert(place);
            }
        }
        Self { keys, owners }
    }

    /// Whether no key is configured, so that none is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every key.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whose key this is.
    ///
    /// # Errors
    /// Why it opens nothing.
    pub fn recognise(&self, secret: &str, today: impl FnOnce() -> SystemTime) -> Result<&Key, Unrecognised> {
        self.at(*self.owners.get(&Hash::of(secret)).ok_or(Unrecognised::Unknown)?, today)
    }

    /// The key at a place of this ring, as [`Keyring::place`] told it.
    ///
    /// # Errors
    /// Why it opens nothing.
    pub fn at(&self, place: usize, today: impl FnOnce() -> SystemTime) -> Result<&Key, Unrecognised> {
        let key = self.keys.get(place).ok_or(Unrecognised::Unknown)?;
        if key.expires.is_some_and(|end| end <= today()) { Err(Unrecognised::Expired) } else { Ok(key) }
    }

    /// Where in this ring a key of it stands.
    #[must_use]
    pub fn place(&self, key: &Key) -> Option<usize> {
        // There may be thousands: its address says where it lies, if it is one of them.
        let from_first = (std::ptr::from_ref(key) as usize).checked_sub(self.keys.as_ptr() as usize)?;
        let place = from_first / size_of::<Key>();
        self.keys.get(place).filter(|mine| std::ptr::eq(*mine, key)).map(|_| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(name: &str, secret: &str) -> Key {
        Key {
            name: name.into(),
            hashes: vec![Hash::of(secret)],
            models: Vec::new(),
            endpoints: Vec::new(),
            labels: Vec::new(),
            expires: None,
            limits: Limits::default(),
            budget: None,
            may_pin: false,
            admin: false,
        }
    }

    #[test]
    fn a_key_has_its_place_in_its_own_ring_only() {
        let now = SystemTime::UNIX_EPOCH;
        let ring = Keyring::new((0..100).map(|number| key("k", &format!("sk-{number}"))).collect());
        for place in [0, 1, 99] {
            let found = ring.recognise(&format!("sk-{place}"), || now).expect("it is in the ring");
            assert_eq!(ring.place(found), Some(place));
            assert!(std::ptr::eq(ring.at(place, || now).expect("it is there"), found));
        }
        assert_eq!(ring.place(&key("k", "sk-1")), None);
        assert!(ring.at(100, || now).is_err());
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new("sk-123");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }

    #[test]
    fn the_hash_is_sha_256_and_reads_back_what_it_writes() {
        // FIPS 180-4, the one-block example message.
        let written = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Hash::of("abc").to_string(), written);
        assert_eq!(Hash::parse(written), Some(Hash::of("abc")));
        assert_eq!(Hash::parse(&written.to_uppercase().replace("SHA256:", "sha256:")), Some(Hash::of("abc")));
        for wrong in
            ["", "sha256:", "ba78", &written[..70], &format!("{written}0"), &written.replace('b', "g")]
        {
            assert_eq!(Hash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_bit_of_a_hash_counts() {
        let hash = Hash::of("key");
        for bit in 0..256 {
            let mut bytes = *hash.bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!hash.same(&Hash::from_bytes(bytes)), "bit {bit}");
        }
        assert!(hash.same(&Hash::from_bytes(*hash.bytes())));
    }

    #[test]
    fn a_key_is_recognised_until_it_expires() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let mut old = key("old", "sk-old");
        old.expires = Some(now);
        let ring = Keyring::new(vec![key("one", "sk-1"), old, key("two", "sk-2")]);
        assert_eq!(ring.recognise("sk-2", || now).map(|key| &*key.name), Ok("two"));
        assert_eq!(ring.recognise("sk-3", || now).map(|key| &*key.name), Err(Unrecognised::Unknown));
        assert_eq!(ring.recognise("", || now).map(|key| &*key.name), Err(Unrecognised::Unknown));
        assert_eq!(ring.recognise("sk-old", || now).map(|key| &*key.name), Err(Unrecognised::Expired));
        let before = now - Duration::from_nanos(1);
        assert_eq!(ring.recognise("sk-old", || before).map(|key| &*key.name), Ok("old"));
    }

    #[test]
    fn a_key_with_a_list_may_use_what_is_on_it_and_a_key_without_one_everything() {
        let mut bound = key("bound", "sk");
        assert!(bound.may_use("anything"));
        bound.models = vec![Pattern::new("fast"), Pattern::new("gpt-*")];
        assert!(bound.may_use("fast") && bound.may_use("gpt-4o"));
        assert!(!bound.may_use("faster") && !bound.may_use("claude"));
    }
    #[test]
    fn a_key_that_is_being_replaced_opens_with_both_and_is_one_caller() {
        let mut turning = key("bot", "sk-old");
        turning.hashes.push(Hash::of("sk-new"));
        let ring = Keyring::new(vec![turning, key("other", "sk-2")]);
        let now = SystemTime::UNIX_EPOCH;
        for secret in ["sk-old", "sk-new"] {
            assert_eq!(ring.recognise(secret, || now).map(|key| &*key.name), Ok("bot"));
        }
        assert_eq!(ring.recognise("sk-2", || now).map(|key| &*key.name), Ok("other"));
    }

    #[test]
    fn a_key_with_endpoints_asks_at_those_paths_alone() {
        let mut bound = key("bound", "sk");
        assert!(bound.may_ask_at("/api/chat"));
        bound.endpoints = vec![Pattern::new("/v1/chat/completions"), Pattern::new("/v1/models*")];
        assert!(bound.may_ask_at("/v1/chat/completions") && bound.may_ask_at("/v1/models/gpt-4o"));
        assert!(!bound.may_ask_at("/v1/chat") && !bound.may_ask_at("/api/chat"));
    }
}
