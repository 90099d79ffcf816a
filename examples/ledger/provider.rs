//! A provider that counts: every answer has its own number of tokens, and what was told is summed by key and model.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Calls, input, cached, output and reasoning.
pub type Sums = [u64; 5];

/// What it has told so far.
#[derive(Default)]
pub struct Told {
    /// By key and model.
    pub sums: BTreeMap<(String, String), Sums>,
    /// When each answer was told.
    pub at: Vec<Instant>,
}

/// A listening provider.
pub struct Provider {
    address: SocketAddr,
    told: Arc<Mutex<Told>>,
}

impl Provider {
    /// Starts one; its threads end with the process.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, told) = (listener.local_addr()?, Arc::new(Mutex::new(Told::default())));
        let theirs = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = Arc::clone(&theirs);
                std::thread::spawn(move || serve(stream, &told));
            }
        });
        Ok(Self { address, told })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at what it has told.
    pub fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().expect("no provider panics"))
    }
}

/// Serves one connection until it ends or is no HTTP.
fn serve(stream: TcpStream, told: &Mutex<Told>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(16 << 10, stream);
    loop {
        let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let answer = if first.starts_with("GET") {
            whole("{\"object\":\"list\",\"data\":[]}")
        } else {
            answer(&body, told)?
        };
        reader.get_mut().write_all(&answer).ok()?;
    }
}

fn answer(body: &[u8], told: &Mutex<Told>) -> Option<Vec<u8>> {
    let asked: serde_json::Value = serde_json::from_slice(body).ok()?;
    let (key, model) = (asked["user"].as_str()?, asked["model"].as_str()?);
    // Never the same twice in a row, and large enough that a lost bit shows.
    let number = asked["seed"].as_u64()?;
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let (input, output) = (1 + mixed % 4_093, 1 + (mixed >> 12) % 1_021);
    let (cached, reasoning) = (input / 3, output / 5);
    {
        let mut told = told.lock().ok()?;
        let sums = told.sums.entry((key.to_owned(), model.to_owned())).or_default();
        for (sum, more) in sums.iter_mut().zip([1, input, cached, output, reasoning]) {
            *sum += more;
        }
        told.at.push(Instant::now());
    }
    let usage = format!(
        "{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{},\"prompt_tokens_details\":{{\"cached_tokens\":{cached}}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning}}}}}",
        input + output
    );
    if asked["stream"] != true {
        return Some(whole(&format!(
            "{{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"{model}\",\"choices\":[{{\"index\":0,\"message\":\
             {{\"role\":\"assistant\",\"content\":\"Hello.\"}},\"finish_reason\":\"stop\"}}],\"usage\":{usage}}}"
        )));
    }
    let chunk = |choices: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{model}\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n"
        )
    };
    let text = [
        chunk(
            "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":null}",
            "null",
        ),
        chunk("{\"index\":0,\"delta\":{\"content\":\".\"},\"finish_reason\":null}", "null"),
        chunk("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "null"),
        chunk("", &usage),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    Some(
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )
        .into_bytes(),
    )
}

fn whole(text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}
