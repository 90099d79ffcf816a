//! What an answer says to a browser about pages of other origins (Fetch standard, CORS).

use super::State;
use super::table;
use crate::server::{Fields, Headers, Response};

/// What the whole server takes (RFC 9110, section 9.3.7).
const METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// The answer to who asks what he may ask, be it a browser before it asks (Fetch standard, CORS preflight).
pub(super) fn preflight(path: &str) -> Response {
    let mut headers = Fields::of("Allow", table::by_path(path).map_or(METHODS, |(row, _)| table::allow(row)));
    headers.add("Access-Control-Allow-Methods", METHODS);
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
