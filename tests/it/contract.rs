//! The failure contract, row by row: the same rows that `hapax drill` plays, each a test of its own.

use hapax::cli::drill::play_here;
use hapax::drill::rows;
use std::collections::BTreeSet;

fn kept(name: &str) {
    let row = rows().find(|row| row.name == name).expect("the table has this row");
    let report = play_here(row, None).expect("the stage can be built");
    assert!(report.passed, "{}\n{report:#?}", report.problem);
}

macro_rules! rows {
    ($($name:ident)*) => {
        $(#[test] fn $name() { kept(stringify!($name)); })*

        #[test]
        fn every_row_of_the_table_is_a_test() {
            let here: BTreeSet<&str> = [$(stringify!($name)),*].into();
            let there: BTreeSet<&str> = rows().map(|row| row.name).collect();
            assert_eq!(here, there);
            assert_eq!(rows().count(), there.len(), "two rows have one name");
        }
    };
}

rows! {
    refused
    reset
    closed
    status_500
    status_503
    status_529
    busy
    key_refused
    hang_before_head
    slow_first_token
    cut_mid_stream
    stall_mid_stream
    garbage_body
    garbage_http
    empty_200
    empty_content
    error_in_200
    malformed_frame
    missing_done
    truncated_json
    redirect
    callers_mistake
    content_policy
    context_length
    unknown_model
    key_pool
    account_empty
    busy_waited_out
    busy_passed_over
    all_busy
    concurrency_cap
    retried_once
    silence_not_retried
    stale_connection
    last_real_cause
    one_deadline
    caller_leaves
    caller_leaves_stream
    breaker_opens
    traffic_returns
    half_open_surplus
    breaker_per_model
    nobody_else
    health_checks
    nothing_committed_early
    resumed_anywhere
    resumed_across_dialects
    ended_without_finish
    comments_are_no_content
    continuation_refused
    continuation_impossible
    tool_call_cut
    no_false_end_openai
    no_false_end_anthropic
    no_false_end_ollama
    usage_summed
    attempts_told
    one_call
    one_stream
    late_follower
    leader_leaves
    errors_not_kept
    opted_out
    shed
    reload
    drain
}
