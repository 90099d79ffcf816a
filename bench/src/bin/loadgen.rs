//! Load generator: one thread, keep-alive HTTP/1.1, one JSON line on stdout.
//!   loadgen probe  --url U ...                       first 200, as CLOCK_MONOTONIC ns
//!   loadgen rate   --url U --rate 200 --secs 5 ...   fixed rate, latency + exact overhead; over at most --conns 1000:
//!                                                    what waits for one, or for this program, is counted (late, not_sent)
//!   loadgen closed --url U --conns 64 --secs 5 ...   as fast as it goes
//!   loadgen stream --url U --streams 200 ...         SSE, delay per chunk
//!   loadgen idle   --url U --conns 10000 --secs 3    connections that say nothing, then one request
//! Every request differs from every other in one number, so that no gateway may share or cache an answer;
//! --same 1 sends the same bytes each time.
//! Common: --model M, -H 'k: v' (repeat), --plan 'd=500 n=50 i=20', --prompt-bytes N,
//!         --pid P (gateway: CPU seconds, RSS of its process tree), --timeout-ms T,
//!         --each FILE (rate, closed: a line per answer, in ns: sent, at the mock, left the mock, answered).
use perfkit::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout, timeout_at, Instant};

struct Args {
    mode: String,
    host: String,
    path: String,
    model: String,
    headers: Vec<String>,
    plan: String,
    prompt_bytes: usize,
    rate: f64,
    secs: f64,
    /// 0: the mode's own number.
    conns: usize,
    streams: usize,
    rounds: usize,
    spread_ms: u64,
    pid: u32,
    timeout_ms: u64,
    same: bool,
    each: String,
}

/// Ten digits in the text of every request, counted up.
const NUMBER: &str = "n=0000000000";

fn parse() -> Args {
    let mut a = Args {
        mode: String::new(), host: String::new(), path: "/".into(), model: "gpt-4o-mini".into(), headers: vec![],
        plan: String::new(), prompt_bytes: 256, rate: 200.0, secs: 5.0, conns: 0, streams: 200, rounds: 1,
        spread_ms: 1000, pid: 0, timeout_ms: 30_000, same: false, each: String::new(),
    };
    let mut it = std::env::args().skip(1);
    a.mode = it.next().expect("mode: probe|rate|closed|stream|idle");
    while let Some(k) = it.next() {
        let v = it.next().unwrap_or_else(|| panic!("{k} needs a value"));
        match k.as_str() {
            "--url" => {
                let r = v.strip_prefix("http://").expect("http:// only");
                let (h, p) = r.split_once('/').unwrap_or((r, ""));
                assert!(h.starts_with("127.0.0.1:"), "loopback only");
                a.host = h.to_string();
                a.path = format!("/{p}");
            }
            "--model" => a.model = v,
            "-H" => a.headers.push(v),
            "--plan" => a.plan = v,
            "--prompt-bytes" => a.prompt_bytes = v.parse().unwrap(),
            "--rate" => a.rate = v.parse().unwrap(),
            "--secs" => a.secs = v.parse().unwrap(),
            "--conns" => a.conns = v.parse().unwrap(),
            "--streams" => a.streams = v.parse().unwrap(),
            "--rounds" => a.rounds = v.parse().unwrap(),
            "--spread-ms" => a.spread_ms = v.parse().unwrap(),
            "--pid" => a.pid = v.parse().unwrap(),
            "--each" => a.each = v,
            "--same" => a.same = v == "1",
            "--timeout-ms" => a.timeout_ms = v.parse().unwrap(),
            _ => panic!("unknown {k}"),
        }
    }
    if a.conns == 0 {
        a.conns = if a.mode == "rate" { 1000 } else { 64 };
    }
    a
}

fn request(a: &Args, stream: bool) -> Vec<u8> {
    let text = format!("[[mock {} ]] {NUMBER} {}", a.plan, "Tell me something useful. ".repeat(a.prompt_bytes / 26 + 1));
    let body = format!(
        r#"{{"model":"{}","messages":[{{"role":"system","content":"You are terse."}},{{"role":"user","content":"{text}"}}],"temperature":0.5,"max_tokens":64{}}}"#,
        a.model,
        if stream { r#","stream":true"# } else { "" }
    );
    let mut h = format!("POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\naccept: */*\r\ncontent-length: {}\r\n", a.path, a.host, body.len());
    if !a.headers.iter().any(|x| x.to_ascii_lowercase().starts_with("authorization:")) {
        h.push_str("authorization: Bearer sk-test\r\n");
    }
    for x in &a.headers {
        h.push_str(x);
        h.push_str("\r\n");
    }
    h.push_str("\r\n");
    h.push_str(&body);
    h.into_bytes()
}

/// The request with its own number in it.
fn numbered(a: &Args, req: &[u8]) -> Vec<u8> {
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(1) });
    let mut mine = req.to_vec();
    if !a.same {
        let at = memchr::memmem::find(&mine, NUMBER.as_bytes()).expect("every request has its number") + 2;
        let n = NEXT.replace(NEXT.get() + 1);
        mine[at..at + 10].copy_from_slice(format!("{n:010}").as_bytes());
    }
    mine
}

#[derive(Default)]
struct Tally {
    lat: RefCell<Vec<u64>>,  // ns, client side
    over: RefCell<Vec<u64>>, // ns, client latency minus time inside the mock
    each: RefCell<Vec<[u64; 4]>>, // CLOCK_MONOTONIC ns: sent, at the mock, left the mock, answered
    ok: Cell<u64>,
    bad_status: Cell<u64>,
    io_err: Cell<u64>,
    first_bad: RefCell<String>,
}

async fn dial(host: &str) -> std::io::Result<Conn<TcpStream>> {
    let s = TcpStream::connect(host).await?;
    s.set_nodelay(true)?;
    Ok(Conn::new(s))
}

/// One request on a kept connection. Returns (status, body, keep).
async fn once(c: &mut Conn<TcpStream>, req: &[u8]) -> std::io::Result<(u16, Vec<u8>, bool)> {
    c.io.write_all(req).await?;
    loop {
        let (h, raw) = c.head().await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status: u16 = std::str::from_utf8(&raw[9..12]).ok().and_then(|s| s.parse().ok()).unwrap_or(0);
        if status == 100 {
            continue;
        }
        let until_close = !h.chunked && h.content_length.is_none();
        let body = c.body(&h, until_close).await?;
        return Ok((status, body, !h.close && !until_close));
    }
}

async fn shot(slot: &mut Option<Conn<TcpStream>>, a: &Args, req: &[u8], t: &Tally) {
    let mut reused = slot.is_some();
    let req = &numbered(a, req);
    loop {
        let t0 = now_ns();
        let work = async {
            if slot.is_none() {
                *slot = Some(dial(&a.host).await?);
            }
            once(slot.as_mut().unwrap(), req).await
        };
        let r = timeout(Duration::from_millis(a.timeout_ms), work).await;
        let t1 = now_ns();
        match r {
            Ok(Ok((200, body, keep))) => {
                t.ok.set(t.ok.get() + 1);
                t.lat.borrow_mut().push(t1 - t0);
                if let (Some(r), Some(s)) = (num_after(&body, b"r="), num_after(&body, b" s=")) {
                    t.over.borrow_mut().push((t1 - t0).saturating_sub(s.saturating_sub(r)));
                    t.each.borrow_mut().push([t0, r, s, t1]);
                }
                if !keep {
                    *slot = None;
                }
            }
            Ok(Ok((s, body, keep))) => {
                t.bad_status.set(t.bad_status.get() + 1);
                let mut fb = t.first_bad.borrow_mut();
                if fb.is_empty() {
                    *fb = format!("{s} {}", String::from_utf8_lossy(&body[..body.len().min(160)]));
                }
                if !keep {
                    *slot = None;
                }
            }
            Ok(Err(e)) if reused && e.kind() != std::io::ErrorKind::TimedOut => {
                // a kept connection the peer closed: one fresh try, still timed as a new shot
                *slot = None;
                reused = false;
                continue;
            }
            other => {
                t.io_err.set(t.io_err.get() + 1);
                let mut fb = t.first_bad.borrow_mut();
                if fb.is_empty() {
                    *fb = match other { Ok(Err(e)) => e.to_string(), _ => "timeout".into() };
                }
                *slot = None;
            }
        }
        return;
    }
}

struct Meter {
    pid: u32,
    cpu0: f64,
    t0: u64,
    peak: Rc<Cell<u64>>,
    threads: Rc<Cell<u64>>,
}

impl Meter {
    fn start(pid: u32) -> Meter {
        let peak = Rc::new(Cell::new(0));
        let threads = Rc::new(Cell::new(0));
        if pid > 0 {
            let (p, th) = (peak.clone(), threads.clone());
            tokio::task::spawn_local(async move {
                loop {
                    let (rss, _, n) = memory(pid);
                    p.set(p.get().max(rss));
                    th.set(th.get().max(n));
                    sleep(Duration::from_millis(500)).await;
                }
            });
        }
        Meter { pid, cpu0: if pid > 0 { cpu_seconds(pid) } else { 0.0 }, t0: now_ns(), peak, threads }
    }
    fn end(&self, n: u64) -> String {
        let wall = (now_ns() - self.t0) as f64 / 1e9;
        if self.pid == 0 {
            return format!(r#""wall_s":{wall:.3}"#);
        }
        let cpu = cpu_seconds(self.pid) - self.cpu0;
        let (rss, hwm, _) = memory(self.pid);
        format!(
            r#""wall_s":{wall:.3},"cpu_s":{cpu:.3},"cpu_us_per_req":{:.1},"rss_kb":{rss},"rss_peak_kb":{},"hwm_kb":{hwm},"threads":{}"#,
            cpu * 1e6 / n.max(1) as f64, self.peak.get().max(rss), self.threads.get()
        )
    }
}

fn dist(name: &str, v: &mut Vec<u64>) -> String {
    v.sort_unstable();
    let u = |p| pct(v, p) / 1000.0;
    let mean = v.iter().sum::<u64>() as f64 / v.len().max(1) as f64 / 1000.0;
    if v.is_empty() {
        return format!(r#""{name}":null"#);
    }
    format!(
        r#""{name}":{{"n":{},"mean":{mean:.1},"p50":{:.1},"p90":{:.1},"p99":{:.1},"p999":{:.1},"max":{:.1}}}"#,
        v.len(), u(0.5), u(0.9), u(0.99), u(0.999), u(1.0)
    )
}

/// `more`: figures of the mode's own, as JSON fields, each with a comma behind it.
fn report(a: &Args, t: &Tally, m: &Meter, more: &str) {
    let n = t.ok.get();
    if !a.each.is_empty() {
        let line = |[sent, came, left, got]: &[u64; 4]| format!("{sent} {came} {left} {got}\n");
        std::fs::write(&a.each, t.each.borrow().iter().map(line).collect::<String>()).expect("--each: a file");
    }
    let wall = (now_ns() - m.t0) as f64 / 1e9;
    println!(
        r#"{{"mode":"{}","ok":{n},"bad_status":{},"io_err":{},"rps":{:.1},{more}{},{},{},"first_bad":{:?}}}"#,
        a.mode, t.bad_status.get(), t.io_err.get(), n as f64 / wall, m.end(n + t.bad_status.get()),
        dist("lat_us", &mut t.lat.borrow_mut()), dist("over_us", &mut t.over.borrow_mut()), t.first_bad.borrow()
    );
}

async fn closed(a: Rc<Args>) {
    let req = Rc::new(request(&a, false));
    let t = Rc::new(Tally::default());
    let m = Meter::start(a.pid);
    let end = Instant::now() + Duration::from_secs_f64(a.secs);
    let mut js = vec![];
    for _ in 0..a.conns {
        let (a, req, t) = (a.clone(), req.clone(), t.clone());
        js.push(tokio::task::spawn_local(async move {
            let mut slot = None;
            while Instant::now() < end {
                let bad = t.io_err.get();
                shot(&mut slot, &a, &req, &t).await;
                if t.io_err.get() > bad {
                    sleep(Duration::from_millis(5)).await;
                }
            }
        }));
    }
    for j in js {
        let _ = j.await;
    }
    report(&a, &t, &m, "");
}

/// Sent so long after its time, a request is late.
const LATE: Duration = Duration::from_millis(10);
/// So long after its time it is not sent any more.
const TOO_LATE: Duration = Duration::from_secs(1);

/// An open loop, but a bounded one: a request whose time has come waits for one of `conns` connections, and while it does
/// nobody behind it is sent. Whatever the gateway, or this program, cannot take in time is counted and never piled up.
async fn rate(a: Rc<Args>) {
    let req = Rc::new(request(&a, false));
    let t = Rc::new(Tally::default());
    let pool: Rc<RefCell<Vec<Conn<TcpStream>>>> = Rc::new(RefCell::new(vec![]));
    let room = Arc::new(Semaphore::new(a.conns));
    let m = Meter::start(a.pid);
    let start = Instant::now();
    let total = (a.rate * a.secs) as u64;
    let (mut late, mut not_sent) = (0u64, 0u64);
    let mut js = JoinSet::new();
    for k in 0..total {
        // a little seeded jitter so that sends do not lock on to the 1 ms timer wheel
        let jit = (k.wrapping_mul(2654435761) >> 7) % 1000;
        let due = start + Duration::from_secs_f64(k as f64 / a.rate) + Duration::from_micros(jit);
        sleep_until(due).await;
        while js.try_join_next().is_some() {}
        // Asked in this order, for leave that is there is taken however late it is.
        let leave = if due.elapsed() > TOO_LATE { None } else { timeout_at(due + TOO_LATE, room.clone().acquire_owned()).await.ok() };
        let Some(leave) = leave else {
            not_sent += 1;
            continue;
        };
        late += u64::from(due.elapsed() > LATE);
        let (a, req, t, pool) = (a.clone(), req.clone(), t.clone(), pool.clone());
        js.spawn_local(async move {
            let mut slot = pool.borrow_mut().pop();
            shot(&mut slot, &a, &req, &t).await;
            if let Some(c) = slot {
                pool.borrow_mut().push(c);
            }
            drop(leave);
        });
    }
    while js.join_next().await.is_some() {}
    report(&a, &t, &m, &format!(r#""late":{late},"not_sent":{not_sent},"#));
}

#[derive(Default)]
struct Streams {
    ttft: RefCell<Vec<u64>>,  // client send -> first content byte, ns
    first: RefCell<Vec<u64>>, // delay of the first chunk against its own stamp, ns
    delay: RefCell<Vec<u64>>, // the same for every chunk
    gap: RefCell<Vec<u64>>,   // between chunk arrivals
    chunks: Cell<u64>,
    done: Cell<u64>,
    fail: Cell<u64>,
    first_bad: RefCell<String>,
}

async fn one_stream(a: &Args, req: &[u8], st: &Streams) -> Result<(), String> {
    let e = |x: std::io::Error| x.to_string();
    let t0 = now_ns();
    let mut c = dial(&a.host).await.map_err(e)?;
    c.io.write_all(&numbered(a, req)).await.map_err(e)?;
    let (h, raw) = c.head().await.map_err(e)?.ok_or("closed before head")?;
    if &raw[9..12] != b"200" {
        return Err(String::from_utf8_lossy(&raw[..raw.len().min(60)]).into_owned());
    }
    let mut acc: Vec<u8> = vec![];
    let mut seen = 0u64;
    let mut last = 0u64;
    loop {
        let more = if h.chunked {
            c.chunk(&mut acc).await.map_err(e)?
        } else {
            acc.extend_from_slice(c.avail());
            c.pos = c.buf.len();
            let done = memchr::memmem::find(&acc, b"[DONE]").is_some();
            if done { false } else { c.fill().await.map_err(e)? > 0 || !c.avail().is_empty() }
        };
        let now = now_ns();
        // whole events only
        while let Some(i) = memchr::memmem::find(&acc, b"\n\n").or_else(|| memchr::memmem::find(&acc, b"\r\n\r\n")) {
            let ev: Vec<u8> = acc.drain(..i + 2).collect();
            if let Some(s) = num_after(&ev, b"\"t=") {
                seen += 1;
                let d = now.saturating_sub(s);
                st.delay.borrow_mut().push(d);
                if seen == 1 {
                    st.ttft.borrow_mut().push(now - t0);
                    st.first.borrow_mut().push(d);
                } else {
                    st.gap.borrow_mut().push(now - last);
                }
                last = now;
            }
            if memchr::memmem::find(&ev, b"[DONE]").is_some() {
                st.chunks.set(st.chunks.get() + seen);
                let want = num_after(a.plan.as_bytes(), b"n=").unwrap_or(seen);
                return if seen == want { Ok(()) } else { Err(format!("{seen} of {want} chunks")) };
            }
        }
        if !more {
            st.chunks.set(st.chunks.get() + seen);
            return Err(format!("ended without [DONE] after {seen} chunks"));
        }
    }
}

async fn stream(a: Rc<Args>) {
    let req = Rc::new(request(&a, true));
    let st = Rc::new(Streams::default());
    let m = Meter::start(a.pid);
    for _ in 0..a.rounds {
        let mut js = vec![];
        for k in 0..a.streams {
            let (a, req, st) = (a.clone(), req.clone(), st.clone());
            js.push(tokio::task::spawn_local(async move {
                sleep(Duration::from_micros(a.spread_ms * 1000 * k as u64 / a.streams as u64)).await;
                let r = timeout(Duration::from_millis(a.timeout_ms), one_stream(&a, &req, &st)).await;
                match r.unwrap_or_else(|_| Err("timeout".into())) {
                    Ok(()) => st.done.set(st.done.get() + 1),
                    Err(w) => {
                        st.fail.set(st.fail.get() + 1);
                        let mut fb = st.first_bad.borrow_mut();
                        if fb.is_empty() {
                            *fb = w;
                        }
                    }
                }
            }));
        }
        for j in js {
            let _ = j.await;
        }
    }
    println!(
        r#"{{"mode":"stream","streams_ok":{},"streams_failed":{},"chunks":{},{},{},{},{},{},"first_bad":{:?}}}"#,
        st.done.get(), st.fail.get(), st.chunks.get(), m.end(st.chunks.get()),
        dist("ttft_us", &mut st.ttft.borrow_mut()), dist("first_chunk_delay_us", &mut st.first.borrow_mut()),
        dist("chunk_delay_us", &mut st.delay.borrow_mut()), dist("gap_us", &mut st.gap.borrow_mut()), st.first_bad.borrow()
    );
}

/// Connections that say nothing, opened from as many loopback addresses as it takes: a front door may bound what
/// one address opens.
async fn idle(a: Rc<Args>) {
    const PER_ADDRESS: usize = 200;
    let to: std::net::SocketAddr = a.host.parse().expect("an address");
    let mut open = vec![];
    let mut failed = 0u64;
    let before = memory(a.pid).0;
    for k in 0..a.conns {
        let n = k / PER_ADDRESS;
        let from = std::net::Ipv4Addr::new(127, 0, 1 + (n / 200) as u8, 2 + (n % 200) as u8);
        let dialled = async {
            let s = TcpSocket::new_v4()?;
            s.bind((from, 0).into())?;
            s.connect(to).await
        };
        match timeout(Duration::from_secs(5), dialled).await {
            Ok(Ok(c)) => open.push(c),
            _ => failed += 1,
        }
    }
    sleep(Duration::from_secs_f64(a.secs)).await;
    let held = memory(a.pid).0;
    let closed = open.iter().filter(|c| !matches!(c.try_read(&mut [0u8; 64]), Err(ref e) if e.kind() == std::io::ErrorKind::WouldBlock)).count();
    let mut slot = None;
    let t = Tally::default();
    shot(&mut slot, &a, &request(&a, false), &t).await;
    println!(
        r#"{{"mode":"idle","open":{},"failed":{failed},"closed":{closed},"rss_before_kb":{before},"rss_kb":{held},"answered":{},"first_bad":{:?}}}"#,
        open.len(), t.ok.get(), t.first_bad.borrow()
    );
}

async fn probe(a: Rc<Args>) {
    let req = request(&a, false);
    let end = Instant::now() + Duration::from_millis(a.timeout_ms);
    let mut last = String::new();
    while Instant::now() < end {
        let r = async {
            let mut c = dial(&a.host).await?;
            once(&mut c, &req).await
        };
        match timeout(Duration::from_secs(3), r).await {
            Ok(Ok((200, _, _))) => {
                println!(r#"{{"mode":"probe","first_200_ns":{}}}"#, now_ns());
                return;
            }
            Ok(Ok((s, b, _))) => last = format!("{s} {}", String::from_utf8_lossy(&b[..b.len().min(400)])),
            Ok(Err(e)) => last = e.to_string(),
            Err(_) => last = "timeout".into(),
        }
        sleep(Duration::from_millis(1)).await;
    }
    println!(r#"{{"mode":"probe","first_200_ns":null,"last":{last:?}}}"#);
}

fn main() {
    let a = Rc::new(parse());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&rt, async move {
        match a.mode.as_str() {
            "closed" => closed(a).await,
            "rate" => rate(a).await,
            "stream" => stream(a).await,
            "probe" => probe(a).await,
            "idle" => idle(a).await,
            _ => panic!("mode: probe|rate|closed|stream|idle"),
        }
    });
}
