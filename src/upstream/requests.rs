//! What a request to one provider looks like: its address and its headers.
//!
//! | kind | address | key |
//! |---|---|---|
//! | OpenAI, compatible | `{base_url}/v1{path}` | `Authorization: Bearer KEY` |
//! | Anthropic | `{base_url}/v1{path}` | `x-api-key: KEY`, with `anthropic-version` |
//! | Gemini | `{base_url}/v1beta{path}`; the path holds the model | `x-goog-api-key: KEY` |
//! | Azure with a version | `{base_url}/openai/deployments/{deployment}{path}?api-version=V` | `api-key: KEY` |
//! | Azure without | `{base_url}/openai/v1{path}` | `api-key: KEY` |
//! | Azure's Responses with a version | `{base_url}/openai/responses?api-version=V`; the body names the deployment | `api-key: KEY` |
//! | Ollama | `{base_url}{path}`; paths begin with `/api` | `Authorization: Bearer KEY`, if there is one |

use crate::config::{Kind, Provider};
use crate::dialect::{Body, Slashes, place};
use crate::domain::digits::{DECIMAL_BYTES, decimal};
use crate::domain::key::Secret;
use crate::domain::words::Dialect;
use crate::gateway::ports::Question;
use std::borrow::Cow;
use ureq::http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use ureq::http::uri::{Authority, PathAndQuery};
use ureq::http::{HeaderMap, HeaderValue, Uri};

/// Headers that are HTTP's business, not the configuration's.
const FORBIDDEN: [&str; 6] =
    ["accept-encoding", "connection", "content-length", "expect", "transfer-encoding", "upgrade"];

/// Headers that a request may have of its own, and that then go before what is configured.
const OWN: [&str; 4] = ["x-request-id", "traceparent", "anthropic-beta", "anthropic-version"];

/// How Azure's older API is addressed: by deployments, with a version.
struct Azure {
    /// `?api-version=V`.
    query: String,
}

/// The shape of requests to one provider.
pub(super) struct Requests {
    /// `base_url`, with `/v1` or what else the kind has there.
    root: String,
    /// Where a model is named in the address.
    azure: Option<Azure>,
    /// The addresses asked most: put together once.
    known: Vec<(&'static str, Address)>,
    /// Where the kind wants the key.
    key_header: HeaderName,
    /// What stands in every request, as it is written,
    fixed: Vec<u8>,
    /// and what may have to stand back, each with its whole line.
    lines: Vec<(HeaderName, Vec<u8>)>,
}

/// Where a request goes.
#[derive(Clone)]
pub(super) struct Address {
    uri: Uri,
    /// Its head behind the method, up to what not every request says.
    start: Vec<u8>,
}

/// One request.
pub(super) struct Sending<'a> {
    requests: &'a Requests,
    address: &'a Address,
    key: Option<&'a HeaderValue>,
    question: Option<&'a Question>,
    /// Headers of the caller's own.
    passed: &'a [(&'static str, String)],
    /// `None`: a `GET`.
    body: Option<&'a Body>,
}

impl Requests {
    /// As configured.
    ///
    /// # Errors
    /// An address or a header that cannot be sent; no secret is in the words.
    pub(super) fn new(settings: &Provider) -> Result<Self, String> {
        let root = root(settings);
        let azure = settings.api_version.as_deref().filter(|_| settings.kind == Kind::Azure);
        let azure = azure.map(|version| Azure { query: format!("?api-version={version}") });
        let uri: Uri = root.parse().map_err(|_| "base_url: is not an address".to_owned())?;
        if !matches!(uri.scheme_str(), Some("http" | "https"))
            || uri.host().is_none()
            || uri.query().is_some()
        {
            return Err("base_url: must be an http:// or https:// address without a query".to_owned());
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("hapax/", env!("CARGO_PKG_VERSION"))));
        if settings.kind == Kind::Anthropic {
            let version = HeaderValue::from_str(&settings.version)
                .map_err(|_| "version: cannot be sent as a header")?;
            headers.insert(HeaderName::from_static("anthropic-version"), version);
        }
        for (name, value) in &settings.headers {
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("headers: {name:?} is not a header's name"))?;
            if FORBIDDEN.contains(&header.as_str()) {
                return Err(format!("headers: {name} is set by the connection itself"));
            }
            headers.insert(header, sensitive(value.reveal()).ok_or_else(|| unsendable(name))?);
        }
        let key_header = match settings.kind {
            Kind::Anthropic => HeaderName::from_static("x-api-key"),
            Kind::Gemini => HeaderName::from_static("x-goog-api-key"),
            Kind::Azure => HeaderName::from_static("api-key"),
            Kind::OpenAi | Kind::OpenAiCompatible | Kind::Ollama => AUTHORIZATION,
        };
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.clone(), [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat())
        };
        let (yielding, fixed): (Vec<_>, Vec<_>) =
            headers.iter().map(line).partition(|(name, _)| *name == key_header || yields(name));
        let fixed = fixed.into_iter().flat_map(|(_, line)| line).collect();
        let mut requests = Self { root, azure, known: Vec::new(), key_header, fixed, lines: yielding };
        if requests.azure.is_none() {
            let asked = ["/chat/completions", "/messages", "/api/chat", "/responses"];
            requests.known = asked.iter().filter_map(|path| Some((*path, requests.at(path)?))).collect();
        }
        Ok(requests)
    }

    /// The header values of the configured keys.
    ///
    /// # Errors
    /// A key that cannot be sent as a header.
    pub(super) fn keys(&self, keys: &[Secret]) -> Result<Vec<HeaderValue>, String> {
        let prefix = if self.key_header == AUTHORIZATION { "Bearer " } else { "" };
        let value = |key: &Secret| {
            sensitive(&format!("{prefix}{}", key.reveal())).ok_or_else(|| unsendable("the key"))
        };
        keys.iter().map(value).collect()
    }

    /// The address of a path below the API's root. `model`, in the provider's own words, is part of some; `None` when
    /// it cannot be.
    pub(super) fn address(&self, path: &str, model: &str) -> Option<Cow<'_, Address>> {
        if let Some(Azure { query }) = &self.azure {
            if path == "/responses" {
                return self.at(&format!("{path}{query}")).map(Cow::Owned);
            }
            let deployment = place(model, Slashes::Escaped)?;
            return self.at(&format!("/deployments/{deployment}{path}{query}")).map(Cow::Owned);
        }
        let known = self.known.iter().find(|(known, _)| *known == path);
        known.map(|(_, address)| Cow::Borrowed(address)).or_else(|| self.at(path).map(Cow::Owned))
    }

    fn at(&self, path: &str) -> Option<Address> {
        let uri = Uri::try_from(format!("{}{path}", self.root)).ok()?;
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let host = uri.authority().map_or("", Authority::as_str);
        let mut start = format!(" {path} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
        start.extend_from_slice(&self.fixed);
        Some(Address { uri, start })
    }

    /// The address of the free question.
    pub(super) fn check_address(&self, kind: Kind) -> Option<Address> {
        let query = self.azure.as_ref().map_or("", |azure| azure.query.as_str());
        self.at(&format!("{}{query}", check_path(kind)))
    }

    /// A `POST` of a JSON body; `passed` are headers of the caller's own.
    pub(super) fn post<'a>(
        &'a self,
        address: &'a Address,
        key: Option<&'a HeaderValue>,
        (question, passed): (&'a Question, &'a [(&'static str, String)]),
        body: &'a Body,
    ) -> Sending<'a> {
        Sending { requests: self, address, key, question: Some(question), passed, body: Some(body) }
    }

    /// A `GET`.
    pub(super) fn get<'a>(&'a self, address: &'a Address, key: Option<&'a HeaderValue>) -> Sending<'a> {
        Sending { requests: self, address, key, question: None, passed: &[], body: None }
    }
}

impl Sending<'_> {
    /// Where it goes.
    pub(super) fn uri(&self) -> &Uri {
        &self.address.uri
    }

    /// What is sent behind the head.
    pub(super) fn body(&self) -> Option<&Body> {
        self.body
    }

    /// Writes the head (RFC 9112, section 3).
    #[inline(never)]
    pub(super) fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.body.is_some() { b"POST" } else { b"GET" });
        out.extend_from_slice(&self.address.start);
        let key = self.key.map(|key| (&self.requests.key_header, key));
        for (name, line) in &self.requests.lines {
            let stands_back = key.is_some_and(|(key, _)| key == name)
                || self.own().any(|(own, value)| own == name.as_str() && fits(value))
                || (*name == CONTENT_TYPE && self.body.is_none());
            if !stands_back {
                out.extend_from_slice(line);
            }
        }
        if let Some((name, value)) = key {
            field(out, name.as_str(), value.as_bytes());
        }
        for (name, value) in self.own().filter(|(_, value)| fits(value)) {
            field(out, name, value.as_bytes());
        }
        if let Some(body) = self.body {
            field(out, "content-length", decimal(body.len() as u64, &mut [0; DECIMAL_BYTES]).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// What this request says besides, and the provider's other requests do not. A value that does not fit is left out.
    fn own(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let request_id = self.question.map(|question| ("x-request-id", &*question.request_id));
        let trace =
            self.question.and_then(|question| Some(("traceparent", question.traceparent.as_deref()?)));
        let passed = self.passed.iter().map(|(name, value)| (*name, value.as_str()));
        request_id.into_iter().chain(trace).chain(passed)
    }
}

/// Whether a header can carry a value.
fn fits(value: &str) -> bool {
    value.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~' | b'\t'))
}

/// Whether a configured header may have to stand back.
fn yields(name: &HeaderName) -> bool {
    *name == CONTENT_TYPE || OWN.contains(&name.as_str())
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Where the kind's API begins. A version or a product that was written into `base_url` is not added again.
fn root(settings: &Provider) -> String {
    let base = settings.base_url.trim_end_matches('/');
    match settings.kind {
        Kind::OpenAi | Kind::OpenAiCompatible | Kind::Anthropic => format!("{base}/v1"),
        Kind::Ollama => base.to_owned(),
        Kind::Gemini if base.ends_with("/v1beta") || base.ends_with("/v1alpha") => base.to_owned(),
        Kind::Gemini => format!("{base}/v1beta"),
        Kind::Azure => {
            let version = if settings.api_version.is_some() { "" } else { "/v1" };
            format!("{}/openai{version}", base.trim_end_matches("/openai"))
        }
    }
}

/// The free question of a kind: below the root.
fn check_path(kind: Kind) -> &'static str {
    match kind {
        Kind::OpenAi | Kind::OpenAiCompatible | Kind::Azure | Kind::Anthropic | Kind::Gemini => "/models",
        Kind::Ollama => "/api/version",
    }
}

/// What a kind speaks.
pub(super) fn dialect(kind: Kind) -> Dialect {
    match kind {
        Kind::OpenAi | Kind::OpenAiCompatible | Kind::Azure => Dialect::OpenAiChat,
        Kind::Gemini => Dialect::Gemini,
        Kind::Anthropic => Dialect::Anthropic,
        Kind::Ollama => Dialect::Ollama,
    }
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn unsendable(what: &str) -> String {
    format!("{what} holds a character that no header can carry")
}
