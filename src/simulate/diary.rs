//! What a simulated provider has seen: every request with its time and how it ended, for tests to check and wait for.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Requests kept; older ones are forgotten, counting goes on.
const SEEN_MAX: usize = 10_000;
/// Bytes of heads and bodies kept.
const SEEN_BYTES_MAX: usize = 256 << 20;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has not.
    InProgress,
    /// A complete HTTP answer was sent, whatever its status. Noted just before its last byte is written, so that a
    /// peer that has read the whole answer finds it here.
    Answered,
    /// The peer closed before the answer was complete; noticed at this time.
    PeerClosed(Instant),
    /// The simulator broke it off: cut, closed, reset, or was stopped.
    Misbehaved,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `POST`.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// Headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, without transfer coding.
    pub body: Vec<u8>,
    /// When it had arrived completely, by the simulator's clock.
    pub at: Instant,
    /// On which connection: the first accepted is 1.
    pub connection: u64,
    /// How it ended.
    pub end: End,
}

impl Seen {
    /// The first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A request as kept; its head is taken apart only when someone looks.
pub(super) struct Record {
    /// The head's bytes.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// When it had arrived.
    pub at: Instant,
    /// On which connection.
    pub connection: u64,
    /// Whether it asks for a completion or an embedding, rather than checking on us.
    pub completion: bool,
    /// How it ended.
    pub end: End,
}

impl Record {
    fn size(&self) -> usize {
        self.head.len() + self.body.len()
    }

    fn show(&self) -> Seen {
        let mut headers = [httparse::EMPTY_HEADER; super::http::HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        // The head was parsed once when it arrived; a second time gives the same.
        let _ = request.parse(&self.head);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Seen {
            method: request.method.unwrap_or_default().to_owned(),
            path: request.path.unwrap_or_default().to_owned(),
            headers: request.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect(),
            body: self.body.clone(),
            at: self.at,
            connection: self.connection,
            end: self.end,
        }
    }
}

/// All requests, the recent ones in full.
#[derive(Default)]
pub(super) struct Log {
    /// Guards the records and their count.
    records: Mutex<Records>,
    changed: Condvar,
}

#[derive(Default)]
struct Records {
    kept: VecDeque<Record>,
    bytes: usize,
    /// The number of the first one kept.
    first: u64,
    /// Completion requests since the last `forget`.
    completions: u64,
    /// Completion requests since the last `forget` that are no longer kept.
    completions_dropped: u64,
}

impl Records {
    fn drop_first(&mut self) {
        if let Some(record) = self.kept.pop_front() {
            self.first += 1;
            self.bytes -= record.size();
            self.completions_dropped += u64::from(record.completion);
        }
    }

    fn completion(&self, index: usize) -> Option<&Record> {
        let skipped = usize::try_from(self.completions_dropped).unwrap_or(usize::MAX);
        self.kept.iter().filter(|record| record.completion).nth(index.checked_sub(skipped)?)
    }
}

impl Log {
    /// Notes a request; the number is for [`Log::end`].
    pub(super) fn begin(&self, record: Record) -> u64 {
        let number = {
            let mut records = self.records.lock();
            while records.kept.len() >= SEEN_MAX
                || (records.bytes + record.size() > SEEN_BYTES_MAX && !records.kept.is_empty())
            {
                records.drop_first();
            }
            records.bytes += record.size();
            records.completions += u64::from(record.completion);
            records.kept.push_back(record);
            records.first + records.kept.len() as u64 - 1
        };
        self.changed.notify_all();
        number
    }

    /// Notes how a request ended; the last word counts.
    pub(super) fn end(&self, number: u64, end: End) {
        {
            let mut records = self.records.lock();
            let Some(index) = number.checked_sub(records.first) else { return };
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if let Some(record) = records.kept.get_mut(index) {
                record.end = end;
            }
        }
        self.changed.notify_all();
    }

    /// All requests kept, in order of arrival.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.records.lock().kept.iter().map(Record::show).collect()
    }

    /// Completion requests since the last [`Log::forget`], kept or not.
    pub(super) fn completions(&self) -> u64 {
        self.records.lock().completions
    }

    /// Forgets all requests.
    pub(super) fn forget(&self) {
        let mut records = self.records.lock();
        records.first += records.kept.len() as u64;
        records.kept.clear();
        (records.bytes, records.completions, records.completions_dropped) = (0, 0, 0);
    }

    /// Waits until this many completion requests have arrived; gives all that have.
    pub(super) fn wait_for(&self, count: usize, patience: Duration) -> Vec<Seen> {
        let mut records = self.records.lock();
        let missing = |records: &mut Records| records.completions < count as u64;
        let _ = self.changed.wait_while_for(&mut records, missing, patience);
        records.kept.iter().filter(|record| record.completion).map(Record::show).collect()
    }

    /// Waits until a completion request (counted from 0) has ended.
    pub(super) fn wait_ended(&self, index: usize, patience: Duration) -> Option<Seen> {
        let mut records = self.records.lock();
        let going_on = |records: &mut Records| {
            records.completion(index).is_none_or(|record| record.end == End::InProgress)
        };
        let _ = self.changed.wait_while_for(&mut records, going_on, patience);
        records.completion(index).filter(|record| record.end != End::InProgress).map(Record::show)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn record(completion: bool) -> Record {
        let head = b"POST /x HTTP/1.1\r\nX-A: b\r\n\r\n".to_vec();
        Record {
            head,
            body: vec![b'1'],
            at: SystemClock.now(),
            connection: 1,
            completion,
            end: End::InProgress,
        }
    }

    #[test]
    fn old_requests_are_forgotten_but_counting_goes_on() {
        let log = Log::default();
        let first = log.begin(record(true));
        for _ in 0..SEEN_MAX {
            log.begin(record(true));
        }
        log.end(first, End::Answered);
        assert_eq!(log.seen().len(), SEEN_MAX);
        assert_eq!(log.completions(), SEEN_MAX as u64 + 1);
        assert!(log.seen().iter().all(|seen| seen.end == End::InProgress));
    }

    #[test]
    fn as_many_bytes_are_kept_as_the_limit_and_not_one_more() {
        for (more, kept) in [(0, 2), (1, 1)] {
            let log = Log::default();
            for bytes in [SEEN_BYTES_MAX / 2, SEEN_BYTES_MAX / 2 + more] {
                let head = record(true).head;
                log.begin(Record { body: vec![0; bytes - head.len()], ..record(true) });
            }
            assert_eq!(log.records.lock().kept.len(), kept, "{more} more");
        }
    }

    #[test]
    fn an_index_still_means_the_same_request_after_old_ones_are_gone() {
        let log = Log::default();
        for _ in 0..SEEN_MAX {
            log.begin(record(true));
        }
        let last = log.begin(record(true));
        log.end(last, End::Misbehaved);
        let seen = log.wait_ended(SEEN_MAX, Duration::ZERO).expect("the last one is kept");
        assert_eq!(seen.end, End::Misbehaved);
        assert!(log.wait_ended(0, Duration::ZERO).is_none());
    }

    #[test]
    fn forgetting_starts_the_count_again_and_late_ends_change_nothing() {
        let log = Log::default();
        let old = log.begin(record(true));
        log.forget();
        log.begin(record(true));
        log.end(old, End::Answered);
        assert_eq!(log.completions(), 1);
        assert_eq!(log.seen()[0].end, End::InProgress);
        assert_eq!(log.seen()[0].header("x-a"), Some("b"));
    }

    #[test]
    fn only_completions_are_waited_for() {
        let log = Log::default();
        log.begin(record(false));
        assert!(log.wait_for(1, Duration::ZERO).is_empty());
        assert_eq!(log.seen().len(), 1);
    }
}
