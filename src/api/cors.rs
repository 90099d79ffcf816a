//! What an answer says to a browser about pages of other origins (Fetch standard, CORS).

use super::State;
use crate::server::{Fields, Headers, Request, Response};

/// The answer to a browser that asks before it asks (Fetch standard, CORS preflight).
pub(super) fn preflight(state: &State, request: &Request) -> Response {
    let mut headers = Fields::default();
    tell(&mut headers, state, &request.headers);
    headers.add("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
    headers.add(
        "Access-Control-Allow-Headers",
        "Authorization, Cache-Control, Content-Type, X-API-Key, X-Request-ID, X-Hapax-Deduplicate, X-Hapax-Provider",
    );
    headers.add("Access-Control-Max-Age", "600");
    Response { status: 204, headers, body: Vec::new() }
}

/// Adds what an answer says to a browser's page of another origin.
pub(super) fn tell(fields: &mut Fields, state: &State, headers: &Headers) {
    let Some(origin) = headers.get("origin") else { return };
    let any = state.cors_origins.iter().any(|allowed| allowed == "*");
    if any || state.cors_origins.iter().any(|allowed| allowed == origin) {
        fields.add("Access-Control-Allow-Origin", if any { "*" } else { origin });
        fields.add("Vary", "Origin");
    }
}
