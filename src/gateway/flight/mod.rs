//! Flights: identical questions of the same caller, asked at once, share one upstream call.
//!
//! The first to ask leads: its thread makes the call and publishes what arrives. Everyone else follows: late
//! ones get what was already sent, then the rest live. A flight is in the table only while it is in the air;
//! its end, good or bad, is shared with those on board and never kept.
//!
//! The order of locks is table, then flight, then a caller's signal; no hook, call or listener runs under one.

mod seat;

pub(super) use seat::{News, Seat};

use super::cancel::{Cancel, Heed, Reason};
use super::ports::{Question, Trail};
use crate::domain::chat::{Answer, Frame};
use crate::domain::failure::Failure;
use crate::domain::quick::Seed;
use crate::domain::reel::{Place, Reel};
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::collections::{HashMap, hash_map};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Followers of one flight; past it a caller flies alone.
pub const FOLLOWERS_MAX: usize = 1_024;
/// What one flight keeps for those who join late, or lag behind; past it nobody joins any more.
pub const REPLAY_BYTES_MAX: usize = 8 << 20;
/// What all flights keep together; past it nobody joins the one that would keep more.
pub const REPLAY_TOTAL_BYTES_MAX: usize = 64 << 20;
/// Flights in the air; past it callers fly alone.
pub const FLIGHTS_MAX: usize = 16_384;
/// Bodies up to twice this are hashed whole; of longer ones the beginning, the end and [`SAMPLES`] between.
const HASH_BYTES: usize = 512;
const SAMPLES: usize = 32;

/// Everything in the air.
pub(super) struct Flights {
    /// Guards which flight is in the air under which hash. Bodies are compared without it.
    table: Mutex<HashMap<u64, Arc<Flight>, BuildHasherDefault<AsItIs>>>,
    hasher: Seed,
    kept: Arc<AtomicUsize>,
}

/// One upstream call, shared.
pub(super) struct Flight {
    pub(super) question: Box<Question>,
    hash: u64,
    /// Fires when nobody is left.
    pub(super) cancel: Arc<Cancel>,
    /// Guards who is on board and what has arrived.
    state: Mutex<State>,
    news: Condvar,
    kept: Arc<AtomicUsize>,
}

struct State {
    leader: bool,
    followers: usize,
    /// Nobody joins any more.
    sealed: bool,
    begun: Option<Arc<Trail>>,
    told: Reel,
    end: Option<Arc<End>>,
}

/// How a flight ended, for its followers.
pub(super) struct End {
    pub(super) shared: Shared,
    pub(super) trail: Trail,
}

/// What followers share of the leader's outcome.
#[derive(Clone)]
pub(super) enum Shared {
    Whole(Arc<Answer>),
    Streamed,
    Broken(Failure),
    Failed(Failure),
    /// The leader panicked.
    Lost,
}

/// Where a caller sits.
pub(super) enum Boarded<'a> {
    Lead(Lead<'a>),
    Follow(Seat),
    Alone(Box<Question>),
}

impl Flights {
    pub(super) fn new() -> Self {
        Self { table: Mutex::default(), hasher: Seed::default(), kept: Arc::default() }
    }

    /// Takes every lock there is, once.
    #[cfg(test)]
    pub(super) fn look(&self) {
        let flights: Vec<_> = self.table.lock().values().cloned().collect();
        flights.iter().for_each(|flight| drop(flight.state.lock()));
    }

    /// Takes a seat on the flight of an identical question, or begins one.
    pub(super) fn board(&self, question: Box<Question>) -> Boarded<'_> {
        let hash = self.hash(&question);
        let mut departed: Option<Arc<Flight>> = None;
        // Each round either ends or has met a flight that departed meanwhile; three of those are enough.
        for _ in 0..3 {
            let met = {
                let mut table = self.table.lock();
                let room = table.len() < FLIGHTS_MAX;
                match table.entry(hash) {
                    hash_map::Entry::Occupied(mut place) => {
                        if departed.as_ref().is_some_and(|old| Arc::ptr_eq(old, place.get())) {
                            let flight = self.begin(question, hash);
                            place.insert(Arc::clone(&flight));
                            return Boarded::Lead(Lead { flights: self, flight, ended: Cell::new(false) });
                        }
                        Arc::clone(place.get())
                    }
                    hash_map::Entry::Vacant(_) if !room => return Boarded::Alone(question),
                    hash_map::Entry::Vacant(place) => {
                        let flight = self.begin(question, hash);
                        place.insert(Arc::clone(&flight));
                        return Boarded::Lead(Lead { flights: self, flight, ended: Cell::new(false) });
                    }
                }
            };
            if !identical(&met.question, &question) {
                return Boarded::Alone(question);
            }
            match met.join() {
                Joined::Seat(seat) => return Boarded::Follow(seat),
                Joined::Full => return Boarded::Alone(question),
                Joined::Departed => departed = Some(met),
            }
        }
        Boarded::Alone(question)
    }

    fn begin(&self, question: Box<Question>, hash: u64) -> Arc<Flight> {
        Arc::new(Flight {
            question,
            hash,
            cancel: Cancel::new(),
            state: Mutex::new(State {
                leader: true,
                followers: 0,
                sealed: false,
                begun: None,
                told: Reel::default(),
                end: None,
            }),
            news: Condvar::new(),
            kept: Arc::clone(&self.kept),
        })
    }

    /// Takes a flight out of the table, unless another has taken its place.
    fn land(&self, flight: &Arc<Flight>) {
        let mut table = self.table.lock();
        if let hash_map::Entry::Occupied(place) = table.entry(flight.hash)
            && Arc::ptr_eq(place.get(), flight)
        {
            place.remove();
        }
    }

    /// A hash of who asks what; of a long body only samples, since equality compares all of it anyway.
    fn hash(&self, question: &Question) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        question.endpoint.hash(&mut hasher);
        question.caller.hash(&mut hasher);
        question.pinned.hash(&mut hasher);
        let body = question.words.body.as_slice();
        hasher.write_usize(body.len());
        if body.len() <= 2 * HASH_BYTES {
            hasher.write(body);
        } else {
            hasher.write(&body[..HASH_BYTES]);
            hasher.write(&body[body.len() - HASH_BYTES..]);
            let step = (body.len() / SAMPLES).max(1);
            body.iter().step_by(step).for_each(|byte| hasher.write_u8(*byte));
        }
        hasher.finish()
    }

    #[cfg(test)]
    pub(super) fn in_the_air(&self) -> usize {
        self.table.lock().len()
    }

    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn followers(&self) -> usize {
        let flights: Vec<Arc<Flight>> = self.table.lock().values().map(Arc::clone).collect();
        flights.iter().map(|flight| flight.state.lock().followers).sum()
    }
}

/// Hashes what is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn identical(one: &Question, other: &Question) -> bool {
    one.endpoint == other.endpoint
        && one.caller == other.caller
        && one.pinned == other.pinned
        && one.passed == other.passed
        && one.words.dialect == other.words.dialect
        && (Arc::ptr_eq(&one.words.body, &other.words.body) || one.words.body == other.words.body)
}

enum Joined {
    Seat(Seat),
    Full,
    Departed,
}

impl Flight {
    fn join(self: &Arc<Self>) -> Joined {
        let mut state = self.state.lock();
        if state.sealed || state.end.is_some() {
            // Sealed in full flight means too big to replay; sealed and empty means abandoned.
            let on_board = state.end.is_none() && (state.leader || state.followers > 0);
            return if on_board { Joined::Full } else { Joined::Departed };
        }
        if state.followers >= FOLLOWERS_MAX {
            return Joined::Full;
        }
        state.followers += 1;
        drop(state);
        Joined::Seat(Seat { flight: Arc::clone(self), at: Place::default(), begun: false })
    }

    /// The leader's caller has left. The flight goes on while anybody is on board and the process lives.
    pub(super) fn leader_left(&self, reason: Reason) {
        let abandoned = {
            let mut state = self.state.lock();
            state.leader = false;
            state.sealed |= state.followers == 0;
            state.followers == 0
        };
        if abandoned || reason == Reason::Shutdown {
            self.cancel.fire(reason);
        }
    }

    /// The stream is committed: followers may begin.
    pub(super) fn begin(&self, trail: &Trail) {
        let trail = Arc::new(trail.clone());
        let mut state = self.state.lock();
        state.begun = Some(trail);
        let anybody = state.followers > 0;
        drop(state);
        if anybody {
            self.news.notify_all();
        }
    }

    /// One more frame for those on board and those to come. Says whether anybody follows.
    pub(super) fn publish(&self, frame: &Frame) -> bool {
        let mut state = self.state.lock();
        if state.sealed && state.followers == 0 {
            return false;
        }
        // Most frames find room that is counted already.
        let more = state.told.record(frame);
        if more > 0 {
            let total = self.kept.fetch_add(more, Ordering::Relaxed) + more;
            state.sealed |= state.told.bytes() > REPLAY_BYTES_MAX || total > REPLAY_TOTAL_BYTES_MAX;
        }
        if state.sealed {
            // Those on board may lag this far behind and no further.
            let most = if state.followers == 0 { 0 } else { REPLAY_BYTES_MAX };
            state.let_go(most, &self.kept);
        }
        let anybody = state.followers > 0;
        drop(state);
        if anybody {
            self.news.notify_all();
        }
        anybody
    }

    /// It has landed; what is shared of its end is put together only where somebody waits for it.
    fn finish(&self, shared: impl FnOnce() -> Shared, trail: &Trail) {
        let mut state = self.state.lock();
        state.sealed = true;
        state.leader = false;
        if state.followers > 0 && state.end.is_none() {
            state.end = Some(Arc::new(End { shared: shared(), trail: trail.clone() }));
            drop(state);
            self.news.notify_all();
        }
    }

    /// Wakes everyone who waits, to look again.
    fn wake(&self) {
        // Under the lock, or a follower between looking and waiting would miss it.
        let _state = self.state.lock();
        self.news.notify_all();
    }
}

/// The leader's caller gives up.
impl Heed for Flight {
    fn heed(&self, reason: Reason) {
        self.leader_left(reason);
    }
}

impl State {
    fn let_go(&mut self, most: usize, kept: &AtomicUsize) {
        while self.told.bytes() > most
            && let Some(freed) = self.told.let_go()
        {
            kept.fetch_sub(freed, Ordering::Relaxed);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let kept = &self.kept;
        self.state.get_mut().let_go(0, kept);
    }
}

/// The leader's duty: whatever happens, the flight lands and the followers are told.
pub(super) struct Lead<'a> {
    flights: &'a Flights,
    pub(super) flight: Arc<Flight>,
    ended: Cell<bool>,
}

impl Lead<'_> {
    /// Lands the flight and shares its end with those on board.
    pub(super) fn end(&self, shared: impl FnOnce() -> Shared, trail: &Trail) {
        self.ended.set(true);
        // First out of the table, so that whoever comes now asks anew.
        self.flights.land(&self.flight);
        self.flight.finish(shared, trail);
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if !self.ended.get() {
            self.flights.land(&self.flight);
            self.flight.finish(|| Shared::Lost, &Trail::default());
        }
    }
}
