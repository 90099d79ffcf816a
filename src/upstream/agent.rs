//! The ureq agent of one provider, with every option we rely on written out.

use super::ears::Listening;
use super::names::Names;
use super::pages::INPUT_BYTES_MAX;
use super::shelf::Shelved;
use super::sockets::Sockets;
use crate::clock::Clock;
use crate::config::Provider;
use crate::domain::key::Secret;
use std::path::Path;
use std::sync::Arc;
use ureq::config::Config;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};
use ureq::{Agent, Proxy};

/// Under TLS: what is written at once.
const OUTPUT_BYTES: usize = 16 * 1024;
/// A response's head. Below [`INPUT_BYTES_MAX`], else a larger one would look like a disconnect.
pub(super) const HEAD_BYTES_MAX: usize = 24 * 1024;

/// Builds the agent; nothing is connected yet.
///
/// # Errors
/// A proxy that cannot be used, a CA file that cannot be read.
pub(super) fn build(settings: &Provider, names: Names, clock: Arc<dyn Clock>) -> Result<Agent, String> {
    let config = config(settings)?;
    let listening = Listening { proxied: config.proxy().is_some() };
    let chain =
        ().chain(ConnectProxyConnector::default())
            .chain(Sockets { clock: Arc::clone(&clock), names: names.clone() })
            .chain(RustlsConnector::default())
            .chain(listening);
    let proxied = config.proxy().is_some();
    let shelved = Shelved::new(chain, settings.max_concurrency, proxied, clock);
    Ok(Agent::with_parts(config, shelved, names))
}

/// Whether an agent could be built.
///
/// # Errors
/// As [`build`].
pub(super) fn check(settings: &Provider) -> Result<(), String> {
    config(settings).map(drop)
}

fn config(settings: &Provider) -> Result<Config, String> {
    Ok(Config::builder()
        // A status is an answer.
        .http_status_as_error(false)
        .https_only(false)
        // A redirect would carry our key to another host.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .save_redirect_history(false)
        // Never from the environment, which is what leaving this out would mean.
        .proxy(proxy(settings.proxy.as_ref().map(Secret::reveal))?)
        .tls_config(tls(settings.ca_file.as_deref())?)
        .user_agent(concat!("hapax/", env!("CARGO_PKG_VERSION")))
        .accept("*/*")
        .accept_encoding("identity")
        .no_delay(true)
        .max_response_header_size(HEAD_BYTES_MAX)
        .input_buffer_size(INPUT_BYTES_MAX)
        .output_buffer_size(OUTPUT_BYTES)
        // They rest on our own shelf.
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        // Includes the TLS handshake.
        .timeout_connect(Some(settings.connect_timeout))
        // All other waits are bounded by our sockets. These three would start a thread for every call:
        .timeout_global(None)
        .timeout_per_call(None)
        .timeout_resolve(None)
        .timeout_await_100(None)
        .timeout_send_request(None)
        .timeout_send_body(None)
        .timeout_recv_response(None)
        .timeout_recv_body(None)
        .timeout_per_read(None)
        .timeout_per_write(None)
        .build())
}

fn proxy(url: Option<&str>) -> Result<Option<Proxy>, String> {
    let Some(url) = url else { return Ok(None) };
    let is_http = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    if !is_http {
        return Err("proxy: must be an http:// or https:// address".to_owned());
    }
    // The error may repeat the URL, which may hold a password.
    Proxy::new(url).map(Some).map_err(|_| "proxy: is not an address".to_owned())
}

fn tls(ca_file: Option<&Path>) -> Result<TlsConfig, String> {
    let roots = match ca_file {
        None => RootCerts::WebPki,
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| format!("ca_file: {}: {error}", path.display()))?;
            let mut certificates = Vec::new();
            for item in parse_pem(&pem) {
                match item {
                    Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
                    Ok(_) => {}
                    Err(_) => return Err(format!("ca_file: {}: is not PEM", path.display())),
                }
            }
            if certificates.is_empty() {
                return Err(format!("ca_file: {}: holds no certificate", path.display()));
            }
            RootCerts::new_with_certs(&certificates)
        }
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(roots)
        .client_cert(None)
        .use_sni(true)
        .disable_verification(false)
        .build())
}
