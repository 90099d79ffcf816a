//! Answers kept for the same question of the same caller: whole or streamed as they were, for a while.
//!
//! A question is known by the SHA-256 of everything that flights compare, so that no prompt stays in memory for the
//! cache's sake. Only what came to its proper end is kept. When there is no cache, nothing of this runs.

mod shelf;

use super::ports::{Question, Trail};
use crate::domain::chat::{Answer, Content, Frame, Part};
use crate::domain::digest;
use crate::domain::reel::Reel;
use crate::domain::words::Subject;
use crate::memory::{Held, Memory};
use parking_lot::Mutex;
use shelf::{Key, Shelf};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One answer takes at most this part of the cache: a quarter would empty it in four questions.
pub const ENTRY_SHARE: usize = 8;
/// What an answer costs to keep besides its text: its places in the tables, its trail.
const ENTRY_BYTES: usize = 512;

/// What the cache is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// An answer is given again for this long.
    pub ttl: Duration,
    /// Bytes kept at most.
    pub bytes_max: usize,
    /// What is kept counts here.
    pub memory: Arc<Memory>,
}

impl Settings {
    fn same(&self, other: &Self) -> bool {
        (self.ttl, self.bytes_max) == (other.ttl, other.bytes_max) && Arc::ptr_eq(&self.memory, &other.memory)
    }
}

/// What one caller wants of the cache (RFC 9111, section 5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Whether a kept answer will do; `no-cache` and `no-store` make this false.
    pub look: bool,
    /// Whether the answer may be kept; `no-store` makes this false.
    pub keep: bool,
    /// `max-age`: an older one will not do.
    pub age_max: Option<Duration>,
}

impl Default for Wish {
    fn default() -> Self {
        Self { look: true, keep: true, age_max: None }
    }
}

/// What the cache had to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// The answer was kept this long.
    Hit(Duration),
    /// Somebody was asked.
    Miss,
}

/// Kept answers.
pub(super) struct Cache {
    settings: Settings,
    /// Guards what is kept. Nothing is dropped, compared or copied under it but pointers.
    shelf: Mutex<Shelf<Arc<Kept>>>,
}

/// One kept answer.
pub(super) struct Kept {
    pub(super) trail: Trail,
    pub(super) said: Said,
    since: Instant,
    /// Counts it as long as somebody holds it.
    _held: Held,
}

/// What is given again.
pub(super) enum Said {
    Whole(Arc<Answer>),
    Streamed(Reel),
}

/// Where an answer will stand, if it comes to be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    key: Key,
    keep: bool,
}

/// What came of a look.
pub(super) enum Look {
    /// It is there, and so old.
    Hit(Arc<Kept>, Duration),
    Miss(Place),
}

impl Cache {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, shelf: Mutex::new(Shelf::new()) }
    }

    /// Whether it was told the same as another one.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.settings.same(&other.settings)
    }

    /// Answers kept, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let shelf = self.shelf.lock();
        (shelf.len(), shelf.bytes())
    }

    /// Looks for an answer to this question that is young enough.
    pub(super) fn look(&self, question: &Question, now: Instant) -> Look {
        let (key, wish) = (key(question), question.wish);
        let place = Place { key, keep: wish.keep };
        if !wish.look {
            return Look::Miss(place);
        }
        let mut shelf = self.shelf.lock();
        let Some(kept) = shelf.take_up(&key) else { return Look::Miss(place) };
        let age = now.saturating_duration_since(kept.since);
        let over = age >= self.settings.ttl;
        // What is dropped is dropped after the lock.
        let _expired = if over { shelf.remove(&key) } else { None };
        drop(shelf);
        if over || wish.age_max.is_some_and(|most| age > most) {
            return Look::Miss(place);
        }
        Look::Hit(kept, age)
    }

    /// Begins to keep a stream as it is told; `None` when it is not to be kept.
    pub(super) fn keeping(&self, place: Option<&Place>) -> Option<Keeping> {
        place.filter(|place| place.keep)?;
        let held = self.settings.memory.hold(ENTRY_BYTES)?;
        let most = self.settings.bytes_max / ENTRY_SHARE;
        Some(Keeping { told: Reel::default(), most, held: Some(held) })
    }

    /// Keeps a whole answer. Says how many others were let go for it.
    pub(super) fn keep(&self, place: &Place, answer: &Arc<Answer>, trail: &Trail, now: Instant) -> usize {
        let bytes = ENTRY_BYTES.saturating_add(size_of_answer(answer));
        if !place.keep || bytes > self.settings.bytes_max / ENTRY_SHARE {
            return 0;
        }
        let Some(held) = self.settings.memory.hold(bytes) else { return 0 };
        self.put(place.key, Said::Whole(Arc::clone(answer)), (trail, now), (held, bytes))
    }

    /// Keeps a stream that came to its proper end.
    pub(super) fn keep_stream(&self, place: &Place, told: Keeping, trail: &Trail, now: Instant) -> usize {
        let Keeping { told, held: Some(held), .. } = told else { return 0 };
        let bytes = ENTRY_BYTES + told.bytes();
        self.put(place.key, Said::Streamed(told), (trail, now), (held, bytes))
    }

    fn put(
        &self,
        key: Key,
        said: Said,
        (trail, since): (&Trail, Instant),
        (held, bytes): (Held, usize),
    ) -> usize {
        // Who gets it again waits for nobody, and nothing is accounted anew.
        let trail =
            Trail { served: trail.served.clone(), dropped: trail.dropped.clone(), ..Trail::default() };
        let kept = Arc::new(Kept { trail, said, since, _held: held });
        let mut gone = Vec::new();
        let mut shelf = self.shelf.lock();
        let before = shelf.put(key, kept, bytes);
        while shelf.bytes() > self.settings.bytes_max
            && let Some(last) = shelf.remove_last()
        {
            gone.push(last);
        }
        drop(shelf);
        drop(before);
        gone.len()
    }
}

/// A stream on its way into the cache.
pub(super) struct Keeping {
    told: Reel,
    most: usize,
    /// `None`: it has become too large, or memory too scarce.
    held: Option<Held>,
}

impl Keeping {
    /// One more frame.
    pub(super) fn note(&mut self, frame: &Frame) {
        let Some(held) = &mut self.held else { return };
        let more = self.told.record(frame);
        if ENTRY_BYTES + self.told.bytes() > self.most || more > 0 && !held.grow(more) {
            (self.told, self.held) = (Reel::default(), None);
        }
    }
}

/// Everything that makes two questions the same: as in flights, `identical`.
fn key(question: &Question) -> Key {
    let dialect = format!("{:?}", question.words.dialect);
    let mut parts: Vec<&[u8]> = vec![question.endpoint.as_bytes(), dialect.as_bytes()];
    let address;
    match &question.caller {
        super::ports::Caller::Key(name) => parts.extend([b"key".as_slice(), name.as_bytes()]),
        super::ports::Caller::Address(who) => {
            address = octets(*who);
            parts.extend([b"address".as_slice(), &address]);
        }
    }
    parts.push(if question.pinned.is_some() { b"pinned" } else { b"" });
    parts.push(question.pinned.as_deref().unwrap_or_default().as_bytes());
    for (name, value) in &question.passed {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    parts.push(&question.words.body);
    digest::sha256_of(&parts)
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Whether answers to such questions are kept. What a model is may change while its answers do not.
pub(super) fn worth_keeping(subject: Subject) -> bool {
    subject != Subject::Description
}

/// What an answer costs to keep, roughly.
fn size_of_answer(answer: &Answer) -> usize {
    let part = |part: &Part| {
        size_of::<Part>()
            + match part {
                Part::Text { text, .. } => text.len(),
                Part::Reasoning { text, signature } => text.len() + signature.as_ref().map_or(0, String::len),
                Part::ToolCall(call) => call.id.len() + call.name.len() + call.arguments.len(),
                // Providers' answers have none.
                Part::Image(_) | Part::ToolResult { .. } => 0,
            }
    };
    size_of::<Answer>()
        + answer.model.len()
        + match &answer.content {
            Content::Verbatim { body, .. } => body.capacity(),
            Content::Said { choices, .. } => {
                choices.iter().flat_map(|choice| &choice.parts).map(part).sum::<usize>()
            }
            Content::Vectors(vectors) => vectors.iter().map(|vector| size_of_val(&vector[..]) + 24).sum(),
        }
}
