//! Breakers, health and the way back: what is broken is left alone, and used again as soon as it works.

use super::stage::{OPENAI, Stage, equal, expect, question};
use super::{PATIENCE, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "breaker_opens",
        promise: "after three failures in a row a provider is left alone",
        play: breaker_opens,
    },
    Row {
        name: "traffic_returns",
        promise: "traffic returns to the preferred provider by itself",
        play: traffic_returns,
    },
    Row {
        name: "half_open_surplus",
        promise: "while one request is a trial the others go to the next provider",
        play: half_open_surplus,
    },
    Row {
        name: "breaker_per_model",
        promise: "a sick model does not take its provider's other models down",
        play: breaker_per_model,
    },
    Row {
        name: "nobody_else",
        promise: "when all are open the one closest to recovery is tried anyway",
        play: nobody_else,
    },
    Row {
        name: "health_checks",
        promise: "failed checks take a provider out, one good check brings it back",
        play: health_checks,
    },
];

/// Three failures in a row at `a`, each answered by `b`; its checks go well all the while. Gives how often it was
/// asked: a kept connection that is closed is tried once more, so that may be more than three.
fn open(stage: &Stage<'_>) -> Result<usize, String> {
    stage.provider("a")?.checks("ok");
    stage.behave("a", "close")?;
    for _ in 0..3 {
        stage.served(&stage.whole("a-then-b")?, "b")?;
    }
    stage.behave("a", "ok")?;
    Ok(stage.asked("a")?.len())
}

fn breaker_opens(stage: &Stage<'_>) -> Result<(), String> {
    let asked = open(stage)?;
    stage.served(&stage.whole("a-then-b")?, "b")?;
    stage.expect_asked("a", asked)?;
    equal("the circuit of a", stage.health("a", "circuit")?, "open".into())
}

fn by(stage: &Stage<'_>, model: &str) -> Result<Option<String>, String> {
    let answer = stage.whole(model)?;
    equal("status", answer.status, 200)?;
    Ok(answer.header("x-hapax-provider").map(str::to_owned))
}

fn traffic_returns(stage: &Stage<'_>) -> Result<(), String> {
    let provider = stage.provider("a")?;
    provider.stop_listening();
    provider.hang_up();
    for _ in 0..4 {
        equal("who answers", by(stage, "a-then-b")?.as_deref(), Some("b"))?;
    }
    expect(provider.resume(), || "the provider could not listen again".to_owned())?;
    stage.until("a answers again", || {
        let answer = stage.get("/health")?.json();
        Ok(answer["providers"]["a"]["circuit"] != "open" && answer["providers"]["a"]["healthy"] == true)
    })?;
    equal("who answers", by(stage, "a-then-b")?.as_deref(), Some("a"))?;
    equal("the circuit of a", stage.health("a", "circuit")?, "closed".into())
}

fn half_open_surplus(stage: &Stage<'_>) -> Result<(), String> {
    let asked = open(stage)? + 1;
    stage.behave("a", "hold")?;
    stage.until("a is on trial", || Ok(stage.health("a", "circuit")? == "half_open"))?;
    let off = [("X-Hapax-Deduplicate", "off")];
    let mut trial = stage.connect()?;
    trial.send(("POST", OPENAI), &off, &question("a-then-b", false))?;
    equal("calls that reached a", stage.provider("a")?.wait_for(asked, PATIENCE).len(), asked)?;
    for _ in 0..3 {
        stage.served(&stage.ask_with(OPENAI, &off, &question("a-then-b", false))?, "b")?;
    }
    stage.expect_asked("a", asked)?;
    stage.provider("a")?.gate().open();
    let answer = trial.answer()?;
    stage.note(answer.brief());
    stage.served(&answer, "a")?;
    equal("who answers", by(stage, "a-then-b")?.as_deref(), Some("a"))
}

fn breaker_per_model(stage: &Stage<'_>) -> Result<(), String> {
    stage.provider("a")?.behave_model("sick", "status=500");
    for _ in 0..5 {
        equal("who answers", by(stage, "sick-at-a")?.as_deref(), Some("b"))?;
    }
    stage.expect_asked("a", 3)?;
    stage.served(&stage.whole("a-then-b")?, "a")
}

fn nobody_else(stage: &Stage<'_>) -> Result<(), String> {
    open(stage)?;
    stage.served(&stage.whole("only-a")?, "a")
}

fn health_checks(stage: &Stage<'_>) -> Result<(), String> {
    let provider = stage.provider("a")?;
    provider.checks("status=503");
    stage.until("the checks of a fail", || Ok(stage.health("a", "healthy")? == false))?;
    stage.served(&stage.whole("a-then-b")?, "b")?;
    stage.expect_asked("a", 0)?;
    provider.checks("ok");
    stage.until("the checks of a succeed", || Ok(stage.health("a", "healthy")? == true))?;
    stage.served(&stage.whole("a-then-b")?, "a")
}
