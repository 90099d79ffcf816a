//! What a request may cost in memory, and that it comes back.

use crate::rig::Rig;

const OPENAI: &str = "openai";

/// A chat of exactly this many bytes.
fn chat_of(bytes: usize) -> String {
    let (begin, end) = (r#"{"model":"m","messages":[{"role":"user","content":""#, r#""}]}"#);
    format!("{begin}{}{end}", "x".repeat(bytes - begin.len() - end.len()))
}

#[test]
fn what_a_caller_says_is_held_once_on_its_way_to_a_provider_of_the_same_dialect() {
    const BODY_BYTES: usize = 1024 * 1024;
    let rig = Rig::with(&[OPENAI], "server: {memory_max: 1536KiB, body_bytes_max: 1MiB}\n");
    // There is no room for it twice.
    let answer = rig.post("/v1/chat/completions", &chat_of(BODY_BYTES));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let heard = rig.asked(0)[0].body.len();
    assert!((BODY_BYTES - 16..BODY_BYTES + 64).contains(&heard), "{heard} bytes arrived");
    rig.wait_for_metric("hapax_memory_bytes{use=\"calls\"} 0");
}
