//! Who is asked, in which order, and for which model.
//!
//! 1. A name of the operator's own has a complete list: nobody else stands in.
//! 2. `provider/model` names a provider directly: it comes first.
//! 3. Any other name goes first to the providers whose patterns fit it, asked for that very name.
//! 4. Everyone else stands in with his own model. Without a name everybody is asked for his own.
//!
//! Within each step the order is that of preference, unless a strategy (`balance`) changes it. A pinned provider leaves only itself.

use super::pattern::Pattern;

/// A provider as routing sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The provider's name.
    pub name: String,
    /// The model it is asked for when nobody named one, and when it stands in for another.
    pub model: String,
    /// The names it serves itself.
    pub models: Vec<Pattern>,
}

/// A name of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualModel {
    /// The name callers use.
    pub name: String,
    /// Provider name and model, most preferred first.
    pub targets: Vec<(String, String)>,
}

/// A provider, by its place in the order of preference, with the model it would be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Index into [`Routes::offers`].
    pub offer: usize,
    /// The model to ask for.
    pub model: &'a str,
    /// Which step of the above found it: candidates of one step are equals.
    pub step: u8,
}

/// Why a provider is no candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// The request pins another provider.
    NotPinned,
    /// The model is a name of the operator's own, and its list does not contain this provider.
    NotListed,
}

impl LeftOut {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotPinned => "another provider is pinned",
            Self::NotListed => "not on this model's list",
        }
    }
}

/// Everything routing knows.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    offers: Vec<Offer>,
    models: Vec<(String, Vec<(usize, String)>)>,
}

impl Routes {
    /// Providers, most preferred first, and the operator's own names. Targets at unknown providers are left out.
    #[must_use]
    pub fn new(offers: Vec<Offer>, models: Vec<VirtualModel>) -> Self {
        let place = |name: &str| offers.iter().position(|offer| offer.name == name);
        let models = models
            .into_iter()
            .map(|model| {
                let known = |(name, model): (String, String)| place(&name).map(|offer| (offer, model));
                (model.name, model.targets.into_iter().filter_map(known).collect())
            })
            .collect();
        Self { offers, models }
    }

    /// The providers, most preferred first.
    #[must_use]
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// The operator's own names with their targets.
    pub fn own_names(&self) -> impl Iterator<Item = (&str, &[(usize, String)])> {
        self.models.iter().map(|(name, targets)| (name.as_str(), targets.as_slice()))
    }

    /// The candidates in order. Empty only when a pinned provider does not exist or may not serve the name.
    #[must_use]
    pub fn candidates<'a>(&'a self, model: Option<&'a str>, pinned: Option<&str>) -> Vec<Candidate<'a>> {
        let mut order = Vec::with_capacity(self.offers.len());
        match model.filter(|name| !name.is_empty()) {
            None => self.stand_in(&mut order),
            Some(name) => {
                if let Some((_, targets)) = self.models.iter().find(|(own, _)| own == name) {
                    order.extend(targets.iter().map(|(offer, model)| Candidate {
                        offer: *offer,
                        model,
                        step: 1,
                    }));
                } else {
                    self.named(name, &mut order);
                    self.stand_in(&mut order);
                }
            }
        }
        self.pin(order, pinned)
    }

    /// The candidates in order when no other model will do: those who serve the name themselves, or where nobody
    /// is known to, everyone, asked for that very name.
    #[must_use]
    pub fn servers<'a>(&'a self, model: Option<&'a str>, pinned: Option<&str>) -> Vec<Candidate<'a>> {
        let own = |name: &str| self.models.iter().any(|(own, _)| own == name);
        let Some(name) = model.filter(|name| !name.is_empty() && !own(name)) else {
            return self.candidates(model, pinned);
        };
        let mut order = Vec::with_capacity(self.offers.len());
        self.named(name, &mut order);
        if order.is_empty() {
            order.extend((0..self.offers.len()).map(|offer| Candidate { offer, model: name, step: 3 }));
        }
        self.pin(order, pinned)
    }

    fn pin<'a>(&self, mut order: Vec<Candidate<'a>>, pinned: Option<&str>) -> Vec<Candidate<'a>> {
        if let Some(pinned) = pinned {
            order.retain(|candidate| self.offers[candidate.offer].name == pinned);
        }
        order
    }

    /// The providers that are no candidates, with the reason.
    #[must_use]
    pub fn left_out(&self, model: Option<&str>, pinned: Option<&str>) -> Vec<(usize, LeftOut)> {
        let listed = self.candidates(model, None);
        let reason = |(place, offer): (usize, &Offer)| {
            if pinned.is_some_and(|pinned| pinned != offer.name) {
                Some((place, LeftOut::NotPinned))
            } else if listed.iter().all(|candidate| candidate.offer != place) {
                Some((place, LeftOut::NotListed))
            } else {
                None
            }
        };
        self.offers.iter().enumerate().filter_map(reason).collect()
    }

    /// Those who serve the name themselves.
    fn named<'a>(&'a self, name: &'a str, order: &mut Vec<Candidate<'a>>) {
        if let Some((provider, model)) = name.split_once('/').filter(|(_, model)| !model.is_empty())
            && let Some(offer) = self.offers.iter().position(|offer| offer.name == provider)
        {
            order.push(Candidate { offer, model, step: 2 });
        }
        for (place, offer) in self.offers.iter().enumerate() {
            if absent(order, place) && offer.models.iter().any(|pattern| pattern.matches(name)) {
                order.push(Candidate { offer: place, model: name, step: 3 });
            }
        }
    }

    /// Everyone who is not in the order yet, with his own model.
    fn stand_in<'a>(&'a self, order: &mut Vec<Candidate<'a>>) {
        for (place, offer) in self.offers.iter().enumerate() {
            if absent(order, place) {
                order.push(Candidate { offer: place, model: &offer.model, step: 4 });
            }
        }
    }
}

fn absent(order: &[Candidate<'_>], place: usize) -> bool {
    order.iter().all(|candidate| candidate.offer != place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let offer = |name: &str, model: &str, models: &[&str]| Offer {
            name: name.to_owned(),
            model: model.to_owned(),
            models: models.iter().map(|pattern| Pattern::new(pattern)).collect(),
        };
        let own = |name: &str, targets: &[(&str, &str)]| VirtualModel {
            name: name.to_owned(),
            targets: targets.iter().map(|(p, m)| ((*p).to_owned(), (*m).to_owned())).collect(),
        };
        Routes::new(
            vec![
                offer("ollama", "llama3.2", &["llama*"]),
                offer("anthropic", "claude", &["claude*"]),
                offer("openai", "gpt-4o-mini", &["gpt-*", "o*"]),
                offer("router", "auto", &["openai/*", "gpt-*"]),
            ],
            vec![
                own("fast", &[("openai", "gpt-4o"), ("nobody", "x"), ("ollama", "tiny"), ("openai", "o1")]),
                own("gpt-mine", &[("anthropic", "claude-3")]),
            ],
        )
    }

    #[track_caller]
    fn check(model: Option<&str>, pinned: Option<&str>, expected: &[&str]) {
        let routes = routes();
        let order: Vec<String> = routes
            .candidates(model, pinned)
            .iter()
            .map(|candidate| format!("{}={}", routes.offers()[candidate.offer].name, candidate.model))
            .collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn without_a_name_everyone_is_asked_for_his_own_model_in_order_of_preference() {
        let all = ["ollama=llama3.2", "anthropic=claude", "openai=gpt-4o-mini", "router=auto"];
        check(None, None, &all);
        check(Some(""), None, &all);
    }

    #[test]
    fn a_name_goes_first_to_those_who_serve_it_then_the_others_stand_in() {
        let order = ["openai=gpt-4o", "router=gpt-4o", "ollama=llama3.2", "anthropic=claude"];
        check(Some("gpt-4o"), None, &order);
    }

    #[test]
    fn a_name_nobody_serves_is_served_by_stand_ins() {
        let all = ["ollama=llama3.2", "anthropic=claude", "openai=gpt-4o-mini", "router=auto"];
        check(Some("mistral-large"), None, &all);
    }

    #[test]
    fn a_name_of_ones_own_has_a_complete_list_and_wins_over_patterns() {
        check(Some("fast"), None, &["openai=gpt-4o", "ollama=tiny", "openai=o1"]);
        check(Some("gpt-mine"), None, &["anthropic=claude-3"]);
    }

    #[test]
    fn a_provider_named_directly_comes_first_and_a_stranger_before_the_slash_is_just_a_name() {
        let order = ["anthropic=opus", "ollama=llama3.2", "openai=gpt-4o-mini", "router=auto"];
        check(Some("anthropic/opus"), None, &order);
        let order = ["openai=gpt-5", "router=openai/gpt-5", "ollama=llama3.2", "anthropic=claude"];
        check(Some("openai/gpt-5"), None, &order);
        let all = ["ollama=llama3.2", "anthropic=claude", "openai=gpt-4o-mini", "router=auto"];
        check(Some("mistral/large"), None, &all);
        let order = ["openai=openai/", "router=openai/", "ollama=llama3.2", "anthropic=claude"];
        check(Some("openai/"), None, &order);
    }

    #[test]
    fn a_pinned_provider_leaves_only_itself() {
        check(Some("gpt-4o"), Some("router"), &["router=gpt-4o"]);
        check(Some("gpt-4o"), Some("ollama"), &["ollama=llama3.2"]);
        check(None, Some("openai"), &["openai=gpt-4o-mini"]);
        check(Some("fast"), Some("openai"), &["openai=gpt-4o", "openai=o1"]);
        check(Some("fast"), Some("anthropic"), &[]);
        check(None, Some("nobody"), &[]);
    }

    #[test]
    fn those_left_out_are_told_why() {
        let routes = routes();
        assert_eq!(routes.left_out(Some("fast"), None), [(1, LeftOut::NotListed), (3, LeftOut::NotListed)]);
        assert_eq!(
            routes.left_out(None, Some("openai")),
            [(0, LeftOut::NotPinned), (1, LeftOut::NotPinned), (3, LeftOut::NotPinned)]
        );
        assert_eq!(routes.left_out(Some("gpt-4o"), None), []);
    }

    #[test]
    fn where_no_other_model_will_do_nobody_stands_in_and_an_unknown_name_is_put_to_everyone() {
        let routes = routes();
        let order = |model, pinned| -> Vec<(usize, String)> {
            let candidates = routes.servers(model, pinned);
            candidates.iter().map(|candidate| (candidate.offer, candidate.model.to_owned())).collect()
        };
        let asked = |offers: &[usize], model: &str| -> Vec<(usize, String)> {
            offers.iter().map(|offer| (*offer, model.to_owned())).collect()
        };
        assert_eq!(order(Some("claude-3"), None), asked(&[1], "claude-3"));
        assert_eq!(order(Some("embed-small"), None), asked(&[0, 1, 2, 3], "embed-small"));
        assert_eq!(order(Some("embed-small"), Some("openai")), asked(&[2], "embed-small"));
        assert_eq!(order(Some("gpt-mine"), None), asked(&[1], "claude-3"));
        assert_eq!(order(None, Some("ollama")), asked(&[0], "llama3.2"));
    }
}
