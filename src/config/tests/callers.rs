//! Who may ask, how much, and what must not be in what is asked.

use super::*;

#[test]
fn a_callers_key_is_known_by_its_hash_until_it_expires() {
    let text = format!(
        "auth: {{keys: [{{name: bot, hash: '{KEY_HASH}', models: [fast, 'gpt-*'], expires: 2027-01-01, pin: true,\n\
         limits: {{requests_per_minute: 60, tokens_per_minute: 9}}, budget: {{usd: 50, per: month}}}}]}}"
    );
    let settings = good(&text);
    let key = &settings.keys[0];
    assert_eq!(key.hashes, [crate::domain::digest::sha256(b"abc")]);
    assert_eq!(key.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600)));
    assert!(key.may_pin && !key.admin && key.models == ["fast", "gpt-*"]);
    let limits = Limits { requests_per_minute: Some(60), tokens_per_minute: Some(9), concurrent: None };
    assert_eq!(key.limits, limits);
    assert_eq!(key.budget, Some(Allowance { nano_usd: 50 * NANO_USD, per: Period::Month }));
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    let twice = format!("auth: {{keys: [{{name: a, hash: '{KEY_HASH}'}}, {{name: a, hash: '{KEY_HASH}'}}]}}");
    assert_eq!(bad(&twice).len(), 2, "the same name, the same hash");
}

#[test]
fn rules_have_names_and_patterns_and_what_is_wrong_with_one_is_said_where_it_stands() {
    use crate::domain::redact::{Mode, RULES_MAX};
    assert_eq!(good("redaction: {rules: [{name: email}]}").redaction, None, "off");
    let text = "redaction: {mode: enforce, rules: [{name: email, on: answers}, {name: own, pattern: 'a+', replace: 'b'}]}";
    let told = good(text).redaction.expect("it is on");
    assert_eq!((told.mode, told.rules.len()), (Mode::Enforce, 2));
    let [email, own] = &told.rules[..] else { panic!("two rules") };
    assert_eq!((email.replace.as_str(), email.on_requests, email.on_answers), ("[email]", false, true));
    assert_eq!((own.pattern.text(), own.replace.as_str(), own.on_requests), ("a+", "b", true));
    let again = good(&effective(&good(text))).redaction.expect("it is on");
    assert_eq!(again, told);
    for (wrong, words) in [
        ("{name: own}", "redaction.rules[0].pattern: is needed, except for a rule called email, iban"),
        ("{name: own, pattern: 'a*'}", "redaction.rules[0].pattern: must not match the empty text"),
        ("{name: own, pattern: '('}", "redaction.rules[0].pattern: is no pattern: "),
        ("{pattern: a}", "redaction.rules[0].name: is needed"),
        ("{name: a, pattern: a, on: [both]}", "redaction.rules[0].on[0]: must be requests or answers"),
        ("{name: email}, {name: email}", "redaction.rules[1].name: email is the name of another rule"),
    ] {
        let lines = bad(&format!("redaction: {{mode: 'off', rules: [{wrong}]}}"));
        assert!(lines.len() == 1 && lines[0].contains(words), "{wrong}: {lines:?}");
    }
    let many = |count: usize| {
        let rules: Vec<String> = (0..count).map(|n| format!("{{name: r{n}, pattern: x{n}}}")).collect();
        format!("redaction: {{mode: monitor, rules: [{}]}}", rules.join(", "))
    };
    assert_eq!(good(&many(RULES_MAX)).redaction.map(|told| told.rules.len()), Some(RULES_MAX));
    let lines = bad(&many(RULES_MAX + 1));
    assert!(lines.len() == 1 && lines[0].ends_with("has 65 rules; 64 are the most"), "{lines:?}");
    assert_eq!(good("redaction: {mode: enforce}").warnings.len(), 1);
}

#[test]
fn a_key_has_endpoints_labels_and_several_hashes_while_it_is_replaced() {
    let other = "sha256:cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";
    let text = format!(
        "auth: {{keys: [{{name: bot, hashes: ['{KEY_HASH}', '{other}'], endpoints: [/v1/chat/completions, '/v1/models*'],\n\
         labels: {{team: blue, 'cost.center': '42'}}, admin: true, limits: {{concurrent: 3}}, budget: {{usd: 0.5, per: week}}}}]}}"
    );
    let settings = good(&text);
    let key = &settings.keys[0];
    assert_eq!((key.hashes.len(), key.admin), (2, true));
    assert_eq!(key.endpoints, ["/v1/chat/completions", "/v1/models*"]);
    let labels =
        [("team", "blue"), ("cost.center", "42")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(key.labels, labels);
    assert_eq!(key.limits.concurrent, Some(3));
    assert_eq!(key.budget, Some(Allowance { nano_usd: NANO_USD / 2, per: Period::Week }));
    for (wrong, field) in [
        (format!("{{name: a, hashes: ['{other}', '{other}']}}"), "hashes: is written twice"),
        (format!("{{name: a, hash: '{other}', hashes: ['{other}']}}"), "hash: is written twice"),
        (format!("{{name: a, hash: '{other}', endpoints: [chat]}}"), "endpoints[0]: must be a path such as"),
        (format!("{{name: a, hash: '{other}', budget: {{per: day}}}}"), "budget.usd: is needed"),
        (format!("{{name: a, hash: '{other}', budget: {{usd: 2e9}}}}"), "budget.usd: must be at most"),
        (
            format!("{{name: a, hash: '{other}', labels: {{x: '{}'}}}}", "y".repeat(65)),
            "labels.x: must be at most",
        ),
        ("{name: a}".to_owned(), "hash: is needed"),
    ] {
        let lines = bad(&format!("auth: {{keys: [{wrong}]}}"));
        assert!(lines.len() == 1 && lines[0].contains(field), "{wrong}: {lines:?}");
    }
    let five = ["0", "1", "2", "3", "4"].map(|digit| format!("'sha256:{}'", digit.repeat(64))).join(", ");
    let lines = bad(&format!("auth: {{keys: [{{name: a, hashes: [{five}]}}]}}"));
    assert!(lines.len() == 1 && lines[0].ends_with("at most 4 hashes are one key"), "{lines:?}");
}

#[test]
fn endpoints_addresses_and_providers_have_limits_of_their_own() {
    let settings = good(
        "routes: [{path: /v1/embeddings, limits: {requests_per_minute: 60, concurrent: 8}}, {path: '/v1/*'}]\n\
         rate_limit: {requests_per_minute: 5, tokens_per_minute: 70, concurrent: 2}\n\
         providers: {ollama: {limits: {requests_per_minute: 9, tokens_per_minute: 1000}}}",
    );
    let limits = Limits { requests_per_minute: Some(60), tokens_per_minute: None, concurrent: Some(8) };
    assert_eq!(settings.routes, [Route { path: "/v1/embeddings".to_owned(), limits }]);
    let limits = Limits { requests_per_minute: Some(5), tokens_per_minute: Some(70), concurrent: Some(2) };
    assert_eq!(settings.per_address, limits);
    let limits = Limits { requests_per_minute: Some(9), tokens_per_minute: Some(1_000), concurrent: None };
    assert_eq!(settings.providers[0].limits, limits);
    for wrong in
        ["routes: [{limits: {concurrent: 1}}]", "routes: [{path: /a}, {path: /a}]", "routes: [{path: a}]"]
    {
        assert_eq!(bad(wrong).len(), 1, "{wrong}: {:?}", bad(wrong));
    }
    assert_eq!(bad("providers: {ollama: {limits: {concurrent: 1}}}").len(), 1, "that is max_concurrency");
}
