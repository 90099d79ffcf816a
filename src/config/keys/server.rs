//! The front door.

use super::*;

/// The table under "server".
#[rustfmt::skip] // one key, one line, and what it means below it
pub(super) static SERVER: &[Row] = &[
    used("server", Section, "",
        "the front door"),
    used("server.listen", Text(listen), "127.0.0.1:8080",
        "address and port; `:8080` is every interface. Only this machine can connect unless it is written \
         down"),
    used("server.port", Count(0, 65535), "",
        "the Go original's way: this port on `server.host`. Not beside `server.listen`"),
    used("server.host", Text(host), "",
        "with `server.port`; every interface when left out"),
    used("server.workers", Count(1, 65_536), "512",
        "requests in flight; threads start when needed"),
    used("server.queue", Count(1, 1_000_000), "512",
        "complete requests waiting for a worker; past it 503 with `Retry-After`"),
    used("server.connections_max", Count(1, 1_000_000), "4096",
        "open connections"),
    used("server.connections_per_address_max", Count(1, 1_000_000), "1024",
        "open connections of one address; behind a reverse proxy all of them are its own"),
    used("server.header_bytes_max", Size(KIB, 16 * MIB), "16KiB",
        "a request's head; past it 431"),
    used("server.body_bytes_max", Size(KIB, GIB), "16MiB",
        "a request's body; past it 413. At most `server.memory_max`"),
    used("server.memory_max", Size(MIB, 1024 * GIB), "256MiB",
        "bodies and buffers together; past it 503. In a container at most a quarter of its memory"),
    used("server.header_timeout", Duration(ONE), "10s",
        "for the whole head; past it 408"),
    used("server.body_timeout", Duration(ONE), "30s",
        "for the whole body; past it 408"),
    used("server.idle_timeout", Duration(ONE), "75s",
        "between two requests of a connection"),
    used("server.write_timeout", Duration(ONE), "30s",
        "without progress while an answer is written"),
    used("server.request_timeout", Duration(ONE), "10m",
        "all attempts of a request together, streams excepted; past it 504"),
    used("server.shutdown_timeout", Duration(0), "30s",
        "for requests in flight after SIGTERM"),
    used("server.trusted_proxies", Texts(network), "[]",
        "addresses and networks (`10.0.0.0/8`) that may set `X-Forwarded-For`"),
    used("server.cors_origins", Texts(value::origin), "",
        "browsers' origins that may call, `*` for any. Left out: `*` when `auth.keys` asks for keys, else \
         none"),
    used("server.read_timeout", Duration(ONE), "",
        "the original's: `server.body_timeout`, and the most `server.header_timeout` can be"),
    used("server.max_header_bytes", Size(KIB, 16 * MIB), "",
        "the original's: `server.header_bytes_max`"),
];
