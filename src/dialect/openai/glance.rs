//! A complete answer that is passed on as it came is only glanced at: one walk, in which nothing is unescaped or kept.
//!
//! What [`facts`] is not sure of it leaves to the full parse, which has the last word on what is an answer.

use super::super::json::{self, Bad, Scan};
use super::wire::Tokens;
use crate::domain::chat::Usage;

/// The model and the tokens of a plain answer: every choice has text and an ordinary end. `None`: look closer.
pub fn facts(body: &[u8]) -> Option<(String, Option<Usage>)> {
    let mut scan = Scan::new(json::text(body).ok()?);
    let mut seen = Seen::default();
    scan.object(|scan, key| seen.member(scan, &key)).ok()?;
    scan.end().ok()?;
    seen.said.then_some((seen.model, seen.usage))
}

/// It takes a closer look.
struct Unsure;

impl From<Bad> for Unsure {
    fn from(_: Bad) -> Self {
        Self
    }
}

#[derive(Default)]
struct Seen {
    model: String,
    usage: Option<Usage>,
    said: bool,
    /// One bit per key, to meet a second one.
    keys: u8,
}

impl Seen {
    fn member(&mut self, scan: &mut Scan<'_>, key: &str) -> Result<(), Unsure> {
        const KEYS: [&str; 6] = ["id", "object", "model", "choices", "usage", "error"];
        let Some(bit) = KEYS.iter().position(|known| *known == key) else {
            scan.value()?;
            return Ok(());
        };
        if self.keys & 1 << bit != 0 {
            return Err(Unsure);
        }
        self.keys |= 1 << bit;
        match key {
            "choices" => self.said = scan.array(choice)? > 0,
            "usage" => self.usage = tokens(scan.value()?)?,
            "error" if scan.value()? != "null" => return Err(Unsure),
            "error" => {}
            "model" => plain(scan.value()?)?.clone_into(&mut self.model),
            _ if plain(scan.value()?)? == "error" => return Err(Unsure),
            _ => {}
        }
        Ok(())
    }
}

fn tokens(raw: &str) -> Result<Option<Usage>, Unsure> {
    let tokens: Option<Tokens> = serde_json::from_str(raw).map_err(|_| Unsure)?;
    Ok(tokens.as_ref().map(Tokens::usage))
}

fn choice(scan: &mut Scan<'_>, _: usize) -> Result<(), Unsure> {
    let (mut said, mut ended) = (0, 0);
    scan.object(|scan, key| {
        match &*key {
            "message" => {
                said += 1;
                message(scan)?;
            }
            "finish_reason" => {
                ended += 1;
                matches!(scan.value()?, "\"stop\"" | "\"length\"").then_some(()).ok_or(Unsure)?;
            }
            "index" => {
                let raw = scan.value()?;
                raw.bytes().all(|byte| byte.is_ascii_digit()).then_some(()).ok_or(Unsure)?;
                (raw.len() < 5).then_some(()).ok_or(Unsure)?;
            }
            "delta" => return Err(Unsure),
            _ => drop(scan.value()?),
        }
        Ok::<(), Unsure>(())
    })?;
    if (said, ended) == (1, 1) { Ok(()) } else { Err(Unsure) }
}

/// A message with text, and nothing else that is said in another way.
fn message(scan: &mut Scan<'_>) -> Result<(), Unsure> {
    let mut contents = 0;
    scan.object(|scan, key| {
        let raw = scan.value()?;
        match &*key {
            "content" => {
                contents += 1;
                // Half a surrogate pair is no text.
                let is_text = raw.starts_with('"') && raw.len() > 2 && !raw.contains("\\u");
                is_text.then_some(()).ok_or(Unsure)
            }
            "role" => Ok(()),
            _ if raw == "null" || raw == "[]" => Ok(()),
            _ => Err(Unsure),
        }
    })?;
    if contents == 1 { Ok(()) } else { Err(Unsure) }
}

/// A string without escapes.
fn plain(raw: &str) -> Result<&str, Unsure> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(Unsure)?;
    if inner.contains('\\') { Err(Unsure) } else { Ok(inner) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::openai::read_answer;

    const PLAIN: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a\n\"b\"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

    #[test]
    fn a_glance_sees_what_a_parse_sees() {
        let parsed = read_answer(PLAIN.as_bytes(), None).expect("an answer");
        assert_eq!(facts(PLAIN.as_bytes()), Some((parsed.model, parsed.usage)));
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
