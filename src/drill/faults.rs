//! What a provider does wrong: whatever it is, the first request already gets its whole answer.

use super::Row;
use super::stage::{Stage, complete, expect};

pub(super) const ROWS: &[Row] = &[
    Row { name: "refused", promise: "a refused connection: the next provider answers", play: refused },
    Row {
        name: "reset",
        promise: "a connection reset before the head: the next provider answers",
        play: reset,
    },
    Row {
        name: "closed",
        promise: "a connection closed before the head: the next provider answers",
        play: closed,
    },
    Row { name: "status_500", promise: "500: the next provider answers", play: status_500 },
    Row { name: "status_503", promise: "503: the next provider answers", play: status_503 },
    Row { name: "status_529", promise: "529: the next provider answers", play: status_529 },
    Row {
        name: "busy",
        promise: "429 with a long Retry-After: the next provider answers at once",
        play: busy,
    },
    Row { name: "key_refused", promise: "401: the next provider answers", play: key_refused },
    Row {
        name: "hang_before_head",
        promise: "silence before the head: given up in time, the next provider answers",
        play: hang,
    },
    Row {
        name: "slow_first_token",
        promise: "a head and no first token: given up in time, the next provider answers",
        play: slow,
    },
    Row {
        name: "cut_mid_stream",
        promise: "a stream cut half-way is finished by the next provider, nothing twice",
        play: cut,
    },
    Row {
        name: "stall_mid_stream",
        promise: "a stream that falls silent half-way is finished by the next provider",
        play: stall,
    },
    Row {
        name: "garbage_body",
        promise: "a body that is not the dialect's: the next provider answers",
        play: garbage,
    },
    Row {
        name: "garbage_http",
        promise: "bytes that are not HTTP: the next provider answers",
        play: garbage_http,
    },
    Row { name: "empty_200", promise: "200 without a body: the next provider answers", play: empty },
    Row {
        name: "empty_content",
        promise: "200 without content: the next provider answers",
        play: empty_content,
    },
    Row {
        name: "error_in_200",
        promise: "200 that carries an error: the next provider answers",
        play: error_200,
    },
    Row {
        name: "malformed_frame",
        promise: "a malformed frame is skipped, the stream goes on",
        play: malformed,
    },
    Row {
        name: "missing_done",
        promise: "a stream that finished without its end mark is complete",
        play: no_end,
    },
    Row {
        name: "truncated_json",
        promise: "a whole answer cut short: the next provider answers",
        play: truncated,
    },
    Row {
        name: "redirect",
        promise: "a redirect is not followed: the next provider answers",
        play: redirect,
    },
];

/// `a` does this: whole and streamed, `b` answers in its place after one try at `a`.
fn failover(stage: &Stage<'_>, fault: &str) -> Result<(), String> {
    within(stage, fault, 2)
}

/// The same with `most` calls at `a`: a kept connection that dies before its first byte is tried once more.
fn within(stage: &Stage<'_>, fault: &str, most: usize) -> Result<(), String> {
    stage.behave("a", fault)?;
    stage.served(&stage.whole("a-then-b")?, "b")?;
    stage.served(&stage.stream("a-then-b")?, "b")?;
    expect(stage.asked("a")?.len() <= most, || "the failing provider was asked again and again".to_owned())?;
    stage.expect_asked("b", 2)
}

fn refused(stage: &Stage<'_>) -> Result<(), String> {
    stage.provider("a")?.stop_listening();
    stage.provider("a")?.hang_up();
    failover(stage, "ok")
}

fn reset(stage: &Stage<'_>) -> Result<(), String> {
    within(stage, "reset", 4)
}

fn closed(stage: &Stage<'_>) -> Result<(), String> {
    within(stage, "close", 4)
}

fn status_500(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "status=500")
}

fn status_503(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "status=503")
}

fn status_529(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "status=529")
}

fn busy(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "status=429,header=Retry-After:4")
}

fn key_refused(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "status=401")
}

fn hang(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "stall")
}

fn slow(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "first=60s")?;
    stage.served(&stage.stream("a-then-b")?, "b")?;
    stage.expect_asked("a", 1)
}

/// `a` breaks off after its first words: `b` goes on, and the caller reads one whole answer.
fn resumed(stage: &Stage<'_>, fault: &str) -> Result<(), String> {
    stage.behave("a", fault)?;
    let answer = stage.stream("a-then-b")?;
    complete(&answer)?;
    expect(answer.attempts().contains("b:200:"), || format!("the story is {:?}", answer.attempts()))?;
    stage.expect_asked("a", 1)?;
    stage.expect_asked("b", 1)
}

fn cut(stage: &Stage<'_>) -> Result<(), String> {
    resumed(stage, "cut_after=4")
}

fn stall(stage: &Stage<'_>) -> Result<(), String> {
    resumed(stage, "stall_after=4")
}

fn garbage(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "garbage")
}

fn garbage_http(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "garbage_http")
}

fn empty(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "empty")
}

fn empty_content(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "empty=content")
}

fn error_200(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "error_200")
}

fn malformed(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "malformed_at=3")?;
    stage.served(&stage.stream("a-then-b")?, "a")?;
    stage.expect_asked("b", 0)
}

fn no_end(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "no_end")?;
    stage.served(&stage.stream("a-then-b")?, "a")?;
    stage.expect_asked("b", 0)
}

fn truncated(stage: &Stage<'_>) -> Result<(), String> {
    // Half of the JSON in a body that ends well, then a body that ends before its length.
    for fault in ["malformed_at=1", "cut_at_byte=40"] {
        stage.behave("a", fault)?;
        stage.served(&stage.whole("a-then-b")?, "b")?;
    }
    Ok(())
}

fn redirect(stage: &Stage<'_>) -> Result<(), String> {
    failover(stage, "redirect")?;
    let paths: Vec<String> = stage.provider("a")?.seen().into_iter().map(|seen| seen.path).collect();
    let known = |path: &&String| !path.starts_with("/v1/");
    expect(paths.iter().find(known).is_none(), || format!("it was followed: {paths:?}"))
}
