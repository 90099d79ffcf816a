//! The ledger joined to the other rooms: opened and changed by the configuration, told what survives a restart.

use crate::api::{self, Api, State};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::keepsake::Keepsake;
use crate::gateway::meter::{Saved, Scope, Spent};
use crate::gateway::ports::Observer;
use crate::ledger::{self, Lasting, Ledger, Opened};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Opens the ledger, and gives what was saved in it. Every event goes on to `next`.
pub(super) fn open(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    next: Arc<dyn Observer>,
) -> Result<(Arc<Ledger>, Vec<Keepsake>), String> {
    let opened = ledger::open(&of_ledger(settings))?;
    let kept = opened.kept.clone();
    let ledger = Ledger::start(opened, Arc::clone(clock), next)
        .map_err(|error| format!("the ledger cannot be started: {error}"))?;
    Ok((Arc::new(ledger), kept))
}

/// From now on the ledger saves what a restart should not forget.
pub(super) fn remember(ledger: &Ledger, api: &Arc<Api>, clock: &Arc<dyn Clock>) {
    let (api, clock) = (Arc::downgrade(api), Arc::clone(clock));
    let (late, theirs) = (api.clone(), Arc::clone(&clock));
    ledger.remember(Lasting {
        remember: Box::new(move || {
            api.upgrade().map_or_else(Vec::new, |api| keepsakes(&api.state(), &*clock))
        }),
        // Which provider is in trouble has been seen by now.
        recall: Box::new(move |kept| {
            if let Some(api) = late.upgrade() {
                recall_used(&api.state(), kept, &*theirs);
            }
        }),
    });
}

fn keepsakes(state: &State, clock: &dyn Clock) -> Vec<Keepsake> {
    let mut kept = state.gateway.keepsakes();
    for saved in state.meter.snapshot(clock.now(), clock.today()) {
        let scope = saved.scope.word();
        let fact = |what: &str, at, value| Keepsake::new(&format!("{scope}_{what}"), &saved.name, at, value);
        kept.push(fact(REQUESTS, saved.requests_whole_at, 0));
        kept.push(fact(TOKENS, saved.tokens_whole_at, 0));
        kept.extend(saved.spent.map(|spent| fact(SPENT, spent.began, spent.nano_usd)));
    }
    kept
}

/// When a limit's requests are whole again, when its tokens are, and since when how much was spent: what `key_`, `route_`
/// or `address_` before it is about.
const REQUESTS: &str = "requests";
const TOKENS: &str = "tokens";
const SPENT: &str = "spent";

/// Puts a new state where an earlier process stood.
pub(super) fn recall(state: &State, kept: &[Keepsake], clock: &dyn Clock) {
    state.gateway.recall(kept);
    recall_used(state, kept, clock);
}

/// What callers had used and spent, on top of what they have since.
fn recall_used(state: &State, kept: &[Keepsake], clock: &dyn Clock) {
    let mut found: HashMap<(&str, &str), Saved> = HashMap::new();
    for keepsake in kept {
        let Some((word, what)) = keepsake.kind.split_once('_') else { continue };
        let Some(scope) = Scope::of_word(word) else { continue };
        let saved = found.entry((word, &keepsake.name)).or_insert_with(|| Saved {
            scope,
            name: keepsake.name.clone(),
            requests_whole_at: UNIX_EPOCH,
            tokens_whole_at: UNIX_EPOCH,
            spent: None,
        });
        match what {
            REQUESTS => saved.requests_whole_at = keepsake.at(),
            TOKENS => saved.tokens_whole_at = keepsake.at(),
            SPENT => saved.spent = Some(Spent { began: keepsake.at(), nano_usd: keepsake.value }),
            _ => {}
        }
    }
    let saved: Vec<Saved> = found.into_values().collect();
    state.meter.restore(&saved, clock.now(), clock.today());
}

/// Opens what these settings say, if that is another ledger.
pub(super) fn other(ledger: &Ledger, settings: &Settings) -> Result<Option<Opened>, String> {
    let wanted = of_ledger(settings);
    (wanted != ledger.settings()).then(|| ledger::open(&wanted)).transpose()
}

/// Puts another ledger in service.
pub(super) fn change(ledger: &Ledger, opened: Option<Opened>) -> Result<(), String> {
    opened.map_or(Ok(()), |opened| {
        ledger.change(opened).map_err(|error| format!("the ledger stays where it is: {error}"))
    })
}

fn of_ledger(settings: &Settings) -> ledger::Settings {
    ledger::Settings { path: settings.usage.path.clone(), keep: settings.usage.keep }
}

/// Reads the ledger for an endpoint; what is wrong with it is the operator's business.
pub(super) fn rows(ledger: &Arc<Ledger>) -> api::usage::Rows {
    let ledger = Arc::clone(ledger);
    Box::new(move |since, key| {
        ledger.rows(since, key).inspect_err(|words| log::error!("the ledger cannot be read: {words}"))
    })
}
