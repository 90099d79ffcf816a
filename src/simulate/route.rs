//! Which vendor is spoken to and what is asked of it, by method, path and headers.

use super::complaint::Complaint;
use super::http::Request;

/// Whose dialect is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    /// Chat completions, embeddings, models.
    OpenAi,
    /// Messages, models, count_tokens.
    Anthropic,
    /// Chat, generate, embed and the rest of `/api`.
    Ollama,
    /// Content and models, below `/v1beta`.
    Gemini,
    /// OpenAI's chat and models, below `/openai`.
    Azure,
    /// OpenAI's Responses, and Azure's.
    Responses,
}

/// What a path says of the request besides the endpoint.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The model or deployment.
    pub model: Option<String>,
    /// Whether a stream is asked for.
    pub stream: bool,
}

/// Reads the model out of Gemini's and Azure's paths.
pub(super) fn named(path: &str) -> Named {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if let Some(rest) = path.strip_prefix("/v1beta/") {
        let (model, method) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let model = model.strip_prefix("models/").unwrap_or(model);
        let stream = method == "streamGenerateContent" && query.split('&').any(|part| part == "alt=sse");
        return Named { model: Some(decoded(model)), stream };
    }
    let deployment = path.strip_prefix("/openai/deployments/").and_then(|rest| rest.split('/').next());
    Named { model: deployment.map(decoded), stream: false }
}

/// Percent-encoding taken away (RFC 3986, section 2.1).
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A chat answer.
    Chat,
    /// Ollama's completion of a prompt.
    Generate,
    /// Vectors.
    Embeddings,
    /// The list of models.
    Models,
    /// Anthropic's count of tokens.
    CountTokens,
    /// Ollama's version.
    Version,
    /// Ollama's models in memory.
    Loaded,
    /// Ollama's description of a model.
    Show,
    /// Ollama's "is running".
    Root,
}

impl Endpoint {
    /// Whether this is work, rather than a question about the provider.
    pub(super) fn is_completion(self) -> bool {
        matches!(self, Self::Chat | Self::Generate | Self::Embeddings)
    }
}

/// The vendor that this request seems to speak to, and what it asks.
pub(super) fn route(request: &Request) -> (Vendor, Result<Endpoint, Complaint>) {
    let path = request.path.split('?').next().unwrap_or_default();
    let v1 = if request.anthropic_version || request.api_key.is_some() {
        Vendor::Anthropic
    } else {
        Vendor::OpenAi
    };
    if path.starts_with("/v1beta/") || path.starts_with("/openai/") {
        return beside(request, path);
    }
    let (vendor, method, endpoint) = match path {
        "/v1/chat/completions" => (Vendor::OpenAi, "POST", Endpoint::Chat),
        "/v1/responses" => (Vendor::Responses, "POST", Endpoint::Chat),
        "/v1/embeddings" => (Vendor::OpenAi, "POST", Endpoint::Embeddings),
        "/v1/models" => (v1, "GET", Endpoint::Models),
        "/v1/messages" => (Vendor::Anthropic, "POST", Endpoint::Chat),
        "/v1/messages/count_tokens" => (Vendor::Anthropic, "POST", Endpoint::CountTokens),
        "/api/chat" => (Vendor::Ollama, "POST", Endpoint::Chat),
        "/api/generate" => (Vendor::Ollama, "POST", Endpoint::Generate),
        "/api/embed" => (Vendor::Ollama, "POST", Endpoint::Embeddings),
        "/api/show" => (Vendor::Ollama, "POST", Endpoint::Show),
        "/api/tags" => (Vendor::Ollama, "GET", Endpoint::Models),
        "/api/version" => (Vendor::Ollama, "GET", Endpoint::Version),
        "/api/ps" => (Vendor::Ollama, "GET", Endpoint::Loaded),
        "/" => (Vendor::Ollama, "GET", Endpoint::Root),
        _ => {
            let vendor = if path.starts_with("/api/") { Vendor::Ollama } else { v1 };
            let message = format!("Invalid URL ({} {path})", request.method);
            return (vendor, Err(Complaint::refused(404, message)));
        }
    };
    if request.method == method {
        (vendor, Ok(endpoint))
    } else {
        let message = format!("Not allowed to {} on {path}", request.method);
        (vendor, Err(Complaint::refused(405, message)))
    }
}

/// The paths of Gemini and Azure, which hold a model or a version.
fn beside(request: &Request, path: &str) -> (Vendor, Result<Endpoint, Complaint>) {
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    if path.starts_with("/v1beta/") {
        let endpoint = match (request.method.as_str(), path.rsplit_once(':').map(|(_, method)| method)) {
            ("POST", Some("generateContent")) => Endpoint::Chat,
            ("POST", Some("batchEmbedContents")) => Endpoint::Embeddings,
            ("POST", Some("streamGenerateContent")) if query.contains("alt=sse") => Endpoint::Chat,
            ("GET", None) if path == "/v1beta/models" => Endpoint::Models,
            _ => return (Vendor::Gemini, Err(Complaint::Status(404))),
        };
        return (Vendor::Gemini, Ok(endpoint));
    }
    let versioned =
        query.split('&').any(|part| part.strip_prefix("api-version=").is_some_and(|v| !v.is_empty()));
    let rest = path.strip_prefix("/openai").unwrap_or(path);
    let deployed = rest.strip_prefix("/deployments/").and_then(|rest| rest.split_once('/'));
    let endpoint = match (request.method.as_str(), rest, deployed) {
        ("POST", "/v1/chat/completions", _) => Endpoint::Chat,
        ("POST", "/v1/embeddings", _) => Endpoint::Embeddings,
        ("GET", "/v1/models", _) => Endpoint::Models,
        ("POST", "/v1/responses", _) => return (Vendor::Responses, Ok(Endpoint::Chat)),
        ("POST", "/responses", _) if versioned => return (Vendor::Responses, Ok(Endpoint::Chat)),
        ("POST", _, Some((_, "chat/completions"))) if versioned => Endpoint::Chat,
        ("POST", _, Some((_, "embeddings"))) if versioned => Endpoint::Embeddings,
        ("GET", "/models", _) if versioned => Endpoint::Models,
        _ => return (Vendor::Azure, Err(Complaint::refused(404, "Resource not found"))),
    };
    (Vendor::Azure, Ok(endpoint))
}

/// Whether the vendor lets this caller in.
pub(super) fn admit(vendor: Vendor, request: &Request, key: Option<&str>) -> Result<(), Complaint> {
    let vendor = match vendor {
        Vendor::Responses if request.path.starts_with("/openai/") => Vendor::Azure,
        Vendor::Responses => Vendor::OpenAi,
        other => other,
    };
    let bearer = request.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer "));
    match vendor {
        Vendor::Anthropic => {
            let Some(shown) = request.api_key.as_deref().or(bearer) else {
                return Err(Complaint::refused(401, "x-api-key header is required"));
            };
            if key.is_some_and(|key| key != shown) {
                return Err(Complaint::Status(401));
            }
            if !request.anthropic_version {
                return Err(Complaint::invalid("anthropic-version: header is required", None, None));
            }
        }
        Vendor::Gemini => {
            let query = request.path.split_once('?').map_or("", |(_, query)| query);
            let in_query = query.split('&').any(|part| part.starts_with("key="));
            if in_query
                || request.goog_api_key.is_none()
                || key.is_some_and(|key| Some(key) != request.goog_api_key.as_deref())
            {
                return Err(Complaint::Status(401));
            }
        }
        Vendor::Azure => {
            let shown = request.azure_key.as_deref().or(bearer);
            if shown.is_none() || key.is_some_and(|key| Some(key) != shown) {
                return Err(Complaint::Status(401));
            }
        }
        Vendor::OpenAi | Vendor::Ollama | Vendor::Responses => {
            if key.is_some() && bearer.is_none() && vendor == Vendor::OpenAi {
                return Err(Complaint::refused(401, "You didn't provide an API key."));
            }
            if key.is_some_and(|key| Some(key) != bearer) {
                return Err(Complaint::Status(401));
            }
        }
    }
    Ok(())
}
