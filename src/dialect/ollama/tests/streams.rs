//! The stream of lines, read and written.

use super::*;

#[test]
fn a_stream_means_the_same_wherever_the_bytes_are_split() {
    let bytes = STREAM.as_bytes();
    let expected = (expected_deltas("call_20240229120003123456_0"), true);
    for split in 0..=bytes.len() {
        assert_eq!(deltas(&[&bytes[..split], &bytes[split..]]), expected, "split at {split}");
    }
}

#[test]
fn a_stream_survives_the_way_through_the_domain() {
    let (mut writer, mut out) = (Writer::with(Form::Chat, wording()), Vec::new());
    let first = expected_deltas("call_20240229120003123456_0");
    for delta in &first {
        writer.delta(delta, &mut out);
    }
    writer.end(&mut out);
    writer.end(&mut out);
    assert_eq!(deltas(&[&out]), (first, true));
    let last = String::from_utf8(out).expect("JSON is UTF-8").lines().last().map(str::to_owned);
    let expected = r#"{"model":"llama3.2","created_at":"2024-02-29T12:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":2,"load_duration":0,"prompt_eval_count":26,"prompt_eval_duration":1,"eval_count":298,"eval_duration":1}"#;
    assert_eq!(last.as_deref(), Some(expected));
}

#[test]
fn arguments_in_fragments_are_written_whole() {
    let (mut writer, mut out) = (Writer::with(Form::Chat, wording()), Vec::new());
    let call = Delta::ToolCall { choice: 0, call: 0, id: "a".to_owned(), name: "w".to_owned() };
    writer.delta(&call, &mut out);
    for fragment in ["{\"a\"", ":1}"] {
        assert!(out.is_empty());
        writer.delta(&Delta::Arguments { choice: 0, call: 0, fragment: fragment.to_owned() }, &mut out);
    }
    let line = String::from_utf8(out).expect("JSON is UTF-8");
    has(
        &line,
        r#""tool_calls":[{"id":"a","function":{"index":0,"name":"w","arguments":{"a":1}}}]},"done":false}"#,
    );
}

#[test]
fn a_stream_that_passed_through_is_owed_nothing_after_its_last_line_and_that_line_before_it() {
    let lines: Vec<&str> = STREAM.lines().collect();
    for (count, owed) in [(lines.len(), false), (lines.len() - 1, true)] {
        let (mut writer, mut events, mut out) =
            (Writer::with(Form::Chat, wording()), Events::new(None), Vec::new());
        for line in &lines[..count] {
            let mut deltas = Vec::new();
            events.read(None, line, &mut deltas).expect("a line");
            writer.saw(&deltas);
        }
        writer.delta(&Delta::Start { id: String::new(), model: "other".to_owned() }, &mut out);
        writer.end(&mut out);
        assert_eq!(!out.is_empty(), owed);
        assert_eq!(String::from_utf8_lossy(&out).contains("\"done\":true"), owed);
    }
}

#[test]
fn a_failure_is_an_error_line_and_no_end_follows() {
    let complaint = Complaint {
        status: 502,
        kind: "api_error",
        message: "it broke".to_owned(),
        code: None,
        param: None,
        request_id: "r1".to_owned(),
        retry_after: None,
    };
    let (mut writer, mut out) = (Writer::with(Form::Chat, wording()), Vec::new());
    writer.keep_alive(&mut out);
    writer.failure(&complaint, &mut out);
    writer.end(&mut out);
    assert_eq!(out, b"{\"error\":\"it broke\"}\n");
}
