//! A complete answer that is passed on as it came is only glanced at: one walk, in which nothing is unescaped or kept.
//!
//! What [`facts`] is not sure of it leaves to the full parse, which has the last word on what is an answer.

use crate::dialect::glance::{Unsure, once, plain, sure};
use crate::dialect::json::{self, Scan};
use crate::domain::chat::Usage;

/// The model and the tokens of a plain answer: every choice has text and an ordinary end. `None`: look closer.
pub fn facts(body: &[u8]) -> Option<(&str, Option<Usage>)> {
    let mut scan = Scan::new(json::text(body).ok()?);
    let mut seen = Seen::default();
    scan.object(|scan, key| seen.member(scan, &key)).ok()?;
    scan.end().ok()?;
    // Half a surrogate pair is no text.
    (seen.said && scan.odd().is_none()).then_some((seen.model, seen.usage))
}

#[derive(Default)]
struct Seen<'a> {
    model: &'a str,
    usage: Option<Usage>,
    said: bool,
    /// One bit per key, to meet a second one.
    keys: u8,
}

impl<'a> Seen<'a> {
    fn member(&mut self, scan: &mut Scan<'a>, key: &str) -> Result<(), Unsure> {
        match key {
            "choices" => {
                once(&mut self.keys, 1)?;
                self.said = scan.array(choice)? > 0;
            }
            "usage" => {
                once(&mut self.keys, 2)?;
                self.usage = tokens(scan)?;
            }
            "model" => {
                once(&mut self.keys, 4)?;
                self.model = plain(scan)?;
            }
            "error" => {
                once(&mut self.keys, 8)?;
                sure(scan.value()? == "null")?;
            }
            "id" => {
                once(&mut self.keys, 16)?;
                sure(plain(scan)? != "error")?;
            }
            "object" => {
                once(&mut self.keys, 32)?;
                sure(plain(scan)? != "error")?;
            }
            _ => scan.pass()?,
        }
        Ok(())
    }
}

/// As [`Tokens`](super::wire::Tokens) reads them.
pub(super) fn tokens(scan: &mut Scan<'_>) -> Result<Option<Usage>, Unsure> {
    if scan.peek() == b'n' {
        scan.value()?;
        return Ok(None);
    }
    let (mut usage, mut keys) = (Usage::default(), 0);
    scan.object(|scan, key| {
        match &*key {
            "prompt_tokens" => {
                once(&mut keys, 1)?;
                usage.input = number(scan.value()?)?;
            }
            "completion_tokens" => {
                once(&mut keys, 2)?;
                usage.output = number(scan.value()?)?;
            }
            "prompt_tokens_details" => {
                once(&mut keys, 4)?;
                usage.cached = detail(scan, "cached_tokens")?;
            }
            "completion_tokens_details" => {
                once(&mut keys, 8)?;
                usage.reasoning = detail(scan, "reasoning_tokens")?;
            }
            _ => scan.pass()?,
        }
        Ok::<(), Unsure>(())
    })?;
    Ok(Some(usage))
}

/// One number of the details; they may be `null`.
fn detail(scan: &mut Scan<'_>, wanted: &str) -> Result<u64, Unsure> {
    if scan.peek() == b'n' {
        scan.value()?;
        return Ok(0);
    }
    let (mut found, mut keys) = (0, 0);
    scan.object(|scan, key| {
        let raw = scan.value()?;
        if key == wanted {
            once(&mut keys, 1)?;
            found = number(raw)?;
        }
        Ok::<(), Unsure>(())
    })?;
    Ok(found)
}

fn number(raw: &str) -> Result<u64, Unsure> {
    if raw == "null" { Ok(0) } else { json::digits(raw).ok_or(Unsure) }
}

fn choice(scan: &mut Scan<'_>, _: usize) -> Result<(), Unsure> {
    const SAID_AND_ENDED: u8 = 3;
    let mut keys = 0;
    scan.object(|scan, key| {
        match &*key {
            "message" => {
                once(&mut keys, 1)?;
                message(scan)?;
            }
            "finish_reason" => {
                once(&mut keys, 2)?;
                sure(matches!(scan.value()?, "\"stop\"" | "\"length\""))?;
            }
            "index" => {
                once(&mut keys, 4)?;
                let raw = scan.value()?;
                sure(raw.len() < 5 && json::digits(raw).is_some())?;
            }
            "delta" => return Err(Unsure),
            _ => scan.pass()?,
        }
        Ok::<(), Unsure>(())
    })?;
    sure(keys & SAID_AND_ENDED == SAID_AND_ENDED)
}

/// A message with text, and nothing else that is said in another way.
fn message(scan: &mut Scan<'_>) -> Result<(), Unsure> {
    const CONTENT: u8 = 1;
    let mut keys = 0;
    scan.object(|scan, key| {
        let raw = scan.value()?;
        let bit = match &*key {
            "content" => {
                sure(raw.starts_with('"') && raw.len() > 2)?;
                return once(&mut keys, CONTENT);
            }
            "role" => return Ok(()),
            "refusal" => 2,
            "tool_calls" => 4,
            "function_call" => 8,
            "audio" => 16,
            "reasoning" => 32,
            "reasoning_content" => 64,
            "reasoning_details" => 128,
            _ => 0,
        };
        sure(raw == "null" || raw == "[]")?;
        once(&mut keys, bit)
    })?;
    sure(keys & CONTENT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::glance::twisted::twisted;
    use crate::dialect::openai::read_answer;

    const PLAIN: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a\n\"b\"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

    #[test]
    fn a_glance_sees_what_a_parse_sees() {
        let parsed = read_answer(PLAIN.as_bytes(), None).expect("an answer");
        assert_eq!(facts(PLAIN.as_bytes()), Some((&*parsed.model, parsed.usage)));
    }

    #[test]
    fn letters_that_are_escaped_are_text_like_any_other() {
        for (said, is_text) in
            [(r"\u00e4", true), (r"\ud83d\ude00", true), (r"\ud83d", false), (r"\ude00!", false)]
        {
            let body = PLAIN.replace("a\\n", said);
            assert_eq!(facts(body.as_bytes()).is_some(), is_text, "{body}");
            assert_eq!(read_answer(body.as_bytes(), None).is_ok(), is_text, "{body}");
        }
    }

    const DETAILED: &str = r#"{"id":"c","object":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"abc"},"finish_reason":"length"},{"index":1,"message":{"content":"d"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":null,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":7,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":3}},"error":null}"#;

    #[test]
    fn whatever_a_glance_sees_in_damaged_answers_a_parse_sees_as_well() {
        let mut seen = 0;
        for plain in [PLAIN, DETAILED] {
            assert!(facts(plain.as_bytes()).is_some());
            for at in 0..plain.len() {
                let mut shorter = plain.as_bytes().to_vec();
                shorter.remove(at);
                let twice = [&plain.as_bytes()[..=at], &plain.as_bytes()[at..]].concat();
                let replaced = b"\"\\{}[],:0-.eE \0n\xff7".iter().map(|byte| {
                    let mut damaged = plain.as_bytes().to_vec();
                    damaged[at] = *byte;
                    damaged
                });
                for body in replaced.chain([shorter, twice]) {
                    let Some(facts) = facts(&body) else { continue };
                    let parsed = read_answer(&body, None).expect("a parse sees an answer, too");
                    assert_eq!(facts, (&*parsed.model, parsed.usage), "{}", body.escape_ascii());
                    seen += 1;
                }
            }
        }
        assert!(seen > 1000, "{seen}");
    }

    #[test]
    fn whatever_a_glance_sees_in_twisted_answers_a_parse_sees_as_well() {
        const NAMES: &[&str] = &[
            "id",
            "object",
            "model",
            "choices",
            "error",
            "usage",
            "index",
            "message",
            "delta",
            "finish_reason",
            "role",
            "content",
            "refusal",
            "reasoning_content",
            "reasoning",
            "reasoning_details",
            "tool_calls",
            "audio",
            "function_call",
            "annotations",
            "prompt_tokens",
            "cached_tokens",
            "prompt_tokens_details",
        ];
        let (mut seed, mut seen) = (1, 0);
        for round in 0..12_000 {
            let body = twisted([PLAIN, DETAILED][round % 2], NAMES, &mut seed);
            let Some(facts) = facts(body.as_bytes()) else { continue };
            let parsed = read_answer(body.as_bytes(), None).expect(&body);
            assert_eq!(facts, (&*parsed.model, parsed.usage), "{body}");
            seen += 1;
        }
        assert!((1_000..11_000).contains(&seen), "{seen}");
    }

    #[test]
    fn tokens_that_are_said_in_an_unusual_way_get_a_closer_look() {
        for (from, to) in [
            ("\"prompt_tokens\":12", "\"prompt_tokens\":12,\"prompt_tokens\":12"),
            ("\"prompt_tokens\":12", "\"prompt_tokens\":12.0"),
            ("\"prompt_tokens\":12", "\"prompt_tokens\":1000000000000000000"),
            ("\"cached_tokens\":7", "\"cached_tokens\":-7"),
            ("\"cached_tokens\":7", "\"cached_tokens\":7,\"cached_tokens\":7"),
            ("{\"reasoning_tokens\":3}", "[3]"),
            ("\"error\":null", "\"usage\":null"),
        ] {
            assert!(DETAILED.contains(from), "{from}");
            assert_eq!(facts(DETAILED.replacen(from, to, 1).as_bytes()), None, "{from} -> {to}");
        }
    }

    #[test]
    fn what_is_not_plain_gets_a_closer_look() {
        for (from, to) in [
            ("\"content\":", "\"tool_calls\":[{}],\"content\":"),
            ("\"refusal\":null", "\"refusal\":\"no\""),
            ("\"refusal\":null", "\"refusal\":5"),
            ("a\\n", "\\ud800"),
            ("\"stop\"", "\"content_filter\""),
            ("\"stop\"", "\"error\""),
            ("\"stop\"", "null"),
            ("\"stop\"}]", "\"stop\"}],\"error\":{\"message\":\"x\"}"),
            ("\"stop\"}]", "\"stop\"}],\"choices\":[]"),
            ("chat.completion", "error"),
            ("\"index\":0", "\"index\":-1"),
            ("\"model\":\"m\"", "\"model\":5"),
            ("\"id\":\"c\"", "\"id\":5"),
            ("\"message\":", "\"delta\":"),
            ("\"completion_tokens\":2", "\"completion_tokens\":\"2\""),
            ("}}", "}"),
            ("}}", "}} x"),
        ] {
            assert!(PLAIN.contains(from), "{from}");
            assert_eq!(facts(PLAIN.replacen(from, to, 1).as_bytes()), None, "{from} -> {to}");
        }
        let empty = PLAIN.replace(r#"a\n\"b\""#, "");
        assert_eq!(facts(empty.as_bytes()), None);
        for cut in 0..PLAIN.len() {
            assert_eq!(facts(&PLAIN.as_bytes()[..cut]), None, "cut at {cut}");
        }
    }
}
