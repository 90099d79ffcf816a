//! What an answer says to a browser about pages of other origins (Fetch standard, CORS).

use super::State;
use super::listener::Fields;
use crate::server::{Headers, Request, Response};

/// The answer to a browser that asks before it asks (Fetch standard, CORS preflight).
pub(super) fn preflight(state: &State, request: &Request) -> Response {
    let mut headers = fields(state, &request.headers);
    headers.push(("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS".to_owned()));
    headers.push((
        "Access-Control-Allow-Headers",
        "Authorization, Cache-Control, Content-Type, X-API-Key, X-Request-ID, X-Hapax-Deduplicate, X-Hapax-Provider"
            .to_owned(),
    ));
    headers.push(("Access-Control-Max-Age", "600".to_owned()));
    Response { status: 204, headers, body: Vec::new() }
}

/// What an answer says to a browser's page of another origin.
pub(super) fn fields(state: &State, headers: &Headers) -> Fields {
    let Some(origin) = headers.get("origin") else { return Vec::new() };
    let any = state.cors_origins.iter().any(|allowed| allowed == "*");
    if !any && state.cors_origins.iter().all(|allowed| allowed != origin) {
        return Vec::new();
    }
    let allowed = if any { "*" } else { origin };
    vec![("Access-Control-Allow-Origin", allowed.to_owned()), ("Vary", "Origin".to_owned())]
}
