//! Streams: what moves the idle clock, what ends them, what becomes of their connection.

use super::rig::{Client, LONG, SHORT, Script, Server, answering, so_it_is_by_ureq};
use crate::clock::SystemClock;
use crate::domain::chat::{Delta, Finish, Frame};
use crate::domain::failure::{Failure, Fault};
use crate::gateway::ports::{Came, Frames, Wait};
use crate::upstream::line::Bound;
use crate::upstream::stream::{Manners, Parse, Stream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// One frame per line: `#…` means nothing, `finish` finishes, `end` is the end mark, all else is text.
#[derive(Default)]
struct Lines {
    pending: String,
    finished: bool,
    ended: bool,
}

impl Parse for Lines {
    fn take(&mut self, bytes: &[u8], _: &mut Frame) -> bool {
        self.pending.push_str(std::str::from_utf8(bytes).unwrap());
        false
    }

    fn read(&mut self, frame: &mut Frame) -> Result<bool, Failure> {
        let Some((line, rest)) = self.pending.split_once('\n') else { return Ok(false) };
        let (line, rest) = (line.to_owned(), rest.to_owned());
        self.pending = rest;
        let deltas = match line.as_str() {
            "end" => {
                self.ended = true;
                return Ok(false);
            }
            "finish" => {
                self.finished = true;
                vec![Delta::Finish { choice: 0, finish: Finish::Stop }]
            }
            line if line.starts_with('#') => Vec::new(),
            text => vec![Delta::Text { choice: 0, text: text.to_owned() }],
        };
        *frame = Frame { deltas, verbatim: None };
        Ok(true)
    }

    fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn close(&mut self) -> Result<(), Failure> {
        if self.finished { Ok(()) } else { Err(Failure::new(Fault::Truncated, "cut")) }
    }
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn stream(client: &Client, first_token: Duration, idle: Duration) -> Stream<Lines> {
    let manners = Manners {
        provider: "models".into(),
        clock: Arc::new(SystemClock),
        first_token: client.bound(first_token, Fault::FirstTokenTimeout),
        idle,
    };
    Stream::new(client.send().unwrap(), Lines::default(), manners)
}

/// All texts, and how it ended; asks as the gateway does: first for what is at hand.
fn read(frames: &mut dyn Frames) -> (String, Result<(), Fault>) {
    let (mut text, mut frame) = (String::new(), Frame::default());
    loop {
        let out = frames.are_out();
        let came = match frames.next(&mut frame, Wait::NotAtAll) {
            other if out => {
                assert_eq!(other, Ok(Came::Nothing), "it was said that nothing is at hand");
                frames.next(&mut frame, Wait::Patiently)
            }
            Ok(Came::Nothing) => frames.next(&mut frame, Wait::Patiently),
            other => other,
        };
        match came {
            Ok(Came::Frame) => {
                for delta in &frame.deltas {
                    if let Delta::Text { text: more, .. } = delta {
                        text.push_str(more);
                    }
                }
            }
            Ok(Came::End) => return (text, Ok(())),
            Ok(Came::Nothing) => panic!("nothing came although it was waited for"),
            Err(failure) => return (text, Err(failure.fault)),
        }
    }
}

/// Waits for the first frame.
fn begins(frames: &mut dyn Frames) {
    assert_eq!(frames.next(&mut Frame::default(), Wait::Patiently), Ok(Came::Frame));
}

/// Says this in chunks, then waits to be closed.
fn saying(lines: &'static [&'static str]) -> Script {
    Box::new(move |peer| {
        peer.request().unwrap();
        peer.say(HEAD);
        for line in lines {
            peer.say(&chunk(line));
        }
        peer.expect_close();
    })
}

#[test]
fn a_stream_read_to_its_proper_end_keeps_its_connection() {
    let server = Server::new(vec![Box::new(|peer| {
        for _ in 0..2 {
            peer.request().unwrap();
            peer.say(HEAD);
            peer.say(&chunk("one \n"));
            peer.say(&chunk("two\nfinish\nend\n"));
            peer.say("0\r\n\r\n");
        }
        peer.expect_close();
    })]);
    let client = Client::to(&server);
    for _ in 0..2 {
        assert_eq!(read(&mut stream(&client, LONG, LONG)), ("one two".into(), Ok(())));
    }
    assert_eq!(server.accepted(), 1);
    drop(client);
    server.finish();
}

#[test]
fn an_end_mark_without_the_transports_end_is_an_end_but_costs_the_connection() {
    let server = Server::new(vec![saying(&["text\nfinish\nend\n"]), answering("next")]);
    let client = Client::to(&server);
    assert_eq!(read(&mut stream(&client, LONG, LONG)), ("text".into(), Ok(())));
    assert_eq!(client.call().unwrap(), "next");
    assert_eq!(server.accepted(), 2);
    drop(client);
    server.finish();
}

#[test]
fn it_is_known_when_nothing_is_at_hand() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.request().unwrap();
        peer.say(&format!("{HEAD}{}", chunk("one\ntwo\n")));
        peer.expect_close();
    })]);
    let client = Client::to(&server);
    let mut frames = stream(&client, LONG, LONG);
    begins(&mut frames);
    assert!(!frames.are_out(), "the second line came with the first");
    assert_eq!(frames.next(&mut Frame::default(), Wait::NotAtAll), Ok(Came::Frame));
    assert!(frames.are_out());
    assert_eq!(frames.next(&mut Frame::default(), Wait::NotAtAll), Ok(Came::Nothing));
    drop(frames);
    server.finish();
}

#[test]
fn a_stream_dropped_before_its_end_closes_its_connection() {
    let server = Server::new(vec![saying(&["text\n"])]);
    let client = Client::to(&server);
    let mut frames = stream(&client, LONG, LONG);
    begins(&mut frames);
    drop(frames);
    // The script fails unless the connection is closed now, while the client still lives.
    server.finish();
}

#[test]
fn silence_is_a_first_token_timeout_before_content_and_an_idle_timeout_after_it() {
    let server = Server::new(vec![saying(&["#head\n"]), saying(&["text\n"])]);
    let client = Client::to(&server);
    let mut frames = stream(&client, SHORT, LONG);
    assert_eq!(read(&mut frames), (String::new(), Err(Fault::FirstTokenTimeout)));
    assert_eq!(read(&mut frames).1, Err(Fault::FirstTokenTimeout), "asked again it says the same");
    assert_eq!(read(&mut stream(&client, LONG, SHORT)), ("text".into(), Err(Fault::IdleTimeout)));
    drop(client);
    server.finish();
}

#[test]
fn what_means_nothing_does_not_move_the_idle_clock() {
    // Whatever interval the machine manages: the pings outlast the patience many times over.
    fn pinging(first: &'static str) -> Script {
        Box::new(move |peer| {
            peer.request().unwrap();
            peer.say(HEAD);
            peer.say(&chunk(first));
            for _ in 0..600 {
                if !peer.rests_briefly() {
                    break;
                }
                peer.say(&chunk("#ping\n"));
            }
        })
    }
    let server = Server::new(vec![pinging("#ping\n"), pinging("text\n")]);
    let client = Client::to(&server);
    assert_eq!(read(&mut stream(&client, SHORT, LONG)).1, Err(Fault::FirstTokenTimeout));
    assert_eq!(read(&mut stream(&client, LONG, SHORT)), ("text".into(), Err(Fault::IdleTimeout)));
    drop(client);
    server.finish();
}

#[test]
fn a_healthy_stream_may_last_longer_than_any_of_its_waits() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.request().unwrap();
        peer.say(HEAD);
        for _ in 0..40 {
            peer.say(&chunk("x\n"));
            assert!(peer.rests_briefly());
        }
        peer.say(&chunk("finish\nend\n"));
        peer.say("0\r\n\r\n");
    })]);
    let client = Client::to(&server);
    let idle = Duration::from_secs(5);
    assert_eq!(read(&mut stream(&client, idle, idle)), ("x".repeat(40), Ok(())));
    drop(client);
    server.finish();
}

#[test]
fn the_time_a_slow_caller_takes_is_not_the_providers() {
    let (proceed, wait) = channel();
    let server = Server::new(vec![Box::new(move |peer| {
        peer.request().unwrap();
        peer.say(HEAD);
        peer.say(&chunk("one \n"));
        wait.recv().unwrap();
        peer.say(&chunk("two\nfinish\nend\n"));
        peer.say("0\r\n\r\n");
        peer.expect_close();
    })]);
    let client = Client::to(&server);
    let clock = Arc::new(crate::clock::ManualClock::new());
    let manners = Manners {
        provider: "models".into(),
        clock: Arc::clone(&clock) as Arc<dyn crate::clock::Clock>,
        first_token: Bound::new(crate::clock::Clock::now(&*clock) + LONG, Fault::FirstTokenTimeout),
        idle: LONG,
    };
    let mut frames = Stream::new(client.send().unwrap(), Lines::default(), manners);
    begins(&mut frames);
    clock.advance(LONG * 3);
    proceed.send(()).unwrap();
    assert_eq!(read(&mut frames), ("two".into(), Ok(())));
    drop((frames, client));
    server.finish();
}

#[test]
fn a_cut_is_truncated_unless_the_finish_had_come() {
    for (last, end) in [("text\n", Err(Fault::Truncated)), ("text\nfinish\n", Ok(()))] {
        let server = Server::new(vec![Box::new(move |peer| {
            peer.request().unwrap();
            peer.say(HEAD);
            peer.say(&chunk(last));
        })]);
        let client = Client::to(&server);
        assert_eq!(read(&mut stream(&client, LONG, LONG)), ("text".into(), end));
        drop(client);
        server.finish();
    }
}

#[test]
fn silence_after_the_finish_is_an_end() {
    let server = Server::new(vec![saying(&["text\nfinish\n"])]);
    let client = Client::to(&server);
    assert_eq!(read(&mut stream(&client, LONG, SHORT)), ("text".into(), Ok(())));
    drop(client);
    server.finish();
}

#[test]
fn a_cancelled_stream_says_that_the_caller_left() {
    let server = Server::new(vec![saying(&["text\n"])]);
    let client = Client::to(&server);
    let mut frames = stream(&client, LONG, LONG);
    begins(&mut frames);
    client.cancel.fire(crate::gateway::cancel::Reason::CallerLeft);
    assert_eq!(read(&mut frames), (String::new(), Err(Fault::CallerLeft)));
    drop((frames, client));
    server.finish();
}

so_it_is_by_ureq! {
    a_stream_read_to_its_proper_end_keeps_its_connection,
    an_end_mark_without_the_transports_end_is_an_end_but_costs_the_connection,
    a_stream_dropped_before_its_end_closes_its_connection,
    silence_is_a_first_token_timeout_before_content_and_an_idle_timeout_after_it,
    what_means_nothing_does_not_move_the_idle_clock,
    a_healthy_stream_may_last_longer_than_any_of_its_waits,
    the_time_a_slow_caller_takes_is_not_the_providers,
    a_cut_is_truncated_unless_the_finish_had_come,
    silence_after_the_finish_is_an_end,
    a_cancelled_stream_says_that_the_caller_left,
}
