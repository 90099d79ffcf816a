//! What was used is counted once, to the token, for whoever asked, and is still known after a restart.

use crate::rig::process::{Folder, HAPAX, Running, Start};
use crate::rig::{CHAT, HELLO, HELLO_STREAM, Rig, at_once, until};
use hapax::clock::SystemClock;
use hapax::config;
use hapax::domain::key::Hash;
use hapax::simulate::Simulator;
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

const OPENAI: &str = "openai_compatible";

fn kept_in(folder: &Folder, more: &str) -> String {
    format!("usage: {{path: '{}'}}\n{more}", folder.path("usage.db").display())
}

fn keys() -> String {
    let key = |(name, more): (&str, &str)| {
        format!("    - {{name: {name}{more}, hash: \"{}\"}}\n", Hash::of(&format!("hpx_{name}")))
    };
    let all = [("bot", ""), ("laptop", ""), ("admin", ", admin: true")];
    format!("auth:\n  keys:\n{}", all.map(key).concat())
}

const BOT: (&str, &str) = ("Authorization", "Bearer hpx_bot");
const LAPTOP: (&str, &str) = ("Authorization", "Bearer hpx_laptop");

/// Runs `hapax usage` on a ledger.
fn usage(folder: &Folder, arguments: &[&str]) -> Output {
    let path = folder.path("usage.db");
    let config = folder.put("usage.yaml", &format!("usage: {{path: '{}'}}\n", path.display()));
    Command::new(HAPAX)
        .args(["usage", "--config"])
        .arg(config)
        .args(arguments)
        .env_remove("CONFIG_PATH")
        .output()
        .expect("the binary can be started")
}

fn report(folder: &Folder, arguments: &[&str]) -> Value {
    let output = usage(folder, &[arguments, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn tokens(answer: &Value) -> (u64, u64) {
    let number = |name: &str| answer["usage"][name].as_u64().expect("the provider counts");
    (number("prompt_tokens"), number("completion_tokens"))
}

#[test]
fn every_key_sees_its_own_usage_and_the_command_sees_all_of_it() {
    let folder = Folder::new();
    let rig = Rig::with(&[OPENAI], &kept_in(&folder, &keys()));
    let (mut input, mut output) = (0, 0);
    for _ in 0..3 {
        let (asked, said) = tokens(&rig.ask("POST", CHAT, &[BOT], HELLO).json());
        (input, output) = (input + asked, output + said);
    }
    let counted = r#"{"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hello"}]}"#;
    let events = rig.ask("POST", CHAT, &[BOT], counted).events();
    let last: Value = serde_json::from_str(&events[events.len() - 2]).expect("a chunk");
    let (asked, said) = tokens(&last);
    (input, output) = (input + asked, output + said);
    rig.ask("POST", CHAT, &[LAPTOP], HELLO_STREAM);
    let own = rig.ask("GET", "/v1/usage", &[BOT], "").json();
    assert_eq!(own["rows"].as_array().map(Vec::len), Some(1), "{own}");
    let row = &own["rows"][0];
    assert_eq!((&row["key"], &row["calls"]), (&"bot".into(), &4.into()));
    assert_eq!((&row["input"], &row["output"]), (&input.into(), &output.into()));
    assert_eq!((&row["estimated_calls"], &own["total"]["input"]), (&0.into(), &input.into()));
    assert_eq!(rig.get("/v1/usage").status, 401);
    let all = rig.ask("GET", "/v1/usage", &[("X-API-Key", "hpx_admin")], "").json();
    assert_eq!(all["total"]["calls"], 5, "an admin's key sees everybody's");
    rig.logged();
    let all = report(&folder, &["--by", "key,provider,model,endpoint,day"]);
    let names: Vec<&str> =
        all["rows"].as_array().expect("rows").iter().filter_map(|row| row["key"].as_str()).collect();
    assert_eq!(names, ["bot", "laptop"]);
    let row = &all["rows"][0];
    assert_eq!((&row["input"], &row["output"]), (&input.into(), &output.into()));
    assert_eq!(
        (&row["provider"], &row["model"], &row["endpoint"]),
        (&"a".into(), &"model-a".into(), &CHAT.into())
    );
    assert_eq!(row["day"].as_str().map(str::len), Some(10));
}

#[test]
fn teams_are_told_apart_by_the_labels_their_keys_have_today() {
    let yaml = |team: &str| {
        format!(
            "auth: {{keys: [{{name: bot, labels: {{team: {team}}}, hash: \"{}\"}}, {{name: admin, admin: true, hash: \"{}\"}}]}}\n",
            Hash::of("hpx_bot"),
            Hash::of("hpx_admin")
        )
    };
    const ADMIN: (&str, &str) = ("X-API-Key", "hpx_admin");
    let rig = Rig::with(&[OPENAI], &yaml("billing"));
    rig.ask("POST", CHAT, &[BOT], HELLO);
    rig.ask("POST", CHAT, &[ADMIN], HELLO);
    let teams = || -> Vec<String> {
        let told = rig.ask("GET", "/v1/usage?by=label.team,key", &[ADMIN], "").json();
        let rows = told["rows"].as_array().expect("rows").iter();
        rows.map(|row| format!("{}:{}:{}", row["label.team"], row["key"], row["calls"])).collect()
    };
    assert_eq!(teams(), [r#""":"admin":1"#, r#""billing":"bot":1"#]);
    rig.reload(&[OPENAI], &yaml("sales"));
    assert_eq!(teams(), [r#""":"admin":1"#, r#""sales":"bot":1"#], "the past moves with the key");
}

#[test]
fn identical_requests_in_flight_are_accounted_once() {
    let rig = Rig::new(&[OPENAI]);
    rig.behave(0, "hold");
    let statuses = std::thread::scope(|scope| {
        let callers = scope.spawn(|| at_once(8, |_| rig.chat().status));
        rig.wait_for_metric("hapax_deduplicated_requests_total 7");
        rig.provider(0).gate().open();
        callers.join().expect("no panic")
    });
    assert_eq!(statuses, [200; 8]);
    let told = rig.get("/v1/usage").json();
    assert_eq!((&told["total"]["calls"], rig.asked(0).len()), (&1.into(), 1));
}

#[test]
fn a_report_that_cannot_be_made_says_which_word_is_wrong() {
    let rig = Rig::new(&[OPENAI]);
    for (query, param, word) in
        [("by=kay", "by", "'kay'"), ("since=7y", "since", "'7y'"), ("by=key%2Ckey", "by", "twice")]
    {
        let answer = rig.get(&format!("/v1/usage?{query}"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &param.into()),
            "{}",
            answer.text()
        );
        assert!(
            answer.json()["message"].as_str().is_some_and(|words| words.contains(word)),
            "{}",
            answer.text()
        );
    }
    let folder = Folder::new();
    for (arguments, status, words) in [
        (&["--by", "kay"][..], 64, "--by"),
        (&["--since", "soon"][..], 64, "--since"),
        (&["--format", "xml"][..], 64, "--format"),
        (&[][..], 1, "no such file yet"),
    ] {
        let output = usage(&folder, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let none = folder.put("none.yaml", "deduplicate: always\n");
    let output = Command::new(HAPAX).args(["usage", "-c"]).arg(none).output().expect("it starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage.path is not set"));
}

#[test]
fn a_stream_that_breaks_before_its_count_is_estimated_and_the_log_and_the_report_say_so() {
    let rig = Rig::new(&[OPENAI]);
    rig.behave(0, "cut_after=5");
    assert!(!rig.post(CHAT, HELLO_STREAM).is_done());
    let told = rig.get("/v1/usage").json();
    assert_eq!((&told["total"]["calls"], &told["total"]["estimated_calls"]), (&1.into(), &1.into()));
    assert!(
        told["total"]["input"].as_u64() > Some(0) && told["total"]["output"].as_u64() > Some(0),
        "{told}"
    );
    let log = rig.logged();
    assert!(log.contains("\"estimated\":true"), "{log}");
}

#[test]
fn an_open_circuit_is_still_open_after_a_restart_and_a_reload_keeps_the_ledger() {
    let folder = Folder::new();
    let yaml = kept_in(&folder, "circuit_breaker: {failure_threshold: 1, timeout: 50s}\n");
    let rig = Rig::built(&[OPENAI, OPENAI], ", retries: 0", &yaml);
    rig.behave(0, "status=500");
    rig.chat();
    let circuits = |rig: &Rig| {
        let status = rig.get("/metrics").text();
        let open =
            status.lines().filter(|line| line.starts_with("circuit_breaker_state") && line.ends_with(" 2"));
        open.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = circuits(&rig);
    assert_eq!(before, ["circuit_breaker_state{name=\"a/model-a\"} 2"]);
    rig.logged();
    let rig = Rig::built(&[OPENAI, OPENAI], ", retries: 0", &yaml);
    assert_eq!(circuits(&rig), before);
    rig.chat();
    assert_eq!((rig.asked(0).len(), rig.asked(1).len()), (0, 1), "the broken one is passed over at once");
    rig.advance(Duration::from_secs(51));
    rig.chat();
    assert_eq!(rig.asked(0).len(), 1, "and tried again when its wait is over");
    // Another file from now on; what was used before stays where it is.
    let other = format!("usage: {{path: '{}'}}\n", folder.path("other.db").display());
    rig.reload(&[OPENAI, OPENAI], &other);
    rig.chat();
    rig.logged();
    assert_eq!(report(&folder, &[])["total"]["calls"], 3);
    std::fs::rename(folder.path("other.db"), folder.path("usage.db")).expect("renamed");
    assert_eq!(report(&folder, &[])["total"]["calls"], 1);
}

#[test]
fn a_used_up_limit_is_still_used_up_after_a_restart() {
    let folder = Folder::new();
    let hash = Hash::of("hpx_bot");
    let keys =
        format!("auth: {{keys: [{{name: bot, hash: \"{hash}\", limits: {{requests_per_minute: 2}}}}]}}\n");
    let yaml = kept_in(&folder, &keys);
    let status = |rig: &Rig| rig.ask("POST", CHAT, &[BOT], HELLO).status;
    let rig = Rig::with(&[OPENAI], &yaml);
    assert_eq!([status(&rig), status(&rig), status(&rig)], [200, 200, 429]);
    rig.logged();
    let rig = Rig::with(&[OPENAI], &yaml);
    assert_eq!(status(&rig), 429);
    rig.advance(Duration::from_secs(31));
    assert_eq!([status(&rig), status(&rig)], [200, 429]);
}

#[test]
fn what_tokens_cost_is_in_log_and_metric_and_a_corrected_price_corrects_the_past() {
    let priced = |input: u32| format!("prices: {{model-a: {{input: {input}, output: 2}}}}\n");
    let rig = Rig::with(&[OPENAI], &priced(1));
    let (asked, said) = tokens(&rig.chat().json());
    let usd = |input: u64| (asked * input + said * 2) as f64 / 1e6;
    let told = |rig: &Rig| rig.get("/v1/usage").json()["total"]["cost_usd"].clone();
    assert_eq!(told(&rig), usd(1));
    rig.wait_for_metric(&format!("hapax_cost_usd_total{{key=\"none\",model=\"model-a\"}} {}", usd(1)));
    rig.reload(&[OPENAI], &priced(1_000));
    assert_eq!(told(&rig), usd(1_000), "the same tokens at another price");
    rig.reload(&[OPENAI], "");
    let unpriced = rig.get("/v1/usage").json();
    assert_eq!(
        (&unpriced["total"]["cost_usd"], &unpriced["total"]["unpriced_calls"]),
        (&0.0.into(), &1.into())
    );
    rig.chat();
    let log = rig.logged();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(CHAT)).collect();
    assert!(lines[0].contains(&format!("\"cost_usd\":{:.9},", usd(1))), "{}", lines[0]);
    assert!(!lines[1].contains("cost_usd"), "nobody knows: {}", lines[1]);
}

#[test]
fn a_file_that_is_no_ledger_keeps_the_gateway_from_starting_and_a_reload_from_happening() {
    let folder = Folder::new();
    folder.put(
        "usage.db",
        "this is a text of somebody else's and longer than any heading of a database file is",
    );
    let config = folder.put("config.yaml", &kept_in(&folder, "server: {listen: '127.0.0.1:0'}\n"));
    let output = Command::new(HAPAX).args(["serve", "--config"]).arg(config).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("usage.path: ") && said.contains("usage.db: is not a database"), "{said}");
    let rig = Rig::new(&[OPENAI]);
    let settings = config::parse("test.yaml", &kept_in(&folder, ""), &|_| None).expect("it is right");
    let problem = rig.house().reload(&settings).expect_err("it cannot be used");
    let told = rig.get("/v1/status").json()["config"]["refused"]["problem"].clone();
    assert_eq!(told, "usage.path: usage.db: is not a database", "without its folder: {problem}");
    rig.wait_for_metric("hapax_config_reloads_total{result=\"failure\"} 1");
    assert_eq!(rig.chat().header("x-hapax-provider"), Some("a"));
}

/// Waits until the ledger's file tells of so many calls.
fn wait_for_calls(folder: &Folder, calls: u64) {
    until("the file tells of all calls", || report(folder, &[])["total"]["calls"] == calls);
}

#[test]
fn a_process_that_is_killed_leaves_a_whole_file_and_the_next_one_goes_on() {
    let folder = Folder::new();
    let simulator = Simulator::start("127.0.0.1:0", Arc::new(SystemClock)).expect("a port is free");
    let provider =
        format!("providers: {{a: {{type: {OPENAI}, base_url: '{}', model: m}}}}\n", simulator.url());
    let config = folder
        .put("config.yaml", &kept_in(&folder, &format!("server: {{listen: '127.0.0.1:0'}}\n{provider}")));
    for round in 1..=2 {
        let running = Running::start(Start::new(&config));
        let mut caller = running.connect();
        caller.send("POST", CHAT, &[], HELLO);
        assert_eq!(caller.answer().status, 200);
        // Read while the gateway has it open.
        wait_for_calls(&folder, round);
        running.signal(Signal::KILL);
        running.ended();
        assert_eq!(integrity(&folder.path("usage.db")), "ok");
        assert_eq!(report(&folder, &[])["total"]["calls"], round);
    }
    simulator.stop();
}

fn integrity(path: &Path) -> String {
    let database = rusqlite::Connection::open(path).expect("it opens");
    database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it is checked")
}
