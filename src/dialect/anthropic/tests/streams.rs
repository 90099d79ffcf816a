//! The event stream, read and written.

use super::*;

#[test]
fn a_stream_means_what_it_says_and_its_counts_are_cumulative() {
    let (deltas, ended) = deltas(STREAM, None);
    let start = Usage { input: 38, cached: 10, cache_write: 3, output: 1, ..Usage::default() };
    let thought = |text: &str, signature: Option<&str>| Delta::Reasoning {
        choice: 0,
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
    };
    let said = |text: &str| Delta::Text { choice: 0, text: text.to_owned() };
    let argued = |text: &str| Delta::Arguments { choice: 0, call: 0, fragment: text.to_owned() };
    let expected = vec![
        Delta::Start { id: "msg_01".to_owned(), model: CLASSIC.to_owned() },
        Delta::Usage(start),
        thought("Hmm.", None),
        thought("", Some("c2ln")),
        said("Hél"),
        said("lo"),
        Delta::ToolCall { choice: 0, call: 0, id: "toolu_1".to_owned(), name: "weather".to_owned() },
        argued("{\"city\":"),
        argued("\"Oslo\"}"),
        Delta::Finish { choice: 0, finish: Finish::ToolCalls },
        Delta::Usage(Usage { output: 89, ..start }),
    ];
    assert_eq!(deltas, expected);
    assert!(ended);
}

#[test]
fn a_stream_survives_the_way_through_the_domain() {
    let stream = written(&deltas(STREAM, None).0);
    assert_eq!(deltas(&stream, None).0, deltas(STREAM, None).0);
    let names: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let expected: Vec<&str> = STREAM
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .filter(|name| *name != "ping")
        .collect();
    // The empty fragment of arguments means nothing and is not repeated.
    assert_eq!(names.len(), expected.len() - 1);
    assert_eq!((names[0], names[names.len() - 1]), ("message_start", "message_stop"));
}

#[test]
fn an_error_event_ends_the_stream_and_garbage_does_not() {
    let (mut events, mut deltas) = (Events::new(None), Vec::new());
    assert_eq!(events.read(None, "{oops", &mut deltas).expect_err("garbage").fault, Fault::Garbage);
    assert_eq!(events.read(None, r#"{"type":"new_thing"}"#, &mut deltas).expect("unknown"), Sign::More);
    let data = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let failure = events.read(Some("error"), data, &mut deltas).expect_err("an error");
    assert_eq!((failure.fault, failure.code.as_deref()), (Fault::ErrorInBody, Some("overloaded_error")));
    assert!(deltas.is_empty());
}

#[test]
fn a_translation_goes_on_where_frames_passed_through_left_off() {
    let mut writer = Writer::new(wording());
    let mut events = Events::new(None);
    // Cut in the middle of the first text.
    for frame in STREAM.split_inclusive("\n\n").take(8) {
        let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
        let mut deltas = Vec::new();
        events.read(None, data, &mut deltas).expect("an event");
        writer.saw(&deltas);
    }
    let mut out = Vec::new();
    writer.delta(&Delta::Start { id: "msg_02".to_owned(), model: "other".to_owned() }, &mut out);
    writer.delta(&Delta::Text { choice: 0, text: "lo".to_owned() }, &mut out);
    writer.delta(&Delta::Finish { choice: 0, finish: Finish::Stop }, &mut out);
    writer.end(&mut out);
    let out = String::from_utf8(out).expect("JSON is UTF-8");
    lacks(&out, "message_start");
    assert!(
        out.starts_with("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,")
    );
    has(&out, r#"{"type":"content_block_stop","index":1}"#);
    assert!(out.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

#[test]
fn block_boundaries_are_seen_in_frames_passed_through() {
    let mut writer = Writer::new(wording());
    let mut events = Events::new(None);
    // Cut after the first block stopped: its end is the caller's already.
    for frame in STREAM.split_inclusive("\n\n").take(6) {
        let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
        let mut deltas = Vec::new();
        events.read(None, data, &mut deltas).expect("an event");
        writer.saw_verbatim(frame.as_bytes(), &deltas);
    }
    let mut out = Vec::new();
    writer.delta(&Delta::Text { choice: 0, text: "lo".to_owned() }, &mut out);
    let out = String::from_utf8(out).expect("JSON is UTF-8");
    assert!(
        out.starts_with("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"),
        "{out}"
    );
}

#[test]
fn a_stream_that_passed_through_to_its_end_is_owed_nothing_and_without_its_last_frame_only_that() {
    let whole: Vec<&str> = STREAM.split_inclusive("\n\n").collect();
    for (frames, owed) in [(whole.len(), ""), (whole.len() - 1, "event: message_stop")] {
        let (mut writer, mut events, mut out) = (Writer::new(wording()), Events::new(None), Vec::new());
        for frame in &whole[..frames] {
            let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
            let mut deltas = Vec::new();
            events.read(None, data, &mut deltas).expect("an event");
            writer.saw(&deltas);
        }
        writer.end(&mut out);
        assert_eq!(String::from_utf8_lossy(&out).lines().next().unwrap_or(""), owed);
    }
}

#[test]
fn a_failure_is_an_error_event_and_no_end_follows() {
    let complaint = Complaint {
        status: 502,
        kind: "api_error",
        message: "it \"broke\"".to_owned(),
        code: None,
        param: None,
        request_id: "r1".to_owned(),
        retry_after: None,
    };
    let (mut writer, mut out) = (Writer::new(wording()), Vec::new());
    writer.keep_alive(&mut out);
    writer.failure(&complaint, &mut out);
    writer.end(&mut out);
    let expected = concat!(
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"it \\\"broke\\\"\"},\"request_id\":\"r1\"}\n\n",
    );
    assert_eq!(String::from_utf8_lossy(&out), expected);
}
