//! Every error a provider can complain of, in the words and with the status of each vendor.

use super::behaviour::Instead;
use super::route::Vendor;
use serde_json::{Value, json};

/// What a provider complains of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Complaint {
    /// Just a status.
    Status(u16),
    /// The prompt exceeds the context window.
    ContextLength,
    /// There is no such model.
    UnknownModel,
    /// A parameter is wrong.
    BadRequest,
    /// The content policy forbids it.
    ContentPolicy,
    /// The account is out of credit.
    InsufficientQuota,
    /// The request was refused with this message, parameter and code.
    Refused { status: u16, message: String, param: Option<String>, code: Option<&'static str> },
}

impl Complaint {
    /// A request that is wrong: 400.
    pub(super) fn invalid(
        message: impl Into<String>,
        param: Option<&str>,
        code: Option<&'static str>,
    ) -> Self {
        Self::Refused { status: 400, message: message.into(), param: param.map(Into::into), code }
    }

    /// A refusal with another status.
    pub(super) fn refused(status: u16, message: impl Into<String>) -> Self {
        Self::Refused { status, message: message.into(), param: None, code: None }
    }

    /// The complaint that a behaviour demands.
    pub(super) fn demanded(instead: Instead) -> Option<Self> {
        Some(match instead {
            Instead::Status(status) if status >= 300 => Self::Status(status),
            Instead::ContextLength => Self::ContextLength,
            Instead::UnknownModel => Self::UnknownModel,
            Instead::BadRequest => Self::BadRequest,
            Instead::ContentPolicy => Self::ContentPolicy,
            Instead::InsufficientQuota => Self::InsufficientQuota,
            _ => return None,
        })
    }

    /// Status and body as this vendor has them.
    pub(super) fn word(&self, vendor: Vendor, model: &str, number: u64) -> (u16, String) {
        match vendor {
            Vendor::OpenAi | Vendor::Responses => openai(self, model),
            Vendor::Azure => azure(self, model),
            Vendor::Gemini => super::gemini::complaint(self, model),
            Vendor::Anthropic => anthropic(self, model, number),
            Vendor::Ollama => ollama(self, model),
        }
    }
}

fn openai(complaint: &Complaint, model: &str) -> (u16, String) {
    const REQUEST: &str = "invalid_request_error";
    type Fields = (u16, &'static str, String, Option<String>, Option<&'static str>);
    let (status, kind, message, param, code): Fields = match complaint {
        Complaint::Status(status) => {
            let (kind, message, code) = openai_status(*status);
            (*status, kind, message.to_owned(), None, code)
        }
        Complaint::ContextLength => (
            400,
            REQUEST,
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130042 \
             tokens. Please reduce the length of the messages."
                .to_owned(),
            Some("messages".to_owned()),
            Some("context_length_exceeded"),
        ),
        Complaint::UnknownModel => (
            404,
            REQUEST,
            format!("The model `{model}` does not exist or you do not have access to it."),
            None,
            Some("model_not_found"),
        ),
        Complaint::BadRequest => (
            400,
            REQUEST,
            "Invalid value for 'temperature': expected a number between 0 and 2.".to_owned(),
            Some("temperature".to_owned()),
            Some("invalid_value"),
        ),
        Complaint::ContentPolicy => (
            400,
            REQUEST,
            "Your request was rejected as a result of our safety system.".to_owned(),
            None,
            Some("content_policy_violation"),
        ),
        Complaint::InsufficientQuota => (
            429,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.".to_owned(),
            None,
            Some("insufficient_quota"),
        ),
        Complaint::Refused { status, message, param, code } => {
            (*status, REQUEST, message.clone(), param.clone(), *code)
        }
    };
    let body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
    (status, body.to_string())
}

/// Azure words some of OpenAI's complaints in its own way.
fn azure(complaint: &Complaint, model: &str) -> (u16, String) {
    match complaint {
        Complaint::Status(401) => {
            let message = "Access denied due to invalid subscription key or wrong API endpoint.";
            (401, json!({"error": {"code": "401", "message": message}}).to_string())
        }
        Complaint::UnknownModel => {
            let message = "The API deployment for this resource does not exist.";
            (404, json!({"error": {"code": "DeploymentNotFound", "message": message}}).to_string())
        }
        Complaint::ContentPolicy => {
            let message = "The response was filtered due to the prompt triggering Azure OpenAI's content management \
                           policy. Please modify your prompt and retry.";
            let inner = json!({
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {"hate": {"filtered": true, "severity": "high"}},
            });
            let error = json!({
                "message": message, "type": null, "param": "prompt", "code": "content_filter", "status": 400,
                "innererror": inner,
            });
            (400, json!({ "error": error }).to_string())
        }
        other => openai(other, model),
    }
}

fn openai_status(status: u16) -> (&'static str, &'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", "Incorrect API key provided: sk-***.", Some("invalid_api_key")),
        402 => ("insufficient_quota", "Payment is required.", Some("insufficient_quota")),
        403 => ("invalid_request_error", "You are not allowed to sample from this model.", None),
        404 => ("invalid_request_error", "Invalid URL.", None),
        408 => ("timeout", "The request timed out.", None),
        413 => ("invalid_request_error", "The request is too large.", None),
        429 => ("requests", "Rate limit reached. Please try again in 1s.", Some("rate_limit_exceeded")),
        503 => ("server_error", "The engine is currently overloaded, please try again later.", None),
        300..500 => ("invalid_request_error", "The request cannot be served.", None),
        _ => {
            ("server_error", "The server had an error while processing your request. Sorry about that!", None)
        }
    }
}

fn anthropic(complaint: &Complaint, model: &str, number: u64) -> (u16, String) {
    let (status, message) = match complaint {
        Complaint::Status(status) => (*status, anthropic_status(*status).1.to_owned()),
        Complaint::ContextLength => (400, "prompt is too long: 208310 tokens > 200000 maximum".to_owned()),
        Complaint::UnknownModel => (404, format!("model: {model}")),
        Complaint::BadRequest => (400, "temperature: Input should be less than or equal to 1".to_owned()),
        Complaint::ContentPolicy => (400, "Output blocked by content filtering policy".to_owned()),
        Complaint::InsufficientQuota => (
            400,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade \
             or purchase credits."
                .to_owned(),
        ),
        Complaint::Refused { status, message, .. } => (*status, message.clone()),
    };
    let error = json!({"type": anthropic_status(status).0, "message": message});
    let request_id = format!("req_{number:024x}");
    (status, json!({"type": "error", "error": error, "request_id": request_id}).to_string())
}

fn anthropic_status(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => ("authentication_error", "invalid x-api-key"),
        402 => ("billing_error", "There is an issue with your billing."),
        403 => ("permission_error", "Your API key does not have permission to use the specified resource."),
        404 => ("not_found_error", "Not found"),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => ("rate_limit_error", "This request would exceed your organization's rate limit."),
        504 => ("timeout_error", "The request timed out."),
        529 => ("overloaded_error", "Overloaded"),
        300..500 => ("invalid_request_error", "The request cannot be served."),
        _ => ("api_error", "Internal server error"),
    }
}

fn ollama(complaint: &Complaint, model: &str) -> (u16, String) {
    let (status, message) = match complaint {
        Complaint::Status(status) => (*status, ollama_status(*status).to_owned()),
        Complaint::ContextLength => (400, "the input length exceeds the context length".to_owned()),
        Complaint::UnknownModel => (404, format!("model '{model}' not found")),
        Complaint::BadRequest => (400, "option \"temperature\" must be of type float32".to_owned()),
        Complaint::ContentPolicy => (400, "the request was refused by the content policy".to_owned()),
        Complaint::InsufficientQuota => {
            (429, "you've reached your hourly usage limit, please upgrade to continue".to_owned())
        }
        Complaint::Refused { status, message, .. } => (*status, message.clone()),
    };
    (status, json!({ "error": message }).to_string())
}

fn ollama_status(status: u16) -> &'static str {
    match status {
        401 => "unauthorized",
        404 => "not found",
        429 => "too many requests",
        503 => "server busy, please try again.  maximum pending requests exceeded",
        300..500 => "the request cannot be served",
        _ => "llama runner process has terminated: exit status 2",
    }
}

/// The error as one frame of a stream.
pub(super) fn frame(vendor: Vendor, body: &str) -> String {
    match vendor {
        Vendor::OpenAi | Vendor::Azure => format!("data: {body}\n\n"),
        Vendor::Gemini => format!("data: {body}\r\n\r\n"),
        Vendor::Anthropic => format!("event: error\ndata: {body}\n\n"),
        Vendor::Ollama => format!("{body}\n"),
        Vendor::Responses => super::responses::error_event(body),
    }
}

/// The complaint of a provider that fails in the middle of an answer.
pub(super) fn mid_stream(vendor: Vendor) -> Complaint {
    match vendor {
        Vendor::Anthropic => Complaint::Status(529),
        Vendor::Gemini => Complaint::Status(503),
        Vendor::OpenAi | Vendor::Azure | Vendor::Ollama | Vendor::Responses => Complaint::Status(500),
    }
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
