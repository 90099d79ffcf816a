//! A complete answer of the ordinary kind, texts and an end, is read in one walk.
//!
//! What [`answer`] is not sure of it leaves to the full parse, which has the last word on what is an answer.

use super::wire::Tokens;
use crate::dialect::glance::{Unsure, once, plain, sure};
use crate::dialect::json::{self, Scan};
use std::borrow::Cow;

/// A plain answer's own words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    pub id: Option<&'a str>,
    pub model: &'a str,
    pub texts: Vec<Cow<'a, str>>,
    pub stop_reason: &'a str,
    pub usage: Option<Tokens>,
    /// One bit per key, to meet a second one.
    keys: u8,
}

/// What a plain answer says: every block is a text, one of them at least not empty, and it ended. `None`: look closer.
pub(super) fn answer(body: &[u8]) -> Option<Plain<'_>> {
    let mut scan = Scan::new(json::text(body).ok()?);
    let mut seen = Plain::default();
    scan.object(|scan, key| seen.member(scan, &key)).ok()?;
    scan.end().ok()?;
    let said = seen.texts.iter().any(|text| !text.is_empty()) && !seen.stop_reason.is_empty();
    said.then_some(seen)
}

impl<'a> Plain<'a> {
    fn member(&mut self, scan: &mut Scan<'a>, key: &str) -> Result<(), Unsure> {
        match key {
            "type" => {
                once(&mut self.keys, 1)?;
                sure(plain(scan)? == "message")?;
            }
            "id" => {
                once(&mut self.keys, 2)?;
                self.id = Some(plain(scan)?);
            }
            "model" => {
                once(&mut self.keys, 4)?;
                self.model = plain(scan)?;
            }
            "content" => {
                once(&mut self.keys, 8)?;
                let texts = &mut self.texts;
                scan.array(|scan, _| {
                    texts.push(text(scan)?);
                    Ok::<(), Unsure>(())
                })?;
            }
            "stop_reason" => {
                once(&mut self.keys, 16)?;
                self.stop_reason = plain(scan)?;
            }
            "usage" => {
                once(&mut self.keys, 32)?;
                self.usage = Some(tokens(scan)?);
            }
            "error" => return Err(Unsure),
            _ => scan.pass()?,
        }
        Ok(())
    }
}

/// A block's text, where it is nothing but that.
fn text<'a>(scan: &mut Scan<'a>) -> Result<Cow<'a, str>, Unsure> {
    let (mut text, mut keys) = (Cow::Borrowed(""), 0);
    scan.object(|scan, key| {
        match &*key {
            "type" => {
                once(&mut keys, 1)?;
                sure(scan.value()? == "\"text\"")?;
            }
            "text" => {
                once(&mut keys, 2)?;
                text = unescaped(scan)?;
            }
            "citations" => scan.pass()?,
            _ => return Err(Unsure),
        }
        Ok::<(), Unsure>(())
    })?;
    sure(keys == 3)?;
    Ok(text)
}

fn unescaped<'a>(scan: &mut Scan<'a>) -> Result<Cow<'a, str>, Unsure> {
    let begin = scan.position();
    match scan.plain()? {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => serde_json::from_str(scan.since(begin)).map(Cow::Owned).map_err(|_| Unsure),
    }
}

fn tokens(scan: &mut Scan<'_>) -> Result<Tokens, Unsure> {
    let (mut tokens, mut keys) = (Tokens::default(), 0);
    scan.object(|scan, key| {
        let (place, bit) = match &*key {
            "input_tokens" => (&mut tokens.input_tokens, 1),
            "output_tokens" => (&mut tokens.output_tokens, 2),
            "cache_read_input_tokens" => (&mut tokens.cache_read_input_tokens, 4),
            "cache_creation_input_tokens" => (&mut tokens.cache_creation_input_tokens, 8),
            _ => {
                scan.pass()?;
                return Ok(());
            }
        };
        once(&mut keys, bit)?;
        let raw = scan.value()?;
        *place = if raw == "null" { None } else { Some(json::digits(raw).ok_or(Unsure)?) };
        Ok::<(), Unsure>(())
    })?;
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::anthropic::answer::{glanced, parsed};
    use crate::dialect::glance::twisted::twisted;

    const PLAIN: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"a\n\u00e4"},{"text":"b","type":"text","citations":null}],"stop_reason":"end_turn","stop_sequence":null,"container":null,"usage":{"input_tokens":3,"cache_read_input_tokens":null,"cache_creation_input_tokens":5,"output_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":5},"service_tier":"standard"}}"#;

    #[test]
    fn a_glance_sees_what_a_parse_sees() {
        let compact = PLAIN;
        let spaced = PLAIN.replace(',', " ,\n ").replace(':', ": ");
        for body in
            [compact, &spaced, &PLAIN.replace("end_turn", "max_tokens"), &PLAIN.replace("\"msg_1\"", "\"m\"")]
        {
            let glance = answer(body.as_bytes()).map(glanced);
            assert_eq!(glance, Some(parsed(body.as_bytes(), None).expect(body)), "{body}");
        }
    }

    #[test]
    fn whatever_a_glance_sees_in_twisted_answers_a_parse_sees_as_well() {
        const NAMES: &[&str] = &[
            "id",
            "type",
            "role",
            "model",
            "content",
            "text",
            "citations",
            "stop_reason",
            "usage",
            "error",
            "thinking",
            "input",
            "cache_control",
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
        ];
        let (mut seed, mut seen) = (1, 0);
        for _ in 0..12_000 {
            let body = twisted(PLAIN, NAMES, &mut seed);
            let Some(plain) = answer(body.as_bytes()) else { continue };
            assert_eq!(parsed(body.as_bytes(), None), Ok(glanced(plain)), "{body}");
            seen += 1;
        }
        assert!((1_000..11_000).contains(&seen), "{seen}");
    }

    #[test]
    fn whatever_is_not_plain_takes_a_closer_look() {
        for (from, to) in [
            (r#""type":"message""#, r#""type":"error""#),
            (r#""type":"text","text":"a"#, r#""type":"thinking","text":"a"#),
            (r#""text":"b","#, r#""text":"b","text":"c","#),
            (r#""text":"b","#, r#""text":"b","cache_control":{},"#),
            (r#""text":"b","#, r#""text":null,"#),
            (r#""text":"b","#, r#""text":"\ud800","#),
            (r#""text":"b","#, ""),
            (r#""role":"assistant""#, r#""error":null"#),
            (r#""id":"msg_1""#, r#""id":null"#),
            (r#""id":"msg_1""#, r#""id":"\n""#),
            (r#""model":"claude""#, r#""model":"claude","model":"x""#),
            (r#""stop_reason":"end_turn""#, r#""stop_reason":null"#),
            (r#""stop_reason":"end_turn","#, ""),
            (r#""input_tokens":3"#, r#""input_tokens":3,"input_tokens":4"#),
            (r#""input_tokens":3"#, r#""input_tokens":3.0"#),
            (r#""input_tokens":3"#, r#""input_tokens":-1"#),
            (r#""usage":{"#, r#""usage":null,"x":{"#),
        ] {
            let body = PLAIN.replacen(from, to, 1);
            assert_ne!(body, PLAIN, "{from}");
            assert_eq!(answer(body.as_bytes()), None, "{body}");
        }
        for body in ["", "{}", "[]", r#"{"type":"message","content":[],"stop_reason":"end_turn"}"#] {
            assert_eq!(answer(body.as_bytes()), None, "{body}");
        }
        let empty = PLAIN.replace(r"a\n\u00e4", "").replace(r#""b""#, r#""""#);
        assert_eq!(answer(empty.as_bytes()), None);
        assert_eq!(answer(format!("{PLAIN}x").as_bytes()), None);
        assert_eq!(answer(b"\xff"), None);
    }
}
