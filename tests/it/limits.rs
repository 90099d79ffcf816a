//! Limits from the socket: exactly so many, however many ask at once, and a provider at its own limit passed over.

use crate::rig::{CHAT, Rig, at_once};
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
