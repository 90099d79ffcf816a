//! Three front doors on ports of their own, each before somebody who tells what he was asked.

use hapax::clock::SystemClock;
use hapax::server::{
    self, Exchange, Fields, Handler, Lane, Limits, Refusal, Request, Response, Server, Turned, normal_form,
};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

/// A request as its receiver saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// In its normal form, or as it is if it has none.
    pub target: String,
    /// In hexadecimal digits.
    pub body: String,
    /// The path as the front door itself routes by it, `%XX` decoded; `None` where it does not tell.
    pub place: Option<String>,
}

impl Seen {
    /// Whether both saw the same; each by its own normal form of the path, and both by ours.
    pub fn agrees(&self, other: &Self) -> bool {
        let places = self.place.as_ref().zip(other.place.as_ref());
        (&self.method, &self.target, &self.body) == (&other.method, &other.target, &other.body)
            && places.is_none_or(|(ours, theirs)| ours == theirs)
    }
}

/// What became of one case at one front door.
#[derive(Debug, Clone, Default)]
pub struct Story {
    pub seen: Vec<Seen>,
    /// The front door's own answer, after which nothing is looked at any more.
    pub refused: Option<u16>,
    /// The last answer said that the connection ends.
    pub closes: bool,
}

/// All front doors. Dropping it ends them.
pub struct Fronts {
    doors: Vec<(&'static str, SocketAddr)>,
    children: Vec<Child>,
    folder: PathBuf,
    _ours: Server,
}

/// The field in which a receiver tells what he saw.
const SAW: &str = "X-Saw";
/// The field in which nginx tells its own normal form of the path.
const PLACE: &str = "X-Place";
const PATIENCE: Duration = Duration::from_secs(5);
/// After this long without an answer none will come.
const SILENCE: Duration = Duration::from_secs(1);

struct Echo;

fn saw(method: &str, target: &str, body: &[u8]) -> String {
    let body: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{method} {target} {body}")
}

impl Handler for Echo {
    fn lane(&self, _: &str, _: &str) -> Lane {
        Lane::Work
    }

    fn handle(&self, request: &mut Request, exchange: &mut Exchange<'_>) {
        let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let told = saw(&request.method, &format!("{}{query}", request.path), &request.body);
        exchange.send(Response { status: 200, headers: Fields::of(SAW, &told), body: Vec::new() });
    }

    fn refuse(&self, refusal: Refusal, _: Option<&Turned<'_>>) -> Response {
        Response { status: refusal.status(), ..Response::default() }
    }
}

impl Fronts {
    /// Starts them.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let limits = Limits { connections_per_address_max: 1000, ..Limits::default() };
        let ours = Server::start(listener, limits, Arc::new(Echo), Arc::new(SystemClock))?;
        let backend = backend()?;
        let folder = std::env::temp_dir().join(format!("differential-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut fronts =
            Self { doors: vec![("hapax", ours.address())], children: Vec::new(), folder, _ours: ours };
        fronts.nginx(backend)?;
        fronts.haproxy(backend)?;
        Ok(fronts)
    }

    /// A case at a front door: sent whole, then our side closes.
    pub fn ask(&self, name: &str, bytes: &[u8]) -> Story {
        self.heard(name, PATIENCE, |stream| {
            stream.write_all(bytes)?;
            stream.shutdown(Shutdown::Write)
        })
    }

    /// A case at a front door: sent whole, then we listen until there is silence.
    pub fn ask_patiently(&self, name: &str, bytes: &[u8]) -> Story {
        self.heard(name, SILENCE, |stream| stream.write_all(bytes))
    }

    fn heard(&self, name: &str, silence: Duration, say: impl Fn(&mut TcpStream) -> io::Result<()>) -> Story {
        let door = self.doors.iter().find(|(other, _)| *other == name).expect("it was started").1;
        let mut heard = Vec::new();
        if let Ok(mut stream) = TcpStream::connect(door) {
            let _ = stream.set_read_timeout(Some(silence));
            // Who refuses may have closed before everything was sent.
            let _ = say(&mut stream);
            let _ = stream.read_to_end(&mut heard);
        }
        story(name, &heard)
    }

    fn nginx(&mut self, backend: SocketAddr) -> io::Result<()> {
        let (port, folder) = (free_port()?, self.folder.display());
        let text = format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
             server {{ listen 127.0.0.1:{port}; client_max_body_size 16m; proxy_ignore_client_abort on;\n\
             location / {{ add_header {PLACE} $uri always; proxy_pass http://{backend}; }} }} }}\n"
        );
        let file = self.folder.join("nginx.conf");
        std::fs::write(&file, text)?;
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(&self.folder).arg("-c").arg(&file);
        self.launch("nginx", port, command)
    }

    fn haproxy(&mut self, backend: SocketAddr) -> io::Result<()> {
        let port = free_port()?;
        let text = format!(
            "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n  \
             timeout http-request 5s\n  option http-keep-alive\n  http-reuse never\n\
             frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\nbackend b\n  server s {backend}\n"
        );
        let file = self.folder.join("haproxy.cfg");
        std::fs::write(&file, text)?;
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-q").arg("-f").arg(&file);
        self.launch("haproxy", port, command)
    }

    /// Starts a front door, and waits until it listens.
    fn launch(&mut self, name: &'static str, port: u16, mut command: Command) -> io::Result<()> {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.children.push(child.map_err(|error| io::Error::other(format!("{name}: {error}")))?);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        for _ in 0..100_000 {
            if TcpStream::connect(address).is_ok() {
                self.doors.push((name, address));
                return Ok(());
            }
            std::thread::yield_now();
        }
        Err(io::Error::other(format!("{name} does not listen")))
    }
}

impl Drop for Fronts {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Reads answers until the front door speaks for itself.
fn story(name: &str, mut heard: &[u8]) -> Story {
    let mut story = Story::default();
    while let Some(end) = heard.windows(4).position(|window| window == b"\r\n\r\n") {
        let head: String = heard[..end].iter().map(|byte| char::from(*byte)).collect();
        heard = &heard[end + 4..];
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if status == 100 {
            continue;
        }
        story.closes = head.to_ascii_lowercase().contains("\r\nconnection: close");
        let field = |wanted: &str| {
            head.split("\r\n").find_map(|line| {
                let (name, told) = line.split_once(": ")?;
                name.eq_ignore_ascii_case(wanted).then(|| told.to_owned())
            })
        };
        let Some(told) = field(SAW) else {
            story.refused = Some(status);
            break;
        };
        let mut parts = told.splitn(3, ' ').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let (method, target, body) = (part(), part(), part());
        let target = normal(&method, &target);
        // Ours tells none: what it routes by is what it saw.
        let ours = || (name == "hapax").then(|| decoded(target.split('?').next().unwrap_or_default()));
        let place = field(PLACE).or_else(ours);
        story.seen.push(Seen { method, target, body, place });
    }
    story
}

fn normal(method: &str, target: &str) -> String {
    match normal_form(method, target.as_bytes()) {
        Ok(server::Target { path, query: Some(query) }) => format!("{path}?{query}"),
        Ok(server::Target { path, query: None }) => path,
        Err(_) => target.to_owned(),
    }
}

/// A path with every `%XX` decoded, a character for each byte.
fn decoded(path: &str) -> String {
    let mut bytes = path.bytes();
    let mut decoded = String::new();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(0);
        let byte = if byte == b'%' { (digit() * 16 + digit()) as u8 } else { byte };
        decoded.push(char::from(byte));
    }
    decoded
}

/// Somebody behind nginx and HAProxy: reads what they send, by the letter, and tells it.
fn backend() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let _ = Builder::new().stack_size(128 << 10).spawn(move || while_asked(stream));
        }
    };
    Builder::new().name("backend".to_owned()).spawn(accept)?;
    Ok(address)
}

fn while_asked(stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Ok((told, last)) = one(&mut stream) {
        let end = if last { "Connection: close\r\n" } else { "" };
        let answer = format!("HTTP/1.1 200 OK\r\n{SAW}: {told}\r\nContent-Length: 0\r\n{end}\r\n");
        if stream.get_mut().write_all(answer.as_bytes()).is_err() || last {
            return;
        }
    }
}

fn one(stream: &mut BufReader<TcpStream>) -> io::Result<(String, bool)> {
    let first = line(stream)?;
    let mut parts = first.split(' ');
    let method = parts.next().unwrap_or_default().to_owned();
    let target = parts.next().unwrap_or_default().to_owned();
    let mut last = first.ends_with("HTTP/1.0");
    let (mut length, mut chunked) = (0, false);
    loop {
        let field = line(stream)?.to_ascii_lowercase();
        match field.split_once(':').map(|(name, value)| (name, value.trim())) {
            None if field.is_empty() => break,
            Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
            Some(("transfer-encoding", "chunked")) => chunked = true,
            Some(("connection", "close")) => last = true,
            Some(("expect", _)) => stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = line(stream)?;
            let size = size.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                while !line(stream)?.is_empty() {}
                break;
            }
            take(stream, size, &mut body)?;
            line(stream)?;
        }
    } else {
        take(stream, length, &mut body)?;
    }
    Ok((saw(&method, &target, &body), last))
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(line.iter().map(|byte| char::from(*byte)).collect())
}

fn take(stream: &mut BufReader<TcpStream>, count: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let before = body.len();
    if stream.take(count as u64).read_to_end(body)? < count || body.len() - before != count {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
