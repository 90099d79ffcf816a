//! Mock OpenAI and (whole answers) Anthropic upstream. One thread, hand-framed HTTP/1.1, loopback only.
//! Directives travel inside the message text so that every gateway forwards them:
//!   [[mock d=500 n=50 i=20 b=400 s=503 f=reset|trunc|stall|garbage]]
//!   d delay ms before the answer, n stream chunks, i ms between chunks,
//!   b filler bytes in the answer, s status, f fault kind.
//! The same keys work as a path prefix: /d=500,n=50/v1/chat/completions,
//! and as header x-mock: d=500 n=50. GET /__stats gives counters.
//! With --tls CERT KEY (PEM files) it speaks TLS.
use perfkit::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{sleep, sleep_until, Instant};
use tokio_rustls::rustls::pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer};
use tokio_rustls::{rustls::ServerConfig, TlsAcceptor};

#[derive(Default)]
struct Stats {
    conns: Cell<u64>,
    open: Cell<u64>,
    reqs: Cell<u64>,
    streams: Cell<u64>,
}

#[derive(Clone, Default)]
struct Plan {
    delay_ms: u64,
    chunks: u64,
    interval_ms: u64,
    filler: u64,
    status: u64,
    fault: String,
}

fn apply(plan: &mut Plan, text: &[u8]) {
    for kv in text.split(|c| matches!(c, b' ' | b',' | b';')) {
        if kv.len() < 3 || kv[1] != b'=' {
            continue;
        }
        let v = std::str::from_utf8(&kv[2..]).unwrap_or("");
        let n = v.parse().unwrap_or(0);
        match kv[0] {
            b'd' => plan.delay_ms = n,
            b'n' => plan.chunks = n,
            b'i' => plan.interval_ms = n,
            b'b' => plan.filler = n,
            b's' => plan.status = n,
            b'f' => plan.fault = v.to_string(),
            _ => {}
        }
    }
}

fn plan_for(head: &[u8], path: &str, body: &[u8], base: &Plan) -> Plan {
    let mut p = base.clone();
    if let Some(seg) = path.split('/').nth(1) {
        if seg.contains('=') {
            apply(&mut p, seg.as_bytes());
        }
    }
    if let Some(i) = memchr::memmem::find(head, b"\r\nx-mock: ") {
        let t = &head[i + 10..];
        apply(&mut p, &t[..memchr::memchr(b'\r', t).unwrap_or(0)]);
    }
    if let Some(i) = memchr::memmem::find(body, b"[[mock ") {
        let t = &body[i + 7..];
        apply(&mut p, &t[..memchr::memmem::find(t, b"]]").unwrap_or(0)]);
    }
    p
}

fn wants_stream(body: &[u8]) -> bool {
    match memchr::memmem::find(body, b"\"stream\"") {
        Some(i) => body[i + 8..].iter().copied().filter(|c| !c.is_ascii_whitespace()).take(5).eq(b":true".iter().copied()),
        None => false,
    }
}

fn reply(out: &mut Vec<u8>, status: u64, ctype: &str, body: &str) {
    let reason = if status == 200 { "OK" } else { "Mock" };
    out.extend_from_slice(
        format!("HTTP/1.1 {status} {reason}\r\ncontent-type: {ctype}\r\ncontent-length: {}\r\nx-request-id: req_mock\r\n\r\n{body}", body.len()).as_bytes(),
    );
}

fn sse_chunk(out: &mut Vec<u8>, data: &str) {
    let ev = format!("data: {data}\n\n");
    out.extend_from_slice(format!("{:x}\r\n{ev}\r\n", ev.len()).as_bytes());
}

/// A complete answer in Anthropic's words, with the same stamps.
fn anthropic(out: &mut Vec<u8>, p: &Plan, recv: u64) {
    let pad = "x".repeat(p.filler as usize);
    let s = format!(
        r#"{{"id":"msg_mock","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[{{"type":"text","text":"r={recv} s={} {pad}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":11,"output_tokens":7}}}}"#,
        now_ns()
    );
    reply(out, 200, "application/json", &s);
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(io: S, base: Rc<Plan>, st: Rc<Stats>) -> std::io::Result<()> {
    let mut c = Conn::new(io);
    let mut out: Vec<u8> = Vec::with_capacity(8192);
    while let Some((h, raw)) = c.head().await? {
        if memchr::memmem::find(&raw, b"100-continue").is_some() {
            c.io.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = c.body(&h, false).await?;
        let recv = now_ns();
        let line = &raw[..memchr::memchr(b'\r', &raw).unwrap_or(0)];
        let line = String::from_utf8_lossy(line);
        let path = line.split(' ').nth(1).unwrap_or("/");
        out.clear();
        if path.ends_with("/__stats") {
            let s = format!("{{\"conns\":{},\"open\":{},\"reqs\":{},\"streams\":{}}}", st.conns.get(), st.open.get(), st.reqs.get(), st.streams.get());
            reply(&mut out, 200, "application/json", &s);
        } else if path.ends_with("/models") {
            reply(&mut out, 200, "application/json", r#"{"object":"list","data":[{"id":"gpt-4o-mini","object":"model","created":1700000000,"owned_by":"mock"}]}"#);
        } else if path.ends_with("/messages") {
            st.reqs.set(st.reqs.get() + 1);
            let p = plan_for(&raw, path, &body, &base);
            if p.delay_ms > 0 {
                sleep(Duration::from_millis(p.delay_ms)).await;
            }
            anthropic(&mut out, &p, recv);
        } else if path.ends_with("/chat/completions") {
            st.reqs.set(st.reqs.get() + 1);
            let p = plan_for(&raw, path, &body, &base);
            if p.delay_ms > 0 {
                sleep(Duration::from_millis(p.delay_ms)).await;
            }
            match p.fault.as_str() {
                "reset" => return Ok(()),
                "stall" => sleep(Duration::from_secs(120)).await,
                "garbage" => {
                    c.io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{nope").await?;
                    continue;
                }
                _ => {}
            }
            if p.status >= 400 {
                reply(&mut out, p.status, "application/json", r#"{"error":{"message":"mock fault","type":"server_error","param":null,"code":"mock"}}"#);
            } else if wants_stream(&body) {
                st.streams.set(st.streams.get() + 1);
                out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n");
                let head_of = |delta: &str, fin: &str| {
                    format!(r#"{{"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini","system_fingerprint":"fp_mock","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{fin}}}]}}"#)
                };
                let start = Instant::now();
                for k in 0..p.chunks {
                    if k > 0 && p.interval_ms > 0 {
                        sleep_until(start + Duration::from_millis(p.interval_ms * k)).await;
                    }
                    let role = if k == 0 { r#""role":"assistant","# } else { "" };
                    sse_chunk(&mut out, &head_of(&format!(r#"{{{role}"content":"t={} "}}"#, now_ns()), "null"));
                    c.io.write_all(&out).await?;
                    c.io.flush().await?;
                    out.clear();
                    if p.fault == "trunc" && k >= p.chunks / 2 {
                        return Ok(());
                    }
                }
                sse_chunk(&mut out, &head_of("{}", "\"stop\""));
                sse_chunk(&mut out, "[DONE]");
                out.extend_from_slice(b"0\r\n\r\n");
            } else {
                let pad = "x".repeat(p.filler as usize);
                let s = format!(
                    r#"{{"id":"chatcmpl-mock","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"r={recv} s={} {pad}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}},"system_fingerprint":"fp_mock"}}"#,
                    now_ns()
                );
                reply(&mut out, 200, "application/json", &s);
            }
        } else {
            reply(&mut out, 200, "application/json", r#"{"status":"ok"}"#);
        }
        c.io.write_all(&out).await?;
        c.io.flush().await?;
        if h.close {
            break;
        }
    }
    Ok(())
}

fn acceptor(cert: &str, key: &str) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(cert).expect("certificate").map(|c| c.expect("certificate")).collect();
    let key = PrivateKeyDer::from_pem_file(key).expect("key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    std::sync::Arc::new(config).into()
}

fn main() -> std::io::Result<()> {
    let mut port = 9100u16;
    let mut base = Plan { chunks: 10, interval_ms: 0, filler: 300, status: 200, ..Default::default() };
    let mut tls = None;
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        match a.as_str() {
            "--port" => port = args.next().and_then(|v| v.parse().ok()).expect("port"),
            "--plan" => apply(&mut base, args.next().expect("plan").as_bytes()),
            "--tls" => tls = Some(acceptor(&args.next().expect("certificate"), &args.next().expect("key"))),
            _ => panic!("usage: mock [--port N] [--plan 'd=50 n=50 i=20 b=300'] [--tls CERT KEY]"),
        }
    }
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let base = Rc::new(base);
    let st = Rc::new(Stats::default());
    tokio::task::LocalSet::new().block_on(&rt, async move {
        let sock = TcpSocket::new_v4()?;
        sock.set_reuseaddr(true)?;
        sock.bind((std::net::Ipv4Addr::LOCALHOST, port).into())?;
        let l = sock.listen(4096)?;
        loop {
            let (io, _) = l.accept().await?;
            st.conns.set(st.conns.get() + 1);
            st.open.set(st.open.get() + 1);
            io.set_nodelay(true)?;
            let (b, s, tls) = (base.clone(), st.clone(), tls.clone());
            tokio::task::spawn_local(async move {
                let _ = match tls {
                    None => serve(io, b, s.clone()).await,
                    Some(tls) => match tls.accept(io).await {
                        Ok(io) => serve(io, b, s.clone()).await,
                        Err(e) => Err(e),
                    },
                };
                s.open.set(s.open.get() - 1);
            });
        }
    })
}
