//! The process: it answers probes when every worker is busy, sheds what it cannot carry, and changes without a gap.

use super::answer::Answer;
use super::caller::Conversation;
use super::stage::{OPENAI, Stage, complete, equal, expect, question};
use super::{PATIENCE, Row};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "shed",
        promise: "past workers and queue: 503 with Retry-After, probes go on, the rest is served",
        play: shed,
    },
    Row { name: "reload", promise: "a reload in the middle of a stream: nobody notices", play: reload },
    Row { name: "drain", promise: "draining: what is under way is finished, ready says no", play: drain },
];

/// As many as the drill's gateway has workers, and as many as may wait.
const WORKERS: usize = 24;
const QUEUE: usize = 8;
/// More than it can carry.
const SURPLUS: usize = 6;

fn shed(stage: &Stage<'_>) -> Result<(), String> {
    let rejected = "hapax_rejected_total{reason=\"queue_full\"}";
    let before = stage.metric(rejected)?;
    stage.behave("a", "hold")?;
    let ask = || -> Result<Conversation, String> {
        let mut caller = stage.connect()?;
        caller.send(("POST", OPENAI), &[("X-Hapax-Deduplicate", "off")], &question("only-a", false))?;
        Ok(caller)
    };
    let mut callers = (0..WORKERS).map(|_| ask()).collect::<Result<Vec<_>, _>>()?;
    equal("calls under way", stage.provider("a")?.wait_for(WORKERS, PATIENCE).len(), WORKERS)?;
    for _ in 0..QUEUE + SURPLUS {
        callers.push(ask()?);
    }
    stage.until("the surplus is shed", || Ok(stage.metric(rejected)? >= before + SURPLUS as u64))?;
    for path in ["/health/live", "/health/ready", "/health", "/metrics"] {
        equal(path, stage.get(path)?.status, 200)?;
    }
    stage.provider("a")?.gate().open();
    let answers: Vec<Answer> =
        callers.into_iter().map(|mut caller| caller.answer()).collect::<Result<_, _>>()?;
    let (served, shed): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    stage.note(format!("{} x 200, {} x 503", served.len(), shed.len()));
    served.iter().try_for_each(complete)?;
    equal("requests shed", shed.len(), SURPLUS)?;
    let told = |answer: &Answer| answer.status == 503 && answer.header("retry-after").is_some();
    expect(shed.iter().all(told), || "the shed were not told to come back".to_owned())
}

/// A stream that has begun and waits for the gate; then `meanwhile`, then its end.
fn in_the_middle(stage: &Stage<'_>, meanwhile: impl Fn() -> Result<(), String>) -> Result<(), String> {
    stage.behave("a", "hold_after=4")?;
    let mut caller = stage.connect()?;
    caller.send(("POST", OPENAI), &[], &question("only-a", true))?;
    equal("calls that reached a", stage.provider("a")?.wait_for(1, PATIENCE).len(), 1)?;
    meanwhile()?;
    stage.provider("a")?.gate().open();
    let answer = caller.answer()?;
    stage.note(answer.brief());
    complete(&answer)
}

fn reload(stage: &Stage<'_>) -> Result<(), String> {
    let site = stage.site()?;
    let reloads = || stage.metric("hapax_config_reloads_total{result=\"success\"}");
    in_the_middle(stage, || {
        let before = reloads()?;
        site.reload()?;
        stage.until("it is read again", || Ok(reloads()? > before))?;
        stage.note("reloaded".to_owned());
        stage.behave("a", "ok")?;
        stage.served(&stage.whole("a-then-b")?, "a")
    })
}

fn drain(stage: &Stage<'_>) -> Result<(), String> {
    let site = stage.site()?;
    in_the_middle(stage, || {
        site.drain()?;
        stage.note("drained".to_owned());
        stage.until("it listens no more", || Ok(stage.connect().is_err()))
    })
}
