//! The ledger joined to the other rooms: opened and changed by the configuration, told what survives a restart.

use crate::api::{self, Api};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::keepsake::Keepsake;
use crate::domain::price::Prices;
use crate::gateway::ports::Observer;
use crate::ledger::{self, Ledger, Opened};
use std::sync::Arc;

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
pub(super) fn remember(ledger: &Ledger, api: &Arc<Api>) {
    let api = Arc::downgrade(api);
    let list = move || api.upgrade().map_or_else(Vec::new, |api| api.state().gateway.keepsakes());
    ledger.remember(Box::new(list));
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

/// What tokens cost by this configuration.
pub(super) fn prices(_settings: &Settings) -> Prices {
    Prices::default()
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
