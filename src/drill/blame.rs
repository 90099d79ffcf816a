//! Whose fault it is: the caller's, the model's, our key's, the provider's; and who is asked next because of it.

use super::stage::{OPENAI, Stage, equal, expect, now, question};
use super::{PATIENCE, Row};
use crate::simulate::End;
use std::time::Duration;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "callers_mistake",
        promise: "400: the caller gets the provider's reason, nobody else is asked",
        play: callers_mistake,
    },
    Row {
        name: "content_policy",
        promise: "a content policy's refusal is the caller's: nobody else is asked",
        play: content_policy,
    },
    Row {
        name: "context_length",
        promise: "a context window too small: a provider with a larger one is asked",
        play: context_length,
    },
    Row {
        name: "unknown_model",
        promise: "a model one provider does not have: the next one is asked",
        play: unknown_model,
    },
    Row {
        name: "key_pool",
        promise: "a refused key: the next key of the pool at once; the refused one rests",
        play: key_pool,
    },
    Row { name: "account_empty", promise: "402: the next provider answers", play: account_empty },
    Row {
        name: "busy_waited_out",
        promise: "429 with a short Retry-After is waited out at the same provider",
        play: busy_waited_out,
    },
    Row {
        name: "busy_passed_over",
        promise: "until a long Retry-After is over the provider is passed over, unasked",
        play: busy_passed_over,
    },
    Row { name: "all_busy", promise: "everybody busy: 429 with the soonest Retry-After", play: all_busy },
    Row {
        name: "concurrency_cap",
        promise: "past a provider's own cap the next one is asked at once",
        play: concurrency_cap,
    },
    Row {
        name: "retried_once",
        promise: "a passing 503 is retried at the same provider",
        play: retried_once,
    },
    Row {
        name: "silence_not_retried",
        promise: "a silent provider is not asked twice",
        play: silence_not_retried,
    },
    Row {
        name: "stale_connection",
        promise: "a kept connection that died is replaced at once, unnoticed",
        play: stale_connection,
    },
    Row {
        name: "last_real_cause",
        promise: "all fail: the caller reads the last real cause, and no address or key",
        play: last_real_cause,
    },
    Row { name: "one_deadline", promise: "one deadline over all attempts: 504 in time", play: one_deadline },
    Row {
        name: "caller_leaves",
        promise: "a caller who leaves: the call upstream ends within a second",
        play: caller_leaves,
    },
    Row {
        name: "caller_leaves_stream",
        promise: "a caller who leaves a stream: the call upstream ends within a second",
        play: caller_leaves_stream,
    },
];

fn callers_mistake(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "bad_request")?;
    let answer = stage.whole("a-then-b")?;
    equal("status", answer.status, 400)?;
    expect(answer.tells_an_error(), || "no reason was given".to_owned())?;
    stage.expect_asked("a", 1)?;
    stage.expect_asked("b", 0)
}

fn content_policy(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "content_policy")?;
    equal("status", stage.whole("a-then-b")?.status, 400)?;
    stage.expect_asked("b", 0)
}

/// `a` cannot, `b` can, and neither breaker learns anything from it.
fn next_without_blame(stage: &Stage<'_>, fault: &str) -> Result<(), String> {
    stage.behave("a", fault)?;
    for _ in 0..4 {
        stage.served(&stage.whole("a-then-b")?, "b")?;
    }
    stage.expect_asked("a", 4)?;
    equal("the circuit of a", stage.health("a", "circuit")?, "closed".into())
}

fn context_length(stage: &Stage<'_>) -> Result<(), String> {
    next_without_blame(stage, "context_length")
}

fn unknown_model(stage: &Stage<'_>) -> Result<(), String> {
    next_without_blame(stage, "unknown_model")
}

fn key_pool(stage: &Stage<'_>) -> Result<(), String> {
    for _ in 0..3 {
        stage.served(&stage.whole("keyed-then-b")?, "keyed")?;
    }
    let keys: Vec<String> = stage
        .asked("keyed")?
        .iter()
        .map(|seen| seen.header("authorization").unwrap_or_default().to_owned())
        .collect();
    let old = keys.iter().filter(|key| key.ends_with("-old")).count();
    expect(old <= 1, || "the refused key was used again".to_owned())
}

fn account_empty(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "status=402")?;
    stage.served(&stage.whole("a-then-b")?, "b")?;
    equal("the circuit of a", stage.health("a", "circuit")?, "closed".into())
}

fn busy_waited_out(stage: &Stage<'_>) -> Result<(), String> {
    stage.script("a", &["status=429,header=Retry-After:1"])?;
    stage.served(&stage.whole("a-then-b")?, "a")?;
    let asked = stage.asked("a")?;
    equal("calls that reached a", asked.len(), 2)?;
    let between = asked[1].at.saturating_duration_since(asked[0].at);
    expect(between >= Duration::from_millis(990), || format!("asked again after {between:?}"))?;
    stage.expect_asked("b", 0)
}

fn busy_passed_over(stage: &Stage<'_>) -> Result<(), String> {
    stage.script("a", &["status=429,header=Retry-After:5"])?;
    for _ in 0..3 {
        stage.served(&stage.whole("a-then-b")?, "b")?;
    }
    stage.expect_asked("a", 1)
}

fn all_busy(stage: &Stage<'_>) -> Result<(), String> {
    stage.script("a", &["status=429,header=Retry-After:9"])?;
    stage.script("b", &["status=429,header=Retry-After:5"])?;
    let answer = stage.whole("a-then-b")?;
    equal("status", answer.status, 429)?;
    let after = answer.header("retry-after").and_then(|value| value.parse::<u64>().ok());
    expect(after.is_some_and(|after| (1..=5).contains(&after)), || format!("Retry-After: {after:?}"))
}

fn concurrency_cap(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("capped", "hold")?;
    let off = [("X-Hapax-Deduplicate", "off")];
    let mut first = stage.connect()?;
    first.send(("POST", OPENAI), &off, &question("capped-then-b", false))?;
    stage.provider("capped")?.wait_for(1, PATIENCE);
    stage.served(&stage.ask_with(OPENAI, &off, &question("capped-then-b", false))?, "b")?;
    stage.provider("capped")?.gate().open();
    let answer = first.answer()?;
    stage.note(answer.brief());
    stage.served(&answer, "capped")?;
    stage.expect_asked("capped", 1)
}

fn retried_once(stage: &Stage<'_>) -> Result<(), String> {
    stage.script("twice", &["status=503"])?;
    stage.served(&stage.whole("twice-then-b")?, "twice")?;
    stage.expect_asked("twice", 2)?;
    stage.expect_asked("b", 0)
}

fn silence_not_retried(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("twice", "stall")?;
    stage.served(&stage.whole("twice-then-b")?, "b")?;
    stage.expect_asked("twice", 1)
}

fn stale_connection(stage: &Stage<'_>) -> Result<(), String> {
    stage.served(&stage.whole("a-then-b")?, "a")?;
    // Closes the connections that rest, and listens on.
    stage.provider("a")?.stop_listening();
    expect(stage.provider("a")?.resume(), || "the provider could not listen again".to_owned())?;
    let answer = stage.whole("a-then-b")?;
    stage.served(&answer, "a")?;
    equal("attempts", answer.attempts().matches("a:").count(), 1)?;
    stage.expect_asked("b", 0)
}

fn last_real_cause(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "status=500")?;
    stage.behave("b", "garbage")?;
    let answer = stage.whole("a-then-b")?;
    equal("status", answer.status, 502)?;
    let words = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    expect(!words.is_empty(), || "no cause was given".to_owned())?;
    let secret = ["127.0.0.1", "http://", "sk-drill"].into_iter().find(|word| answer.text().contains(word));
    equal("a secret in the words", secret, None)?;
    let story = answer.attempts();
    expect(story.contains("a:500:") && story.contains("b:"), || format!("the story is {story:?}"))
}

fn one_deadline(stage: &Stage<'_>) -> Result<(), String> {
    for name in ["a", "b", "c"] {
        stage.behave(name, "stall")?;
    }
    let began = now();
    let answer = stage.whole("a-b-c")?;
    let took = now().saturating_duration_since(began);
    equal("status", answer.status, 504)?;
    // Three silences of 2 s under a deadline of 5 s.
    expect(took < Duration::from_millis(5_900), || format!("it took {took:?}"))
}

/// The caller sends his question, hears so many chunks, and hangs up.
fn leave(stage: &Stage<'_>, fault: &str, streamed: bool) -> Result<(), String> {
    stage.behave("a", fault)?;
    let mut conversation = stage.connect()?;
    conversation.send(("POST", OPENAI), &[], &question("only-a", streamed))?;
    let provider = stage.provider("a")?;
    equal("calls under way", provider.wait_for(1, PATIENCE).len(), 1)?;
    if streamed {
        equal("status", conversation.head()?.status, 200)?;
    }
    let left = now();
    drop(conversation);
    stage.note("left".to_owned());
    let seen = provider.wait_ended(0, PATIENCE).ok_or("the call upstream never ended")?;
    let End::PeerClosed(at) = seen.end else { return Err(format!("it ended otherwise: {:?}", seen.end)) };
    let after = at.saturating_duration_since(left);
    expect(after < Duration::from_secs(1), || format!("it ended after {after:?}"))
}

fn caller_leaves(stage: &Stage<'_>) -> Result<(), String> {
    // Shorter than the patience with a silent provider.
    leave(stage, "stall", false)
}

fn caller_leaves_stream(stage: &Stage<'_>) -> Result<(), String> {
    leave(stage, "stall_after=2", true)
}
