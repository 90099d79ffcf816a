//! The failure contract, row by row: the same rows that `hapax drill` plays, each a test of its own.

use crate::rig::process::{Folder, Running, Start};
use hapax::cli::drill::{play_here, play_there};
use hapax::drill::{Cast, Outcome, Report, Row, configuration, rows};
use std::collections::BTreeSet;
use std::sync::Mutex;

fn kept(name: &str) {
    let row = rows().find(|row| row.name == name).expect("the table has this row");
    let report = play_here(row, None).expect("the stage can be built");
    assert_eq!(report.outcome, Outcome::Passed, "{}\n{report:#?}", report.problem);
}

/// Gateways in processes of their own at once; most of a row is waiting.
const AT_ONCE: usize = 8;

/// Plays a row against the real binary, and says how that ended if it was told to.
fn against_a_process(row: &Row, known: bool) -> (Report, Option<i32>) {
    let cast = Cast::start(None).expect("ports are free");
    let folder = Folder::new();
    let config =
        folder.put("drill.yaml", &configuration(&cast.urls()).replace("server: {", "server: {port: 0, "));
    let mut running = Running::start(Start::new(&config));
    let pid = running.pid().as_raw_nonzero().get();
    let report = play_there(row, &cast, running.address(), known.then_some(pid)).expect("a process");
    let over = row.name == "drain" && known || running.is_over();
    (report, over.then(|| running.ended().0.code()).flatten())
}

#[test]
fn every_row_is_kept_by_a_process_of_its_own() {
    let left = Mutex::new(rows().collect::<Vec<_>>());
    let play = || {
        while let Some(row) = { left.lock().expect("nobody panics with it").pop() } {
            let (report, status) = against_a_process(row, true);
            assert_eq!(report.outcome, Outcome::Passed, "{}\n{report:#?}", report.problem);
            assert_eq!(status, (row.name == "drain").then_some(0), "{}", row.name);
        }
    };
    std::thread::scope(|scope| {
        (0..AT_ONCE).for_each(|_| drop(scope.spawn(play)));
    });
}

#[test]
fn rows_that_need_a_process_nobody_knows_count_as_not_played() {
    for row in rows().filter(|row| ["shed", "reload", "drain"].contains(&row.name)) {
        let (report, status) = against_a_process(row, false);
        let expected = if row.name == "shed" { Outcome::Passed } else { Outcome::NotPlayed };
        assert_eq!((report.outcome, status), (expected, None), "{report:#?}");
    }
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
    no_false_end_responses
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
