//! What we were told: settings that cannot be wrong. `file.rs` is the YAML as typed, `env.rs` expands it.

mod callers;
mod checks;
mod describe;
mod env;
mod file;
mod keys;
mod kinds;
mod litellm;
mod load;
mod page;
mod presets;
mod problem;
mod providers;
mod quirks;
mod reading;
mod redaction;
mod render;
mod settings;
mod spelling;
#[cfg(test)]
mod tests;
mod value;

pub use crate::domain::balance::Strategy;
pub use describe::describe;
pub use env::{Env, process as process_environment};
pub use litellm::{Imported, import_litellm};
pub use load::{defaults, find, listener, load, parse};
pub use problem::{Problem, Problems};
pub use render::{effective, egress};

use crate::domain::budget::Allowance;
use crate::domain::key::Secret;
use crate::domain::limit::Limits;
use crate::domain::price::{Price, Prices, Vendor};
use crate::domain::quirks::Quirks;
use crate::domain::words::OddCharacters;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Everything, as meant. No `Option` here means "default".
#[derive(Debug, Clone)]
pub struct Settings {
    /// The front door.
    pub server: Server,
    /// The providers, in the order the file lists them; names are unique.
    pub providers: Vec<Provider>,
    /// Every provider's name, once, most preferred first (those not named in the file follow in file order).
    pub preference: Vec<String>,
    /// How candidates are ordered.
    pub strategy: Strategy,
    /// Names of one's own, each with its complete list of targets.
    pub models: Vec<VirtualModel>,
    /// Circuit breakers.
    pub breaker: Breaker,
    /// Health checks.
    pub health: Health,
    /// A `Retry-After` up to this is waited out.
    pub retry_wait_max: Duration,
    /// What happens to a stream that breaks.
    pub on_stream_failure: OnStreamFailure,
    /// While a stream has nothing to say, something meaningless is said this often.
    pub keep_alive: Duration,
    /// Whether identical requests in flight share one call.
    pub deduplicate: bool,
    /// What becomes of characters in requests that no text has.
    pub odd_characters: OddCharacters,
    /// Rules that take private words out of requests and answers.
    pub redaction: Option<Redaction>,
    /// Kept answers; `None`: none are.
    pub cache: Option<Cache>,
    /// Keys of callers; empty: no key is asked for.
    pub keys: Vec<CallerKey>,
    /// Wrong keys from one address in a minute; past it they are told to wait.
    pub wrong_keys_per_minute: u32,
    /// What each client address may use, when no key is configured.
    pub per_address: Limits,
    /// What all callers together may use of an endpoint; rules without limits are left out.
    pub routes: Vec<Route>,
    /// The operator's own prices by model or pattern.
    pub own_prices: Vec<(String, Price)>,
    /// Where usage is kept, and for how long.
    pub usage: Usage,
    /// Put first on Hapax's own endpoint when the caller gives no instructions.
    pub system_prompt: Option<String>,
    /// Origins allowed by CORS; `*` is any.
    pub cors_origins: Vec<String>,
    /// Logging.
    pub logging: Logging,
    /// What the operator should know but need not act on: keys without effect, odd combinations.
    pub warnings: Vec<String>,
    /// Lowercase hex of the first 8 bytes of the file's SHA-256; `defaults` without a file.
    pub hash: String,
}

/// Rules that take private words out of requests and answers; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// What is done with what is found.
    pub mode: crate::domain::redact::Mode,
    /// The rules, in the order of the file.
    pub rules: Vec<crate::domain::redact::Rule>,
}

/// Kept answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// An answer is given again for this long.
    pub ttl: Duration,
    /// Bytes kept at most.
    pub bytes_max: usize,
}

/// The front door's limits and times; each is documented in the contract, section 2.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the file, documented there with their units")]
pub struct Server {
    /// Host and port, as the file or the default says: `127.0.0.1:8080`.
    pub listen: String,
    pub workers: usize,
    pub queue: usize,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub header_bytes_max: usize,
    pub body_bytes_max: usize,
    pub memory_max: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub idle_timeout: Duration,
    pub write_timeout: Duration,
    pub request_timeout: Duration,
    pub shutdown_timeout: Duration,
    pub trusted_proxies: Vec<Network>,
}

/// An address range in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The network's address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// api.openai.com.
    OpenAi,
    /// api.anthropic.com.
    Anthropic,
    /// Ollama's native API.
    Ollama,
    /// Google's Gemini API.
    Gemini,
    /// OpenAI's models at Azure.
    Azure,
    /// Anything that speaks OpenAI chat completions.
    OpenAiCompatible,
}

/// One provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name: `[A-Za-z0-9._-]{1,64}`.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// The type as the file calls it: `groq` speaks as `openai_compatible` does.
    pub type_word: &'static str,
    /// Whose prices it charges.
    pub vendor: Vendor,
    /// Scheme, host, port and path prefix, without a trailing slash and without a trailing `/v1`.
    pub base_url: String,
    /// Our keys there, a pool; may be empty.
    pub keys: Vec<Secret>,
    /// For callers who name no model, and when this provider stands in for another.
    pub model: String,
    /// Patterns (`*` is any run of characters) of the names it serves itself; contains `model` if nothing else.
    pub models: Vec<String>,
    /// Calls at once; past it the provider counts as busy.
    pub max_concurrency: usize,
    /// No connection within this.
    pub connect_timeout: Duration,
    /// No first token of a stream within this.
    pub first_token_timeout: Duration,
    /// No head of a whole answer within this: a model may think for minutes before it says anything.
    pub answer_timeout: Duration,
    /// No further content within this.
    pub idle_timeout: Duration,
    /// The whole call, streams excepted.
    pub total_timeout: Duration,
    /// What it may be asked for in a minute; past it it counts as busy.
    pub limits: Limits,
    /// More tries at the same provider, before the next one.
    pub retries: u32,
    /// PEM file with a private CA.
    pub ca_file: Option<PathBuf>,
    /// Proxy URL, which may hold a password; never taken from the environment.
    pub proxy: Option<Secret>,
    /// Headers added to every request.
    pub headers: Vec<(String, Secret)>,
    /// Output bound where the dialect requires one and the caller gave none.
    pub max_tokens: u64,
    /// `anthropic-version`.
    pub version: String,
    /// Ollama's `num_ctx`.
    pub num_ctx: Option<u64>,
    /// Ollama's `keep_alive`.
    pub keep_alive: Option<String>,
    /// Its share of the traffic among equals; 0: only when nobody else is left.
    pub weight: u32,
    /// Azure's `api-version`; `None`: the API without one.
    pub api_version: Option<String>,
    /// Azure: the deployment of each model that is not called like it.
    pub deployments: Vec<(String, String)>,
    /// What it accepts otherwise than its dialect says.
    pub quirks: Quirks,
}

/// A name of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualModel {
    /// The name callers use.
    pub name: String,
    /// Provider name and model, most preferred first; complete: nobody else stands in.
    pub targets: Vec<(String, String)>,
}

/// Circuit breakers' numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Consecutive failures that open it; at least 1.
    pub failure_threshold: u32,
    /// While closed, counts are cleared this often.
    pub interval: Duration,
    /// How long it stays open at first.
    pub timeout: Duration,
    /// Trials at once while half-open; at least 1.
    pub max_requests: u32,
}

/// Health checks' numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Between checks.
    pub interval: Duration,
    /// One check's patience.
    pub timeout: Duration,
    /// Failed checks that mark a provider unhealthy; at least 1.
    pub failure_threshold: u32,
}

/// What happens to a committed stream that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStreamFailure {
    /// The next provider goes on.
    Continue,
    /// It ends with an error frame.
    End,
}

/// A caller's key.
#[derive(Debug, Clone)]
pub struct CallerKey {
    /// Its name, for logs and metrics.
    pub name: String,
    /// SHA-256 of the key's bytes; several while one key is replaced by the next. Never empty.
    pub hashes: Vec<[u8; 32]>,
    /// Patterns of models it may use; empty: all.
    pub models: Vec<String>,
    /// Patterns of paths it may ask at; empty: all.
    pub endpoints: Vec<String>,
    /// The operator's own words about it.
    pub labels: Vec<(String, String)>,
    /// When it ends.
    pub expires: Option<SystemTime>,
    /// What it may use.
    pub limits: Limits,
    /// What it may cost.
    pub budget: Option<Allowance>,
    /// Whether it may pin a provider with `X-Hapax-Provider`.
    pub may_pin: bool,
    /// Whether it sees the requests and the usage of others.
    pub admin: bool,
}

/// What all callers together may use of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// A path of ours, or a pattern of them.
    pub path: String,
    /// How much.
    pub limits: Limits,
}

impl Settings {
    /// What tokens cost: the operator's own prices, then the built-in table's.
    #[must_use]
    pub fn prices(&self) -> Prices {
        callers::known_prices(&self.providers, &self.own_prices)
    }
}

/// Where usage is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The ledger's file; `None`: in memory.
    pub path: Option<PathBuf>,
    /// Older usage is forgotten.
    pub keep: Duration,
}

/// Logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// The least important level that is written.
    pub level: Level,
    /// How lines look.
    pub format: LogFormat,
    /// Whether prompts and answers are written.
    pub prompts: bool,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the usual five")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}
