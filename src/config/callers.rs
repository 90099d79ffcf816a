//! Who may call, what each may use and cost, and what tokens cost: `auth`, `rate_limit`, `routes`, `prices`.

use super::file::At;
use super::providers::Found;
use super::reading::{Reading, Section};
use super::value;
use super::{CallerKey, Route, VirtualModel};
use crate::domain::budget::Allowance;
use crate::domain::digest;
use crate::domain::limit::Limits;
use crate::domain::pattern::Pattern;
use crate::domain::price::{NANO_USD, Price, Prices};
use crate::domain::rule::ROUTES_MAX;

/// Hashes of one key: the present one, and those it replaces or is replaced by.
const HASHES_MAX: usize = 4;
/// Labels of one key.
const LABELS_MAX: usize = 16;
/// Own prices: each may be looked at for every answer.
const PRICES_MAX: usize = 1_024;
/// USD in one budget, and per million tokens: more is a slip.
const USD_MAX: f64 = 1e9;
const PRICE_USD_MAX: f64 = 1e6;

pub(super) fn caller_keys(reading: &mut Reading<'_>, root: &Section<'_>) -> Vec<CallerKey> {
    let mut keys: Vec<CallerKey> = Vec::new();
    for item in root.section("auth").items("keys") {
        let name = item.need(reading, "name");
        let hashes = hashes(reading, &item, &keys);
        let Some(name) = name.filter(|_| !hashes.is_empty()) else { continue };
        if keys.iter().any(|key| key.name == name) {
            let words =
                format!("{name} is the name of another key; one that replaces it goes into its hashes");
            reading.problem(item.at_of("name"), &item.path_of("name"), words);
        }
        keys.push(CallerKey {
            name,
            hashes,
            models: item.plain_texts("models"),
            endpoints: item.plain_texts("endpoints"),
            labels: labels(reading, &item),
            expires: item.text("expires").and_then(|date| value::date(&date).ok()),
            limits: limits(&item.section("limits")),
            budget: budget(reading, &item),
            may_pin: item.flag("pin"),
            admin: item.flag("admin"),
        });
    }
    keys
}

/// The hashes of one key: `hash`, or several under `hashes`, none of which may be another key's.
fn hashes(reading: &mut Reading<'_>, item: &Section<'_>, others: &[CallerKey]) -> Vec<[u8; 32]> {
    let listed = item.texts("hashes");
    let single = item.text("hash").map(|hash| (item.at_of("hash"), hash));
    let written = single.is_some() || !listed.is_empty();
    if !written && !item.is_wrong("hash") && !item.is_wrong("hashes") {
        reading.problem(item.at, &item.path_of("hash"), "is needed");
    }
    if listed.len() + usize::from(single.is_some()) > HASHES_MAX {
        let words = format!("at most {HASHES_MAX} hashes are one key");
        reading.problem(item.at_of("hashes"), &item.path_of("hashes"), words);
    }
    let path = if single.is_some() { "hash" } else { "hashes" };
    let mut read: Vec<[u8; 32]> = Vec::new();
    for (at, text) in single.into_iter().chain(listed) {
        let Some(hash) = text.strip_prefix("sha256:").and_then(digest::unhex) else { continue };
        if read.contains(&hash) {
            reading.problem(at, &item.path_of(path), "is written twice");
        } else if others.iter().any(|key| key.hashes.contains(&hash)) {
            reading.problem(at, &item.path_of(path), "is the hash of another key");
        }
        read.push(hash);
    }
    read
}

fn labels(reading: &mut Reading<'_>, item: &Section<'_>) -> Vec<(String, String)> {
    let section = item.section("labels");
    let read: Vec<_> = section
        .named()
        .into_iter()
        .filter_map(|(name, _)| section.text(&name).map(|text| (name, text)))
        .collect();
    if read.len() > LABELS_MAX {
        reading.problem(section.at, &section.path, format!("at most {LABELS_MAX} labels"));
    }
    read
}

/// `requests_per_minute`, `tokens_per_minute` and `concurrent` of a section that may have them.
pub(super) fn limits(section: &Section<'_>) -> Limits {
    Limits { concurrent: section.count("concurrent"), ..per_minute(section) }
}

/// The same without `concurrent`: providers have `max_concurrency`.
pub(super) fn per_minute(section: &Section<'_>) -> Limits {
    Limits {
        requests_per_minute: section.count("requests_per_minute"),
        tokens_per_minute: section.count("tokens_per_minute"),
        concurrent: None,
    }
}

fn budget(reading: &mut Reading<'_>, item: &Section<'_>) -> Option<Allowance> {
    item.written("budget")?;
    let section = item.section("budget");
    let Some(usd) = section.amount("usd") else {
        if !section.is_wrong("usd") {
            reading.problem(section.at, &section.path_of("usd"), "is needed");
        }
        return None;
    };
    if usd > USD_MAX {
        reading.problem(section.at_of("usd"), &section.path_of("usd"), format!("must be at most {USD_MAX}"));
    }
    let per = match section.text("per").as_deref() {
        Some("day") => crate::domain::budget::Period::Day,
        Some("week") => crate::domain::budget::Period::Week,
        _ => crate::domain::budget::Period::Month,
    };
    // Up to a billion USD: within an u64 of nano-USD, to the nearest one.
    Some(Allowance { nano_usd: (usd.min(USD_MAX) * NANO_USD as f64).round() as u64, per })
}

/// The endpoints' own limits.
pub(super) fn routes(reading: &mut Reading<'_>, root: &Section<'_>) -> Vec<Route> {
    let items = root.items("routes");
    if items.len() > ROUTES_MAX {
        reading.problem(root.at_of("routes"), "routes", format!("at most {ROUTES_MAX} rules"));
    }
    let mut read: Vec<Route> = Vec::new();
    for item in items {
        let Some(path) = item.need(reading, "path") else { continue };
        if read.iter().any(|route| route.path == path) {
            reading.problem(
                item.at_of("path"),
                &item.path_of("path"),
                format!("{path} has another rule already"),
            );
        }
        read.push(Route { path, limits: limits(&item.section("limits")) });
    }
    // The original listed its endpoints here; without limits such an entry says nothing.
    read.retain(|route| route.limits.any());
    read
}

/// The operator's own prices, per model or pattern.
pub(super) fn prices(reading: &mut Reading<'_>, root: &Section<'_>) -> Vec<(String, Price)> {
    let section = root.section("prices");
    let named = section.named();
    if named.len() > PRICES_MAX {
        reading.problem(section.at, &section.path, format!("at most {PRICES_MAX} prices"));
    }
    let mut read = Vec::with_capacity(named.len());
    for (pattern, price) in named.into_iter().filter(|(_, price)| !price.is_no_section()) {
        let mut usd = |key: &str| {
            let amount = price.amount(key)?;
            let nano = amount * 1_000.0;
            let (at, path) = (price.at_of(key), price.path_of(key));
            if amount > PRICE_USD_MAX {
                reading.problem(at, &path, format!("must be at most {PRICE_USD_MAX} USD per million tokens"));
            } else if (nano - nano.round()).abs() > 1e-6 * nano.max(1.0) {
                reading.problem(at, &path, "must have at most three decimals");
            }
            Some(amount.min(PRICE_USD_MAX))
        };
        let (input, cached) = (usd("input"), usd("cached"));
        let (cache_write, output) = (usd("cache_write"), usd("output"));
        for (key, amount) in [("input", input), ("output", output)] {
            if amount.is_none() && !price.is_wrong(key) {
                reading.problem(price.at, &price.path_of(key), "is needed");
            }
        }
        let (Some(input), Some(output)) = (input, output) else { continue };
        let (cached, cache_write) = (cached.unwrap_or(input), cache_write.unwrap_or(input));
        read.push((pattern, Price::usd_per_million(input, cached, cache_write, output)));
    }
    read
}

/// What a key has a budget for although nobody knows what it costs: said once per model, at the first budget.
pub(super) fn unpriced(
    reading: &mut Reading<'_>,
    root: &Section<'_>,
    (found, models): (&Found, &[VirtualModel]),
    prices: &[(String, Price)],
) {
    let budgeted = |item: &Section<'_>| item.written("budget").map(|at| (at, item.path_of("budget")));
    let Some((at, path)) = root.section("auth").items("keys").iter().find_map(budgeted) else { return };
    let prices = known_prices(&found.providers, prices);
    let own = found.providers.iter().flat_map(|provider| {
        let exact = provider.models.iter().filter(|model| !model.contains('*'));
        exact.chain([&provider.model]).map(|model| (provider.name.clone(), model.clone()))
    });
    let listed = models.iter().flat_map(|model| model.targets.iter().cloned());
    let mut said: Vec<(String, String)> = Vec::new();
    for (provider, model) in own.chain(listed) {
        if prices.of(&provider, &model).is_none() && !said.contains(&(provider.clone(), model.clone())) {
            warn_unpriced(reading, (at, &path), &provider, &model);
            said.push((provider, model));
        }
    }
}

fn warn_unpriced(reading: &mut Reading<'_>, (at, path): (At, &str), provider: &str, model: &str) {
    let words =
        format!("what {model} at {provider} costs is not known, so no budget counts it: say so under prices");
    reading.warn(at, path, &words);
}

/// The prices in force.
pub(super) fn known_prices(providers: &[super::Provider], own: &[(String, Price)]) -> Prices {
    let vendors = providers.iter().map(|provider| (provider.name.clone(), provider.vendor));
    Prices::new(vendors, own.iter().map(|(pattern, price)| (Pattern::new(pattern), *price)))
}
