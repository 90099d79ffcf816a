//! What an answer says to a browser about pages of other origins (Fetch standard, CORS).

use super::State;
use super::listener::Fields;
use super::table;
use crate::server::{Headers, Response};

/// What the whole server takes (RFC 9110, section 9.3.7).
const METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// The answer to who asks what he may ask, be it a browser before it asks (Fetch standard, CORS preflight).
pub(super) fn preflight(path: &str) -> Response {
    let headers = vec![
        ("Allow", table::by_path(path).map_or(METHODS, |(row, _)| table::allow(row)).to_owned()),
        ("Access-Control-Allow-Methods", METHODS.to_owned()),
        (
            "Access-Control-Allow-Headers",
            "Authorization, Cache-Control, Content-Type, X-API-Key, X-Request-ID, X-Hapax-Deduplicate, X-Hapax-Provider"
                .to_owned(),
        ),
        ("Access-Control-Max-Age", "600".to_owned()),
    ];
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
