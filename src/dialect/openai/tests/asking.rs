//! What callers ask, at the door and passed on.

use super::*;

#[test]
fn the_door_reads_the_gist_and_marks_the_places() {
    let body = r#" {"messages":[{"role":"user","content":"hi"}], "model" : "gpt","stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":9,"n":3}"#;
    let (gist, words) = opened(body);
    assert_eq!(
        gist,
        Gist {
            model: Some("gpt".into()),
            stream: true,
            include_usage: true,
            max_tokens: Some(9),
            choices: Some(3),
            ..Gist::default()
        }
    );
    assert_eq!(&body[words.marks.model.expect("marked")], "\"gpt\"");
    assert_eq!(&body[words.marks.messages.expect("marked")], r#"[{"role":"user","content":"hi"}]"#);
    assert_eq!(&body[words.marks.stream_options.expect("marked")], r#"{"include_usage":true}"#);
}

#[test]
fn the_door_names_the_field_that_is_wrong() {
    let cases = [
        ("[]", None),
        ("", None),
        (r#"{"messages":[{"role":"user"}]"#, None),
        (r#"{"messages":[{"role":"user"}]} x"#, None),
        (r"{}", Some("messages")),
        (r#"{"messages":null}"#, Some("messages")),
        (r#"{"messages":"hi"}"#, Some("messages")),
        (r#"{"messages":[]}"#, Some("messages")),
        (r#"{"messages":["hi"]}"#, Some("messages[0]")),
        (r#"{"messages":[{"role":"user"},{"role":"robot"}]}"#, Some("messages[1].role")),
        (r#"{"messages":[{"role":"user"},{"role":3}]}"#, Some("messages[1].role")),
        (r#"{"messages":[{"content":"hi"}]}"#, Some("messages[0].role")),
        (r#"{"messages":[{"role":"user","role":"system"}]}"#, Some("messages[0].role")),
        (r#"{"messages":[{"role":"user"}],"model":3}"#, Some("model")),
        (r#"{"messages":[{"role":"user"}],"model":"a","mod\u0065l":"b"}"#, Some("model")),
        (r#"{"messages":[{"role":"user"}],"stream":"yes"}"#, Some("stream")),
        (r#"{"messages":[{"role":"user"}],"stream_options":3}"#, Some("stream_options")),
        (r#"{"messages":[{"role":"user"}],"max_tokens":"many"}"#, Some("max_tokens")),
    ];
    for (body, param) in cases {
        assert_eq!(refused(body).param.as_deref(), param, "{body}");
    }
    let deep = format!(r#"{{"messages":[{{"role":"user","content":{}}}]}}"#, "[".repeat(10_000));
    assert!(refused(&deep).message.contains("64 levels"));
    assert!(open(Dialect::OpenAiChat, b"{\"a\":\"\xff\"}".to_vec()).is_err());
}

#[test]
fn the_same_dialect_passes_byte_for_byte_but_for_the_model() {
    let body = r#"{ "model":"m1", "messages":[{"role":"user","content":"é\u00e9 \ud83d\ude00"}], "tomorrow":{"a" : [1.0]} }"#;
    assert_eq!(passed(body, None), body.replace("\"m1\"", "\"m2\""));
    let nameless = r#" {"messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(passed(nameless, None), r#" {"model":"m2","messages":[{"role":"user","content":"x"}]}"#);
}

#[test]
fn usage_is_always_asked_for_on_streams_and_other_options_are_kept() {
    let messages = r#""messages":[{"role":"user","content":"x"}]"#;
    let with = |rest: &str| passed(&format!(r#"{{"model":"m1",{messages},"stream":true{rest}}}"#), None);
    let plain =
        format!(r#"{{"stream_options":{{"include_usage":true}},"model":"m2",{messages},"stream":true}}"#);
    assert_eq!(with(""), plain);
    let options =
        |inner: &str| format!(r#"{{"model":"m2",{messages},"stream":true,"stream_options":{inner}}}"#);
    assert_eq!(with(r#","stream_options":null"#), options(r#"{"include_usage":true}"#));
    assert_eq!(
        with(r#","stream_options":{"a":[1], "include_usage": false}"#),
        options(r#"{"include_usage":true,"a":[1]}"#)
    );
    assert_eq!(
        with(r#","stream_options":{ "include_usage": true }"#),
        options(r#"{ "include_usage": true }"#)
    );
}

#[test]
fn delivered_text_is_appended_with_the_wish_that_it_be_continued() {
    let body = r#"{"model":"m1","messages":[{"role":"user","content":"x"} ],"n":1}"#;
    assert_eq!(
        passed(body, Some("so \"far\"")),
        format!(
            r#"{{"model":"m2","messages":[{{"role":"user","content":"x"}} ,{{"role":"assistant","content":"so \"far\""}},{{"role":"user","content":"{}"}}],"n":1}}"#,
            crate::dialect::anthropic::CONTINUE
        )
    );
}
