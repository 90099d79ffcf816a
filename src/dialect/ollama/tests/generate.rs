//! One prompt instead of a conversation.

use super::*;
use crate::dialect::Wording;
use crate::domain::chat::{Delta, Image, Part, Role};
use crate::domain::failure::Fault;
use crate::domain::words::Dialect;

const BODY: &str = r#"{"model":"x","prompt":"Why?","system":"Be brief.","images":["/9j/AA"],"suffix":"","raw":false,"template":"t","options":{"num_predict":5,"mirostat":1},"keep_alive":"5m"}"#;

#[test]
fn a_prompt_is_a_conversation_of_one() {
    let (gist, words) = open_generate(BODY.as_bytes().to_vec()).expect("it opens");
    assert_eq!((gist.stream, gist.max_tokens, gist.model.as_deref()), (true, Some(5), Some("x")));
    let chat = decode_generate(&words).expect("it is understood");
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User]);
    let image = Image::Data { media_type: "image/jpeg".into(), base64: "/9j/AA".into() };
    assert_eq!(chat.messages[1].parts[1], Part::Image(image));
    assert_eq!(chat.unknown, ["template", "options.mirostat", "keep_alive"]);
}

#[test]
fn to_an_ollama_it_goes_as_it_is() {
    let (_, words) = open_generate(BODY.as_bytes().to_vec()).expect("it opens");
    let outgoing = pass_generate(&words, "m");
    assert_eq!(outgoing.path, "/api/generate");
    assert_eq!(*outgoing.body.joined(), BODY.replace("\"x\"", "\"m\"").into_bytes()[..]);
}

#[test]
fn what_no_conversation_can_say_is_passed_over_and_loading_is_refused() {
    for body in [r#"{"prompt":"x","raw":true}"#, r#"{"prompt":"x","suffix":"y"}"#] {
        let (_, words) = open_generate(body.as_bytes().to_vec()).expect(body);
        let failure = crate::dialect::raw::failure_of(decode_generate(&words).expect_err(body));
        assert_eq!(failure.fault, Fault::Untranslatable, "{body}");
    }
    for body in [r#"{"model":"x"}"#, r#"{"model":"x","prompt":""}"#] {
        let invalid = open_generate(body.as_bytes().to_vec()).expect_err(body);
        assert_eq!(invalid.param.as_deref(), Some("prompt"), "{body}");
    }
}

#[test]
fn a_stream_of_responses_survives_the_way_through_the_domain() {
    let bytes = concat!(
        r#"{"model":"x","created_at":"2024-02-29T12:00:00Z","response":"","thinking":"Hm.","done":false}"#,
        "\n",
        r#"{"model":"x","created_at":"2024-02-29T12:00:00Z","response":"Be","done":false}"#,
        "\n",
        r#"{"model":"x","created_at":"2024-02-29T12:00:00Z","response":"cause","done":true,"done_reason":"length","prompt_eval_count":2,"eval_count":3}"#,
        "\n",
    );
    let (first, ended) = deltas(&[bytes.as_bytes()]);
    assert!(ended && first.contains(&Delta::Text { choice: 0, text: "cause".into() }), "{first:?}");
    let wording = Wording { created: super::LEAP_DAY, ..Wording::default() };
    let (mut writer, mut out) = (Writer::with(Form::Generate, wording), Vec::new());
    first.iter().for_each(|delta| writer.delta(delta, &mut out));
    writer.end(&mut out);
    let text = String::from_utf8(out.clone()).expect("JSON is UTF-8");
    assert!(
        text.starts_with(
            r#"{"model":"x","created_at":"2024-02-29T12:00:00Z","response":"","thinking":"Hm.","done":false}"#
        ),
        "{text}"
    );
    assert_eq!(deltas(&[&out]), (first, true));
}

#[test]
fn a_whole_response_passes_and_is_checked() {
    let body =
        br#"{"model":"x","response":"Because","done":true,"done_reason":"stop","prompt_eval_count":2}"#;
    let answer = crate::dialect::read_answer(Dialect::Ollama, Dialect::OllamaGenerate, body.to_vec(), None)
        .expect("it is an answer");
    assert_eq!(crate::dialect::write_answer(Dialect::OllamaGenerate, &answer, &Wording::default()), body);
    for (body, fault) in [
        (r#"{"model":"x","response":"","done":true}"#, Fault::Empty),
        (r#"{"model":"x","response":"a","done":false}"#, Fault::Truncated),
        (r#"{"model":"x","done":true}"#, Fault::Garbage),
    ] {
        assert_eq!(facts(body.as_bytes()).expect_err(body).fault, fault, "{body}");
    }
}
