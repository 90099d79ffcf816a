//! Hapax: a small, calm gateway for language models. This page is the map.
//!
//! # Bird's eye
//!
//! Applications talk to Hapax as they talk to OpenAI, Anthropic or Ollama; Hapax talks to whatever providers
//! are configured, watches their health, and when one fails goes on with the next. It is a small synchronous
//! server around a pure core: a poller collects requests, a fixed pool of blocking workers serves them.
//!
//! # Rooms
//!
//! | room | what it is |
//! |---|---|
//! | [`domain`] | **What we decide.** Values and functions: no clock, thread, lock, log, JSON, file or socket |
//! | [`clock`] | The only place that asks what time it is |
//! | [`memory`] | What requests and answers hold, all rooms together, and how much that may be |
//! | [`dialect`] | **How others speak.** Bytes ⇄ domain, both directions, one folder per vendor. Nothing is sent here |
//! | [`config`] | **What we were told.** The YAML as typed, then settings that cannot be wrong |
//! | [`gateway`] | **The use case.** The one failover loop, flights, kept answers, slots, meter. Threads meet here; no I/O |
//! | [`server`] | **HTTP in.** Accepts, bounds, times and parses HTTP/1.1. Knows nothing of language models |
//! | [`upstream`] | **HTTP out.** Our client over sockets, TLS and what ureq builds through proxies; names, cancellation |
//! | [`telemetry`] | Metrics and log lines, worded from events |
//! | [`ledger`] | Usage that survives: sums in memory, one SQLite file, written off the request's path |
//! | [`api`] | **Endpoints.** A table (method, path) → endpoint; one file owns every status and error body |
//! | [`simulate`] | A provider that misbehaves on request: for tests, demo, drill and benchmarks |
//! | [`drill`] | The failure contract as a table of rows, each played against a gateway with simulated providers |
//! | [`cli`] | One file per command, and the one place where the rooms are wired together |
//!
//! Imports point down and never up: `cli → api → {server, gateway, dialect}`, `upstream → {dialect, gateway's
//! ports}`, `telemetry, ledger → gateway's ports → gateway → domain`. `gateway` never sees bytes, `dialect` never sees
//! a socket, `server` never sees a model. The table is a test: `tests/it/tidy.rs`.
//!
//! # One request's life
//!
//! ```text
//! socket ─▶ server: accept ─▶ poller collects head + body within limits ─▶ lane (bounded; full: 503) ─▶ worker
//!        ─▶ api: endpoint ─▶ key ─▶ meter ─▶ dialect: open ─▶ gateway ─▶ kept answer? ─▶ flight (follower? wait)
//!        ─▶ route: candidates in order ─▶ for each: admit (breaker, health, permits) ─▶ upstream: encode, send, read ─▶ verdict
//!             ├─ answer: commit, deliver event by event ── failure after commit ─▶ splice and go on
//!             └─ failure: record, next candidate
//! socket ◀─ server: write, flush ◀─ dialect: encode ◀─ one Event ─▶ metrics, log, ledger
//! ```
//!
//! Control lane: `/health*`, `/metrics`, `/`: their own small pool, so that full lanes never fail a probe.
//!
//! # Invariants (each is an absence, each has a test)
//!
//! 1. No function in `domain` reads time, takes a lock or starts a thread; time is an argument.
//! 2. No lock is held across a call through a port, a log line or an observation.
//! 3. No queue, buffer, map, loop, wait or label set without a limit that has a name and a unit.
//! 4. No thread that is not named, owned and joined, but for a look-up the resolver may never end; `Drop` only releases.
//! 5. No secret in a log, metric, error, `Debug` output or panic; keys are a type that prints `***`.
//! 6. No byte from an unauthenticated caller reaches a provider, and no caller chooses a host.
//! 7. No connection to a host that is not in the configuration; no telemetry, no download, no update check.
//! 8. No truncated answer that looks complete.
//! 9. No `unsafe` in our code.
//!
//! # Lexicon (one word, one meaning)
//!
//! *provider* a configured upstream · *slot* a provider in service · *dialect* a wire format · *endpoint* a path
//! of ours · *candidate* a provider with the model it would be asked for · *attempt* one try at one provider ·
//! *verdict* whose fault a failure is · *commit* the moment bytes reach the caller · *splice* continuing a
//! committed stream · *flight, leader, follower* one upstream call shared by identical requests · *lane* a bounded
//! queue with its workers · *permit* leave to use something, handed back · *closed / open / half-open* passes /
//! refuses / on trial · *check* the health thread's question · *caller* who asks us.

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dialect;
pub mod domain;
pub mod drill;
pub mod gateway;
pub mod ledger;
pub mod memory;
pub mod server;
pub mod simulate;
pub mod telemetry;
pub mod upstream;
