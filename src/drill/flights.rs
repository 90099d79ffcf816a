//! Identical requests of one caller, in flight at once: one call upstream, and everyone hears all of it.

use super::answer::Answer;
use super::caller::Conversation;
use super::stage::{OPENAI, Stage, complete, equal, expect, question};
use super::{PATIENCE, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "one_call",
        promise: "twelve identical requests at once cost one call; all get the whole answer",
        play: one_call,
    },
    Row {
        name: "one_stream",
        promise: "twelve identical streams at once cost one call; all hear all of it",
        play: one_stream,
    },
    Row {
        name: "late_follower",
        promise: "a follower who joins late hears what was already said",
        play: late_follower,
    },
    Row {
        name: "leader_leaves",
        promise: "the leader's departure does not end the call while followers remain",
        play: leader_leaves,
    },
    Row {
        name: "errors_not_kept",
        promise: "an error is shared with those who wait, and not kept",
        play: errors_not_kept,
    },
    Row { name: "opted_out", promise: "whoever opts out asks for himself", play: opted_out },
];

/// Callers at once; below the workers of the drill's gateway.
const CALLERS: usize = 12;
const SHARED: &str = "hapax_deduplicated_requests_total";

/// Asks as often at once; returns when all but the first follow.
fn board(stage: &Stage<'_>, body: &str) -> Result<Vec<Conversation>, String> {
    let before = stage.metric(SHARED)?;
    let mut callers = Vec::with_capacity(CALLERS);
    for number in 0..CALLERS {
        let mut caller = stage.connect()?;
        caller.send(("POST", OPENAI), &[], body)?;
        callers.push(caller);
        if number == 0 {
            equal("calls that reached a", stage.provider("a")?.wait_for(1, PATIENCE).len(), 1)?;
        }
    }
    let all = before + CALLERS as u64 - 1;
    stage.until("everyone follows", || Ok(stage.metric(SHARED)? >= all))?;
    Ok(callers)
}

fn land(stage: &Stage<'_>, callers: Vec<Conversation>) -> Result<Vec<Answer>, String> {
    stage.provider("a")?.gate().open();
    let answers: Vec<Answer> =
        callers.into_iter().map(|mut caller| caller.answer()).collect::<Result<_, _>>()?;
    let statuses: Vec<String> = answers.iter().map(|answer| answer.status.to_string()).collect();
    stage.note(statuses.join(" "));
    Ok(answers)
}

fn shared(stage: &Stage<'_>, streamed: bool) -> Result<(), String> {
    stage.behave("a", "hold")?;
    let callers = board(stage, &question("only-a", streamed))?;
    let answers = land(stage, callers)?;
    answers.iter().try_for_each(complete)?;
    let told = |answer: &&Answer| answer.header("x-hapax-deduplicated") == Some("true");
    equal("answers marked as shared", answers.iter().filter(told).count(), CALLERS - 1)?;
    stage.expect_asked("a", 1)
}

fn one_call(stage: &Stage<'_>) -> Result<(), String> {
    shared(stage, false)
}

fn one_stream(stage: &Stage<'_>) -> Result<(), String> {
    shared(stage, true)
}

fn late_follower(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "hold_after=4")?;
    let before = stage.metric(SHARED)?;
    let mut leader = stage.connect()?;
    leader.send(("POST", OPENAI), &[], &question("only-a", true))?;
    equal("status", leader.head()?.status, 200)?;
    for _ in 0..4 {
        expect(leader.chunk()?.is_some(), || "the leader's stream broke".to_owned())?;
    }
    let mut late = stage.connect()?;
    late.send(("POST", OPENAI), &[], &question("only-a", true))?;
    stage.until("the late one follows", || Ok(stage.metric(SHARED)? > before))?;
    let answers = land(stage, vec![late])?;
    answers.iter().try_for_each(complete)?;
    stage.expect_asked("a", 1)
}

fn leader_leaves(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "hold")?;
    let mut callers = board(stage, &question("only-a", true))?;
    drop(callers.remove(0));
    land(stage, callers)?.iter().try_for_each(complete)?;
    stage.expect_asked("a", 1)
}

fn errors_not_kept(stage: &Stage<'_>) -> Result<(), String> {
    stage.script("a", &["hold,bad_request"])?;
    let callers = board(stage, &question("only-a", false))?;
    for answer in land(stage, callers)? {
        equal("status", answer.status, 400)?;
    }
    stage.expect_asked("a", 1)?;
    stage.served(&stage.whole("only-a")?, "a")
}

fn opted_out(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "hold")?;
    let mut callers = Vec::new();
    for _ in 0..3 {
        let mut caller = stage.connect()?;
        caller.send(("POST", OPENAI), &[("X-Hapax-Deduplicate", "off")], &question("only-a", false))?;
        callers.push(caller);
    }
    equal("calls that reached a", stage.provider("a")?.wait_for(3, PATIENCE).len(), 3)?;
    land(stage, callers)?.iter().try_for_each(complete)
}
