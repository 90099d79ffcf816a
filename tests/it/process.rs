//! The process: how it ends, reads its configuration again, is restarted, and bears what the machine does to it.

use crate::rig::caller::Conversation;
use crate::rig::process::{Folder, Running, Start};
use crate::rig::{CHAT, HELLO, HELLO_STREAM, PATIENCE, Rig, at_once, until};
use hapax::clock::SystemClock;
use hapax::simulate::Simulator;
use rustix::process::Signal;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const OPENAI: &str = "openai_compatible";

fn provider() -> Simulator {
    Simulator::start("127.0.0.1:0", Arc::new(SystemClock)).expect("a port is free")
}

fn yaml(provider: &Simulator, more: &str) -> String {
    let url = provider.url();
    format!(
        "server: {{listen: '127.0.0.1:0'}}\n\
         providers:\n  a: {{type: {OPENAI}, base_url: '{url}', api_key: sk-a, model: model-a}}\n{more}"
    )
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port is free")
}

/// Asks again and again, each time on a new connection, until told to stop; every answer must be whole.
fn ask_until(over: &AtomicBool, address: std::net::SocketAddr) -> usize {
    let mut asked = 0;
    while !over.load(Ordering::SeqCst) {
        let body = if asked % 2 == 0 { HELLO } else { HELLO_STREAM };
        let mut conversation = crate::rig::caller::Conversation::new(address);
        conversation.send("POST", CHAT, &[("X-Hapax-Deduplicate", "off")], body);
        let answer = conversation.answer();
        assert!(answer.status == 200 && answer.whole, "{} {}", answer.status, answer.text());
        assert!(asked % 2 == 0 || answer.is_done());
        asked += 1;
    }
    asked
}

#[test]
fn a_sigterm_lets_what_is_under_way_be_finished_listens_no_more_and_ends_with_0() {
    let (folder, provider) = (Folder::new(), provider());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let mut gateway = Running::start(Start::new(&config));
    provider.behave("hold_after=2").expect("known");
    let mut callers: Vec<_> = (0..6).map(|_| gateway.connect()).collect();
    for (index, caller) in callers.iter_mut().enumerate() {
        let body = if index % 2 == 0 { HELLO } else { HELLO_STREAM };
        caller.send("POST", CHAT, &[("X-Hapax-Deduplicate", "off")], body);
    }
    provider.wait_for(6, PATIENCE);
    gateway.signal(Signal::TERM);
    gateway.wait_for_log("draining");
    until("nobody listens", || TcpStream::connect(gateway.address()).is_err());
    assert!(!gateway.is_over());
    provider.gate().open();
    for (index, caller) in callers.iter_mut().enumerate() {
        let answer = caller.answer();
        assert!(answer.status == 200 && answer.whole, "{}", answer.text());
        assert!(index % 2 == 0 || answer.is_done());
        assert!(caller.is_closed());
    }
    let (status, log) = gateway.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let (folder, provider) = (Folder::new(), provider());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let gateway = Running::start(Start::new(&config));
    provider.behave("hold").expect("known");
    let mut caller = gateway.connect();
    caller.send("POST", CHAT, &[], HELLO);
    provider.wait_for(1, PATIENCE);
    gateway.signal(Signal::TERM);
    gateway.wait_for_log("draining");
    gateway.signal(Signal::TERM);
    let (status, log) = gateway.ended();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("second signal"), "{log}");
    assert!(caller.is_closed());
}

#[test]
fn reloads_under_load_fail_no_request_and_a_bad_file_changes_nothing() {
    let (folder, provider) = (Folder::new(), provider());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let gateway = Running::start(Start::new(&config));
    let over = AtomicBool::new(false);
    let asked: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3).map(|_| scope.spawn(|| ask_until(&over, gateway.address()))).collect();
        let (mut good, mut bad) = (0, 0);
        for round in 0..10 {
            if round % 5 == 4 {
                bad += 1;
                folder.put("config.yaml", "server:\n  wrokers: 7\n");
                gateway.signal(Signal::HUP);
                gateway.wait_for_logs("the configuration is not changed", bad);
            } else {
                good += 1;
                folder
                    .put("config.yaml", &yaml(&provider, &format!("retry: {{wait_max: {}s}}\n", round + 1)));
                gateway.signal(Signal::HUP);
                gateway.wait_for_logs("is in service", good);
            }
        }
        over.store(true, Ordering::SeqCst);
        callers.into_iter().map(|caller| caller.join().expect("no request failed")).sum()
    });
    assert!(asked > 10, "only {asked} requests were made");
    let metrics = gateway.get("/metrics").text();
    assert!(metrics.contains("hapax_config_reloads_total{result=\"success\"} 8\n"), "{metrics}");
    assert!(metrics.contains("hapax_config_reloads_total{result=\"failure\"} 2\n"), "{metrics}");
    let line = gateway.wait_for_log("wrokers");
    assert!(line.contains("config.yaml:2:3: server.wrokers"), "{line}");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().0.code(), Some(0));
}

#[test]
fn a_file_renamed_over_written_in_place_or_exchanged_by_its_link_is_read_without_a_signal() {
    let (folder, provider) = (Folder::new(), provider());
    let write = |name: &str, more: &str| {
        std::fs::create_dir_all(folder.path(name)).expect("a folder can be made");
        std::fs::write(folder.path(name).join("config.yaml"), yaml(&provider, more)).expect("written");
    };
    let link = |to: &str, at: &str| {
        std::os::unix::fs::symlink(to, folder.path("next")).expect("linked");
        std::fs::rename(folder.path("next"), folder.path(at)).expect("renamed");
    };
    write("..one", "");
    write("..two", "retry: {wait_max: 2500ms}\n");
    link("..one", "..data");
    link("..data/config.yaml", "config.yaml");
    let gateway = Running::start(Start::new(&folder.path("config.yaml")));
    let hash = |line: &str| line.split("configuration ").nth(1).map(|rest| rest[..16].to_owned());
    link("..two", "..data");
    let first = hash(&gateway.wait_for_log("is in service"));
    assert!(gateway.get("/metrics").text().contains(&format!("hash=\"{}\"", first.clone().expect("a hash"))));
    folder.put("config.yaml", &yaml(&provider, "retry: {wait_max: 3s}\n"));
    let second = hash(&gateway.wait_for_logs("is in service", 2)[1]);
    std::fs::write(folder.path("config.yaml"), yaml(&provider, "retry: {wait_max: 4s}\n")).expect("written");
    let third = hash(&gateway.wait_for_logs("is in service", 3)[2]);
    assert!(first != second && second != third);
    folder.put("config.yaml", "providers: [");
    gateway.wait_for_log("the configuration is not changed");
    let metrics = gateway.get("/metrics").text();
    let third = third.expect("a hash");
    assert!(metrics.contains(&format!("hapax_config_info{{hash=\"{third}\"}} 1")));
    let told = gateway.get("/v1/status").json()["config"].clone();
    assert_eq!(told["hash"], third.as_str(), "the page names the one in service");
    let problem = told["refused"]["problem"].as_str().expect("and says why the other one is not");
    assert!(problem.starts_with("config.yaml:2:"), "the line is told, the folder is not: {problem}");
    folder.put("config.yaml", &yaml(&provider, "retry: {wait_max: 5s}\n"));
    gateway.wait_for_logs("is in service", 4);
    assert_eq!(gateway.get("/v1/status").json()["config"]["refused"], serde_json::Value::Null);
    assert!(metrics.contains("hapax_config_reloads_total{result=\"failure\"} 1\n"), "{metrics}");
}

#[test]
fn a_restart_behind_a_handed_over_socket_refuses_nobody() {
    let (folder, provider, socket) = (Folder::new(), provider(), listener());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let start = || Running::start(Start { socket: Some(&socket), ..Start::new(&config) });
    let over = AtomicBool::new(false);
    let address = socket.local_addr().expect("it is bound");
    std::thread::scope(|scope| {
        let mut gateway = start();
        let callers: Vec<_> = (0..3).map(|_| scope.spawn(|| ask_until(&over, address))).collect();
        for round in 1..=4 {
            provider.wait_for(round * 6, PATIENCE);
            gateway.signal(Signal::TERM);
            let (status, log) = gateway.ended();
            assert_eq!(status.code(), Some(0), "{log}");
            gateway = start();
        }
        gateway.wait_for_log("listens on");
        over.store(true, Ordering::SeqCst);
        for caller in callers {
            assert!(caller.join().expect("no request failed") > 0);
        }
    });
}

#[test]
fn what_is_killed_is_ready_again_at_its_port() {
    let (folder, provider) = (Folder::new(), provider());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let gateway = Running::start(Start::new(&config));
    let listen = format!("listen: '{}'", gateway.address());
    folder.put("config.yaml", &yaml(&provider, "").replace("listen: '127.0.0.1:0'", &listen));
    let mut caller = gateway.connect();
    caller.send("GET", "/health/live", &[], "");
    assert_eq!(caller.answer().status, 200);
    gateway.signal(Signal::KILL);
    assert_eq!(gateway.ended().0.code(), None);
    let gateway = Running::start(Start::new(&config));
    assert_eq!(gateway.get("/health/ready").status, 200);
}

#[test]
fn the_service_manager_is_told_of_readiness_reloads_the_end_and_that_all_is_well() {
    let (folder, provider) = (Folder::new(), provider());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let manager = UnixDatagram::bind(folder.path("notify")).expect("a socket can be made");
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let heard = || {
        let mut words = [0; 256];
        let length = manager.recv(&mut words).expect("we are told");
        String::from_utf8(words[..length].to_vec()).expect("words")
    };
    let next = || loop {
        let words = heard();
        if words != "WATCHDOG=1" {
            return words;
        }
    };
    let environment = vec![
        ("NOTIFY_SOCKET", folder.path("notify").display().to_string()),
        ("WATCHDOG_USEC", "400000".to_owned()),
    ];
    let gateway = Running::start(Start { environment, ..Start::new(&config) });
    assert_eq!(heard(), "READY=1");
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1");
    }
    gateway.signal(Signal::HUP);
    let reloading = next();
    let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
    assert!(matches!(micros, Some(Ok(1..))), "{reloading}");
    assert_eq!(next(), "READY=1");
    gateway.signal(Signal::TERM);
    assert_eq!(next(), "STOPPING=1");
    assert_eq!(gateway.ended().0.code(), Some(0));
}

#[test]
fn what_a_reload_does_not_change_goes_on_as_it_was() {
    let rig = Rig::with(&[OPENAI, OPENAI], "rate_limit: {requests_per_minute: 5}\n");
    rig.behave(0, "down");
    for _ in 0..3 {
        assert_eq!(rig.chat().status, 200);
    }
    let provider = |index: usize| rig.get("/v1/status").json()["providers"][index].clone();
    let (broken, well) = (provider(0), provider(1));
    assert_eq!(broken["circuit"], "open", "{broken}");
    rig.reload(&[OPENAI, OPENAI], "rate_limit: {requests_per_minute: 5}\nretry: {wait_max: 1s}\n");
    assert_eq!(provider(0)["circuit"], "open");
    assert_eq!(provider(1)["request_count"], well["request_count"]);
    assert_eq!(rig.chat().status, 200);
    assert_eq!(rig.chat().status, 200);
    assert_eq!(rig.chat().status, 429, "the allowance was used before the reload");
    rig.reload(&["ollama", OPENAI], "rate_limit: {requests_per_minute: 6}\n");
    assert_eq!(provider(0)["circuit"], "closed", "another provider under the old name begins anew");
    assert_eq!(provider(1)["request_count"], 5);
    assert_eq!(rig.chat().status, 200, "another allowance begins anew");
}

#[test]
fn a_log_nobody_reads_delays_no_request() {
    let (folder, provider, socket) = (Folder::new(), provider(), listener());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let (unread, log) = std::io::pipe().expect("a pipe");
    let start = Start { socket: Some(&socket), log: Some(Stdio::from(log)), ..Start::new(&config) };
    let gateway = Running::start(start);
    let id = "x".repeat(128);
    let dropped = at_once(2, |_| {
        let mut conversation = gateway.connect();
        for _ in 0..2_500 {
            conversation.send("GET", "/v1/models", &[("X-Request-ID", &id)], "");
            assert_eq!(conversation.answer().status, 200);
        }
        conversation.send("GET", "/metrics", &[], "");
        conversation.answer().text().lines().any(|line| {
            line.strip_prefix("hapax_log_lines_dropped_total ").is_some_and(|number| number != "0")
        })
    });
    assert!(dropped.contains(&true), "no line was dropped and counted");
    drop(unread);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().0.code(), Some(0));
}

#[test]
fn a_full_disk_under_the_log_delays_no_request() {
    let (folder, provider, socket) = (Folder::new(), provider(), listener());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the kernel has one");
    let start = Start { socket: Some(&socket), log: Some(Stdio::from(full)), ..Start::new(&config) };
    let gateway = Running::start(start);
    for _ in 0..20 {
        assert_eq!(gateway.get("/v1/models").status, 200);
    }
    let mut conversation = gateway.connect();
    until("lines were dropped and counted", || {
        conversation.send("GET", "/metrics", &[], "");
        !conversation.answer().text().contains("\nhapax_log_lines_dropped_total 0\n")
    });
}

#[test]
fn when_no_descriptor_is_left_it_recovers_as_soon_as_one_is() {
    use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
    let (folder, provider) = (Folder::new(), provider());
    let config = folder.put("config.yaml", &yaml(&provider, ""));
    let gateway = Running::start(Start::new(&config));
    let mut kept = gateway.connect();
    let live = |kept: &mut Conversation| {
        kept.send("GET", "/health/live", &[], "");
        kept.answer().status
    };
    assert_eq!(live(&mut kept), 200);
    let is_free =
        |number: &u64| !Path::new(&format!("/proc/{}/fd/{number}", gateway.pid().as_raw_nonzero())).exists();
    let first_free = (0..1024).find(is_free).expect("not all are in use");
    let limit = |current| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(Some(gateway.pid()), Resource::Nofile, Rlimit { current, maximum }).expect("it is our child")
    };
    let before = limit(Some(first_free)).current;
    let kept_open: Vec<_> = (0..16)
        .map(|_| {
            let mut conversation = gateway.connect();
            conversation.send("GET", "/health/live", &[], "");
            (conversation.answer().status, conversation)
        })
        .collect();
    assert_eq!(kept_open.last().map(|(status, _)| *status), Some(503), "nobody is left hanging");
    assert_eq!(live(&mut kept), 200, "who is in is served");
    kept.send("GET", "/metrics", &[], "");
    let counted = "hapax_rejected_total{reason=\"too_many_connections\"} ";
    let metrics = kept.answer().text();
    assert!(metrics.contains(counted) && !metrics.contains(&format!("{counted}0\n")), "{metrics}");
    limit(before);
    until("it has recovered", || gateway.get("/health/live").status == 200);
    assert_eq!(live(&mut kept), 200);
}

#[test]
fn what_does_not_fit_into_memory_is_shed_with_503_and_nobody_is_blamed() {
    let rig = Rig::built(
        &[OPENAI],
        ", retries: 0",
        "server: {memory_max: 2MiB, body_bytes_max: 1MiB}\nretry: {wait_max: 0s}\n",
    );
    rig.behave(0, "tokens=300000");
    let answer = rig.chat();
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{}", answer.text());
    rig.behave(0, "ok");
    let asked = rig.asked(0).len();
    let many = vec![r#"{"role":"user","content":"x"}"#; 6_000].join(",");
    let answer = rig.post("/v1/completions", &format!(r#"{{"messages":[{many}]}}"#));
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{}", answer.text());
    assert_eq!(rig.asked(0).len(), asked, "it was refused before the provider was asked");
    assert_eq!(rig.chat().status, 200);
    let provider = rig.get("/v1/status").json()["providers"][0].clone();
    assert_eq!((&provider["circuit"], &provider["healthy"]), (&"closed".into(), &true.into()));
    rig.wait_for_metric("hapax_memory_bytes{use=\"calls\"} 0");
}
