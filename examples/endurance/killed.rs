//! Streams whose provider's connection is killed at a random byte: alone, none may look complete that is not; with a
//! second provider, they are whole.

use crate::caller::{Caller, Request};
use crate::chance::Chance;
use crate::crowd::crowd;
use crate::options::Options;
use crate::report::Report;
use crate::site::{self, MODEL, NEVER_OPEN, Watched};
use crate::words::{VOICES, Voice, Worth, judge};
use hapax::simulate::{End, Simulator};

/// Tokens of an answer.
const TOKENS: usize = 40;
/// What must be whole of those that a second provider can finish.
const WHOLE_SHARE_MIN: f64 = 0.999;
/// How providers answer when they are not killed.
const BEHAVIOUR: &str = "tokens=40";
/// The same of one who refuses a conversation that ends with the assistant's words.
const REFUSING: &str = "tokens=40,no_prefill";

/// The parts of this phase: what each is called, and how the provider behaves who is to go on, if there is one.
const PARTS: [(&str, Option<&str>); 3] =
    [("alone", None), ("with_a_second", Some(BEHAVIOUR)), ("with_a_refusing_second", Some(REFUSING))];

#[derive(Debug, Default)]
struct Tally {
    whole: u64,
    honest: u64,
    lying: u64,
    silent: u64,
    examples: Vec<String>,
    stale: u64,
}

/// Runs it.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    for (part, (name, second)) in PARTS.into_iter().enumerate() {
        let (mut all, mut killed) = (Tally::default(), 0);
        for (index, (voice, first)) in pairs().enumerate() {
            // What does not divide goes to the first ones.
            let count = (options.streams + 8 - index as u64) / 9;
            let seed = options.seed.wrapping_add((PARTS.len() * index + part) as u64);
            let (tally, cut) = kill(options, (voice, first, second), (count, seed), report)?;
            killed += cut;
            all.add(tally);
        }
        let streams = all.whole + all.honest + all.lying + all.silent;
        report.count(format!("{name}_streams"), streams);
        report.count(format!("{name}_connections_killed"), killed);
        report.count(format!("{name}_whole"), all.whole);
        report.count(format!("{name}_ended_honestly"), all.honest);
        report.count(format!("{name}_looked_complete_or_ended_without_a_word"), all.lying);
        report.count(format!("{name}_no_answer"), all.silent);
        report.count(format!("{name}_kept_connections_found_closed"), all.stale);
        report.promise(all.lying == 0, || format!("{name}: {} looked complete and were not", all.lying));
        report.promise(all.silent == 0, || format!("{name}: {} got no answer", all.silent));
        report.promise(streams == options.streams, || format!("{name}: {streams} streams"));
        let share = all.whole as f64 / streams.max(1) as f64;
        report.promise(second.is_none() || share >= WHOLE_SHARE_MIN, || {
            format!("{name}: only {:.3} % were whole", share * 100.0)
        });
        for example in all.examples {
            crate::complain(&format!("{name}: {example}"));
        }
    }
    Ok(())
}

/// Every caller's dialect with every provider's.
fn pairs() -> impl Iterator<Item = (Voice, Voice)> {
    VOICES.into_iter().flat_map(|voice| VOICES.into_iter().map(move |first| (voice, first)))
}

/// Kills the streams of one pair of dialects, `second` being how another provider behaves, if there is one; also says
/// how many connections were killed.
fn kill(
    options: &Options,
    (voice, first, second): (Voice, Voice, Option<&str>),
    (count, seed): (u64, u64),
    report: &mut Report,
) -> Result<(Tally, u64), String> {
    let place = VOICES.iter().position(|other| *other == first).unwrap_or(0);
    let next = VOICES[(place + 1) % VOICES.len()];
    let mut providers = Vec::new();
    for (voice, behaviour) in [(first, Some(BEHAVIOUR)), (next, second)] {
        if let Some(behaviour) = behaviour {
            let provider = site::simulator()?;
            provider.behave(behaviour).map_err(|bad| bad.to_string())?;
            providers.push((voice, provider));
        }
    }
    let bytes = length(first, &providers[0].1)?;
    let watched = Watched::start(options, &site::yaml(&providers, &[], NEVER_OPEN))?;
    let address = watched.gateway.address();
    let mut chance = Chance::new(seed, 1 << 40);
    providers[0].1.forget();
    // What breaks before its first word may be asked again, so there are more than one for each.
    for _ in 0..2 * count {
        providers[0].1.script(&[&format!("{BEHAVIOUR},cut_at_byte={}", chance.below(bytes))]);
    }
    let state = |_: usize| (Caller::new(address), Tally::default());
    let callers = crowd(options.clients, count, state, |(caller, tally), number| {
        let request = Request::new(voice, format!("Stream {number} of {seed}"), true);
        let expected = Simulator::expected_tokens(MODEL, &request.user, TOKENS).concat();
        let worth = caller.ask(&request).map(|heard| judge(voice, true, &heard, &expected));
        tally.note(worth, (second.is_some(), voice, first));
    })?;
    watched.stop(report)?;
    let killed = providers[0].1.seen().iter().filter(|seen| seen.end == End::Misbehaved).count();
    let mut all = Tally::default();
    for (caller, tally) in callers {
        all.add(Tally { stale: caller.stale, ..tally });
    }
    Ok((all, killed as u64))
}

/// How long such a stream is, asked of the provider itself; somewhat more, since the gateway asks for usage too.
fn length(voice: Voice, provider: &Simulator) -> Result<u64, String> {
    let mut request = Request::new(voice, "Stream 1000 of 10".to_owned(), true);
    request.model = MODEL.to_owned();
    let heard = Caller::new(provider.address()).ask(&request)?;
    let bytes = heard.body.len() as u64;
    if heard.status == 200 {
        Ok(bytes + bytes / 12)
    } else {
        Err(format!("the simulator said {}", heard.status))
    }
}

impl Tally {
    fn note(&mut self, worth: Result<Worth, String>, who: (bool, Voice, Voice)) {
        let example = match worth {
            Ok(Worth::Whole) => {
                self.whole += 1;
                return;
            }
            Ok(Worth::Honest(how)) => {
                self.honest += 1;
                // Alone, that is what has to happen.
                who.0.then_some(how)
            }
            Ok(Worth::Lying(how)) => {
                self.lying += 1;
                Some(how)
            }
            Err(error) => {
                self.silent += 1;
                Some(error)
            }
        };
        self.examples.extend(example.map(|how| format!("{:?} from {:?}: {how}", who.1, who.2)));
    }

    fn add(&mut self, other: Self) {
        self.whole += other.whole;
        self.honest += other.honest;
        self.lying += other.lying;
        self.silent += other.silent;
        self.stale += other.stale;
        self.examples.extend(other.examples);
    }
}
