//! `hapax demo`: two simulated providers, one failing on a schedule, and a gateway before them.

use super::assemble::House;
use super::duty::{self, Duty};
use super::systemd::Notify;
use super::{Failed, print};
use crate::clock::SystemClock;
use crate::config;
use crate::simulate::Simulator;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// Ten good seconds, then ten bad ones.
const SCHEDULE: &str = "flap=10s/10s:status=503";

pub(super) fn run(listen: &str) -> Result<(), Failed> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| Failed::Running(format!("{what}: {error}"))
    };
    let signals = duty::signals()?;
    let clock = Arc::new(SystemClock);
    let start =
        || Simulator::start("127.0.0.1:0", Arc::clone(&clock) as _).map_err(failed("no port for a provider"));
    let (first, second) = (start()?, start()?);
    for simulator in [&first, &second] {
        simulator.behave("pace=30ms").map_err(|error| Failed::Running(error.to_string()))?;
    }
    first.behave(&format!("pace=30ms,{SCHEDULE}")).map_err(|error| Failed::Running(error.to_string()))?;
    let listener = TcpListener::bind(listen).map_err(|error| super::cannot_listen(listen, &error))?;
    let yaml = configuration(&first.url(), &second.url());
    let settings =
        config::parse("demo", &yaml, &|_| None).map_err(|problems| Failed::Config(problems.to_string()))?;
    let house = House::open(&settings, listener, clock, std::io::stderr()).map_err(Failed::Running)?;
    print(&welcome(&house.address().to_string()))?;
    let (notify, patience) = (Notify::from_environment(), Duration::from_secs(5));
    let duty = Duty { reload: None, watch: None, notify, patience };
    let ended = duty.until_ended(house, signals);
    first.stop();
    second.stop();
    ended
}

fn configuration(first: &str, second: &str) -> String {
    format!(
        "providers:\n\
         \x20 flaky: {{type: openai_compatible, base_url: '{first}', model: demo-large, retries: 0}}\n\
         \x20 steady: {{type: anthropic, base_url: '{second}', api_key: demo, model: demo-claude}}\n\
         provider_preference: [flaky, steady]\n\
         circuit_breaker: {{failure_threshold: 3, timeout: 3s}}\n\
         health_check: {{interval: 5s}}\n\
         logging: {{format: text}}\n"
    )
}

fn welcome(address: &str) -> String {
    format!(
        "\
Hapax demo on http://{address}

  flaky   an OpenAI provider that answers 503 for ten seconds out of every twenty
  steady  an Anthropic provider that does not

Ask it, as often as you like; no request fails:

  curl -i http://{address}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'

Watch a stream, and watch a failover (ask for a second each time; see X-Hapax-Attempts):

  curl -N http://{address}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'

  for i in $(seq 30); do curl -s -D- -o /dev/null http://{address}/v1/completions \\
    -H 'Content-Type: application/json' -d '{{\"input\":\"Hello\"}}' | grep -i x-hapax-attempts; sleep 1; done

Look at it: http://{address}/   health: http://{address}/health   metrics: http://{address}/metrics
Ctrl-C ends it.
"
    )
}
