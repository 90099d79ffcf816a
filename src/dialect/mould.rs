//! Frames like the one before. Nearly every frame of a stream differs from its predecessor in its text alone, and then
//! means the same but for that: it is recognised by its bytes and need be neither cut into lines nor parsed.
//!
//! Why what a mould says is what a full reading says: the fixed parts have no escapes, so no key is written in another
//! way than its letters; the text's key stands in them once, and nothing else in them could have said the text; the text
//! is a JSON string by itself, so everything around it means what it meant. Between two full readings nothing but such
//! frames has come, and they leave no trace in a dialect's state. `tests` feeds mutated streams through both ways.

use super::json;
use crate::domain::chat::{Delta, Frame};
use std::borrow::Cow;

/// How a dialect's frames that say a text and nothing else look.
#[derive(Debug)]
pub(super) struct Kind {
    /// The text's key.
    key: &'static str,
    /// Keys that may not stand beside it, unless their value is `null`: what they say, or do, is more than a text.
    never: &'static str,
}

/// OpenAI's chunks.
pub(super) const OPENAI: Kind = Kind { key: "\"content\"", never: "\"refusal\"" };
/// Anthropic's `content_block_delta`; a block's beginning may say a text as well, and is remembered.
pub(super) const ANTHROPIC: Kind = Kind { key: "\"text\"", never: "\"content_block\"" };

/// OpenAI's stuffing, against those who guess words by the lengths of packets. Nobody reads it.
const STUFFING: &str = "\"obfuscation\"";

/// A frame with its text taken out.
#[derive(Debug)]
pub(super) struct Mould {
    choice: u32,
    /// Up to and with the text's opening quote.
    before: Vec<u8>,
    /// From the text's closing quote on: to the end, or up to and with the stuffing's opening quote.
    after: Vec<u8>,
    /// From the stuffing's closing quote to the end.
    rest: Option<Vec<u8>>,
}

/// What a frame like the mould says.
pub(super) struct Cast<'a> {
    text: Cow<'a, str>,
    /// The whole frame.
    pub(super) raw: &'a [u8],
}

impl Mould {
    /// Of a frame that was read in full, as one line of data without an event's name that matters.
    pub(super) fn of(kind: &Kind, raw: &[u8], deltas: &[Delta]) -> Option<Self> {
        let [Delta::Text { choice, text }] = deltas else { return None };
        let ended = raw.ends_with(b"\n\n") || raw.ends_with(b"\r\n\r\n");
        let raw = std::str::from_utf8(raw).ok().filter(|raw| ended && !raw.contains('\\'))?;
        let (head, tail) = raw.split_once(kind.key)?;
        let words = tail.strip_prefix(":\"")?;
        let after = words.strip_prefix(text.as_str()).filter(|after| after.starts_with('"'))?;
        let is_null = |(at, key): (usize, &str)| raw[at + key.len()..].starts_with(":null");
        if tail.contains(kind.key) || !raw.match_indices(kind.never).all(is_null) {
            return None;
        }
        let before = raw[..head.len() + kind.key.len() + 2].into();
        let (after, rest) = match stuffed(raw, after) {
            Some((after, rest)) => (after.into(), Some(rest.into())),
            None => (after.into(), None),
        };
        Some(Self { choice: *choice, before, after, rest })
    }

    /// The frame at the beginning of these bytes, if it is whole and like this.
    pub(super) fn cast<'a>(&self, bytes: &'a [u8]) -> Option<Cast<'a>> {
        let inner = bytes.strip_prefix(&*self.before)?;
        let plain = json::quiet_length(inner);
        let (length, text) = match inner.get(plain)? {
            b'"' if plain > 0 => (plain, Cow::Borrowed(std::str::from_utf8(&inner[..plain]).ok()?)),
            b'\\' => {
                let length = escaped(inner, plain)?;
                let quoted = &bytes[self.before.len() - 1..=self.before.len() + length];
                (length, Cow::Owned(serde_json::from_slice(quoted).ok()?))
            }
            _ => return None,
        };
        let mut behind = inner[length..].strip_prefix(&*self.after)?;
        if let Some(rest) = &self.rest {
            let length = json::quiet_length(behind);
            behind = behind[length..].strip_prefix(&**rest).filter(|_| behind[..length].is_ascii())?;
        }
        Some(Cast { text, raw: &bytes[..bytes.len() - behind.len()] })
    }

    /// Fills a frame with what was cast.
    pub(super) fn fill(&self, cast: &Cast<'_>, frame: &mut Frame) {
        frame.say(self.choice, &cast.text);
    }
}

/// Where the string ends whose first escape is here.
fn escaped(inner: &[u8], first: usize) -> Option<usize> {
    let mut at = first;
    while *inner.get(at)? == b'\\' {
        at += 2;
        at += json::quiet_length(inner.get(at..)?);
    }
    (inner[at] == b'"').then_some(at)
}

/// What stands before the stuffing's own, and behind it.
fn stuffed<'a>(raw: &str, after: &'a str) -> Option<(&'a str, &'a str)> {
    let (head, tail) = after.split_once(STUFFING)?;
    let stuff = tail.strip_prefix(":\"")?;
    let length = stuff.find('"')?;
    (raw.matches(STUFFING).count() == 1)
        .then(|| (&after[..head.len() + STUFFING.len() + 2], &stuff[length..]))
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::super::glance::twisted::seeded;
    use super::super::sse::FRAME_BYTES_MAX;
    use super::*;
    use crate::domain::failure::Failure;
    use crate::domain::words::Dialect;

    const CHUNK: &str = r#"data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"TEXT","refusal":null},"finish_reason":null}],"obfuscation":"STUFF"}"#;
    const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"TEXT\"}}";
    const TEXTS: [&str; 14] = [
        "a",
        " word",
        "ü🦀",
        "",
        "\\n",
        "\\\"",
        "\\u0041",
        "\\ud83e\\udd80",
        "\\ud800",
        "\\x",
        "\u{1}",
        "\u{7f}",
        "content",
        "\\",
    ];

    /// A stream of frames alike, some of them damaged in one place.
    fn stream(model: &str, seed: &mut u64) -> Vec<u8> {
        const SPARKS: &[u8] = b"\"\\{}[],: \n\r\x01\xff0aux";
        let end = ["\n\n", "\r\n\r\n", "\r\r", "\n\r\n"][seeded(seed) % 4];
        let mut bytes = Vec::new();
        for _ in 0..12 {
            let text =
                if seeded(seed).is_multiple_of(3) { TEXTS[seeded(seed) % TEXTS.len()] } else { "word " };
            let mut frame =
                model.replace("TEXT", text).replace("STUFF", ["x", "yy", ""][seeded(seed) % 3]).into_bytes();
            match seeded(seed) % 30 {
                0 => {
                    let at = seeded(seed) % frame.len();
                    frame[at] = SPARKS[seeded(seed) % SPARKS.len()];
                }
                1 => drop(frame.remove(seeded(seed) % frame.len())),
                2 => frame.insert(seeded(seed) % frame.len(), SPARKS[seeded(seed) % SPARKS.len()]),
                3 => frame = String::from_utf8_lossy(&frame).replace("null", "\"b\"").into_bytes(),
                4 => frame = String::from_utf8_lossy(&frame).replace("\"index\"", "\"content\"").into_bytes(),
                5 => frame = b": ping".to_vec(),
                _ => {}
            }
            bytes.extend_from_slice(&frame);
            // Now and then without the blank line.
            let end = if seeded(seed).is_multiple_of(30) { "\n" } else { end };
            bytes.extend_from_slice(end.as_bytes());
        }
        bytes
    }

    /// Pieces of this size; 0: cut where a frame seems to begin.
    fn pieces(bytes: &[u8], size: usize) -> Vec<&[u8]> {
        if size > 0 {
            return bytes.chunks(size).collect();
        }
        let of_anthropic = bytes.windows(7).any(|bytes| bytes == b"event: ");
        let begin: &[u8] = if of_anthropic { b"event: " } else { b"data: {" };
        let begins = |at: &usize| bytes[*at..].starts_with(begin);
        let mut at: Vec<usize> = (1..bytes.len()).filter(begins).collect();
        at.push(bytes.len());
        let from = std::iter::once(0).chain(at.iter().copied());
        from.zip(&at).map(|(from, to)| &bytes[from..*to]).collect()
    }

    /// What a reader makes of a stream that comes in pieces of this size, and how many frames it recognised, of these where
    /// they were received.
    fn read(
        mut reader: Reader,
        bytes: &[u8],
        size: usize,
    ) -> (Vec<Frame>, Result<(), Failure>, (usize, usize)) {
        let (mut frames, mut frame, mut taken) = (Vec::new(), Frame::default(), 0);
        for piece in pieces(bytes, size) {
            if reader.take(piece, &mut frame) {
                frames.push(frame.clone());
                taken += 1;
            }
            loop {
                match reader.read(&mut frame) {
                    Ok(true) => frames.push(frame.clone()),
                    Ok(false) => break,
                    Err(failure) => return (frames, Err(failure), (reader.casts(), taken)),
                }
            }
        }
        let end = reader.close();
        (frames, end, (reader.casts(), taken))
    }

    #[test]
    fn what_a_mould_says_is_what_a_full_reading_says() {
        let mut seed = 1;
        let mut cast = [(0, 0); 2];
        for round in 0..6_000 {
            let (model, target, which) =
                [(CHUNK, Dialect::OpenAiChat, 0), (DELTA, Dialect::Anthropic, 1)][round % 2];
            let caller = [target, Dialect::Hapax][seeded(&mut seed) % 2];
            let bytes = stream(model, &mut seed);
            let size = [0, 1, 7, 64, 400, bytes.len()][seeded(&mut seed) % 6];
            let (frames, end, casts) = read(Reader::new(target, caller, None), &bytes, size);
            let in_full = read(Reader::new(target, caller, None).in_full(), &bytes, size);
            assert_eq!((&frames, &end), (&in_full.0, &in_full.1), "{}", String::from_utf8_lossy(&bytes));
            assert_eq!(in_full.2, (0, 0));
            cast[which] = (cast[which].0 + casts.0, cast[which].1 + casts.1);
        }
        let many = |(casts, taken)| casts > 5_000 && taken > 500;
        assert!(cast.into_iter().all(many), "many were recognised: {cast:?}");
    }

    #[test]
    fn a_frame_like_the_one_before_is_no_longer_than_any_other_may_be() {
        let frame = |bytes: usize| {
            let room = bytes - (CHUNK.len() - "TEXT".len() + "\n\n".len());
            CHUNK.replace("TEXT", &"x".repeat(room)) + "\n\n"
        };
        for (bytes, casts) in [(FRAME_BYTES_MAX, 1), (FRAME_BYTES_MAX + 1, 0)] {
            // The first one says more than its text: who answers.
            let stream = (frame(400) + &frame(400) + &frame(bytes)).into_bytes();
            let reader = || Reader::new(Dialect::OpenAiChat, Dialect::OpenAiChat, None);
            let (told, end, (cast, _)) = read(reader(), &stream, stream.len());
            let in_full = read(reader().in_full(), &stream, stream.len());
            assert_eq!((told.len(), cast), (2 + casts, casts));
            assert!(told == in_full.0 && end == in_full.1);
        }
    }

    #[test]
    fn frames_are_recognised_with_their_escapes_and_stuffing_and_nothing_that_says_more_is() {
        let of = |kind, raw: &str, text: &str| {
            let deltas = [Delta::Text { choice: 0, text: text.to_owned() }];
            Mould::of(kind, raw.as_bytes(), &deltas)
        };
        let frame =
            |text: &str, stuff: &str| format!("{}\n\n", CHUNK.replace("TEXT", text).replace("STUFF", stuff));
        let mould = of(&OPENAI, &frame("a", "x"), "a").expect("it says a text and nothing else");
        for (text, said) in [("b", "b"), ("ü", "ü"), ("a\\n\\\"b", "a\n\"b")] {
            let bytes = frame(text, "yyy") + "data: ";
            let cast = mould.cast(bytes.as_bytes()).expect(text);
            assert_eq!((&*cast.text, cast.raw.len()), (said, bytes.len() - 6));
        }
        for other in ["", "\u{1}", "\\u12", "\\ud800", "\\"] {
            assert!(mould.cast(frame(other, "y").as_bytes()).is_none(), "{other}");
        }
        let whole = frame("b", "y");
        assert!((0..whole.len()).all(|length| mould.cast(&whole.as_bytes()[..length]).is_none()));
        for (raw, text) in [
            (frame("a", "x").replace("\"refusal\":null", "\"refusal\":\"b\""), "a"),
            (frame("a", "x").replace("\"refusal\":null", "\"refusal\": \"a\""), "a"),
            (frame("a", "x").replace("\"id\"", "\"content\""), "a"),
            (frame("a", "x").replace("\"id\"", "\"\\u0069d\""), "a"),
            (frame("a", "x").replace("\"content\":", "\"content\": "), "a"),
            (frame("\\u0061", "x"), "a"),
            (frame("a", "x").replace("\n\n", "\r\r"), "a"),
        ] {
            assert!(of(&OPENAI, &raw, text).is_none(), "{raw}");
        }
        let begin = "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"a\"}}\n\n";
        assert!(of(&ANTHROPIC, begin, "a").is_none());
    }
}
