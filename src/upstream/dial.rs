//! How one provider is connected to: a socket, and upon it what is needed: a tunnel through a proxy, TLS.
//!
//! ```text
//!   http:// ─────────────────────▶ Sockets ─▶ Wire
//!   https://, proxy ─▶ [CONNECT ─▶] Sockets ─▶ Wire ─▶ [TLS]
//! ```

use super::line::Line;
use super::link::Link;
use super::names::Names;
use super::sockets::Sockets;
use super::tls::Tls;
use crate::clock::Clock;
use crate::config::Provider;
use crate::domain::key::Secret;
use std::sync::Arc;
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::time::Instant as UreqInstant;
use ureq::unversioned::transport::{
    ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, Transport,
};
use ureq::{Error, Proxy, Timeout};

/// Builds upon sockets.
type Build = Arc<dyn Fn(&ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> + Send + Sync>;

/// Opens connections to one provider.
pub(super) struct Dial {
    sockets: Sockets,
    /// Includes the TLS handshake.
    within: Duration,
    /// `None`: a socket will do.
    chain: Option<Chain>,
}

struct Chain {
    config: Config,
    build: Build,
    time: Arc<dyn Fn() -> UreqInstant + Send + Sync>,
}

impl Dial {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// A proxy that cannot be used, a CA file that cannot be read.
    pub(super) fn new(settings: &Provider, names: Names, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let mut dial = Self::building(settings, names, clock)?;
        if settings.proxy.is_none() && settings.base_url.starts_with("http://") {
            dial.chain = None;
        }
        Ok(dial)
    }

    /// The same, by ureq where a socket would do.
    ///
    /// # Errors
    /// As [`Dial::new`].
    pub(super) fn building(settings: &Provider, names: Names, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let sockets = || Sockets { clock: Arc::clone(&clock), names: names.clone() };
        let tls = Tls::new(settings.ca_file.as_deref(), Arc::clone(&clock))?;
        let links = ().chain(ConnectProxyConnector::default()).chain(sockets()).chain(tls);
        let build: Build = Arc::new(move |details| {
            links.connect(details, None)?.map(Transport::boxed).ok_or(Error::ConnectionFailed)
        });
        let time = Arc::clone(&clock);
        let time = Arc::new(move || UreqInstant::Exact(time.now()));
        let chain = Some(Chain { config: config(settings)?, build, time });
        Ok(Self { sockets: sockets(), within: settings.connect_timeout, chain })
    }

    /// Connects to the address's host.
    #[inline(never)]
    pub(super) fn connect(&self, uri: &Uri, line: &Arc<Line>) -> Result<Link, Error> {
        match &self.chain {
            None => self.sockets.dial(uri, self.within, line).map(Link::Wire),
            Some(chain) => self.build(chain, uri, line).map(Link::Built),
        }
    }

    fn build(&self, chain: &Chain, uri: &Uri, line: &Arc<Line>) -> Result<Box<dyn Transport>, Error> {
        // Connectors and resolver learn from it for whom they work.
        let _dialling = line.dial();
        let names = &self.sockets.names;
        let timeout = NextTimeout {
            after: self.within.into(),
            reason: Timeout::Connect,
            per_read: None,
            per_write: None,
        };
        // A proxy is told the name.
        let has_proxy = chain.config.proxy().is_some();
        let addrs = if has_proxy { names.empty() } else { names.resolve(uri, &chain.config, timeout)? };
        let details = ConnectionDetails {
            uri,
            addrs,
            config: &chain.config,
            request_level: false,
            resolver: names,
            now: (chain.time)(),
            timeout,
            current_time: Arc::clone(&chain.time) as _,
            run_connector: Arc::clone(&chain.build),
            register_shutdown: Arc::new(|_| Ok(())),
        };
        let transport = (chain.build)(&details)?;
        if details.needs_tls() && !transport.is_tls() { Err(Error::TlsRequired) } else { Ok(transport) }
    }
}
/// What the connectors go by.
fn config(settings: &Provider) -> Result<Config, String> {
    Ok(Config::builder()
        // Never from the environment, which is what leaving this out would mean.
        .proxy(proxy(settings.proxy.as_ref().map(Secret::reveal))?)
        .user_agent(concat!("hapax/", env!("CARGO_PKG_VERSION")))
        .build())
}

fn proxy(url: Option<&str>) -> Result<Option<Proxy>, String> {
    let Some(url) = url else { return Ok(None) };
    if !url.starts_with("http://") {
        return Err("proxy: must be an http:// address".to_owned());
    }
    // The error may repeat the URL, which may hold a password.
    Proxy::new(url).map(Some).map_err(|_| "proxy: is not an address".to_owned())
}
