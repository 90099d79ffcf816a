//! Scripted providers, recording listeners and observers: the outside as the gateway's tests see it.

use super::cancel::Cancel;
use super::ports::{
    Attempt, Call, Caller, Came, Frames, Left, Listener, Observer, Outcome, Provider, Question, Reply, Trail,
    Wait,
};
use super::{Gateway, OnStreamFailure, Settings, SlotSettings};
use crate::clock::{Clock, ManualClock};
use crate::domain::balance::Strategy;
use crate::domain::chat::{Answer, Choice, Content, Delta, Finish, Frame, Part, Usage};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Fault};
use crate::domain::usage::{self, tokens_of};
use crate::domain::words::{Dialect, Gist, Marks, Words};
use crate::domain::{breaker, health};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Whoever is asked, told or shown something looks at everything there is: so nobody may be under a lock.
#[derive(Default)]
pub(super) struct Curious(OnceLock<Weak<Gateway>>);

impl Curious {
    fn knows(&self, gateway: &Arc<Gateway>) {
        let _ = self.0.set(Arc::downgrade(gateway));
    }

    fn looks(&self) {
        let Some(gateway) = self.0.get().and_then(Weak::upgrade) else { return };
        let (seen, done) = std::sync::mpsc::channel();
        let look = move || {
            drop((gateway.circuits(), gateway.kept(), gateway.keepsakes(), gateway.explain(None, None)));
            gateway.flights.look();
            drop(gateway);
            let _ = seen.send(());
        };
        std::thread::Builder::new().name("curious".to_owned()).spawn(look).expect("a thread is left");
        assert!(done.recv_timeout(Duration::from_secs(60)).is_ok(), "somebody is called under a lock");
    }
}

/// A door that stays shut until it is opened.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(super) fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    fn is_open(&self) -> bool {
        *self.0.0.lock()
    }

    fn pass(&self) {
        let mut open = self.0.0.lock();
        self.0.1.wait_while(&mut open, |open| !*open);
    }
}

/// What a scripted provider does when asked.
#[derive(Clone)]
pub(super) enum Say {
    Fail(Failure),
    Answer(&'static str),
    Whole(Answer),
    /// Answers once the gate is open.
    Late(Gate, Box<Say>),
    Stream(Vec<Step>),
    Panic,
    /// Says nothing until it is cancelled.
    Hang,
    /// Moves the clock, then does this.
    Slow(Arc<ManualClock>, Duration, Box<Say>),
}

/// One step of a scripted stream.
#[derive(Clone)]
pub(super) enum Step {
    Frame(Frame),
    Break(Failure),
    Gate(Gate),
    Hang,
    Panic,
    /// Moves the clock.
    Advance(Arc<ManualClock>, Duration),
}

/// A provider that does as it is told and keeps a record of what it was asked.
pub(super) struct Scripted {
    script: Mutex<VecDeque<Say>>,
    otherwise: Mutex<Say>,
    pub(super) asked: Mutex<Vec<(String, Option<String>)>>,
    pub(super) check: Mutex<Result<(), Failure>>,
    pub(super) checks: AtomicUsize,
    pub(super) keys: AtomicUsize,
    /// How often an estimate was wanted.
    pub(super) weighed: AtomicUsize,
    curious: Curious,
}

impl Scripted {
    pub(super) fn saying(script: Vec<Say>, otherwise: Say) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.into()),
            otherwise: Mutex::new(otherwise),
            asked: Mutex::default(),
            check: Mutex::new(Ok(())),
            checks: AtomicUsize::new(0),
            keys: AtomicUsize::new(1),
            weighed: AtomicUsize::new(0),
            curious: Curious::default(),
        })
    }

    pub(super) fn always(say: Say) -> Arc<Self> {
        Self::saying(Vec::new(), say)
    }

    pub(super) fn failing(fault: Fault) -> Arc<Self> {
        Self::always(fails(fault))
    }

    pub(super) fn now_says(&self, say: Say) {
        *self.otherwise.lock() = say;
    }

    pub(super) fn times(&self) -> usize {
        self.asked.lock().len()
    }

    fn say(&self, say: Say, call: &Call) -> Result<Reply, Failure> {
        match say {
            Say::Fail(failure) => {
                if failure.fault == Fault::KeyRefused {
                    let _ = self.keys.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
                }
                Err(failure)
            }
            Say::Answer(text) => Ok(Reply::Whole { answer: answer(text), dropped: Vec::new() }),
            Say::Whole(answer) => Ok(Reply::Whole { answer, dropped: Vec::new() }),
            Say::Late(gate, then) => {
                gate.pass();
                self.say(*then, call)
            }
            Say::Stream(steps) => {
                let frames = Play { steps: steps.into(), cancel: call.cancel.clone() };
                Ok(Reply::Stream { frames: Box::new(frames), dropped: Vec::new() })
            }
            Say::Panic => panic!("as the script says"),
            Say::Hang => {
                let reason = call.cancel.wait(Duration::from_secs(60));
                assert!(reason.is_some(), "nobody cancelled a hanging call");
                Err(Failure::new(Fault::Reset, "closed"))
            }
            Say::Slow(clock, by, then) => {
                clock.advance(by);
                self.say(*then, call)
            }
        }
    }
}

impl Provider for Scripted {
    fn ask(&self, attempt: Attempt<'_>, call: &Call) -> Result<Reply, Failure> {
        self.curious.looks();
        self.asked.lock().push((attempt.model.to_owned(), attempt.so_far.map(str::to_owned)));
        let say = self.script.lock().pop_front();
        let say = say.unwrap_or_else(|| self.otherwise.lock().clone());
        self.say(say, call)
    }

    fn check(&self, _call: &Call) -> Result<(), Failure> {
        self.curious.looks();
        self.checks.fetch_add(1, Ordering::SeqCst);
        self.check.lock().clone()
    }

    fn weigh_question(&self, question: &Question) -> u64 {
        self.weighed.fetch_add(1, Ordering::SeqCst);
        tokens_of(question.words.body.len())
    }

    fn weigh_answer(&self, answer: &Answer) -> Usage {
        self.weighed.fetch_add(1, Ordering::SeqCst);
        usage::weigh(answer)
    }

    fn keys_left(&self) -> usize {
        self.keys.load(Ordering::SeqCst)
    }
}

struct Play {
    steps: VecDeque<Step>,
    cancel: Arc<Cancel>,
}

impl Frames for Play {
    fn next(&mut self, frame: &mut Frame, wait: Wait) -> Result<Came, Failure> {
        loop {
            if wait == Wait::NotAtAll
                && !matches!(self.steps.front(), None | Some(Step::Frame(_) | Step::Break(_)))
            {
                return Ok(Came::Nothing);
            }
            match self.steps.pop_front() {
                None => return Ok(Came::End),
                Some(Step::Frame(next)) => {
                    *frame = next;
                    return Ok(Came::Frame);
                }
                Some(Step::Break(failure)) => return Err(failure),
                Some(Step::Gate(gate)) => gate.pass(),
                Some(Step::Advance(clock, by)) => clock.advance(by),
                Some(Step::Hang) => {
                    assert!(self.cancel.wait(Duration::from_secs(60)).is_some(), "nobody cancelled");
                    return Err(Failure::new(Fault::Reset, "closed"));
                }
                Some(Step::Panic) => panic!("as the script says"),
            }
        }
    }
}

pub(super) fn fails(fault: Fault) -> Say {
    Say::Fail(Failure::new(fault, fault.word()))
}

pub(super) fn busy(seconds: f64) -> Say {
    let retry_after = Some(Duration::from_secs_f64(seconds));
    Say::Fail(Failure { retry_after, status: Some(429), ..Failure::new(Fault::Busy, "busy") })
}

pub(super) fn answer(text: &str) -> Answer {
    let parts = vec![Part::Text { text: text.to_owned(), cache_control: None }];
    let choices = vec![Choice { parts, finish: Finish::Stop }];
    let usage = Some(Usage { input: 3, output: 2, ..Usage::default() });
    Answer { model: "served".to_owned(), usage, content: Content::Said { id: None, choices } }
}

pub(super) fn frame(deltas: Vec<Delta>) -> Step {
    let verbatim = Some(format!("{deltas:?}").into_bytes());
    Step::Frame(Frame { deltas, verbatim })
}

pub(super) fn start() -> Step {
    frame(vec![Delta::Start { id: "id".to_owned(), model: "m".to_owned() }])
}

pub(super) fn text(text: &str) -> Step {
    frame(vec![Delta::Text { choice: 0, text: text.to_owned() }])
}

pub(super) fn done() -> Step {
    frame(vec![Delta::Finish { choice: 0, finish: Finish::Stop }])
}

pub(super) fn used(input: u64, output: u64) -> Step {
    frame(vec![Delta::Usage(Usage { input, output, ..Usage::default() })])
}

pub(super) fn breaks(fault: Fault) -> Step {
    Step::Break(Failure::new(fault, fault.word()))
}

/// A stream that says this and ends well.
pub(super) fn streams(pieces: &[&str]) -> Say {
    let said = pieces.iter().map(|piece| text(piece));
    Say::Stream([start()].into_iter().chain(said).chain([done(), used(3, 2)]).collect())
}

/// Keeps what it hears; leaves after so many frames.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) begun: Vec<Trail>,
    pub(super) frames: Vec<Frame>,
    /// How many of them had left after each flush.
    pub(super) flushed: Vec<usize>,
    pub(super) patience: Option<usize>,
    /// Hears nothing before it is opened.
    pub(super) slow: Option<Gate>,
    pub(super) waits: Arc<Mutex<Vec<Duration>>>,
    pub(super) curious: Curious,
}

impl Recorder {
    pub(super) fn leaving_after(frames: usize) -> Self {
        Self { patience: Some(frames), ..Self::default() }
    }

    pub(super) fn deltas(&self) -> Vec<Delta> {
        self.frames.iter().flat_map(|frame| frame.deltas.clone()).collect()
    }

    pub(super) fn text(&self) -> String {
        let said = |delta: Delta| if let Delta::Text { text, .. } = delta { Some(text) } else { None };
        self.deltas().into_iter().filter_map(said).collect()
    }

    pub(super) fn finishes(&self) -> usize {
        self.deltas().iter().filter(|delta| matches!(delta, Delta::Finish { .. })).count()
    }

    pub(super) fn last_usage(&self) -> Option<Usage> {
        let usage = |delta: Delta| if let Delta::Usage(usage) = delta { Some(usage) } else { None };
        self.deltas().into_iter().rev().find_map(usage)
    }
}

impl Listener for Recorder {
    fn begin(&mut self, trail: &Trail) -> Result<(), Left> {
        self.curious.looks();
        assert!(self.frames.is_empty(), "a frame before the beginning");
        self.begun.push(trail.clone());
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), Left> {
        self.curious.looks();
        if let Some(gate) = &self.slow {
            gate.pass();
        }
        if self.patience == Some(self.frames.len()) {
            return Err(Left);
        }
        self.frames.push(frame.clone());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Left> {
        self.flushed.push(self.frames.len());
        Ok(())
    }

    fn wait(&mut self, every: Duration) {
        assert!(self.begun.is_empty(), "told to wait although it has begun");
        self.waits.lock().push(every);
    }

    fn ready(&self) -> bool {
        self.slow.as_ref().is_none_or(Gate::is_open)
    }
}

/// Keeps what happened, in words.
#[derive(Default)]
pub(super) struct Witness(pub(super) Mutex<Vec<String>>, Curious);

impl Witness {
    /// Everything that was reported and contains this.
    pub(super) fn saw(&self, words: &str) -> Vec<String> {
        self.0.lock().iter().filter(|line| line.contains(words)).cloned().collect()
    }
}

impl Observer for Witness {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().push(format!("{event:?}"));
        self.1.looks();
    }
}

/// A gateway with scripted providers called a, b, c... on a clock set by hand.
pub(super) struct Bench {
    pub(super) gateway: Arc<Gateway>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) witness: Arc<Witness>,
}

pub(super) fn settings() -> Settings {
    Settings {
        breaker: breaker::Settings {
            failure_threshold: 3,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            max_requests: 1,
        },
        health: health::Settings {
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            failure_threshold: 3,
        },
        request_timeout: Duration::from_secs(600),
        retry_wait_max: Duration::from_millis(200),
        on_stream_failure: OnStreamFailure::Continue,
        keep_alive: Duration::from_secs(10),
        deduplicate: true,
        cache: None,
        models: Vec::new(),
        prices: Arc::default(),
        strategy: Strategy::Preference,
    }
}

pub(super) fn slot(name: &str) -> SlotSettings {
    SlotSettings {
        name: name.to_owned(),
        model: format!("{name}-own"),
        models: vec![format!("{name}-*")],
        max_concurrency: 1_000,
        limits: crate::domain::limit::Limits::default(),
        retries: 0,
        weight: 1,
    }
}

pub(super) fn bench(providers: &[&Arc<Scripted>]) -> Bench {
    bench_with(settings(), providers, |_| {})
}

pub(super) fn bench_with(
    settings: Settings,
    providers: &[&Arc<Scripted>],
    adjust: impl Fn(&mut SlotSettings),
) -> Bench {
    let clock = Arc::new(ManualClock::new());
    let witness = Arc::new(Witness::default());
    let slots = providers.iter().zip(["a", "b", "c", "d"]).map(|(provider, name)| {
        let mut slot = slot(name);
        adjust(&mut slot);
        (slot, Arc::clone(provider) as Arc<dyn Provider>)
    });
    let gateway = Gateway::new(
        settings,
        slots.collect(),
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::clone(&witness) as Arc<dyn Observer>,
    );
    let gateway = Arc::new(gateway);
    providers
        .iter()
        .map(|provider| &provider.curious)
        .chain([&witness.1])
        .for_each(|one| one.knows(&gateway));
    Bench { gateway, clock, witness }
}

pub(super) fn question(body: &str) -> Question {
    Question {
        caller: Caller::Key("bot".into()),
        endpoint: "chat",
        gist: Gist::default(),
        words: Words {
            dialect: Dialect::OpenAiChat,
            body: Arc::new(body.as_bytes().to_vec()),
            marks: Marks::default(),
        },
        pinned: None,
        tokens: 0,
        purse: None,
        deduplicate: true,
        wish: super::cache::Wish::default(),
        request_id: "r".into(),
        passed: Vec::new(),
        traceparent: None,
    }
}

impl Bench {
    /// What time it is there.
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Asks, and gives what the caller received.
    pub(super) fn ask(&self) -> (Outcome, Trail, Recorder) {
        self.ask_with(question("{}"), Recorder::default())
    }

    pub(super) fn ask_with(&self, question: Question, mut recorder: Recorder) -> (Outcome, Trail, Recorder) {
        recorder.curious.knows(&self.gateway);
        let (outcome, trail) = self.gateway.ask((question.into(), self.now()), &Cancel::new(), &mut recorder);
        (outcome, trail, recorder)
    }

    /// Asks for one model.
    pub(super) fn ask_for(&self, model: &str) -> (Outcome, Trail) {
        let mut question = question("{}");
        question.gist.model = Some(model.to_owned());
        let (outcome, trail, _) = self.ask_with(question, Recorder::default());
        (outcome, trail)
    }
}

/// Who answered, or the fault.
pub(super) fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Whole(answer) => match &answer.content {
            Content::Said { choices, .. } => match &choices[0].parts[0] {
                Part::Text { text, .. } => text.clone(),
                other => format!("{other:?}"),
            },
            Content::Verbatim { .. } | Content::Vectors(_) => "no text".to_owned(),
        },
        Outcome::Streamed => "streamed".to_owned(),
        Outcome::Broken(failure) => format!("broken: {}", failure.fault.word()),
        Outcome::Failed(failure) => format!("failed: {}", failure.fault.word()),
    }
}

/// Waits until something is true that another thread brings about.
pub(super) fn until(what: impl Fn() -> bool) {
    assert!(comes_true(what), "it never came true");
}

/// The same for a test that must tidy up first.
pub(super) fn comes_true(what: impl Fn() -> bool) -> bool {
    let patience = Cancel::new();
    (0..6_000).any(|_| {
        let so = what();
        if !so {
            let _ = patience.wait(Duration::from_millis(5));
        }
        so
    })
}
