//! A stream's chunk of the ordinary kind, a text, a thought or an end, is read in one walk.
//!
//! What [`read`] is not sure of it leaves to the full parse, which has the last word on what a chunk means. Besides being
//! quicker it is shallower: a full parse of a stream's first chunk was the deepest a worker ever went, and a stack that
//! was used once stays with the stream for as long as it lasts.

use super::glance::tokens;
use crate::dialect::glance::{Unsure, once, plain, sure};
use crate::dialect::json::{self, Scan};
use crate::domain::chat::{Finish, Usage};
use std::borrow::Cow;

/// What a plain chunk says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    pub id: &'a str,
    pub model: &'a str,
    /// At most one.
    pub choice: Option<Choice<'a>>,
    pub usage: Option<Usage>,
    /// One bit per key, to meet a second one.
    keys: u8,
}

/// What is said of its one choice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice<'a> {
    pub index: u32,
    pub said: Option<Said<'a>>,
    pub finish: Option<Finish>,
}

/// A text or a thought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said<'a> {
    pub content: Cow<'a, str>,
    pub refusal: Cow<'a, str>,
    reasoning_content: Cow<'a, str>,
    reasoning: Cow<'a, str>,
}

impl Said<'_> {
    /// The thinking, by whichever name it goes.
    pub(super) fn thinking(&self) -> &str {
        if self.reasoning_content.is_empty() { &self.reasoning } else { &self.reasoning_content }
    }
}

/// The chunk, if it is a plain one. `None`: look closer.
pub(super) fn read(data: &str) -> Option<Chunk<'_>> {
    let mut scan = Scan::new(data);
    let mut chunk = Chunk::default();
    scan.object(|scan, key| chunk.member(scan, &key)).ok()?;
    scan.end().ok()?;
    Some(chunk)
}

impl<'a> Chunk<'a> {
    fn member(&mut self, scan: &mut Scan<'a>, key: &str) -> Result<(), Unsure> {
        match key {
            "id" => {
                once(&mut self.keys, 1)?;
                self.id = plain(scan)?;
            }
            "object" => {
                once(&mut self.keys, 2)?;
                sure(plain(scan)? != "error")?;
            }
            "model" => {
                once(&mut self.keys, 4)?;
                self.model = plain(scan)?;
            }
            "choices" => {
                once(&mut self.keys, 8)?;
                let one = &mut self.choice;
                scan.array(|scan, at| {
                    sure(at == 0)?;
                    *one = Some(choice(scan)?);
                    Ok::<(), Unsure>(())
                })?;
            }
            "usage" => {
                once(&mut self.keys, 16)?;
                self.usage = tokens(scan)?;
            }
            "error" => {
                once(&mut self.keys, 32)?;
                sure(scan.value()? == "null")?;
            }
            _ => drop(scan.value()?),
        }
        Ok(())
    }
}

fn choice<'a>(scan: &mut Scan<'a>) -> Result<Choice<'a>, Unsure> {
    let (mut choice, mut keys) = (Choice::default(), 0);
    scan.object(|scan, key| {
        match &*key {
            "index" => {
                once(&mut keys, 1)?;
                let index = json::digits(scan.value()?).ok_or(Unsure)?;
                choice.index = u32::try_from(index).map_err(|_| Unsure)?;
            }
            "delta" => {
                once(&mut keys, 2)?;
                choice.said = Some(said(scan)?);
            }
            "finish_reason" => {
                once(&mut keys, 4)?;
                choice.finish = match scan.value()? {
                    "null" => None,
                    "\"stop\"" => Some(Finish::Stop),
                    "\"length\"" => Some(Finish::Length),
                    _ => return Err(Unsure),
                };
            }
            "message" => return Err(Unsure),
            _ => drop(scan.value()?),
        }
        Ok::<(), Unsure>(())
    })?;
    Ok(choice)
}

fn said<'a>(scan: &mut Scan<'a>) -> Result<Said<'a>, Unsure> {
    let (mut said, mut keys) = (Said::default(), 0);
    scan.object(|scan, key| {
        let raw = scan.value()?;
        let (place, bit) = match &*key {
            "content" => (&mut said.content, 1),
            "refusal" => (&mut said.refusal, 2),
            "reasoning_content" => (&mut said.reasoning_content, 4),
            "reasoning" => (&mut said.reasoning, 8),
            // What is said in another way. `null`, or it takes a closer look; and so does `null` twice.
            "reasoning_details" => return none(&mut keys, 16, raw),
            "tool_calls" => return none(&mut keys, 32, raw),
            "audio" => return none(&mut keys, 64, raw),
            "function_call" => return none(&mut keys, 128, raw),
            _ => return Ok(()),
        };
        once(&mut keys, bit)?;
        *place = text(raw)?;
        Ok(())
    })?;
    Ok(said)
}

fn none(keys: &mut u8, bit: u8, raw: &str) -> Result<(), Unsure> {
    once(keys, bit)?;
    sure(raw == "null")
}

fn text(raw: &str) -> Result<Cow<'_, str>, Unsure> {
    match json::plain(raw) {
        Some(text) => Ok(Cow::Borrowed(text)),
        None if raw == "null" => Ok(Cow::Borrowed("")),
        None if raw.starts_with('"') => serde_json::from_str(raw).map(Cow::Owned).map_err(|_| Unsure),
        None => Err(Unsure),
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::Events;
    use super::*;
    use crate::dialect::glance::twisted::twisted;
    use crate::domain::chat::Delta;

    const TEXT: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a\n","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x"}"#;
    const THOUGHT: &str = r#"{"id":"c","model":"m","choices":[{"index":1,"delta":{"reasoning_content":"hm","reasoning":"h","content":"","tool_calls":null},"finish_reason":null}],"error":null}"#;
    const END: &str = r#"{"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}"#;
    const TOKENS: &str =
        r#"{"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":7}}"#;

    fn both(data: &str) -> (Vec<Delta>, Option<Vec<Delta>>) {
        let (mut plain, mut full) = (Vec::new(), Vec::new());
        let chunk = read(data).expect("a plain chunk");
        Events::new(None).plain(&chunk, &mut plain);
        let parsed = Events::new(None).in_full(data, &mut full);
        (plain, parsed.is_ok().then_some(full))
    }

    #[test]
    fn a_plain_chunk_says_what_a_full_parse_says_of_it() {
        for (data, deltas) in [(TEXT, 2), (THOUGHT, 2), (END, 3), (TOKENS, 2)] {
            let (plain, full) = both(data);
            assert_eq!((plain.len(), Some(&plain)), (deltas, full.as_ref()), "{data}");
        }
    }

    #[test]
    fn whatever_is_read_of_a_damaged_chunk_a_full_parse_reads_as_well() {
        let mut seen = 0;
        for data in [TEXT, THOUGHT, END, TOKENS] {
            for at in 0..data.len() {
                let mut shorter = data.as_bytes().to_vec();
                shorter.remove(at);
                let twice = [&data.as_bytes()[..=at], &data.as_bytes()[at..]].concat();
                let replaced = b"\"\\{}[],:0-.eE \0n\x7f7".iter().map(|byte| {
                    let mut damaged = data.as_bytes().to_vec();
                    damaged[at] = *byte;
                    damaged
                });
                for damaged in replaced.chain([shorter, twice]) {
                    let Ok(damaged) = String::from_utf8(damaged) else { continue };
                    if read(&damaged).is_some() {
                        let (plain, full) = both(&damaged);
                        assert_eq!(Some(plain), full, "{damaged}");
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 1000, "{seen}");
    }

    #[test]
    fn whatever_is_read_of_a_twisted_chunk_a_full_parse_reads_as_well() {
        const NAMES: &[&str] = &[
            "id",
            "object",
            "model",
            "choices",
            "usage",
            "error",
            "index",
            "delta",
            "message",
            "finish_reason",
            "content",
            "refusal",
            "reasoning",
            "reasoning_content",
            "reasoning_details",
            "tool_calls",
            "audio",
            "function_call",
            "role",
            "prompt_tokens",
            "completion_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            "cached_tokens",
        ];
        let (mut seed, mut seen) = (1, 0);
        for round in 0..40_000 {
            let data = twisted([TEXT, THOUGHT, END, TOKENS][round % 4], NAMES, &mut seed);
            if read(&data).is_some() {
                let (plain, full) = both(&data);
                assert_eq!(Some(plain), full, "{data}");
                seen += 1;
            }
        }
        assert!(seen > 10_000, "{seen}");
    }

    #[test]
    fn what_is_not_plain_takes_a_closer_look() {
        for (from, to) in [
            ("\"refusal\":null", "\"tool_calls\":[]"),
            ("\"refusal\":null", "\"tool_calls\":null,\"tool_calls\":null"),
            ("\"refusal\":null", "\"reasoning_details\":[{}]"),
            ("\"refusal\":null", "\"audio\":{}"),
            ("\"refusal\":null", "\"function_call\":{}"),
            ("\"refusal\":null", "\"content\":\"b\""),
            ("\"refusal\":null", "\"refusal\":5"),
            ("a\\n", "\\ud800"),
            ("\"finish_reason\":null", "\"finish_reason\":\"error\""),
            ("\"finish_reason\":null", "\"finish_reason\":\"tool_calls\""),
            ("\"finish_reason\":null", "\"delta\":{}"),
            ("\"finish_reason\":null}", "\"message\":{}},{}"),
            ("\"finish_reason\":null}", "\"index\":0}"),
            ("\"index\":0", "\"index\":4294967296"),
            ("chat.completion.chunk", "error"),
            ("\"usage\":null", "\"error\":{}"),
            ("\"usage\":null", "\"model\":\"n\""),
            ("\"model\":\"m\"", "\"model\":5"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            assert_eq!(read(&TEXT.replacen(from, to, 1)), None, "{from} -> {to}");
        }
        assert!((0..TEXT.len()).all(|cut| read(&TEXT[..cut]).is_none()));
    }
}
