//! What must hold for any bytes at all: shared by the fuzz targets and the replay in the ordinary tests.
#![allow(dead_code, reason = "each fuzz target uses one of them")]

use hapax::config;
use hapax::dialect::{self, Complaint, Defaults, Reader, Wording, Writer, ndjson, sse};
use hapax::domain::chat::{Content, Frame};
use hapax::domain::redact::{Mode, NAMES, Redaction, Rule, Scratch, named};
use hapax::domain::words::{Dialect, OddCharacters, Subject};
use hapax::server::{Connection, Limits, Step, normal_form};
use hapax::upstream::reply::{self as replies, Framing, Part};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A check of any bytes.
pub type Check = fn(&[u8]);

/// Every target by its name, and how many bytes at the beginning choose what is done with the others.
pub const ALL: &[(&str, Check, usize)] = &[
    ("connection", connection, 1),
    ("chunks", chunks, 1),
    ("sse", sse, 1),
    ("ndjson", ndjson, 1),
    ("openai", openai, 2),
    ("responses", responses, 2),
    ("anthropic", anthropic, 2),
    ("ollama", ollama, 2),
    ("gemini", gemini, 2),
    ("own", own, 2),
    ("lookups", lookups, 2),
    ("reply", reply, 1),
    ("redact", redact, 2),
    ("config", config, 0),
];

/// A request as a line, or a refusal's status; the last entry says whether the connection is over.
type Story = Vec<String>;

#[expect(clippy::disallowed_methods, reason = "any moment will do: no time passes")]
fn moment() -> Instant {
    static MOMENT: OnceLock<Instant> = OnceLock::new();
    *MOMENT.get_or_init(Instant::now)
}

fn limits() -> Arc<Limits> {
    static LIMITS: OnceLock<Arc<Limits>> = OnceLock::new();
    let small = || {
        Arc::new(Limits {
            header_bytes_max: 400,
            headers_max: 8,
            target_bytes_max: 100,
            body_bytes_max: 300,
            chunk_extension_bytes_max: 20,
            ..Limits::default()
        })
    };
    Arc::clone(LIMITS.get_or_init(small))
}

/// Splits by the first byte: whole, byte by byte, or in pieces of its size.
fn pieces(data: &[u8]) -> (usize, &[u8]) {
    match data {
        [] => (1, data),
        [size, rest @ ..] => (usize::from(*size).max(1), rest),
    }
}

/// What a connection makes of the pieces.
fn told<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Story {
    let (limits, now) = (limits(), moment());
    let mut connection = Connection::new(Arc::clone(&limits), IpAddr::V4(Ipv4Addr::LOCALHOST), now);
    let mut story = Story::new();
    let mut fed = 0;
    for piece in pieces {
        fed += piece.len();
        let mut step = match connection.room() {
            // As the poller does: bytes of a large body go straight into their place.
            Some(room) if room.capacity() - room.len() >= piece.len() => {
                room.extend_from_slice(piece);
                connection.filled(piece.len(), now)
            }
            _ => connection.feed(piece, now),
        };
        loop {
            step = match step {
                Step::Wait => break,
                Step::Head => {
                    let (head, _) = connection.head().expect("a head is complete");
                    assert!(head.headers.len() <= limits.headers_max);
                    for (name, value) in head.headers.iter() {
                        assert!(!name.is_empty() && !name.contains([' ', ':', '\r', '\n']));
                        assert!(!value.contains(['\r', '\n', '\0']), "{value:?}");
                    }
                    connection.screened()
                }
                Step::Request(ready) => {
                    let request = ready.request;
                    assert!(request.body.len() <= limits.body_bytes_max);
                    let again = normal_form(&request.method, request.path.as_bytes());
                    assert_eq!(again.expect("a normal form has one").path, request.path);
                    story.push(format!("{} {} {:?}", request.method, request.path, request.body));
                    if !ready.manner.keep_alive {
                        story.push("end".to_owned());
                        return story;
                    }
                    connection.answered(now)
                }
                Step::Refuse(refusal) => {
                    assert!(matches!(connection.feed(b"GET / HTTP/1.1\r\n", now), Step::Close));
                    story.push(format!("{}", refusal.status()));
                    return story;
                }
                Step::Close => {
                    story.push("closed".to_owned());
                    return story;
                }
            };
        }
        assert!(connection.held() <= (64 << 10) + 4 * fed, "{} of {fed}", connection.held());
    }
    story.push(if connection.is_idle() { "idle" } else { "waiting" }.to_owned());
    story
}

/// A connection says the same however its bytes arrive, and keeps its limits.
pub fn connection(data: &[u8]) {
    let (size, data) = pieces(data);
    let whole = told(std::iter::once(data));
    assert_eq!(whole, told(data.chunks(size)), "in pieces of {size}: {}", data.escape_ascii());
}

/// A chunked body is read as a reader of few words reads it.
pub fn chunks(data: &[u8]) {
    let head: &[u8] =
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (size, data) = pieces(data);
    let wire = [head, data].concat();
    let whole = told(std::iter::once(&wire[..]));
    assert_eq!(whole, told(wire.chunks(size)), "{}", data.escape_ascii());
    if whole.last().is_some_and(|last| last == "end") {
        let body = plainly(data).expect("accepted, so well framed");
        assert_eq!(whole[0], format!("POST / {body:?}"));
    }
}

/// The body of a well-framed chunked message; trailers are taken for granted.
fn plainly(mut wire: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = wire.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(wire[..end].split(|byte| *byte == b';').next()?)
            .ok()?
            .trim_end_matches([' ', '\t']);
        if !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let size = usize::from_str_radix(line, 16).ok()?;
        wire = &wire[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(wire.get(..size)?);
        wire = wire.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Frames as they come, or how it ended.
fn sse_frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut lines = sse::Lines::default();
    let mut frames = Vec::new();
    for piece in pieces {
        lines.feed(piece);
        while let Ok(Some(frame)) = lines.next() {
            frames.push((frame.data.to_vec(), frame.raw.to_vec()));
        }
    }
    frames
}

/// Server-sent events are cut alike however they arrive, and no byte is made up.
pub fn sse(data: &[u8]) {
    let (size, data) = pieces(data);
    let whole = sse_frames(std::iter::once(data));
    let raw: usize = whole.iter().map(|(_, raw)| raw.len()).sum();
    assert!(raw <= data.len());
    assert_eq!(whole, sse_frames(data.chunks(size)), "in pieces of {size}: {}", data.escape_ascii());
}

fn ndjson_lines<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut lines = ndjson::Lines::new();
    let mut found = Vec::new();
    for piece in pieces {
        lines.feed(piece);
        while let Ok(Some(line)) = lines.next() {
            assert!(!line.contains(&b'\n'));
            found.push(line.to_vec());
        }
    }
    found.extend(lines.rest().map(<[u8]>::to_vec));
    found
}

/// Lines are cut alike however they arrive.
pub fn ndjson(data: &[u8]) {
    let (size, data) = pieces(data);
    let whole = ndjson_lines(std::iter::once(data));
    assert_eq!(whole, ndjson_lines(data.chunks(size)), "in pieces of {size}: {}", data.escape_ascii());
}

const CALLERS: [Dialect; 7] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiCompletion,
    Dialect::OpenAiResponses,
    Dialect::Anthropic,
    Dialect::Ollama,
    Dialect::OllamaGenerate,
    Dialect::Hapax,
];
const PROVIDERS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Ollama, Dialect::Gemini, Dialect::OpenAiResponses];

/// What is done with some bytes, chosen by their first two: one thing at a time, so that there is time for millions.
struct Ways(usize);

impl Ways {
    /// The ways, and the bytes that they are for.
    fn of(data: &[u8]) -> (Self, &[u8]) {
        match data {
            [first, second, rest @ ..] => (Self(usize::from(*first) | usize::from(*second) << 8), rest),
            _ => (Self(0), &[]),
        }
    }

    /// One of so many.
    fn pick(&mut self, of: usize) -> usize {
        let picked = self.0 % of;
        self.0 /= of;
        picked
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.pick(of.len())]
    }
}

fn is_json(bytes: &[u8], what: &str) {
    // As others read it: every escape is looked at.
    if let Err(error) = serde_json::from_slice::<serde_json::Value>(bytes)
        && !error.to_string().starts_with("recursion limit")
        && !error.to_string().starts_with("number out of range")
    {
        panic!("{what}: {error} in {}", bytes.escape_ascii());
    }
}

fn has_nul(said: &serde_json::Value) -> bool {
    match said {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(has_nul),
        serde_json::Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value))
        }
        _ => false,
    }
}

/// A caller's body is understood or refused, and what is made of it for any provider is JSON.
fn asked(dialect: Dialect, data: &[u8], mut ways: Ways) {
    let odd = ways.one(&[OddCharacters::Refuse, OddCharacters::Replace, OddCharacters::Pass]);
    let Ok((gist, words)) = dialect::open_about(Subject::Chat, dialect, data.to_vec(), odd) else { return };
    if odd != OddCharacters::Pass {
        assert_eq!(words.body.len(), data.len());
        is_json(&words.body, "a body that was taken");
        let said = serde_json::from_slice(&words.body).unwrap_or_default();
        assert!(!has_nul(&said), "a NUL in {}", words.body.escape_ascii());
    }
    let defaults = Defaults { max_tokens: 1000, ..Defaults::default() };
    let target = ways.one(&PROVIDERS);
    let so_far = ways.one(&[None, Some("so \"far\"\n")]);
    if let Ok(outgoing) = dialect::ask(target, (&gist, &words), "a \"model\"", so_far, &defaults)
        // What passes verbatim is as right as it came.
        && (words.dialect != target || serde_json::from_slice::<serde_json::Value>(data).is_ok())
    {
        is_json(&outgoing.body.joined(), "request");
    }
}

/// A provider's whole answer is understood or refused, and what a caller reads of it is JSON.
fn answered(target: Dialect, data: &[u8], mut ways: Ways) {
    let caller = ways.one(&CALLERS);
    let unwrap_tool = ways.one(&[None, Some("t")]);
    if let Ok(answer) = dialect::read_answer(target, caller, data.to_vec(), unwrap_tool) {
        let written = dialect::write_answer(caller, &answer, &Wording::default());
        // What passes verbatim is as right as it came.
        if !matches!(answer.content, Content::Verbatim { .. }) {
            is_json(&written, "answer");
        }
    }
}

/// A provider's refusal has words, and never more of them than are passed on.
fn refused(target: Dialect, data: &[u8], mut ways: Ways) {
    let failure = dialect::read_error(target, ways.one(&[400, 401, 404, 413, 422, 429, 500, 529]), data);
    assert!(failure.message.chars().count() <= 1000);
    let complaint = Complaint {
        status: failure.status.unwrap_or(502),
        kind: "provider_error",
        message: failure.message,
        code: failure.code,
        param: failure.param,
        request_id: "r".to_owned(),
        retry_after: None,
    };
    is_json(&dialect::write_error(ways.one(&CALLERS), &complaint), "error");
}

fn frames<'a>(mut reader: Reader, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, bool) {
    let mut frames = Vec::new();
    for piece in pieces {
        reader.feed(piece);
        loop {
            match reader.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, reader.close().is_ok())
}

/// A provider's stream says the same however it arrives, and a caller's frames of it are JSON.
fn streamed(target: Dialect, data: &[u8], mut ways: Ways) {
    let caller = ways.one(&CALLERS);
    let unwrap_tool = ways.one(&[None, Some("t")]);
    let size = 1 + ways.pick(40);
    let reader = || Reader::new(target, caller, unwrap_tool);
    let (whole, complete) = frames(reader(), std::iter::once(data));
    let slowly = frames(reader(), data.chunks(size));
    assert_eq!((&whole, complete), (&slowly.0, slowly.1), "in pieces of {size}");
    let mut writer = Writer::new(caller, Wording { include_usage: true, ..Wording::default() });
    let mut out = Vec::new();
    for frame in &whole {
        writer.frame(frame, &mut out);
    }
    if complete {
        writer.end(&mut out);
    }
    if whole.iter().all(|frame| frame.verbatim.is_none()) {
        for line in out.split(|byte| *byte == b'\n') {
            let ends: [&[u8]; 3] = [b"data: [DONE]", b"event: message_stop", b"event: response.completed"];
            assert!(complete || !ends.contains(&line), "a false end");
            let line = line.strip_prefix(b"data: ").unwrap_or(line);
            if line.first() == Some(&b'{') {
                is_json(line, "frame");
            }
        }
    }
}

/// What a provider of this dialect says: an answer, a stream, a refusal; and what its callers ask for.
fn spoken(provider: Option<Dialect>, callers: &[Dialect], data: &[u8]) {
    let (mut ways, data) = Ways::of(data);
    let what = ways.pick(4);
    match (what, provider) {
        (1, Some(target)) => answered(target, data, ways),
        (2, Some(target)) => streamed(target, data, ways),
        (3, Some(target)) => refused(target, data, ways),
        _ if callers.is_empty() => {}
        _ => asked(ways.one(callers), data, ways),
    }
}

/// OpenAI's dialects.
pub fn openai(data: &[u8]) {
    spoken(Some(Dialect::OpenAiChat), &[Dialect::OpenAiChat, Dialect::OpenAiCompletion], data);
}

/// OpenAI's newer dialect.
pub fn responses(data: &[u8]) {
    spoken(Some(Dialect::OpenAiResponses), &[Dialect::OpenAiResponses], data);
}

/// Anthropic's dialect.
pub fn anthropic(data: &[u8]) {
    spoken(Some(Dialect::Anthropic), &[Dialect::Anthropic], data);
}

/// Ollama's dialects.
pub fn ollama(data: &[u8]) {
    spoken(Some(Dialect::Ollama), &[Dialect::Ollama, Dialect::OllamaGenerate], data);
}

/// Gemini's dialect, which only providers speak.
pub fn gemini(data: &[u8]) {
    spoken(Some(Dialect::Gemini), &[], data);
}

/// Hapax's own dialect, which only callers speak.
pub fn own(data: &[u8]) {
    let _ = dialect::hapax::names_prompt(data);
    spoken(None, &[Dialect::Hapax], data);
}

/// Questions that are no conversation: vectors, counts, descriptions. Asked and answered in the words of each vendor.
pub fn lookups(data: &[u8]) {
    let (mut ways, data) = Ways::of(data);
    let subject = ways.one(&[Subject::Embedding, Subject::Tokens, Subject::Description]);
    let dialect = ways.one(&[Dialect::OpenAiChat, Dialect::Ollama]);
    let target = ways.one(&PROVIDERS);
    // The question, a NUL, and the answer to it.
    let (question, answer) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let Ok((gist, words)) = dialect::open_about(subject, dialect, question.to_vec(), OddCharacters::Pass)
    else {
        return;
    };
    let Ok(outgoing) = dialect::ask(target, (&gist, &words), "a \"model\"", None, &Defaults::default())
    else {
        return;
    };
    if words.dialect != target || serde_json::from_slice::<serde_json::Value>(question).is_ok() {
        is_json(&outgoing.body.joined(), "request");
    }
    if let Ok(answer) = dialect::read_reply(target, (&gist, &words), answer.to_vec(), &outgoing) {
        let wording = Wording { base64: gist.base64, ..Wording::default() };
        let written = dialect::write_answer(words.dialect, &answer, &wording);
        if !matches!(answer.content, Content::Verbatim { .. }) {
            is_json(&written, "vectors");
        }
    }
}

/// A configuration is taken, or every problem with it has words.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let env = |name: &str| name.starts_with('A').then(|| "value".to_owned());
    if let Err(problems) = config::parse("fuzz.yaml", text, &env) {
        assert!(!problems.to_string().is_empty());
    }
}

/// An answer as it was read: its status, its body, and how many bytes it was; `None` when it was refused or cut off.
type Heard = Option<(u16, Vec<u8>, usize)>;

/// What is made of an answer that comes in these pieces, and then the connection's end.
fn heard<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Heard {
    let (mut input, mut used, mut head, mut body) = (Vec::new(), 0, None, Vec::new());
    let mut framing = Framing::UntilClose;
    for piece in pieces {
        input.extend_from_slice(piece);
        if head.is_none() {
            let Some((found, length)) = replies::head(&input).ok()? else { continue };
            framing = Framing::of(&found);
            head = Some(found.status);
            used = length;
        }
        loop {
            match framing.next(&input[used..]).ok()? {
                // As a reader with a small buffer does.
                Part::Body(amount) => {
                    let amount = amount.min(7);
                    body.extend_from_slice(&input[used..used + amount]);
                    framing.took(amount);
                    used += amount;
                }
                Part::Between(amount) => used += amount,
                Part::Wanting | Part::Over => break,
            }
        }
    }
    framing.close().ok()?;
    head.map(|status| (status, body, used))
}

/// A provider's answer is one answer however it arrives: no byte of it is made up, and none behind it is taken.
pub fn reply(data: &[u8]) {
    let (size, data) = pieces(data);
    let whole = heard(std::iter::once(data));
    assert_eq!(whole, heard(data.chunks(size)), "in pieces of {size}: {}", data.escape_ascii());
    let Some((status, body, used)) = whole else { return };
    assert!((200..1000).contains(&status) && used <= data.len() && body.len() <= used);
    let (head, begin) = replies::head(data).expect("it was read").expect("it was complete");
    let end = match Framing::of(&head) {
        Framing::Over => begin,
        Framing::Length(length) => begin + usize::try_from(length).expect("it was there"),
        Framing::ChunkLine => {
            // A reader of few words comes to the same body.
            assert_eq!(plainly(&data[begin..]), Some(body));
            return;
        }
        _ => data.len(),
    };
    assert_eq!((&data[begin..end], end), (&body[..], used), "{}", data.escape_ascii());
}

/// Every built-in rule, and some that are hard on whoever holds back too little.
fn lookout() -> &'static Arc<dialect::redact::Lookout> {
    static LOOKOUT: OnceLock<Arc<dialect::redact::Lookout>> = OnceLock::new();
    LOOKOUT.get_or_init(|| dialect::redact::Lookout::new(redaction().clone()))
}

fn redaction() -> &'static Redaction {
    static RULES: OnceLock<Redaction> = OnceLock::new();
    RULES.get_or_init(|| {
        let built_in = NAMES.iter().filter_map(|name| Some((*name, named(name)?)));
        let own = [("x", "(?i)ab+c|b(?:ab)*d"), ("y", r"^q|<[^>]{1,30}>|z\bz|e$")];
        let own = own
            .iter()
            .filter_map(|(name, text)| Some((*name, hapax::domain::redact::Pattern::new(text).ok()?)));
        let rules: Vec<Rule> = built_in
            .chain(own)
            .map(|(name, pattern)| Rule {
                name: name.to_owned(),
                pattern,
                replace: format!("\u{ab}{name}\u{bb}"),
                on_requests: true,
                on_answers: true,
            })
            .collect();
        Redaction::of(Mode::Enforce, &rules, |_| true).expect("they are small").expect("there are some")
    })
}

/// Where a text is told: what a provider calls it, and where a caller finds it.
#[derive(Clone, Copy)]
struct Told {
    dialect: Dialect,
    /// What is said before.
    begin: &'static str,
    frame: &'static str,
    place: &'static str,
    /// The text stands in JSON that stands in a text.
    arguments: bool,
}

const TOLD: [Told; 6] = [
    Told {
        dialect: Dialect::OpenAiChat,
        begin: "",
        frame: r#"data: {"choices":[{"index":0,"delta":{"content":TEXT}}]}"#,
        place: "/choices/0/delta/content",
        arguments: false,
    },
    Told {
        dialect: Dialect::OpenAiChat,
        begin: "",
        frame: r#"data: {"choices":[{"index":0,"delta":{"reasoning_content":TEXT}}]}"#,
        place: "/choices/0/delta/reasoning_content",
        arguments: false,
    },
    Told {
        dialect: Dialect::OpenAiChat,
        begin: r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"i","function":{"name":"f","arguments":""}}]}}]}"#,
        frame: r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":TEXT}}]}}]}"#,
        place: "/choices/0/delta/tool_calls/0/function/arguments",
        arguments: true,
    },
    Told {
        dialect: Dialect::Anthropic,
        begin: r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        frame: r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":TEXT}}"#,
        place: "/delta/text",
        arguments: false,
    },
    Told {
        dialect: Dialect::Anthropic,
        begin: r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"i","name":"f","input":{}}}"#,
        frame: r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":TEXT}}"#,
        place: "/delta/partial_json",
        arguments: true,
    },
    Told {
        dialect: Dialect::Ollama,
        begin: "",
        frame: r#"{"message":{"role":"assistant","content":TEXT},"done":false}"#,
        place: "/message/content",
        arguments: false,
    },
];

/// The stream of a provider that says a text in pieces, after the rules, as its caller puts it together again.
fn told_in_pieces(told: Told, pieces: &[&str]) -> String {
    let mut reader = Reader::new(told.dialect, told.dialect, None);
    let mut redactor = dialect::redact::Redactor::new(lookout());
    let mut frames = Vec::new();
    let said = pieces
        .iter()
        .map(|piece| told.frame.replace("TEXT", &serde_json::to_string(piece).expect("a text is JSON")));
    for frame in std::iter::once(told.begin.to_owned()).chain(said) {
        reader.feed(format!("{frame}\n\n").as_bytes());
        while let Ok(Some(frame)) = reader.next() {
            redactor.frame(frame, &mut frames);
        }
    }
    redactor.end(&mut frames);
    let mut writer = Writer::new(told.dialect, Wording::default());
    let mut out = Vec::new();
    frames.iter().for_each(|frame| writer.frame(frame, &mut out));
    let mut said = String::new();
    for line in String::from_utf8(out).expect("frames are text").lines() {
        let json = line.strip_prefix("data: ").unwrap_or(line);
        let frame: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        said.push_str(frame.pointer(told.place).and_then(|text| text.as_str()).unwrap_or_default());
    }
    said
}

/// A text is cut where the cut may be, every `size` bytes.
fn cut(text: &str, size: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = (size..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let (piece, others) = rest.split_at(at);
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// A stream, wherever it is cut, says what the whole text says after the rules, and nothing they find is left.
pub fn redact(data: &[u8]) {
    const TEXT_BYTES_MAX: usize = 900; // of what may be held back, 1 KiB
    let (mut ways, data) = Ways::of(data);
    let told = ways.one(&TOLD);
    let size = 1 + ways.pick(30);
    let text = String::from_utf8_lossy(&data[..data.len().min(TEXT_BYTES_MAX / 3)]);
    let rules = &redaction().rules;
    // Kept: automata that are built anew cost more than everything else here.
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::new(redaction().rules.scratch());
    }
    let apply = |scratch: &RefCell<Scratch>| {
        rules.apply(&text, &mut scratch.borrow_mut(), &mut rules.counts()).into_owned()
    };
    let expected = SCRATCH.with(apply);
    let said = if told.arguments {
        let arguments = serde_json::json!({ "a": text, "b": [1, text] }).to_string();
        let said = told_in_pieces(told, &cut(&arguments, size));
        let read: serde_json::Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(read["a"], read["b"][1], "{text:?} in pieces of {size}");
        read["a"].as_str().unwrap_or_default().to_owned()
    } else {
        told_in_pieces(told, &cut(&text, size))
    };
    assert_eq!(said, expected, "{text:?} in pieces of {size}");
    let body = serde_json::json!({ "messages": [{ "content": text, "arguments": "{" }] }).to_string();
    let request = dialect::redact::request(lookout(), body.as_bytes(), &mut rules.counts());
    let request = request.unwrap_or_else(|| body.into_bytes());
    let read: serde_json::Value = serde_json::from_slice(&request).expect("it stays JSON");
    assert_eq!(read["messages"][0]["content"], expected.as_str());
}
