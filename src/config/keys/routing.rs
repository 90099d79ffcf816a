//! In which order they are asked, and what happens when they fail.

use super::*;

/// The table under "routing, models".
#[rustfmt::skip] // one key, one line, and what it means below it
pub(super) static ROUTING: &[Row] = &[
    used("routing", Section, "",
        "how candidates are ordered"),
    used("routing.strategy", Choice(&["preference", "weighted", "least_busy", "fastest"]), "preference",
        "who of several equals is asked first: `preference` as listed, `weighted` by shares, `least_busy` \
         the fewest calls under way for its weight, `fastest` the lowest latency, of streams until their \
         first token and of whole answers until their end (one request in sixteen goes by weight, to learn how fast the others are). Equals are those who serve a model \
         themselves, those who stand in, and the targets of a name of your own"),
    used("routing.weights", Named(value::name), "",
        "`providers.*.weight` in one place; the provider's own wins"),
    used("routing.weights.*", Count(0, 1_000_000), "",
        "the provider's weight"),
    used("models", Named(value::model), "",
        "model names of your own"),
    used("models.*", Texts(target), "",
        "`provider/model`, most preferred first. The list is complete: no other provider stands in"),
];

/// The table under "Failures".
#[rustfmt::skip] // one key, one line, and what it means below it
pub(super) static FAILURES: &[Row] = &[
    used("circuit_breaker", Section, "",
        "when a failing provider is left alone"),
    used("circuit_breaker.failure_threshold", Count(1, 1_000_000), "3",
        "consecutive failures that open it"),
    used("circuit_breaker.interval", Duration(ONE), "30s",
        "while closed, counts are cleared this often"),
    used("circuit_breaker.timeout", Duration(ONE), "10s",
        "how long it stays open at first; doubles while trials fail"),
    used("circuit_breaker.max_requests", Count(1, 1_000_000), "1",
        "trials at once while half-open"),
    used("health_check", Section, "",
        "questions to providers that cost nothing"),
    used("health_check.interval", Duration(100), "1m",
        "between two checks"),
    used("health_check.timeout", Duration(ONE), "5s",
        "one check's patience"),
    used("health_check.failure_threshold", Count(1, 1_000_000), "3",
        "failed checks that mark a provider unhealthy"),
    used("retry", Section, "",
        "waiting for a busy provider"),
    used("retry.wait_max", Duration(0), "2s",
        "a `Retry-After` up to this is waited out; a longer one goes to the next provider"),
    used("streams", Section, "",
        "streams that break"),
    used("streams.on_failure", Choice(&["continue", "end"]), "continue",
        "`continue`: the next provider goes on; `end`: the stream ends with an error frame"),
    used("streams.keep_alive", Duration(ONE), "10s",
        "a stream that has nothing to say for so long gets a comment, and another each time; its status \
         is then 200, and a later failure is told in it"),
    used("deduplicate", Choice(&["always", "off"]), "always",
        "whether identical requests of a caller in flight share one call"),
];
