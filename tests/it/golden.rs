//! What one vendor says, and what every other hears of it: pairs of files, one folder per vendor, one per row of the
//! table of rules. `scripts/golden` writes the second of each pair anew, to be read before it is committed.
//!
//! | file | what it holds | its pair |
//! |---|---|---|
//! | `*.requests` | a caller's request per line | what each provider is asked, and what was dropped |
//! | `*.answers` | a provider's whole answer per line | what each caller reads |
//! | `*.errors` | status and body of a provider's error per line | whose fault it is taken for |
//! | `*.stream` | a provider's stream, byte for byte | what each caller reads; the same however it is cut |

use hapax::dialect::{self, Defaults, Reader, Wording, Writer};
use hapax::domain::chat::Frame;
use hapax::domain::failure::Failure;
use hapax::domain::words::Dialect;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Those who are asked, with a model of theirs.
const BACKS: [(Dialect, &str); 5] = [
    (Dialect::OpenAiChat, "gpt-4o"),
    (Dialect::OpenAiResponses, "gpt-4o"),
    (Dialect::Anthropic, "claude-sonnet-4-5"),
    (Dialect::Ollama, "llama3.2"),
    (Dialect::Gemini, "gemini-2.5-flash"),
];

/// Those who ask.
const FRONTS: [Dialect; 7] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiCompletion,
    Dialect::OpenAiResponses,
    Dialect::Anthropic,
    Dialect::Ollama,
    Dialect::OllamaGenerate,
    Dialect::Hapax,
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// What is spoken in a folder, by callers and by providers.
fn spoken(vendor: &str) -> Dialect {
    match vendor {
        "openai" => Dialect::OpenAiChat,
        "responses" => Dialect::OpenAiResponses,
        "anthropic" => Dialect::Anthropic,
        "ollama" => Dialect::Ollama,
        "generate" => Dialect::OllamaGenerate,
        "gemini" => Dialect::Gemini,
        other => panic!("tests/golden/{other} is no vendor's folder"),
    }
}

/// The files of one kind, with what is spoken in their folder.
fn cases(kind: &str) -> Vec<(Dialect, PathBuf)> {
    let mut found = Vec::new();
    for vendor in fs::read_dir(folder()).expect("the folder is there").flatten() {
        let name = vendor.file_name().to_string_lossy().into_owned();
        for file in fs::read_dir(vendor.path()).expect("a folder per vendor").flatten() {
            if file.path().extension().is_some_and(|extension| extension == kind) {
                found.push((spoken(&name), file.path()));
            }
        }
    }
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found
}

/// Holds what was heard to the second file of a pair, or writes it anew.
fn pair(file: &Path, heard: &str) {
    let second = PathBuf::from(format!("{}.out", file.display()));
    if std::env::var_os("HAPAX_REWRITE").is_some() {
        fs::write(&second, heard).expect("it can be written");
        return;
    }
    let wanted = fs::read_to_string(&second).unwrap_or_default();
    let differs = wanted.lines().zip(heard.lines()).enumerate().find(|(_, (wanted, heard))| wanted != heard);
    if let Some((at, (wanted, heard))) = differs {
        panic!("{}:{}\nwanted {wanted}\nheard  {heard}", second.display(), at + 1);
    }
    assert!(wanted == heard, "{} is longer or shorter than what was heard", second.display());
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("cases are UTF-8");
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn wording() -> Wording {
    Wording {
        request_id: "req_1".into(),
        created: 1_700_000_000,
        provider: "p".into(),
        model: "m".into(),
        include_usage: true,
        base64: false,
    }
}

fn told(failure: &Failure) -> String {
    let place = failure.param.as_deref().map_or_else(String::new, |param| format!(" [{param}]"));
    format!("{:?} ({:?}){place}: {}", failure.fault, failure.verdict(), failure.message)
}

#[test]
fn every_request_is_asked_of_every_vendor_as_written_down() {
    let cases = cases("requests");
    assert!(cases.len() >= 20, "the cases were not found");
    for (front, file) in cases {
        let mut heard = String::new();
        for line in lines(&file) {
            writeln!(heard, "# {line}").expect("memory");
            let (gist, words) = match dialect::open(front, line.clone().into_bytes()) {
                Ok(opened) => opened,
                Err(invalid) => {
                    writeln!(heard, "refused at the door: {}\n", told(&invalid.into())).expect("memory");
                    continue;
                }
            };
            let defaults = Defaults { max_tokens: 4096, ..Defaults::default() };
            for (back, model) in BACKS {
                match dialect::ask(back, (&gist, &words), model, None, &defaults) {
                    Ok(outgoing) => {
                        let body = String::from_utf8(outgoing.body.into_vec()).expect("JSON is UTF-8");
                        writeln!(heard, "{back:?} {}\n{body}", outgoing.path).expect("memory");
                        if !outgoing.dropped.is_empty() {
                            writeln!(heard, "dropped: {}", outgoing.dropped.join(", ")).expect("memory");
                        }
                        if let Some(tool) = outgoing.unwrap_tool {
                            writeln!(heard, "the answer is what {tool} is called with").expect("memory");
                        }
                    }
                    Err(failure) => writeln!(heard, "{back:?} not: {}", told(&failure)).expect("memory"),
                }
            }
            heard.push('\n');
        }
        pair(&file, &heard);
    }
}

#[test]
fn every_answer_reads_in_every_front_as_written_down() {
    let cases = cases("answers");
    assert!(cases.len() >= 8, "the cases were not found");
    for (back, file) in cases {
        let mut heard = String::new();
        for line in lines(&file) {
            writeln!(heard, "# {line}").expect("memory");
            for front in FRONTS {
                match dialect::read_answer(back, front, line.clone().into_bytes(), None) {
                    Ok(answer) => {
                        let body = dialect::write_answer(front, &answer, &wording());
                        let body = String::from_utf8(body).expect("JSON is UTF-8");
                        writeln!(heard, "{front:?}\n{body}").expect("memory");
                    }
                    Err(failure) => writeln!(heard, "{front:?} not: {}", told(&failure)).expect("memory"),
                }
            }
            heard.push('\n');
        }
        pair(&file, &heard);
    }
}

#[test]
fn every_error_is_somebodys_fault_as_written_down() {
    let cases = cases("errors");
    assert!(cases.len() >= 4, "the cases were not found");
    for (back, file) in cases {
        let mut heard = String::new();
        for line in lines(&file) {
            let (status, body) = line.split_once(' ').expect("a status and a body");
            let status = status.parse().expect("a status");
            let failure = dialect::read_error(back, status, body.as_bytes());
            writeln!(heard, "# {line}\n{}", told(&failure)).expect("memory");
        }
        pair(&file, &heard);
    }
}

/// What a caller reads of a stream that comes in these pieces.
fn read(back: Dialect, front: Dialect, pieces: &[&[u8]]) -> String {
    let mut reader = Reader::new(back, front, None);
    let mut writer = Writer::new(front, wording());
    let mut out = Vec::new();
    let mut end = Ok(());
    'pieces: for piece in pieces {
        reader.feed(piece);
        loop {
            match reader.next() {
                Ok(Some(frame)) => put(&mut writer, &frame, &mut out),
                Ok(None) => break,
                Err(failure) => {
                    end = Err(failure);
                    break 'pieces;
                }
            }
        }
    }
    if end.is_ok() && !reader.ended() {
        end = reader.close();
    }
    match end {
        Ok(()) => writer.end(&mut out),
        Err(failure) => out.extend_from_slice(format!("broken: {}\n", told(&failure)).as_bytes()),
    }
    String::from_utf8(out).expect("streams are UTF-8")
}

fn put(writer: &mut Writer, frame: &Frame, out: &mut Vec<u8>) {
    writer.frame(frame, out);
}

#[test]
fn every_stream_reads_in_every_front_as_written_down_however_it_is_cut() {
    let cases = cases("stream");
    assert!(cases.len() >= 12, "the cases were not found");
    for (back, file) in cases {
        let stream = fs::read(&file).expect("the case is there");
        let mut heard = String::new();
        for front in FRONTS {
            let whole = read(back, front, &[&stream]);
            // Frames are cut out of the bytes before anybody words them: passed on as they are, or not.
            let every_cut = front == back || front == Dialect::OpenAiCompletion;
            for at in (1..stream.len()).filter(|_| every_cut) {
                let (before, after) = stream.split_at(at);
                assert_eq!(read(back, front, &[before, after]), whole, "{} at {at}", file.display());
            }
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            assert_eq!(read(back, front, &bytes), whole, "{} byte by byte", file.display());
            writeln!(heard, "# {front:?}\n{whole}").expect("memory");
        }
        pair(&file, &heard);
    }
}
