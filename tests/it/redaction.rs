//! Private words reach no provider and no caller, whatever the dialect, and the operator sees how often.

use crate::rig::{CHAT, HELLO, Rig, caller::Answer};
use std::collections::BTreeSet;

const TYPES: [&str; 4] = ["openai_compatible", "anthropic", "ollama", "gemini"];
const RULES: &str = "redaction: {mode: MODE, rules: [{name: email}, {name: answer, pattern: 't=[0-9]+', replace: 'x', on: answers}]}\n";

fn rules(mode: &str) -> String {
    RULES.replace("MODE", mode)
}

fn ask(rig: &Rig, stream: bool, path: &str) -> Answer {
    let said = "Write to bob@example.com, he said.";
    let body = match path {
        "/v1/messages" => format!(
            r#"{{"model":"m","max_tokens":99,"stream":{stream},"messages":[{{"role":"user","content":"{said}"}}]}}"#
        ),
        _ => {
            format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"{said}"}}]}}"#)
        }
    };
    rig.post(path, &body)
}

#[test]
fn no_provider_sees_what_a_rule_takes_out_of_a_request() {
    for kind in TYPES {
        let rig = Rig::with(&[kind], &rules("enforce"));
        for path in [CHAT, "/v1/messages", "/api/chat"] {
            for stream in [false, true] {
                let answer = ask(&rig, stream, path);
                assert_eq!(answer.status, 200, "{kind} {path}: {}", answer.text());
            }
        }
        let bodies: BTreeSet<String> = rig.asked(0).into_iter().map(|seen| text(&seen.body)).collect();
        assert!(!bodies.is_empty());
        for body in bodies {
            assert!(body.contains("Write to [email], he said."), "{kind}: {body}");
            assert!(!body.contains("bob@"), "{kind}: {body}");
        }
        let metrics = rig.get("/metrics").text();
        assert!(metrics.contains("hapax_redactions_total{on=\"requests\",rule=\"email\"} 6"), "{metrics}");
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

#[test]
fn a_body_without_anything_private_passes_byte_for_byte() {
    let rig = Rig::with(&["openai_compatible"], &rules("enforce"));
    let body =
        r#" {"model" : "a-1","messages":[ {"role":"user","content":"caf\u00e9 \/"} ], "x": {"y": 1.50}}"#;
    assert_eq!(rig.post(CHAT, body).status, 200);
    assert_eq!(text(&rig.asked(0)[0].body), body);
}

#[test]
fn who_only_monitors_changes_nothing_and_counts_the_same() {
    let rig = Rig::with(&["openai_compatible"], &rules("monitor"));
    let plain = Rig::new(&["openai_compatible"]);
    for stream in [false, true] {
        let (ours, theirs) = (ask(&rig, stream, CHAT), ask(&plain, stream, CHAT));
        assert_eq!(ours.said(), theirs.said());
    }
    assert!(text(&rig.asked(0)[0].body).contains("bob@example.com"));
    let metrics = rig.get("/metrics").text();
    assert!(metrics.contains("hapax_redactions_total{on=\"requests\",rule=\"email\"} 2"), "{metrics}");
}

#[test]
fn an_answer_is_looked_through_for_callers_followers_and_the_cache() {
    // The simulator repeats the question's words in its answer.
    let word = "[simulated]";
    for kind in TYPES {
        let plain = Rig::new(&[kind]);
        let expected = plain.post(CHAT, HELLO).said();
        let found = expected.split(' ').next().expect("it says something").to_owned();
        let yaml = format!(
            "cache: {{enabled: true}}\nredaction: {{mode: enforce, rules: [{{name: own, pattern: '{}', replace: '{word}', on: [answers]}}]}}\n",
            escaped(&found)
        );
        let rig = Rig::with(&[kind], &yaml);
        for body in [HELLO, crate::rig::HELLO_STREAM] {
            for cached in ["miss", "hit"] {
                let answer = rig.post(CHAT, body);
                assert_eq!(answer.said(), expected.replace(&found, word), "{kind}");
                assert_eq!(answer.header("x-hapax-cache"), Some(cached));
            }
        }
        assert!(text(&rig.asked(0)[0].body).contains("Hello"), "requests are not looked at");
        // A kept answer was looked through when it came.
        let times = expected.matches(&found).count() * 2;
        let line = format!("hapax_redactions_total{{on=\"answers\",rule=\"own\"}} {times}\n");
        let metrics = rig.get("/metrics").text();
        assert!(metrics.contains(&line), "{kind}: {line} {metrics}");
    }
}

/// A text as a pattern that finds it.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_ascii_punctuation() { vec!['\\', c] } else { vec![c] }).collect()
}

#[test]
fn a_stream_that_another_provider_continues_is_looked_through_to_its_end() {
    let kinds = ["openai_compatible", "openai_compatible"];
    let plain = Rig::with(&kinds, "");
    let expected = plain.post(CHAT, crate::rig::HELLO_STREAM).said();
    let words: Vec<&str> = expected.split(' ').collect();
    let found = format!("{} {}", words[words.len() - 3], words[words.len() - 2]);
    let yaml = format!(
        "redaction: {{mode: enforce, rules: [{{name: own, pattern: '{}', replace: '[own]'}}]}}\n",
        escaped(&found)
    );
    for cut in 1..8 {
        let rig = Rig::with(&kinds, &yaml);
        rig.provider(0).script(&[&format!("cut_after={cut}")]);
        let answer = rig.post(CHAT, crate::rig::HELLO_STREAM);
        assert!(answer.is_done(), "{}", answer.text());
        assert!(!answer.said().contains(&found) && answer.said().contains("[own]"), "{}", answer.said());
    }
}

#[test]
fn without_rules_no_metric_and_no_change() {
    let rig = Rig::with(&["openai_compatible"], "redaction: {mode: 'off', rules: [{name: email}]}\n");
    assert_eq!(ask(&rig, false, CHAT).status, 200);
    assert!(text(&rig.asked(0)[0].body).contains("bob@example.com"));
    assert!(!rig.get("/metrics").text().contains("hapax_redactions_total{"));
}

#[test]
fn a_reload_changes_the_rules_for_the_next_request() {
    let kinds = ["openai_compatible"];
    let rig = Rig::with(&kinds, "");
    ask(&rig, false, CHAT);
    rig.reload(&kinds, &rules("enforce"));
    ask(&rig, false, CHAT);
    let bodies: Vec<String> = rig.asked(0).iter().map(|seen| text(&seen.body)).collect();
    assert!(bodies[0].contains("bob@example.com") && bodies[1].contains("[email]"), "{bodies:?}");
}
