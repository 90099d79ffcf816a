//! Tool calls put one after the other. Some providers tell several at once, a fragment of this one and a fragment of
//! that one; callers of Anthropic and Ollama expect each to be whole before the next begins.

use std::collections::VecDeque;

/// Calls that wait at once; a later one is not told.
const WAITING_MAX: usize = 1024;
/// Arguments of all that wait, in bytes; what goes beyond is not kept.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// A call, as far as it has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// Its number in the answer.
    pub call: u32,
    pub id: String,
    pub name: String,
    pub arguments: String,
    pub nesting: Nesting,
}

/// Calls that wait for their turn, in the order they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    waiting: VecDeque<Begun>,
    bytes: usize,
}

impl Calls {
    /// A call begins.
    pub fn begin(&mut self, call: u32, id: &str, name: &str) {
        if self.waiting.len() < WAITING_MAX {
            let (id, name) = (id.to_owned(), name.to_owned());
            let (arguments, nesting) = (String::new(), Nesting::default());
            self.waiting.push_back(Begun { call, id, name, arguments, nesting });
        }
    }

    /// More of a call's arguments; says whether it waits here.
    pub fn more(&mut self, call: u32, fragment: &str) -> bool {
        let Some(begun) = self.waiting.iter_mut().rev().find(|begun| begun.call == call) else {
            return false;
        };
        if self.bytes + fragment.len() <= WAITING_BYTES_MAX {
            self.bytes += fragment.len();
            begun.nesting.feed(fragment);
            begun.arguments.push_str(fragment);
        }
        true
    }

    /// The call whose turn it is, whether it is whole or not.
    pub fn next(&mut self) -> Option<Begun> {
        let begun = self.waiting.pop_front()?;
        self.bytes -= begun.arguments.len();
        Some(begun)
    }

    /// The call whose turn it is, once it is whole.
    pub fn next_whole(&mut self) -> Option<Begun> {
        if self.waiting.front()?.nesting.is_whole() { self.next() } else { None }
    }
}

/// How deep in JSON its fragments have led: what is not nested any more is whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Nesting {
    depth: u32,
    begun: bool,
    quoted: bool,
    escaped: bool,
}

impl Nesting {
    /// Of a call that nothing more will come of.
    pub const WHOLE: Self = Self { depth: 0, begun: true, quoted: false, escaped: false };

    /// More text.
    pub fn feed(&mut self, fragment: &str) {
        for byte in fragment.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.quoted,
                b'"' => self.quoted = !self.quoted,
                b'{' | b'[' if !self.quoted => {
                    self.depth = self.depth.saturating_add(1);
                    self.begun = true;
                }
                b'}' | b']' if !self.quoted => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether an object or array has begun and ended.
    pub fn is_whole(self) -> bool {
        self.begun && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_whole_when_their_last_brace_has_come() {
        let text = r#"{"a":"}\"{","b":[{}]}"#;
        for at in 0..=text.len() {
            let mut nesting = Nesting::default();
            nesting.feed(&text[..at]);
            assert_eq!(nesting.is_whole(), at == text.len(), "{}", &text[..at]);
            nesting.feed(&text[at..]);
            assert!(nesting.is_whole(), "{at}");
        }
    }

    #[test]
    fn each_call_has_its_turn_and_its_own_fragments() {
        let mut calls = Calls::default();
        calls.begin(0, "a", "f");
        calls.begin(1, "b", "g");
        for (call, fragment) in [(1, "{\"y\""), (0, "{"), (1, ":1}"), (7, "{}")] {
            assert_eq!(calls.more(call, fragment), call < 2);
        }
        assert_eq!(calls.next_whole(), None, "the second is whole, but it is the first one's turn");
        calls.more(0, "}");
        let told = |begun: Option<Begun>| begun.map(|begun| (begun.id, begun.arguments));
        assert_eq!(told(calls.next_whole()), Some(("a".to_owned(), "{}".to_owned())));
        assert_eq!(told(calls.next_whole()), Some(("b".to_owned(), "{\"y\":1}".to_owned())));
        assert!(calls.next().is_none() && calls.bytes == 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut calls = Calls::default();
        for call in 0..=1024 {
            calls.begin(call, "", "");
        }
        assert_eq!(calls.waiting.len(), WAITING_MAX);
        let most = "x".repeat(WAITING_BYTES_MAX);
        assert!(calls.more(0, &most) && calls.more(1, "x"));
        assert_eq!((calls.bytes, calls.waiting[1].arguments.as_str()), (WAITING_BYTES_MAX, ""));
        assert!(calls.next().is_some() && calls.more(1, "x") && calls.bytes == 1);
    }
}
