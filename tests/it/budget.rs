//! Money: reserved before, settled after, and never more of it than the budget has.

use crate::rig::caller::Answer;
use crate::rig::{CHAT, HELLO, HELLO_STREAM, Rig, at_once};
use hapax::domain::key::Hash;
use std::sync::Barrier;
use std::time::Duration;

const OPENAI: &str = "openai_compatible";
const DAY: Duration = Duration::from_secs(86_400);
const KEY: (&str, &str) = ("X-API-Key", "hpx_good");
/// Two equal questions must not become one call here.
const ALONE: (&str, &str) = ("X-Hapax-Deduplicate", "off");

/// One key with a budget per day, and a price for what provider `a` says.
fn rig(usd: &str, price: &str) -> Rig {
    let hash = Hash::of("hpx_good");
    Rig::built(
        &[OPENAI],
        ", max_concurrency: 400",
        &format!(
            "auth: {{keys: [{{name: bot, hash: \"{hash}\", budget: {{usd: {usd}, per: day}}}}]}}\nprices: {{{price}}}\n"
        ),
    )
}

/// The tokens of the metric, input and output.
fn tokens(rig: &Rig) -> (u64, u64) {
    let text = rig.get("/metrics").text();
    let of = |direction: &str| {
        let line = text.lines().find(|line| {
            line.starts_with("hapax_tokens_total{") && line.contains(&format!("direction=\"{direction}\""))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    };
    (of("input"), of("output"))
}

#[test]
fn two_hundred_streams_at_once_use_a_budget_of_one_dollar_up_and_overrun_it_by_nothing() {
    const STREAMS: u64 = 200;
    // In nano-USD per token: 10,000 tokens of output are a dollar.
    const INPUT: u64 = 1_000;
    const OUTPUT: u64 = 100_000;
    const DOLLAR: u64 = 1_000_000_000;
    let rig = rig("1", "model-a: {input: 1, output: 100}");
    rig.behave(0, "endless,pace=2ms,hold_after=1");
    let all_begun = Barrier::new(STREAMS as usize);
    let pieces: u64 = at_once(STREAMS as usize, |_| {
        let mut caller = rig.connect();
        caller.send("POST", CHAT, &[KEY, ALONE], HELLO_STREAM);
        let (status, headers) = caller.head();
        assert_eq!(status, 200);
        let mut body = caller.chunk().expect("the first piece");
        if all_begun.wait().is_leader() {
            rig.provider(0).gate().open();
        }
        while let Some(chunk) = caller.chunk().filter(|chunk| !chunk.is_empty()) {
            body.extend_from_slice(&chunk);
        }
        let answer = Answer { status, headers, body, whole: true };
        let events = answer.events();
        let last = events.last().expect("an end");
        assert!(last.contains("\"code\":\"insufficient_quota\"") && !answer.is_done(), "{last}");
        let is_piece =
            |event: &&String| event.contains("\"content\":") && !event.contains("\"content\":\"\"");
        events.iter().filter(is_piece).count() as u64
    })
    .into_iter()
    .sum();
    assert_eq!(rig.asked(0).len() as u64, STREAMS, "each was asked once");
    let (input, output) = tokens(&rig);
    // The provider counts a token a piece, and no piece was read that was not told.
    let by_provider = input * INPUT + pieces * OUTPUT;
    assert!(by_provider <= DOLLAR, "{pieces} pieces cost {by_provider}");
    // By length, as it is accounted without the provider's last word, a piece of this text is two tokens or three.
    let accounted = input * INPUT + output * OUTPUT;
    assert!(accounted <= DOLLAR, "{accounted}");
    assert!(
        accounted >= DOLLAR - 3 * OUTPUT * (STREAMS + 1),
        "the budget is used, not merely kept: {pieces} pieces, {accounted}"
    );

    let refused = rig.ask("POST", CHAT, &[KEY], HELLO);
    assert_eq!((refused.status, refused.json()["error"]["type"].as_str()), (429, Some("insufficient_quota")));
    let after: u64 = refused.header("retry-after").and_then(|value| value.parse().ok()).expect("a moment");
    assert!(after > 1 && Duration::from_secs(after) <= DAY, "the day's end: {after}");
    assert_eq!(rig.asked(0).len() as u64, STREAMS, "nobody is asked what cannot be paid");
    rig.behave(0, "ok");
    rig.advance(Duration::from_secs(after));
    assert_eq!(
        rig.ask("POST", CHAT, &[KEY], HELLO).status,
        200,
        "the moment named is the moment of admission"
    );
}

#[test]
fn a_whole_answer_reserves_its_bound_and_pays_what_it_used() {
    // A thousand tokens of output are a dollar.
    let rig = rig("1", "model-a: {input: 0, output: 1000}");
    let bounded = |most: u64| {
        let body = format!(r#"{{"max_tokens":{most},"messages":[{{"role":"user","content":"Hello"}}]}}"#);
        rig.ask("POST", CHAT, &[KEY, ALONE], &body)
    };
    assert_eq!(bounded(1_001).status, 429, "more than there is");
    assert_eq!(rig.ask("POST", CHAT, &[KEY], HELLO).status, 429, "without a bound it may be 4096");
    let used: u64 = (0..5)
        .map(|_| {
            let answer = bounded(900);
            assert_eq!(answer.status, 200, "what was not used is there again: {}", answer.text());
            answer.json()["usage"]["completion_tokens"].as_u64().expect("reported")
        })
        .sum();
    let left = format!("hapax_budget_remaining_usd{{key=\"bot\"}} {}", (1_000 - used) as f64 / 1_000.0);
    let metrics = rig.get("/metrics").text();
    assert!(
        metrics.contains(&left) && metrics.contains("hapax_budget_usd{key=\"bot\"} 1\n"),
        "{left}: {metrics}"
    );
    assert_eq!(bounded(1_000 - used).status, 200, "to the last token");
    assert_eq!(bounded(1_000 - used).status, 429);
    assert!(rig.get("/metrics").text().contains("hapax_budget_stops_total{key=\"bot\"} 3"));
}

#[test]
fn several_answers_to_one_question_are_all_reserved_whatever_the_bound_is_called() {
    // A thousand tokens of output are a dollar.
    let rig = rig("1", "model-a: {input: 0, output: 1000}");
    let messages = r#""messages":[{"role":"user","content":"Hello"}]"#;
    let chat = |more: &str| rig.ask("POST", CHAT, &[KEY, ALONE], &format!("{{{more},{messages}}}"));
    let complete = |more: &str| {
        let body = format!(r#"{{{more},"model":"model-a","prompt":"Hello"}}"#);
        rig.ask("POST", "/v1/completions", &[KEY, ALONE], &body)
    };
    assert_eq!(chat(r#""n":4,"max_tokens":251"#).status, 429);
    assert_eq!(chat(r#""n":4,"max_tokens":1,"max_completion_tokens":251"#).status, 429);
    assert_eq!(chat(r#""n":4,"max_tokens":251,"max_completion_tokens":1"#).status, 429, "who heeds which?");
    assert_eq!(complete(r#""n":4,"max_tokens":251"#).status, 429);
    assert_eq!(complete(r#""best_of":4,"max_tokens":251"#).status, 429);
    assert!(rig.asked(0).is_empty());
    let dear = r#"body={"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":1000,"total_tokens":1009}}"#;
    rig.behave(0, dear);
    assert_eq!(chat(r#""n":4,"max_tokens":250"#).status, 200, "to the last token of the last choice");
    let spent = rig.get("/metrics").text();
    assert!(spent.contains(r#"hapax_cost_usd_total{key="bot",model="model-a"} 1"#), "{spent}");
    assert_eq!(chat(r#""max_tokens":1"#).status, 429, "nothing is left, and nothing was overrun");
}

#[test]
fn whoever_has_no_money_left_takes_nothing_from_a_providers_limit() {
    let (poor, rich) = (Hash::of("hpx_good"), Hash::of("hpx_rich"));
    let rig = Rig::built(
        &[OPENAI],
        ", limits: {requests_per_minute: 2, tokens_per_minute: 5000}",
        &format!(
            "auth: {{keys: [{{name: poor, hash: \"{poor}\", budget: {{usd: 0, per: day}}}}, {{name: rich, hash: \"{rich}\"}}]}}\nprices: {{model-a: {{input: 1, output: 1}}}}\n"
        ),
    );
    for _ in 0..9 {
        assert_eq!(rig.ask("POST", CHAT, &[KEY], HELLO).json()["error"]["type"], "insufficient_quota");
    }
    let rich = || rig.ask("POST", CHAT, &[("X-API-Key", "hpx_rich"), ALONE], HELLO).status;
    assert_eq!([rich(), rich(), rich()], [200, 200, 429]);
}

#[test]
fn what_costs_nothing_is_served_on_an_empty_budget_and_what_nobody_knows_is_said() {
    let rig = rig("0", "model-a: {input: 0, output: 0}");
    assert_eq!(rig.ask("POST", CHAT, &[KEY], HELLO).status, 200);
    let unknown = r#"{"model":"a-new","messages":[{"role":"user","content":"Hello"}]}"#;
    assert_eq!(rig.ask("POST", CHAT, &[KEY], unknown).status, 200);
    assert_eq!(rig.ask("POST", CHAT, &[KEY, ALONE], unknown).status, 200);
    let told = "hapax_unpriced_requests_total{model=\"other\",provider=\"a\"} 2";
    let metrics = rig.get("/metrics").text();
    assert!(metrics.contains(told), "{metrics}");
}

#[test]
fn every_dialect_reads_of_an_empty_budget_in_its_own_words() {
    let rig = rig("0", "model-a: {input: 1, output: 1}");
    let messages = r#""messages":[{"role":"user","content":"Hello"}]"#;
    for (path, body, field, word) in [
        (CHAT, format!("{{{messages}}}"), "/error/code", "insufficient_quota"),
        (
            "/v1/responses",
            r#"{"model":"a-1","input":"Hello"}"#.to_owned(),
            "/error/code",
            "insufficient_quota",
        ),
        (
            "/v1/messages",
            format!(r#"{{"model":"a-1","max_tokens":9,{messages}}}"#),
            "/error/type",
            "rate_limit_error",
        ),
        ("/v1/completions", format!("{{{messages}}}"), "/error/code", "budget_exceeded"),
        (
            "/api/chat",
            format!(r#"{{"model":"a-1",{messages}}}"#),
            "/error",
            "this API key's budget of 0 USD per day is used up",
        ),
    ] {
        // Of a model that has no price nothing is counted: the price is that of every model here.
        let body = body.replace("a-1", "model-a");
        let answer = rig.ask("POST", path, &[KEY], &body);
        let json = answer.json();
        assert_eq!(
            (answer.status, json.pointer(field).and_then(|v| v.as_str())),
            (429, Some(word)),
            "{path}: {json}"
        );
        assert!(answer.header("retry-after").is_some(), "{path}");
    }
    assert!(rig.asked(0).is_empty());
}

#[test]
fn a_reload_gives_more_money_and_forgets_nothing() {
    let hash = Hash::of("hpx_good");
    let rest = |usd: &str| {
        format!(
            "auth: {{keys: [{{name: bot, hash: \"{hash}\", budget: {{usd: {usd}, per: month}}}}]}}\nprices: {{model-a: {{input: 0, output: 1000}}}}\n"
        )
    };
    let rig = Rig::with(&[OPENAI], &rest("0.02"));
    let body = r#"{"max_tokens":12,"messages":[{"role":"user","content":"Hello"}]}"#;
    let ask = || rig.ask("POST", CHAT, &[KEY, ALONE], body);
    let first = ask();
    assert_eq!(first.status, 200);
    let used = first.json()["usage"]["completion_tokens"].as_u64().expect("reported");
    assert!((9..=12).contains(&used), "{used}");
    assert_eq!(ask().status, 429, "of twenty tokens fewer than twelve are left");
    rig.reload(&[OPENAI], &rest(&format!("{}", (used + 12) as f64 / 1_000.0)));
    assert_eq!(ask().status, 200);
    assert_eq!(ask().status, 429, "what was spent before the reload is spent");
}
