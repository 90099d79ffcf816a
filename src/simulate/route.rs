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
    let (vendor, method, endpoint) = match path {
        "/v1/chat/completions" => (Vendor::OpenAi, "POST", Endpoint::Chat),
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

/// Whether the vendor lets this caller in.
pub(super) fn admit(vendor: Vendor, request: &Request, key: Option<&str>) -> Result<(), Complaint> {
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
        Vendor::OpenAi | Vendor::Ollama => {
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
