//! The steps, in the order in which a request meets them.

use crate::{Step, step};
use hapax::clock::{Clock, SystemClock};
use hapax::dialect::{self, Defaults, Reader, Wording, Writer, sse};
use hapax::domain::chat::Frame;
use hapax::domain::event::{Event, Record, Tried};
use hapax::domain::failure::Fault;
use hapax::domain::key::Hash;
use hapax::domain::pattern::Pattern;
use hapax::domain::quirks::Quirks;
use hapax::domain::route::{Offer, Routes};
use hapax::domain::splice::Splice;
use hapax::domain::words::{Dialect, Gist, Words};
use hapax::gateway::ports::Observer;
use hapax::server::{Connection, Limits, Step as Next};
use hapax::telemetry::{Logging, Metrics, Telemetry};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const OPENAI: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Tell me something useful about the sea, and do it in one sentence."}],"temperature":0.2}"#;
const ANTHROPIC: &str = r#"{"model":"claude-haiku-4-5","max_tokens":64,"system":"Be brief.","messages":[{"role":"user","content":"Tell me something useful about the sea."}]}"#;
const OLLAMA: &str = r#"{"model":"llama3.2","stream":false,"messages":[{"role":"user","content":"Tell me something useful about the sea."}]}"#;
const OPENAI_SAID: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"The sea holds most of the living space on Earth.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}"#;
const ANTHROPIC_SAID: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[{"type":"text","text":"The sea holds most of the living space on Earth."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}}"#;
const OLLAMA_SAID: &str = r#"{"model":"llama3.2","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"The sea holds most of the living space on Earth."},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":7}"#;
const CHUNK: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";
const FAILED: &str = r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;

fn defaults() -> Defaults {
    Defaults {
        max_tokens: 4096,
        num_ctx: None,
        keep_alive: None,
        system_prompt: None,
        quirks: Quirks::default(),
    }
}

fn opened(dialect: Dialect, body: &str) -> (Gist, Words) {
    dialect::open(dialect, body.as_bytes().to_vec()).expect("a proper question")
}

/// Opening a caller's body; one allocation is the harness's own copy of it.
fn open(name: &'static str, allocations_max: u64, dialect: Dialect, body: &'static str) -> Step {
    step(name, allocations_max, move || opened(dialect, body))
}

fn ask(name: &'static str, allocations_max: u64, target: Dialect) -> Step {
    let (gist, words) = opened(Dialect::OpenAiChat, OPENAI);
    let defaults = defaults();
    step(name, allocations_max, move || {
        dialect::ask(target, (&gist, &words), "other", None, &defaults).expect("can be said")
    })
}

/// Reading an answer for a caller of OpenAI's dialect and wording it; one allocation is the harness's own copy.
fn answer(name: &'static str, allocations_max: u64, target: Dialect, said: &'static str) -> Step {
    step(name, allocations_max, move || {
        let answer = dialect::read_answer(target, Dialect::OpenAiChat, said.as_bytes().to_vec(), None)
            .expect("an answer");
        dialect::hand_over(Dialect::OpenAiChat, Arc::new(answer), Wording::default)
    })
}

fn heads() -> Vec<Step> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: openai/1\r\nAccept: */*\r\nAuthorization: Bearer hpx_key\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{OPENAI}",
        OPENAI.len()
    );
    let now = SystemClock.now();
    let mut connection = Connection::new(Arc::new(Limits::default()), IpAddr::from([127, 0, 0, 1]), now);
    let request = move || {
        assert!(matches!(connection.feed(head.as_bytes(), now), Next::Head));
        let Next::Request(ready) = connection.screened() else { panic!("a complete request") };
        assert!(matches!(connection.answered(now), Next::Wait));
        ready
    };
    vec![
        step("request: head parsed and checked, body taken", 5, request),
        step("key hashed", 0, || Hash::of("hpx_0123456789abcdef")),
    ]
}

fn routes() -> Step {
    let offer = |name: &str, patterns: &[&str]| Offer {
        name: name.to_owned(),
        model: format!("{name}-model"),
        models: patterns.iter().map(|pattern| Pattern::new(pattern)).collect(),
    };
    let offers = vec![
        offer("ollama", &["llama*"]),
        offer("anthropic", &["claude-*"]),
        offer("openai", &["gpt-*", "o*"]),
    ];
    let routes = Routes::new(offers, Vec::new());
    step("route: three providers", 1, move || routes.candidates(Some("gpt-4o-mini"), None).len())
}

fn streams() -> Vec<Step> {
    let frame = |caller: Dialect| {
        let mut reader = Reader::new(Dialect::OpenAiChat, caller, None);
        for _ in 0..2 {
            reader.feed(CHUNK.as_bytes());
            let _: Option<Frame> = reader.next().expect("a frame");
        }
        reader
    };
    let (mut same, mut other) = (frame(Dialect::OpenAiChat), frame(Dialect::Anthropic));
    let mut lines = sse::Lines::default();
    let mut writer = Writer::new(Dialect::OpenAiChat, Wording::default());
    let mut out = Vec::with_capacity(4096);
    let (mut passed, mut understood) = (Frame::default(), Frame::default());
    vec![
        step("SSE: one event split into its lines", 0, move || {
            lines.feed(CHUNK.as_bytes());
            let mut count = 0;
            while lines.next().ok().flatten().is_some() {
                count += 1;
            }
            assert_eq!(count, 1);
        }),
        step("stream chunk passed on, OpenAI to OpenAI", 0, move || {
            same.feed(CHUNK.as_bytes());
            assert_eq!(same.read(&mut passed), Ok(true));
            out.clear();
            writer.frame(&passed, &mut out);
        }),
        step("stream chunk understood, for another dialect", 0, move || {
            other.feed(CHUNK.as_bytes());
            assert_eq!(other.read(&mut understood), Ok(true));
        }),
        step("splice: 20 words repeated, then one more", 7, || {
            let mut splice = Splice::new("one two three four five six seven eight nine ten");
            splice.push("one two three four five six seven eight nine ten eleven").map(|text| text.len())
        }),
    ]
}

fn telling() -> Vec<Step> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = || Arc::new(Metrics::new("hash").expect("names are valid"));
    let start = |level| {
        let settings =
            hapax::config::Logging { level, format: hapax::config::LogFormat::Json, prompts: false };
        hapax::telemetry::start(settings, Arc::new(SystemClock), std::io::sink()).expect("a thread")
    };
    let (loud, writer): (Logging, _) = start(hapax::config::Level::Info);
    let (quiet, other) = start(hapax::config::Level::Error);
    // They write until the process ends.
    std::mem::forget((writer, other));
    let [loud, quiet] = [loud, quiet].map(|logging| Telemetry::new(metrics(), logging, Arc::clone(&clock)));
    let tried = vec![Tried {
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        outcome: "200".into(),
        took: Duration::from_micros(812_345),
    }];
    let attempts = tried.clone();
    vec![
        step("metrics of one answered request", 0, move || quiet.observe(&Event::Answered(record(&tried)))),
        step("the same with its log line", 0, move || loud.observe(&Event::Answered(record(&attempts)))),
    ]
}

fn record(attempts: &[Tried]) -> Record<'_> {
    Record {
        request_id: "req_0123456789abcdef00000001",
        trace_id: None,
        endpoint: "/v1/chat/completions",
        routine: false,
        method: "POST",
        status: 200,
        took: Duration::from_micros(813_000),
        overhead: Some(Duration::from_micros(60)),
        error: None,
        served: Some(("openai", "gpt-4o-mini")),
        attempts,
        usage: Some(hapax::domain::chat::Usage { input: 11, output: 7, ..Default::default() }),
        stream: false,
        deduplicated: false,
        cached: None,
        bytes_in: 428,
        bytes_out: 992,
        key: Some("bench"),
        client: Some(IpAddr::from([127, 0, 0, 1])),
        nano_usd: None,
        said: None,
    }
}

/// Every step.
pub fn all() -> Vec<Step> {
    let mut all = heads();
    all.extend([
        open("open: OpenAI", 3, Dialect::OpenAiChat, OPENAI),
        open("open: Anthropic", 4, Dialect::Anthropic, ANTHROPIC),
        open("open: Ollama", 4, Dialect::Ollama, OLLAMA),
        routes(),
        ask("encode: OpenAI to OpenAI", 2, Dialect::OpenAiChat),
        ask("encode: OpenAI to Anthropic", 12, Dialect::Anthropic),
        ask("encode: OpenAI to Ollama", 14, Dialect::Ollama),
        ask("encode: OpenAI to Gemini", 23, Dialect::Gemini),
        answer("answer: OpenAI, passed on", 3, Dialect::OpenAiChat, OPENAI_SAID),
        answer("answer: Anthropic to OpenAI", 11, Dialect::Anthropic, ANTHROPIC_SAID),
        answer("answer: Ollama to OpenAI", 10, Dialect::Ollama, OLLAMA_SAID),
        step("verdict: of a status", 0, || Fault::of_status(503).verdict()),
        step("verdict: of an error's body", 12, || {
            dialect::read_error(Dialect::OpenAiChat, 400, FAILED.as_bytes()).verdict()
        }),
    ]);
    all.extend(streams());
    all.extend(telling());
    all
}
