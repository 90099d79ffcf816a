//! Everything else that has an effect.

use super::*;

/// The table under "Everything else".
#[rustfmt::skip] // one key, one line, and what it means below it
pub(super) static REST: &[Row] = &[
    used("system_prompt", Text(any_text), "",
        "put first on Hapax's own endpoint when the caller gives no instructions"),
    used("logging", Section, "",
        "one line per request on stderr"),
    used("logging.level", Choice(&["error", "warn", "info", "debug", "trace"]), "info",
        "the least that is written"),
    used("logging.format", Choice(&["json", "text"]), "json",
        "`json` for machines, `text` for people"),
    used("logging.prompts", Flag, "false",
        "whether prompts and answers are logged; keys never are"),
    used("validation", Section, "",
        "what is not let through: [security.md](security.md#promises)"),
    used("validation.control_characters", Choice(&["refuse", "replace", "pass"]), "refuse",
        "a NUL (`\\u0000`) or half of a surrogate pair in a request: `refuse`: 400 with the field's path; `replace`: \
         U+FFFD takes its place; `pass`: the provider may see to it. Other control characters always pass"),
    used("redaction", Section, "",
        "rules that take private words out: [redaction.md](redaction.md)"),
    used("redaction.mode", Choice(&["off", "monitor", "enforce"]), "off",
        "`off`; `monitor`: what is found is counted; `enforce`: it is replaced and counted"),
    used("redaction.rules", Listed, "[]",
        "at most 64 rules"),
    used("redaction.rules.[]", Section, "",
        "one rule"),
    used("redaction.rules.[].name", Text(value::name), "",
        "required: its name in the metrics; `email`, `iban`, `credit_card`, `aws_key`, `bearer_token` and \
         `api_key` bring their pattern along"),
    used("redaction.rules.[].pattern", Text(pattern), "",
        "what it finds, in the syntax of Rust's `regex`, at most 1,024 bytes; required where the name \
         brings none"),
    used("redaction.rules.[].replace", Text(any_text), "",
        "what is put in its place; left out, the name in brackets"),
    used("redaction.rules.[].on", Texts(direction), "[]",
        "`requests`, `answers`; left out, both"),
    used("cache", Section, "",
        "kept answers: [cache.md](cache.md)"),
    used("cache.enabled", Flag, "false",
        "whether the same question of the same caller is answered again without asking anybody"),
    used("cache.ttl", Duration(ONE), "10m",
        "how long an answer is given again"),
    used("cache.bytes_max", Size(MIB, 1024 * GIB), "32MiB",
        "kept at most, one answer at most an eighth of it; counts towards `server.memory_max`, at most \
         half of it"),
    used("prices", Named(value::model), "",
        "own prices before the built-in table's, by model (`gpt-4o*`) or provider and model \
         (`groq/llama-*`); the most specific one holds"),
    used("prices.*", Section, "",
        "one price, in USD per million tokens, with at most three decimals"),
    used("prices.*.input", Amount, "",
        "required: input"),
    used("prices.*.cached", Amount, "",
        "input read from the provider's cache; `input` when left out"),
    used("prices.*.cache_write", Amount, "",
        "input written to the provider's cache; `input` when left out"),
    used("prices.*.output", Amount, "",
        "required: output, thinking included"),
    used("usage", Section, "",
        "the ledger ([usage.md](usage.md))"),
    used("usage.path", Text(any_text), "",
        "the ledger's file, made if there is none; without it usage is kept in memory"),
    used("usage.keep", Duration(86_400_000), "400d",
        "how long the ledger remembers"),
];
