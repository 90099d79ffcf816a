//! `hapax health`: asks a running gateway whether it serves; the container's health check.

use super::{Failed, print};
use crate::config;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// How long each step may take: to connect, to ask, to hear more.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes read of an answer.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Whom to ask, and what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) url: Option<String>,
    pub(super) config: Option<std::path::PathBuf>,
    /// Whether a provider can be used, not only whether the process answers.
    pub(super) providers: bool,
    pub(super) json: bool,
}

pub(super) fn run(wish: &Wish) -> Result<(), Failed> {
    let Wish { providers, json, .. } = *wish;
    let authority = match &wish.url {
        Some(url) => of_url(url)?,
        None => of_settings(wish.config.as_deref())?,
    };
    let path = if providers { "/health" } else { "/health/live" };
    match get(&authority, path, None) {
        Ok((status, body)) => {
            if json {
                print(&String::from_utf8_lossy(&body))?;
            }
            if status == 200 {
                return Ok(());
            }
            Err(Failed::Running(format!("{path} at {authority} answers {status}")))
        }
        Err(error) => Err(Failed::Running(format!("no answer from {authority}: {error}"))),
    }
}

/// The host and port of a plain `http://` URL.
pub(super) fn of_url(url: &str) -> Result<String, Failed> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let authority = rest.split('/').next().unwrap_or(rest);
    if authority.is_empty() || rest.contains("://") {
        return Err(Failed::Usage(format!("'{url}' is not of the form http://HOST:PORT")));
    }
    let ported = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if ported { authority.to_owned() } else { format!("{authority}:80") })
}

/// Where a gateway of this configuration listens, seen from this host. Of a file nobody named on the command line and
/// that does not say: the usual place.
fn of_settings(explicit: Option<&Path>) -> Result<String, Failed> {
    let environment = &config::process_environment;
    let listen = match config::find(explicit, environment) {
        Some(path) => config::listener(&path, environment),
        None => Ok(config::defaults(environment).server.listen),
    };
    let listen = match listen {
        Err(problems) if explicit.is_some() => return Err(Failed::Config(problems.to_string())),
        listen => listen.unwrap_or_else(|_| "127.0.0.1:8080".to_owned()),
    };
    Ok(match listen.rsplit_once(':') {
        Some(("0.0.0.0" | "[::]", port)) => format!("127.0.0.1:{port}"),
        _ => listen,
    })
}

/// The first of a name's addresses that takes a connection: `localhost` has two on most machines, a gateway listens at one.
pub(super) fn connect(name: impl ToSocketAddrs) -> std::io::Result<TcpStream> {
    let mut tried = Err(std::io::ErrorKind::AddrNotAvailable.into());
    for address in name.to_socket_addrs()? {
        tried = TcpStream::connect_timeout(&address, PATIENCE);
        if tried.is_ok() {
            break;
        }
    }
    tried
}

/// One question to a running gateway: the status and the body of its answer.
pub(super) fn get(authority: &str, target: &str, key: Option<&str>) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let key = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    let head = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n{key}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(answer.get(..12).unwrap_or_default());
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("that is no HTTP answer"))?;
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
    Ok((status, answer.split_off(body)))
}

#[cfg(test)]
mod tests {
    use super::{connect, of_url};
    use std::net::{SocketAddr, TcpListener};

    #[test]
    fn a_url_names_host_and_port() {
        assert_eq!(of_url("http://localhost:9000/x").expect("fine"), "localhost:9000");
        assert_eq!(of_url("http://gateway").expect("fine"), "gateway:80");
        assert!(of_url("https://gateway").is_err());
        assert!(of_url("http://").is_err());
    }
    #[test]
    fn a_name_of_several_addresses_is_asked_at_the_one_that_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let open = listener.local_addr().expect("it is bound");
        let closed = SocketAddr::from(([127, 0, 0, 1], 9));
        for addresses in [[closed, open], [open, closed]] {
            let stream = connect(&addresses[..]).expect("one of them listens");
            assert_eq!(stream.peer_addr().expect("it is connected"), open);
        }
        assert!(connect(&[closed][..]).is_err() && connect(&[][..]).is_err());
    }
}
