//! Streams: nothing is committed early, what broke is continued, and what cannot be saved never looks complete.

use super::Row;
use super::stage::{
    ANTHROPIC, OLLAMA, OPENAI, RESPONSES, Stage, complete, equal, expect, honest, question_at,
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "nothing_committed_early",
        promise: "whatever fails before the first content, the caller sees only the next provider",
        play: nothing_early,
    },
    Row {
        name: "resumed_anywhere",
        promise: "a stream cut, reset or ended by an error frame, anywhere, is finished by the next provider",
        play: anywhere,
    },
    Row {
        name: "resumed_across_dialects",
        promise: "a stream begun in one dialect is finished in another, for callers of each",
        play: across_dialects,
    },
    Row {
        name: "ended_without_finish",
        promise: "a stream that ends without a finish is continued",
        play: no_finish,
    },
    Row {
        name: "comments_are_no_content",
        promise: "comments do not keep a silent stream alive",
        play: comments,
    },
    Row {
        name: "continuation_refused",
        promise: "a provider that refuses to continue is passed over for the next",
        play: continuation_refused,
    },
    Row {
        name: "continuation_impossible",
        promise: "when nobody can continue the stream ends with an error, not with an end mark",
        play: continuation_impossible,
    },
    Row {
        name: "tool_call_cut",
        promise: "a tool call that has begun is not resumed: the stream says that it broke",
        play: tool_call,
    },
    Row {
        name: "no_false_end_openai",
        promise: "a truncated stream never looks complete: OpenAI",
        play: false_end_openai,
    },
    Row {
        name: "no_false_end_anthropic",
        promise: "a truncated stream never looks complete: Anthropic",
        play: false_end_anthropic,
    },
    Row {
        name: "no_false_end_ollama",
        promise: "a truncated stream never looks complete: Ollama",
        play: false_end_ollama,
    },
    Row {
        name: "no_false_end_responses",
        promise: "a truncated stream never looks complete: OpenAI Responses",
        play: false_end_responses,
    },
    Row {
        name: "usage_summed",
        promise: "usage is told to those who ask, once, also of a stream that was continued",
        play: usage,
    },
    Row {
        name: "attempts_told",
        promise: "a stream tells at its end who was asked and what came of it",
        play: attempts,
    },
];

fn nothing_early(stage: &Stage<'_>) -> Result<(), String> {
    for fault in ["cut_after=0", "reset_after=0", "error_after=0"] {
        stage.script("a", &[fault])?;
        stage.served(&stage.stream("a-then-b")?, "b")?;
        // A success in between, so that no breaker opens.
        stage.served(&stage.stream("a-then-b")?, "a")?;
    }
    Ok(())
}

fn anywhere(stage: &Stage<'_>) -> Result<(), String> {
    for after in [1, 2, 5, 9] {
        for fault in ["cut", "reset", "error"] {
            let fault = format!("{fault}_after={after}");
            stage.script("a", &[&fault, "ok"])?;
            complete(&stage.stream("a-then-b")?).map_err(|problem| format!("{fault}: {problem}"))?;
            stage.served(&stage.whole("a-then-b")?, "a")?;
        }
    }
    Ok(())
}

fn across_dialects(stage: &Stage<'_>) -> Result<(), String> {
    for (first, model) in [("a", "a-then-c"), ("c", "c-then-d"), ("d", "d-then-a"), ("e", "e-then-c")] {
        for path in [OPENAI, ANTHROPIC, OLLAMA, RESPONSES] {
            stage.script(first, &["cut_after=4", "ok"])?;
            let answer = stage.ask(path, &question_at(path, model, true))?;
            complete(&answer).map_err(|problem| format!("{model} at {path}: {problem}"))?;
            complete(&stage.ask(path, &question_at(path, model, false))?)?;
        }
    }
    Ok(())
}

fn no_finish(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "no_finish")?;
    let answer = stage.stream("a-then-b")?;
    equal("status", answer.status, 200)?;
    complete(&answer)
}

fn comments(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "stall_after=3,comments=200ms")?;
    complete(&stage.stream("a-then-b")?)
}

fn continuation_refused(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "cut_after=4")?;
    stage.behave("b", "bad_request")?;
    complete(&stage.stream("a-b-c")?)?;
    stage.expect_asked("b", 1)?;
    stage.expect_asked("c", 1)
}

fn continuation_impossible(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "cut_after=4")?;
    for name in ["b", "c"] {
        stage.behave(name, "bad_request")?;
    }
    honest(&stage.stream("a-b-c")?)
}

fn tool_call(stage: &Stage<'_>) -> Result<(), String> {
    stage.behave("a", "cut_after=2")?;
    let tool = r#"{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"word":{"type":"string"}}}}}"#;
    let body = format!(
        r#"{{"model":"a-then-b","stream":true,"tools":[{tool}],"tool_choice":"required","messages":[{{"role":"user","content":"Hello"}}]}}"#
    );
    honest(&stage.ask(OPENAI, &body)?)?;
    stage.expect_asked("b", 0)
}

/// The only provider breaks off, in every manner there is.
fn false_end(stage: &Stage<'_>, path: &str, (name, model): (&str, &str)) -> Result<(), String> {
    for fault in
        ["cut_after=5", "reset_after=3", "error_after=4", "no_finish", "cut_at_byte=700", "stall_after=2"]
    {
        stage.script(name, &[fault, "ok"])?;
        let answer = stage.ask(path, &question_at(path, model, true))?;
        // One cut before its first content is told as a status.
        honest(&answer).map_err(|problem| format!("{fault}: {problem}"))?;
        complete(&stage.ask(path, &question_at(path, model, true))?)?;
    }
    Ok(())
}

fn false_end_openai(stage: &Stage<'_>) -> Result<(), String> {
    false_end(stage, OPENAI, ("a", "only-a"))?;
    false_end(stage, OPENAI, ("c", "only-c"))
}

fn false_end_anthropic(stage: &Stage<'_>) -> Result<(), String> {
    false_end(stage, ANTHROPIC, ("c", "only-c"))?;
    false_end(stage, ANTHROPIC, ("d", "only-d"))
}

fn false_end_ollama(stage: &Stage<'_>) -> Result<(), String> {
    false_end(stage, OLLAMA, ("d", "only-d"))?;
    false_end(stage, OLLAMA, ("a", "only-a"))
}

fn false_end_responses(stage: &Stage<'_>) -> Result<(), String> {
    false_end(stage, RESPONSES, ("e", "only-e"))?;
    false_end(stage, RESPONSES, ("c", "only-c"))
}

fn usage(stage: &Stage<'_>) -> Result<(), String> {
    let with = |options: &str| {
        format!(
            r#"{{"model":"a-then-b","stream":true{options},"messages":[{{"role":"user","content":"Hello"}}]}}"#
        )
    };
    for (options, times) in [("", 0), (r#","stream_options":{"include_usage":true}"#, 1)] {
        stage.script("a", &["cut_after=4"])?;
        let answer = stage.ask(OPENAI, &with(options))?;
        complete(&answer)?;
        let told = answer.events().iter().filter(|event| event["usage"].is_object()).count();
        equal("frames with usage", told, times)?;
    }
    Ok(())
}

fn attempts(stage: &Stage<'_>) -> Result<(), String> {
    for (path, model) in [(OPENAI, "a-then-b"), (ANTHROPIC, "a-then-c"), (RESPONSES, "a-then-c")] {
        stage.script("a", &["cut_after=4"])?;
        let answer = stage.ask(path, &question_at(path, model, true))?;
        complete(&answer)?;
        let text = answer.text();
        let line = text.lines().find(|line| line.starts_with(": hapax-attempts "));
        let line = line.ok_or_else(|| format!("no comment in {text}"))?;
        let last = model.rsplit('-').next().unwrap_or_default();
        expect(line.contains("a:") && line.contains(&format!(", {last}:200:")), || line.to_owned())?;
    }
    Ok(())
}
