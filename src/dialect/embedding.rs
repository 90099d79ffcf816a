//! Vectors for texts: OpenAI's `/v1/embeddings` and Ollama's `/api/embed`, callers and providers of both.
//!
//! Source: platform.openai.com/docs/api-reference/embeddings; Ollama's `docs/api.md`, "Generate Embeddings". Gemini's
//! are [`gemini`]'s business, Anthropic has none. Same dialect: the caller's bytes with `model` replaced, and the
//! provider's bytes back.

use super::door::Door;
use super::openai::untranslatable;
use super::{Body, Invalid, Outgoing, Wording, gemini, judged, raw};
use crate::domain::chat::{Answer, Content, Usage};
use crate::domain::embedding::{Embedding, Vector};
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::{Dialect, Gist, Subject, Words};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Texts in one request; OpenAI's own bound.
pub const TEXTS_MAX: usize = 2048;

const INPUT: &str = "must be a string, or an array of strings or of tokens, and not be empty";

/// Opens a caller's body.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open(dialect: Dialect, body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let door = Door {
        dialect,
        unless_said: Gist { subject: Subject::Embedding, ..Gist::default() },
        fields: &["input", "model", "encoding_format"],
        needs: Some("input"),
    };
    let (gist, words) = door.open(body, |gist, key, value| {
        match key {
            "input" => drop(count(value)?),
            "encoding_format" if !raw::is_null(value) => {
                gist.base64 = match raw::string(value, key)?.as_str() {
                    "float" => false,
                    "base64" => true,
                    _ => return Err(raw::invalid(key, "must be float or base64")),
                };
            }
            _ => {}
        }
        Ok(())
    })?;
    // A vector of another model is not a worse answer but a wrong one: nobody guesses here.
    if gist.model.is_none() {
        return Err(raw::invalid("model", "is required"));
    }
    Ok((gist, words))
}

/// How many texts an `input` has. Tokens are numbers: a list of them is one text. Some of each is nothing.
fn count(input: &RawValue) -> Result<usize, Invalid> {
    if raw::is_string(input) {
        return Ok(1);
    }
    let (mut texts, mut tokens, mut lists) = (0, 0, 0);
    raw::items(input.get(), |_, item| {
        match item.get().as_bytes().first() {
            Some(b'"') => texts += 1,
            Some(b'0'..=b'9') => tokens += 1,
            Some(b'[') => lists += 1,
            _ => return Err(raw::invalid("", INPUT)),
        }
        Ok(())
    })
    .map_err(|_| raw::invalid("input", INPUT))?;
    match (texts, tokens, lists) {
        (0, 1.., 0) => Ok(1),
        (count @ 1.., 0, 0) | (0, 0, count @ 1..) if count > TEXTS_MAX => {
            Err(raw::invalid("input", "must have at most 2048 entries"))
        }
        (count @ 1.., 0, 0) | (0, 0, count @ 1..) => Ok(count),
        _ => Err(raw::invalid("input", INPUT)),
    }
}

/// Reads a caller's request. Tokens are one vendor's: they cannot be translated.
fn decode(words: &Words) -> Result<Embedding, Failure> {
    let mut embedding = Embedding::default();
    let mut tokens = false;
    let text = raw::text_of(&words.body).map_err(raw::failure_of)?;
    let read = raw::fields(text, |key, value| {
        match key {
            "model" | "encoding_format" => {}
            _ if raw::is_null(value) => {}
            "input" if raw::is_string(value) => embedding.texts.push(raw::string(value, key)?),
            "input" => match raw::read::<Vec<String>>(value, key, INPUT) {
                Ok(texts) => embedding.texts = texts,
                Err(_) => tokens = true,
            },
            "dimensions" => embedding.dimensions = Some(raw::count(value, key)?),
            _ => raw::remember(&mut embedding.unknown, key),
        }
        Ok(())
    });
    read.map_err(raw::failure_of)?;
    if tokens {
        return Err(untranslatable("input", "a list of tokens"));
    }
    Ok(embedding)
}

/// Makes a provider's request.
///
/// # Errors
/// `Untranslatable` for a vendor without vectors and for tokens, `BadRequest` for what cannot be understood.
pub fn ask(target: Dialect, words: &Words, model: &str) -> Result<Outgoing, Failure> {
    let path = match target {
        Dialect::OpenAiChat => "/embeddings",
        Dialect::Ollama => "/api/embed",
        Dialect::Gemini => return gemini::ask_vectors(decode(words)?, model),
        _ => return Err(Failure::new(Fault::Untranslatable, "the provider has no embeddings")),
    };
    if target == words.dialect {
        let edit = raw::model_edit(&words.body, words.marks.model.as_ref(), model);
        let body = Body::spliced(&words.body, vec![edit]);
        return Ok(Outgoing { path: path.into(), body, dropped: Vec::new(), unwrap_tool: None });
    }
    #[derive(Serialize)]
    struct Request<'a> {
        model: &'a str,
        input: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        dimensions: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encoding_format: Option<&'static str>,
    }
    let Embedding { texts, dimensions, unknown } = decode(words)?;
    let encoding_format = (target == Dialect::OpenAiChat).then_some("float");
    let mut body = Vec::new();
    raw::write(&mut body, &Request { model, input: &texts, dimensions, encoding_format });
    Ok(Outgoing { path: path.into(), body: body.into(), dropped: unknown, unwrap_tool: None })
}

/// Reads a provider's answer (status 200): as it is for a caller of the same dialect.
///
/// # Errors
/// `Garbage`, `Empty`, `ErrorInBody`; `Truncated` when there are not as many vectors as texts.
pub fn read_answer(target: Dialect, words: &Words, body: Vec<u8>) -> Result<Answer, Failure> {
    let expected = expected(words)?;
    let (model, input, vectors) = match target {
        Dialect::Ollama => of_ollama(&body)?,
        Dialect::Gemini => (String::new(), None, gemini::read_vectors(&body)?),
        _ => of_openai(&body)?,
    };
    let usage = input.map(|input| Usage { input, ..Usage::default() });
    match vectors.len() {
        0 => return Err(raw::empty()),
        given if given != expected => return Err(raw::truncated()),
        _ => {}
    }
    if target == words.dialect {
        return Ok(Answer { model, usage, content: Content::Verbatim { dialect: target, body } });
    }
    let numbers = |vector: &&RawValue| serde_json::from_str(vector.get()).map_err(|_| raw::garbage());
    let vectors: Vec<Vector> = vectors.iter().map(numbers).collect::<Result<_, _>>()?;
    Ok(Answer { model, usage, content: Content::Vectors(vectors) })
}

fn expected(words: &Words) -> Result<usize, Failure> {
    let mut expected = 0;
    let text = raw::text_of(&words.body).map_err(raw::failure_of)?;
    let read = raw::fields(text, |key, value| {
        if key == "input" {
            expected = count(value)?;
        }
        Ok(())
    });
    read.map_err(raw::failure_of)?;
    Ok(expected)
}

/// Model, tokens of the input, and the vectors as they stand.
type Given<'a> = (String, Option<u64>, Vec<&'a RawValue>);

fn of_openai(body: &[u8]) -> Result<Given<'_>, Failure> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(default)]
        model: Option<String>,
        #[serde(borrow, default)]
        data: Option<Vec<Entry<'a>>>,
        #[serde(default, deserialize_with = "raw::sound")]
        usage: Option<Tokens>,
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(default)]
        index: usize,
        #[serde(borrow)]
        embedding: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Tokens {
        #[serde(default)]
        prompt_tokens: Option<u64>,
    }
    let list: List<'_> = serde_json::from_slice(body).map_err(|error| raw::unreadable(body, &error))?;
    if list.error.is_some() {
        return Err(judged(Fault::ErrorInBody, None, ""));
    }
    let Some(mut data) = list.data else { return Err(raw::garbage()) };
    data.sort_by_key(|entry| entry.index);
    let vectors = data.into_iter().map(|entry| entry.embedding).collect();
    Ok((list.model.unwrap_or_default(), list.usage.and_then(|usage| usage.prompt_tokens), vectors))
}

fn of_ollama(body: &[u8]) -> Result<Given<'_>, Failure> {
    #[derive(Deserialize)]
    struct Reply<'a> {
        #[serde(default)]
        model: String,
        #[serde(borrow, default)]
        embeddings: Option<Vec<&'a RawValue>>,
        #[serde(default, deserialize_with = "raw::sound")]
        prompt_eval_count: Option<u64>,
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
    }
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(|error| raw::unreadable(body, &error))?;
    if reply.error.is_some() {
        return Err(judged(Fault::ErrorInBody, None, ""));
    }
    let Some(vectors) = reply.embeddings else { return Err(raw::garbage()) };
    Ok((reply.model, reply.prompt_eval_count, vectors))
}

/// Words translated vectors for the caller.
#[must_use]
pub fn write_answer(caller: Dialect, vectors: &[Vector], answer: &Answer, wording: &Wording) -> Vec<u8> {
    let model = if answer.model.is_empty() { &*wording.model } else { &answer.model };
    let input = answer.usage.unwrap_or_default().input;
    let mut out = Vec::with_capacity(256);
    if caller == Dialect::Ollama {
        raw::write(&mut out, &Embeddings { model, embeddings: vectors, prompt_eval_count: input });
        return out;
    }
    let mut data = Vec::with_capacity(vectors.len());
    for (index, vector) in vectors.iter().enumerate() {
        let embedding = if wording.base64 { Written::Text(base64(vector)) } else { Written::Numbers(vector) };
        data.push(Entry { object: "embedding", index, embedding });
    }
    let usage = Tokens { prompt_tokens: input, total_tokens: input };
    raw::write(&mut out, &List { object: "list", data, model, usage });
    out
}

#[derive(Serialize)]
struct Embeddings<'a> {
    model: &'a str,
    embeddings: &'a [Vector],
    prompt_eval_count: u64,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry<'a>>,
    model: &'a str,
    usage: Tokens,
}

#[derive(Serialize)]
struct Entry<'a> {
    object: &'static str,
    index: usize,
    embedding: Written<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Numbers(&'a [f32]),
    Text(String),
}

#[derive(Serialize)]
struct Tokens {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Little-endian floats in base64 (RFC 4648, section 4).
fn base64(vector: &[f32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for sixth in 0..4 {
            let index = (word >> (18 - 6 * sixth)) & 63;
            text.push(if sixth > three.len() { '=' } else { char::from(ALPHABET[index as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAI: Dialect = Dialect::OpenAiChat;

    fn opened(dialect: Dialect, body: &str) -> (Gist, Words) {
        open(dialect, body.as_bytes().to_vec()).expect(body)
    }

    fn asked(target: Dialect, dialect: Dialect, body: &str) -> Result<(String, Vec<String>), Failure> {
        let outgoing = ask(target, &opened(dialect, body).1, "m")?;
        Ok((String::from_utf8(outgoing.body.into_vec()).expect("JSON is UTF-8"), outgoing.dropped))
    }

    fn read(target: Dialect, dialect: Dialect, body: &str, reply: &str) -> Result<Answer, Failure> {
        read_answer(target, &opened(dialect, body).1, reply.as_bytes().to_vec())
    }

    #[test]
    fn what_is_no_request_for_vectors_is_refused_with_its_field() {
        let rows = [
            (r#"{"model":"m"}"#, "input"),
            (r#"{"model":"m","input":[]}"#, "input"),
            (r#"{"model":"m","input":null}"#, "input"),
            (r#"{"model":"m","input":{"a":1}}"#, "input"),
            (r#"{"model":"m","input":["a",1]}"#, "input"),
            (r#"{"model":"m","input":[[1],2]}"#, "input"),
            (r#"{"model":"m","input":[{}]}"#, "input"),
            (r#"{"model":"m","input":[-1]}"#, "input"),
            (r#"{"input":"x"}"#, "model"),
            (r#"{"model":"","input":"x"}"#, "model"),
            (r#"{"model":"m","input":"x","encoding_format":"int8"}"#, "encoding_format"),
        ];
        for (body, param) in rows {
            let invalid = open(OPENAI, body.as_bytes().to_vec()).expect_err(body);
            assert_eq!(invalid.param.as_deref(), Some(param), "{body}");
        }
        let many = format!(r#"{{"model":"m","input":[{}"x"]}}"#, r#""x","#.repeat(TEXTS_MAX));
        assert!(open(OPENAI, many.into_bytes()).is_err());
    }

    #[test]
    fn the_same_dialect_goes_through_with_the_model_replaced() {
        let body = r#"{"input":[[1,2],[3]], "model" : "x","encoding_format":"base64","new":1}"#;
        let sent = r#"{"input":[[1,2],[3]], "model" : "m","encoding_format":"base64","new":1}"#;
        assert_eq!(asked(OPENAI, OPENAI, body).expect("it passes"), (sent.to_owned(), Vec::new()));
        let reply = r#"{"data":[{"index":0,"embedding":"AACAPw=="},{"index":1,"embedding":"AACAPw=="}],"model":"served","usage":{"prompt_tokens":3}}"#;
        let answer = read(OPENAI, OPENAI, body, reply).expect("it is read");
        assert_eq!((answer.model.as_str(), answer.usage.map(|usage| usage.input)), ("served", Some(3)));
        assert!(matches!(answer.content, Content::Verbatim { body, .. } if body == reply.as_bytes()));
    }

    #[test]
    fn both_directions_are_translated_and_what_has_no_place_is_named() {
        let (sent, dropped) =
            asked(Dialect::Ollama, OPENAI, r#"{"model":"x","input":"a","dimensions":4,"user":"u"}"#)
                .expect("it is translated");
        assert_eq!(
            (sent.as_str(), dropped),
            (r#"{"model":"m","input":["a"],"dimensions":4}"#, vec!["user".to_owned()])
        );
        let (sent, dropped) =
            asked(OPENAI, Dialect::Ollama, r#"{"model":"x","input":["a","b"],"truncate":true}"#)
                .expect("it is translated");
        let expected = r#"{"model":"m","input":["a","b"],"encoding_format":"float"}"#;
        assert_eq!((sent.as_str(), dropped), (expected, vec!["truncate".to_owned()]));
    }

    #[test]
    fn gemini_gets_a_request_per_text_and_gives_a_vector_each() {
        let body = r#"{"model":"x","input":["a","b"],"dimensions":2,"user":"u"}"#;
        let outgoing = ask(Dialect::Gemini, &opened(OPENAI, body).1, "text-embedding").expect("asked");
        assert_eq!(
            (&*outgoing.path, String::from_utf8(outgoing.body.into_vec()).expect("text").as_str()),
            (
                "/models/text-embedding:batchEmbedContents",
                r#"{"requests":[{"model":"models/text-embedding","content":{"parts":[{"text":"a"}]},"outputDimensionality":2},{"model":"models/text-embedding","content":{"parts":[{"text":"b"}]},"outputDimensionality":2}]}"#
            )
        );
        assert_eq!(outgoing.dropped, ["user"]);
        let reply = r#"{"embeddings":[{"values":[1,0.5]},{"values":[2,0]}]}"#;
        let answer = read(Dialect::Gemini, OPENAI, body, reply).expect("it is read");
        assert_eq!(answer.content, Content::Vectors(vec![vec![1.0, 0.5], vec![2.0, 0.0]]));
        let refused = [(r#"{"error":{"code":400}}"#, Fault::ErrorInBody), ("{}", Fault::Garbage)];
        for (reply, fault) in refused {
            assert_eq!(read(Dialect::Gemini, OPENAI, body, reply).expect_err(reply).fault, fault);
        }
        let climbing = ask(Dialect::Gemini, &opened(OPENAI, body).1, "a/../../b");
        assert_eq!(climbing.expect_err("no such place").fault, Fault::UnknownModel);
    }

    #[test]
    fn tokens_and_vendors_without_vectors_are_passed_over() {
        let body = r#"{"model":"x","input":[1,2,3]}"#;
        assert_eq!(asked(Dialect::Ollama, OPENAI, body).expect_err("tokens").fault, Fault::Untranslatable);
        assert_eq!(asked(Dialect::Anthropic, OPENAI, body).expect_err("none").fault, Fault::Untranslatable);
    }

    #[test]
    fn vectors_are_written_as_numbers_or_base64() {
        let body = r#"{"model":"x","input":["a","b"]}"#;
        let reply = r#"{"model":"served","embeddings":[[1.0,0.5],[-0.25,3]],"prompt_eval_count":2}"#;
        let answer = read(Dialect::Ollama, OPENAI, body, reply).expect("it is read");
        let written = |base64| {
            let bytes =
                super::super::write_answer(OPENAI, &answer, &Wording { base64, ..Wording::default() });
            String::from_utf8(bytes).expect("JSON is UTF-8")
        };
        assert_eq!(
            written(false),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,0.5]},{"object":"embedding","index":1,"embedding":[-0.25,3.0]}],"model":"served","usage":{"prompt_tokens":2,"total_tokens":2}}"#
        );
        // 1.0 is 00 00 80 3f; 0.5 is 00 00 00 3f.
        assert!(written(true).contains(r#""embedding":"AACAPwAAAD8=""#), "{}", written(true));
    }

    #[test]
    fn vectors_come_back_in_the_order_of_the_texts() {
        let reply = r#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"model":"s"}"#;
        let answer =
            read(OPENAI, Dialect::Ollama, r#"{"model":"x","input":["a","b"]}"#, reply).expect("read");
        assert_eq!(answer.content, Content::Vectors(vec![vec![1.0], vec![2.0]]));
    }

    #[test]
    fn an_answer_that_is_none_or_lacks_a_vector_is_told_by_its_fault() {
        let rows = [
            ("", Fault::Empty),
            ("{}", Fault::Garbage),
            (r#"{"data":[]}"#, Fault::Empty),
            (r#"{"data":[{"index":0,"embedding":[1]}]}"#, Fault::Truncated),
            (r#"{"error":{"message":"no"}}"#, Fault::ErrorInBody),
            (r#"{"data":[{"index":0"#, Fault::Truncated),
        ];
        for (reply, fault) in rows {
            let failed = read(OPENAI, OPENAI, r#"{"model":"x","input":["a","b"]}"#, reply);
            assert_eq!(failed.expect_err(reply).fault, fault, "{reply}");
        }
    }
}
