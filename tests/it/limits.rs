//! Limits from the socket: exactly so many, however many ask at once, and a provider at its own limit passed over. And the
//! worked examples of docs/limits.md, played.

use crate::rig::{CHAT, HELLO, Rig, at_once};
use hapax::domain::chat::Usage;
use hapax::domain::key::Hash;
use std::time::Duration;

const OPENAI: &str = "openai_compatible";
const KEY: (&str, &str) = ("X-API-Key", "hpx_good");

#[test]
fn over_real_sockets_exactly_the_limit_is_admitted_and_as_many_again_as_came_back() {
    const CALLERS: usize = 25;
    const EACH: usize = 40;
    const LIMIT: usize = 300;
    let hash = Hash::of("hpx_good");
    let limits = format!("limits: {{requests_per_minute: {LIMIT}}}");
    let rig = Rig::with(&[OPENAI], &format!("auth: {{keys: [{{name: bot, hash: \"{hash}\", {limits}}}]}}\n"));
    let run = || -> usize {
        let admitted = at_once(CALLERS, |caller| {
            let mut conversation = rig.connect();
            let ask = |number: usize| {
                let body =
                    format!(r#"{{"messages":[{{"role":"user","content":"Hello {caller} {number}"}}]}}"#);
                conversation.send("POST", CHAT, &[KEY], &body);
                let answer = conversation.answer();
                assert!(answer.status == 200 || answer.header("retry-after").is_some(), "{}", answer.text());
                answer.status == 200
            };
            (0..EACH).map(ask).filter(|admitted| *admitted).count()
        });
        admitted.into_iter().sum()
    };
    assert_eq!(run(), LIMIT);
    rig.advance(Duration::from_secs(20));
    assert_eq!(run(), LIMIT / 3);
    assert_eq!(rig.asked(0).len(), LIMIT + LIMIT / 3, "the provider saw those and no other");
    let refused = 2 * CALLERS * EACH - LIMIT - LIMIT / 3;
    let line = format!("hapax_rate_limit_hits_total{{client=\"bot\"}} {refused}");
    assert!(rig.get("/metrics").text().contains(&line), "{line}");
}

#[test]
fn who_asks_for_nothing_sensible_or_for_what_he_may_not_is_limited_like_everybody() {
    let hash = Hash::of("hpx_good");
    let key = format!("name: bot, hash: \"{hash}\", models: ['a-*'], endpoints: ['/v1/chat/*']");
    let limits = "limits: {requests_per_minute: 3, tokens_per_minute: 9000}";
    let rig = Rig::with(&[OPENAI], &format!("auth: {{keys: [{{{key}, {limits}}}]}}\n"));
    let ask = |path: &str, body: &str| {
        let mut caller = rig.connect();
        caller.send("POST", path, &[KEY], body);
        let answer = caller.answer();
        let left = answer.header("x-ratelimit-remaining-requests").map(str::to_owned);
        (answer.status, left, answer.header("retry-after").map(str::to_owned))
    };
    let left = |status, left: &str| (status, Some(left.to_owned()), None);
    let waits = (429, Some("0".to_owned()), Some("20".to_owned()));
    assert_eq!(ask(CHAT, "{"), left(400, "2"), "a broken body is a request");
    let other = r#"{"model":"b-1","messages":[{"role":"user","content":"Hello"}]}"#;
    assert_eq!(ask(CHAT, other), left(403, "1"), "so is a model that is not allowed");
    assert_eq!(ask("/v1/embeddings", "{}").0, 403, "and an endpoint");
    assert_eq!(ask(CHAT, "{"), waits);
    assert_eq!(ask(CHAT, &other.replace("b-1", "a-1")), waits);
    let slowed = ask("/v1/embeddings", "{}");
    assert_eq!((slowed.0, slowed.2.as_deref()), (429, Some("20")));
    assert!(rig.get("/metrics").text().contains("hapax_rate_limit_hits_total{client=\"bot\"} 3"));
    rig.advance(Duration::from_secs(60));
    assert_eq!(ask(CHAT, &other.replace("b-1", "a-1")), left(200, "2"), "no tokens were taken for them");
}

#[test]
fn who_may_not_ask_at_an_endpoint_uses_up_nobodys_share_of_it() {
    let keys = [("good", "name: good"), ("narrow", "name: narrow, endpoints: ['/v1/models']")]
        .map(|(key, rest)| format!("{{{rest}, hash: \"{}\"}}", Hash::of(key)));
    let routes = "routes: [{path: '/v1/*', limits: {requests_per_minute: 1}}]";
    let rig = Rig::with(&[OPENAI], &format!("auth: {{keys: [{}]}}\n{routes}\n", keys.join(", ")));
    let ask = |key| rig.ask("POST", CHAT, &[("X-API-Key", key)], HELLO).status;
    assert_eq!([ask("narrow"), ask("narrow"), ask("good"), ask("good")], [403, 403, 200, 429]);
}

#[test]
fn a_provider_at_its_own_limit_is_passed_over_and_only_when_all_are_the_caller_waits() {
    let rig = Rig::built(&[OPENAI, OPENAI], ", limits: {requests_per_minute: 2}", "");
    let who = || {
        let answer = rig.chat();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("x-hapax-provider").map(str::to_owned)
    };
    assert_eq!([who(), who(), who(), who()], ["a", "a", "b", "b"].map(|name| Some(name.to_owned())));
    let refused = rig.chat();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("30")), "{}", refused.text());
    assert!(rig.get("/v1/status/explain").text().contains("its own limit is reached for 30 s more"));
    rig.reload(&[OPENAI, OPENAI], "deduplicate: always\n");
    assert_eq!(who().as_deref(), Some("a"), "a reload takes the limit away");
}

#[test]
fn the_soonest_of_all_providers_is_the_moment_a_retry_is_admitted() {
    let rig = Rig::built(&[OPENAI, OPENAI], ", limits: {requests_per_minute: 1}", "");
    assert_eq!(rig.chat().header("x-hapax-provider"), Some("a"));
    rig.advance(Duration::from_secs(15));
    assert_eq!(rig.chat().header("x-hapax-provider"), Some("b"));
    assert_eq!(rig.chat().header("retry-after"), Some("45"));
    rig.advance(Duration::from_secs(45));
    assert_eq!(rig.chat().header("x-hapax-provider"), Some("a"));
    assert_eq!(rig.chat().header("retry-after"), Some("15"));
}

#[test]
fn a_providers_tokens_are_settled_by_what_was_used() {
    let rig = Rig::built(&[OPENAI, OPENAI], ", limits: {tokens_per_minute: 1000}", "");
    let ask = |most: u64| {
        let body = format!(r#"{{"max_tokens":{most},"messages":[{{"role":"user","content":"Hello"}}]}}"#);
        rig.post(CHAT, &body).header("x-hapax-provider").map(str::to_owned)
    };
    for _ in 0..3 {
        assert_eq!(ask(900).as_deref(), Some("a"), "what was not used is there again");
    }
    assert_eq!(ask(980).as_deref(), Some("b"), "some was");
}

/// The file of one section of docs/limits.md.
fn example(section: &str) -> String {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md")).expect("a page");
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).expect("the section");
    let (_, rest) = rest.split_once("```yaml\n").expect("an example");
    rest.split_once("```").expect("its end").0.to_owned()
}

const ABC: (&str, &str) = ("X-API-Key", "abc");

#[test]
fn the_example_of_keys_holds() {
    let rig = Rig::with(&[OPENAI], &example("Keys"));
    let ask = |path: &str, model: &str| {
        let body =
            format!(r#"{{"model":"{model}","input":"x","messages":[{{"role":"user","content":"Hello"}}]}}"#);
        rig.ask("POST", path, &[ABC], &body).status
    };
    assert_eq!(ask(CHAT, "model-a"), 200);
    assert_eq!([ask(CHAT, "gpt-4o"), ask("/v1/embeddings", "model-a")], [403, 403]);
    assert_eq!(rig.ask("GET", "/v1/models", &[ABC], "").status, 200);
}

#[test]
fn the_example_of_limits_holds() {
    let rig = Rig::with(&[OPENAI], &example("Limits"));
    let ask = |number: usize| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"Hello {number}"}}]}}"#);
        rig.ask("POST", CHAT, &[ABC], &body)
    };
    assert_eq!([1, 2, 3].map(|number| ask(number).status), [200; 3]);
    let fourth = ask(4);
    assert_eq!((fourth.status, fourth.header("retry-after")), (429, Some("20")));
    let rig = Rig::with(&[OPENAI], &example("Limits"));
    let embed = || rig.ask("POST", "/v1/embeddings", &[ABC], r#"{"model":"model-a","input":"x"}"#);
    assert_eq!([embed().status, embed().status], [200, 200]);
    let third = embed();
    assert_eq!((third.status, third.header("retry-after")), (429, Some("30")));
}

#[test]
fn the_example_of_prices_holds() {
    let vendors = "providers: {openai: {api_key: k}, work: {type: openai, api_key: k}}\n";
    let text = format!("{vendors}{}", example("Prices"));
    let prices = hapax::config::parse("limits.md", &text, &|_| None).expect("it loads").prices();
    let usage = Usage { input: 1_000, cached: 400, output: 100, ..Usage::default() };
    let cost = |provider: &str, model: &str| prices.of(provider, model).map(|price| price.cost(&usage));
    assert_eq!(cost("openai", "gpt-4o"), Some(2_400_000), "nano-USD: 0.0024 USD");
    assert_eq!(cost("openai", "gpt-4o-mini"), Some(180_000));
    assert_eq!(cost("work", "gpt-4o"), Some(0));
}

#[test]
fn the_example_of_budgets_holds() {
    let rig = Rig::with(&[OPENAI], &example("Budgets"));
    let ask = |most: u64| {
        let body = format!(r#"{{"max_tokens":{most},"messages":[{{"role":"user","content":"Hello"}}]}}"#);
        rig.ask("POST", CHAT, &[ABC], &body)
    };
    assert_eq!(ask(60).status, 429);
    let answer = ask(40);
    assert_eq!((answer.status, answer.json()["usage"]["completion_tokens"].as_u64()), (200, Some(12)));
    assert_eq!(ask(40).status, 429, "0.05 - 0.012 USD do not pay for 40 tokens any more");
}
