//! What no caller may send: on every front it is refused by name, before any provider sees a byte of it.

use crate::rig::Rig;
use crate::rig::caller::Answer;

/// Every front: its path, a body with a text in it, and where in the body the text stands.
const FRONTS: [(&str, &str, &str); 11] = [
    (
        "/v1/chat/completions",
        r#"{"model":"a-x","messages":[{"role":"user","content":[{"type":"text","text":"TEXT"}]}]}"#,
        "messages[0].content[0].text",
    ),
    ("/v1/completions", r#"{"model":"a-x","prompt":"TEXT"}"#, "prompt"),
    ("/v1/completions", r#"{"model":"a-x","input":"TEXT"}"#, "input"),
    (
        "/v1/responses",
        r#"{"model":"a-x","input":[{"role":"user","content":[{"type":"input_text","text":"TEXT"}]}]}"#,
        "input[0].content[0].text",
    ),
    (
        "/v1/messages",
        r#"{"model":"a-x","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"TEXT"}]}]}"#,
        "messages[0].content[0].text",
    ),
    (
        "/v1/messages/count_tokens",
        r#"{"model":"a-x","messages":[{"role":"user","content":"hi"}],"system":[{"type":"text","text":"TEXT"}]}"#,
        "system[0].text",
    ),
    (
        "/api/chat",
        r#"{"model":"a-x","stream":false,"messages":[{"role":"system","content":"hi"},{"role":"user","content":"TEXT"}]}"#,
        "messages[1].content",
    ),
    ("/api/generate", r#"{"model":"a-x","stream":false,"prompt":"TEXT"}"#, "prompt"),
    ("/v1/embeddings", r#"{"model":"a-x","input":["hi","TEXT"]}"#, "input[1]"),
    ("/api/embed", r#"{"model":"a-x","input":["TEXT"]}"#, "input[0]"),
    ("/api/show", r#"{"model":"a-x","note":"TEXT"}"#, "note"),
];
const KINDS: [&str; 4] = ["openai_compatible", "anthropic", "ollama", "gemini"];

fn body(front: &str, text: &str) -> String {
    front.replace("TEXT", text)
}

/// The sentence a caller reads, whatever its dialect calls it.
fn sentence(answer: &Answer) -> String {
    let json = answer.json();
    let places = ["/error/message", "/message", "/error"];
    let found = places.iter().find_map(|place| json.pointer(place)?.as_str());
    found.unwrap_or_else(|| panic!("no sentence in {json}")).to_owned()
}

fn expect_refused(rig: &Rig, path: &str, body: &str, words: &str) {
    let answer = rig.post(path, body);
    assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
    assert!(sentence(&answer).contains(words), "{path} {body}: {}, not {words}", sentence(&answer));
}

fn seen(rig: &Rig) -> Vec<String> {
    rig.asked(0).into_iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect()
}

#[test]
fn a_nul_or_half_a_character_is_refused_on_every_front_with_its_place() {
    let rig = Rig::new(&["openai_compatible"]);
    for (path, front, place) in FRONTS {
        for odd in [r"a\u0000", r"\ud800", r"\uDFFF", r"\ud83d\ud83d", r"\ud83d \ude00", r"\\\u0000"] {
            expect_refused(&rig, path, &body(front, odd), &format!("{place}: must not contain "));
        }
        let key = body(front, "hi").replacen('{', r#"{"a\u0000b":1,"#, 1);
        expect_refused(&rig, path, &key, "the body must not contain a NUL");
    }
    assert_eq!(seen(&rig), Vec::<String>::new());
    let refused = 7 * FRONTS.len();
    rig.wait_for_metric(&format!("hapax_errors_total{{type=\"validation_error\"}} {refused}"));
}

#[test]
fn every_other_control_character_is_text() {
    let terminal = r"\u001b[31mred\u001b[0m\u0007\b\f\u0001\u007f\u0085 \ud83d\ude00 \\u0000 \\ud800";
    for kind in KINDS {
        let rig = Rig::new(&[kind]);
        for (path, front, _) in &FRONTS[..8] {
            let answer = rig.post(path, &body(front, terminal));
            assert_eq!(answer.status, 200, "{kind} {path}: {}", answer.text());
        }
        for body in seen(&rig) {
            assert!(body.to_ascii_lowercase().contains(r"\u001b[31mred"), "{kind}: {body}");
        }
    }
}

#[test]
fn who_has_odd_characters_replaced_sends_the_sign_for_none_to_every_provider() {
    for kind in KINDS {
        let rig = Rig::with(&[kind], "validation: {control_characters: replace}\n");
        for (path, front, _) in &FRONTS[..8] {
            let answer = rig.post(path, &body(front, r"a\u0000b\ud800c\\u0000"));
            assert_eq!(answer.status, 200, "{kind} {path}: {}", answer.text());
        }
        let bodies = seen(&rig);
        assert!(!bodies.is_empty());
        for body in bodies {
            let body = body.replace(r"\ufffd", "\u{fffd}");
            assert!(body.contains("a\u{fffd}b\u{fffd}c\\\\u0000"), "{kind}: {body}");
        }
    }
}

#[test]
fn who_lets_odd_characters_pass_sends_what_came() {
    let rig = Rig::with(&["openai_compatible"], "validation: {control_characters: pass}\n");
    let body = body(FRONTS[0].1, r"a\u0000b");
    assert_eq!(rig.post(FRONTS[0].0, &body).status, 200);
    assert_eq!(seen(&rig), [body]);
}

#[test]
fn what_decides_is_said_once_and_in_small_letters() {
    let rig = Rig::new(&["openai_compatible"]);
    for (path, front, _) in FRONTS {
        let front = body(front, "hi");
        for (also, words) in [
            (r#""model":"a-secret""#, "model is given twice"),
            (r#""mod\u0065l":"a-secret""#, "model is given twice"),
            (r#""Model":"a-secret""#, "model must be written in small letters"),
            (r#""MOD\u0045L":"a-secret""#, "model must be written in small letters"),
        ] {
            for body in [
                front.replacen('{', &format!("{{{also},"), 1),
                front.replace(r#""a-x""#, &format!(r#""a-x",{also}"#)),
            ] {
                expect_refused(&rig, path, &body, words);
            }
        }
    }
    assert_eq!(seen(&rig), Vec::<String>::new());
}

#[test]
fn a_body_as_deep_as_the_limit_is_taken_on_every_front_and_a_deeper_one_is_not() {
    const DEPTH_MAX: usize = 64;
    for kind in KINDS {
        let rig = Rig::new(&[kind]);
        for (path, front, _) in &FRONTS[..8] {
            let nested = |depth: usize| {
                let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
                body(front, "hi").replacen('{', &format!(r#"{{"metadata":{deep},"#), 1)
            };
            let answer = rig.post(path, &nested(DEPTH_MAX - 1));
            assert!(!answer.text().contains("deeper"), "{kind} {path}: {}", answer.text());
            let before = seen(&rig).len();
            for depth in [DEPTH_MAX, 100_000] {
                expect_refused(&rig, path, &nested(depth), "the body is nested deeper than 64 levels");
            }
            assert_eq!(seen(&rig).len(), before);
        }
    }
}

#[test]
fn what_is_not_json_is_refused_on_every_front() {
    let rig = Rig::new(&["openai_compatible"]);
    for (path, front, _) in FRONTS {
        let good = body(front, "hi");
        let with = |member: &str| good.replacen('{', &format!("{{{member},"), 1).into_bytes();
        let utf16 = |order: fn(u16) -> [u8; 2]| good.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let rows: Vec<Vec<u8>> = vec![
            Vec::new(),
            format!("\u{feff}{good}").into_bytes(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
            [&[0xff, 0xfe][..], &utf16(u16::to_le_bytes)].concat(),
            format!("{good}{good}").into_bytes(),
            format!("{good}x").into_bytes(),
            format!("{good}\0").into_bytes(),
            good.as_bytes()[..good.len() - 1].to_vec(),
            format!("[{good}]").into_bytes(),
            good.replace('"', "'").into_bytes(),
            with("\"seed\":NaN"),
            with("\"seed\":Infinity"),
            with("\"seed\":0x10"),
            with("\"seed\":01"),
            with("\"seed\":+1"),
            with("\"seed\":.5"),
            with("\"seed\":\"\n\""),
            with("\"seed\":\"\u{1}\""),
            with("\"seed\":\"\\x41\""),
            with("\"seed\":\"\\u12\""),
            with("\"seed\":1,"),
            with("/**/\"seed\":1"),
            [&good.as_bytes()[..good.len() - 1], &b",\"a\":\"\xc3\x28\"}"[..]].concat(),
            [&good.as_bytes()[..good.len() - 1], &b",\"a\":\"\xed\xa0\x80\"}"[..]].concat(),
        ];
        for row in rows {
            let mut caller = rig.connect();
            caller.raw(
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", row.len())
                    .as_bytes(),
            );
            caller.raw(&row);
            let answer = caller.answer();
            assert_eq!(answer.status, 400, "{path} {}: {}", row.escape_ascii(), answer.text());
            assert!(!sentence(&answer).is_empty());
        }
    }
    assert_eq!(seen(&rig), Vec::<String>::new());
}

/// The fronts that hear a conversation, one message of it, and the name of the list.
const TALKS: [(&str, &str, &str); 6] = [
    ("/v1/chat/completions", r#"{"model":"a-x","messages":[MESSAGES]}"#, "messages"),
    ("/v1/completions", r#"{"model":"a-x","messages":[MESSAGES]}"#, "messages"),
    ("/v1/responses", r#"{"model":"a-x","input":[MESSAGES]}"#, "input"),
    ("/v1/messages", r#"{"model":"a-x","max_tokens":9,"messages":[MESSAGES]}"#, "messages"),
    ("/v1/messages/count_tokens", r#"{"model":"a-x","messages":[MESSAGES]}"#, "messages"),
    ("/api/chat", r#"{"model":"a-x","stream":false,"messages":[MESSAGES]}"#, "messages"),
];

#[test]
fn a_role_nobody_knows_is_refused_with_its_place() {
    let rig = Rig::new(&["openai_compatible"]);
    for (path, front, list) in TALKS {
        for role in [r#""robot""#, r#""User""#, r#""""#, "3", "null", r#"["user"]"#, r#""us\u0065r ""#] {
            let messages = format!(r#"{{"role":"user","content":"hi"}},{{"role":{role},"content":"hi"}}"#);
            // What is read as a whole is named as a whole.
            let whole = path == "/v1/responses" && !role.starts_with('"');
            let place = if whole { list.to_owned() } else { format!("{list}[1].role") };
            expect_refused(&rig, path, &front.replace("MESSAGES", &messages), &place);
        }
        for message in ["null", "3", r#""hi""#, "[]"] {
            expect_refused(&rig, path, &front.replace("MESSAGES", message), &format!("{list}[0]"));
        }
        expect_refused(&rig, path, &front.replace("MESSAGES", ""), list);
    }
    assert_eq!(seen(&rig), Vec::<String>::new());
}

#[test]
fn a_conversation_has_as_many_messages_as_the_limit_and_not_one_more() {
    const MESSAGES_MAX: usize = 100_000;
    let rig = Rig::with(&["openai_compatible"], "server: {memory_max: 1GiB}\n");
    let message = r#"{"role":"user","content":"x"}"#;
    let most = vec![message; MESSAGES_MAX].join(",");
    for (path, front, list) in TALKS {
        let answer = rig.post(path, &front.replace("MESSAGES", &most));
        assert!(!answer.text().contains("too many"), "{path}: {}", answer.text());
        let more = front.replace("MESSAGES", &format!("{most},{message}"));
        expect_refused(&rig, path, &more, &format!("{list}[{MESSAGES_MAX}]"));
    }
}

#[test]
fn a_list_of_texts_has_as_many_as_the_limit_and_not_one_more() {
    const TEXTS_MAX: usize = 2_048;
    let rig = Rig::new(&["openai_compatible"]);
    for path in ["/v1/embeddings", "/api/embed"] {
        let texts =
            |count: usize| format!(r#"{{"model":"a-x","input":["{}"]}}"#, vec!["x"; count].join(r#"",""#));
        assert_eq!(rig.post(path, &texts(TEXTS_MAX)).status, 200, "{path}");
        expect_refused(&rig, path, &texts(TEXTS_MAX + 1), "input: must have at most 2048 entries");
    }
}
