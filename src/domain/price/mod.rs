//! What tokens cost: a built-in table with a date, and the operator's own prices before it.
//!
//! Money is counted in nano-USD (10⁻⁹ USD) and prices in nano-USD per token, so that one USD per million tokens is
//! 1000: whole numbers, exact sums. Tokens are the truth; money is derived when it is read.

mod table;

use super::chat::Usage;
use super::pattern::Pattern;
use super::quick::Seed;
use std::collections::HashMap;
pub use table::PRICES_AS_OF;

/// One USD in the unit money is counted in.
pub const NANO_USD: u64 = 10_u64.pow(NANO_DIGITS as u32);
/// The digits of a USD behind its point.
pub const NANO_DIGITS: usize = 9;
/// Nano-USD per token in one USD per million tokens.
const PER_MILLION: f64 = 1_000.0;

/// What one model's tokens cost, each in nano-USD per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// Input that is neither read from nor written to the provider's cache.
    pub input: u64,
    /// Input read from the provider's cache.
    pub cached: u64,
    /// Input written to the provider's cache.
    pub cache_write: u64,
    /// Output, thinking included.
    pub output: u64,
}

impl Price {
    /// From USD per million tokens, to the nearest nano-USD per token.
    #[must_use]
    pub const fn usd_per_million(input: f64, cached: f64, cache_write: f64, output: f64) -> Self {
        Self {
            input: nano(input),
            cached: nano(cached),
            cache_write: nano(cache_write),
            output: nano(output),
        }
    }

    /// What this usage costs, in nano-USD.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> u64 {
        let plain = usage.input.saturating_sub(usage.cached).saturating_sub(usage.cache_write);
        [
            (plain, self.input),
            (usage.cached, self.cached),
            (usage.cache_write, self.cache_write),
            (usage.output, self.output),
        ]
        .into_iter()
        .fold(0, |sum: u64, (tokens, each)| sum.saturating_add(tokens.saturating_mul(each)))
    }

    /// The most one token of input can cost: what is reserved before it is known whether the cache had it.
    #[must_use]
    pub fn input_at_most(&self) -> u64 {
        self.input.max(self.cached).max(self.cache_write)
    }
}

const fn nano(usd_per_million: f64) -> u64 {
    (usd_per_million * PER_MILLION + 0.5) as u64
}

/// Whose prices a provider charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// OpenAI, and its models at Azure.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// Mistral.
    Mistral,
    /// DeepSeek.
    DeepSeek,
    /// Groq.
    Groq,
    /// xAI.
    Xai,
    /// One's own machine: nothing is charged.
    Local,
    /// Somebody of whom no price is known.
    Other,
}

impl Vendor {
    /// By the word of a provider's `type:`, or a provider's name that is such a word.
    #[must_use]
    pub fn by_word(word: &str) -> Self {
        match word {
            "openai" | "azure" => Self::OpenAi,
            "anthropic" => Self::Anthropic,
            "gemini" => Self::Gemini,
            "mistral" => Self::Mistral,
            "deepseek" => Self::DeepSeek,
            "groq" => Self::Groq,
            "xai" => Self::Xai,
            "ollama" | "vllm" | "llamacpp" | "lmstudio" => Self::Local,
            _ => Self::Other,
        }
    }

    /// What the built-in table says of a model, dated names included.
    #[must_use]
    pub fn price(self, model: &str) -> Option<Price> {
        if self == Self::Local {
            return Some(Price::default());
        }
        let mut name = model.strip_prefix("models/").unwrap_or(model);
        loop {
            if let Some(price) = table::of(self, name) {
                return Some(price);
            }
            name = without_version(name)?;
        }
    }
}

/// The name without its last mark of a version: `-2024-08-06`, `-20250929`, `@20250929`, `-2411`, `-001`, `-latest`,
/// `-preview`. `None` when there is none: a longer name is another model.
fn without_version(name: &str) -> Option<&str> {
    if let Some(rest) = name.strip_suffix("-latest").or_else(|| name.strip_suffix("-preview")) {
        return Some(rest);
    }
    let digits = |text: &str| text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let cut = |text: &str, count: usize| -> Option<usize> {
        let at = text.len().checked_sub(count + 1)?;
        matches!(text.as_bytes().get(at), Some(b'-' | b'@')).then_some(at)
    };
    match digits(name) {
        count @ (3 | 4 | 8) => cut(name, count).map(|at| &name[..at]),
        2 => {
            // -MM-DD, with a year before it or without one.
            let month = &name[..cut(name, 2)?];
            let rest = &month[..cut(month, 2).filter(|_| digits(month) == 2)?];
            match cut(rest, 4) {
                Some(at) if digits(rest) == 4 => Some(&rest[..at]),
                _ => Some(rest),
            }
        }
        _ => None,
    }
    .filter(|rest| !rest.is_empty())
}

/// Every price that is known: the operator's own first, then the table's.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    /// By provider name; a name that is missing is read as a vendor's word.
    vendors: HashMap<String, Vendor, Seed>,
    /// The most specific first.
    own: Vec<(Pattern, Price)>,
}

impl Prices {
    /// The providers' vendors by name, and the operator's own prices by pattern: `gpt-4o*`, or `groq/llama-*` for the
    /// models of one provider. The pattern with the most characters that are not stars wins, one without a star before
    /// one with.
    #[must_use]
    pub fn new(
        vendors: impl IntoIterator<Item = (String, Vendor)>,
        own: impl IntoIterator<Item = (Pattern, Price)>,
    ) -> Self {
        let mut own: Vec<_> = own.into_iter().collect();
        own.sort_by_key(|(pattern, _)| std::cmp::Reverse((pattern.weight(), pattern.exact().is_some())));
        Self { vendors: vendors.into_iter().collect(), own }
    }

    /// What a model costs at a provider, by the name the provider was asked for; `None`: nobody said.
    #[must_use]
    pub fn of(&self, provider: &str, model: &str) -> Option<Price> {
        if !self.own.is_empty()
            && let Some(price) = self.own_price(provider, model)
        {
            return Some(price);
        }
        let vendor = self.vendors.get(provider).copied().unwrap_or_else(|| Vendor::by_word(provider));
        vendor.price(model)
    }

    /// The operator's own price, by the whole name before the name without its date.
    fn own_price(&self, provider: &str, model: &str) -> Option<Price> {
        let mut name = model;
        loop {
            let full = format!("{provider}/{name}");
            let fits = |pattern: &Pattern| pattern.matches(name) || pattern.matches(&full);
            if let Some((_, price)) = self.own.iter().find(|(pattern, _)| fits(pattern)) {
                return Some(*price);
            }
            name = without_version(name)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tokens_cost_what_the_price_page_says() {
        let price = Vendor::OpenAi.price("gpt-4o").expect("known");
        let million = 1_000_000;
        let usage = Usage { input: million, output: million, ..Usage::default() };
        assert_eq!(price.cost(&usage), 12_500 * NANO_USD / 1_000);
        let half_cached = Usage { input: million, cached: million / 2, ..Usage::default() };
        assert_eq!(price.cost(&half_cached), 1_875 * NANO_USD / 1_000);
    }

    #[test]
    fn cached_and_written_input_are_parts_of_the_input_and_thinking_is_a_part_of_the_output() {
        let price = Price { input: 100, cached: 10, cache_write: 125, output: 500 };
        let usage =
            Usage { input: 10, cached: 3, cache_write: 2, output: 4, reasoning: 3, ..Usage::default() };
        assert_eq!(price.cost(&usage), 5 * 100 + 3 * 10 + 2 * 125 + 4 * 500);
        assert_eq!(price.cost(&Usage::default()), 0);
        // A provider that counts the cached ones apart must not be owed money.
        assert_eq!(price.cost(&Usage { input: 1, cached: 3, ..Usage::default() }), 30);
        let absurd = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        assert_eq!(price.cost(&absurd), u64::MAX);
        assert_eq!(price.input_at_most(), 125);
    }

    #[test]
    fn a_dated_name_costs_what_the_name_without_its_date_costs() {
        for (vendor, dated, plain) in [
            (Vendor::OpenAi, "gpt-4o-2024-08-06", "gpt-4o"),
            (Vendor::OpenAi, "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            (Vendor::OpenAi, "gpt-4-0613", "gpt-4"),
            (Vendor::OpenAi, "gpt-5-chat-latest", "gpt-5-chat"),
            (Vendor::OpenAi, "gpt-4o-audio-preview-2025-06-03", "gpt-4o-audio"),
            (Vendor::Anthropic, "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            (Vendor::Anthropic, "claude-opus-4@20250514", "claude-opus-4"),
            (Vendor::Anthropic, "claude-3-5-haiku-latest", "claude-3-5-haiku"),
            (Vendor::Gemini, "gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
            (Vendor::Gemini, "models/gemini-2.0-flash-001", "gemini-2.0-flash"),
            (Vendor::Mistral, "mistral-small-2603", "mistral-small"),
            (Vendor::Groq, "moonshotai/kimi-k2-instruct-0905", "moonshotai/kimi-k2-instruct"),
            (Vendor::Xai, "grok-4-0709", "grok-4"),
        ] {
            let price = vendor.price(dated);
            assert!(price.is_some() && price == vendor.price(plain), "{dated}");
        }
    }

    #[test]
    fn a_name_of_its_own_keeps_its_own_price_and_an_unknown_one_has_none() {
        let of = |model: &str| Vendor::OpenAi.price(model).map(|price| price.input);
        assert_eq!(of("gpt-4o-2024-05-13"), Some(5_000));
        assert_eq!(of("gpt-4-1106-preview"), Some(10_000));
        for unknown in
            ["gpt-4o-ultra", "gpt-99", "", "-latest", "2024-08-06", "gpt-4o-mini-x", "é-2024-08-06", "-123"]
        {
            assert_eq!(of(unknown), None, "{unknown}");
        }
        assert_eq!(Vendor::Anthropic.price("gpt-4o"), None);
        assert_eq!(Vendor::Other.price("gpt-4o"), None);
    }

    #[test]
    fn the_table_is_sorted_and_no_row_is_free_by_mistake() {
        for (vendor, rows) in table::ROWS {
            assert!(rows.len() > 4, "{vendor:?}");
            assert!(rows.is_sorted_by(|one, next| one.0 < next.0), "{vendor:?}");
            for (model, price) in rows {
                assert!(price.input > 0 && price.cached > 0 && price.cached <= price.input, "{model}");
                assert!(price.cache_write >= price.input, "{model}");
                assert!(price.output >= price.input || model.contains("embed"), "{model}");
            }
        }
    }

    #[test]
    fn an_own_price_goes_before_the_table_and_the_most_specific_one_before_the_others() {
        let only_input = |input| Price { input, ..Price::default() };
        let own = ["*", "gpt-4o*", "gpt-4o", "work/gpt-4o", "house-*"];
        let own = own.iter().zip(1..).map(|(pattern, input)| (Pattern::new(pattern), only_input(input)));
        let vendors = [("work".to_owned(), Vendor::OpenAi), ("box".to_owned(), Vendor::Local)];
        let prices = Prices::new(vendors.clone(), own);
        let of = |provider, model| prices.of(provider, model).map(|price| price.input);
        assert_eq!(of("openai", "gpt-5"), Some(1));
        assert_eq!(of("openai", "gpt-4o-2024-08-06"), Some(2));
        assert_eq!(of("openai", "gpt-4o"), Some(3));
        assert_eq!(of("work", "gpt-4o"), Some(4));
        assert_eq!(of("box", "house-7b"), Some(5));
        let dated = Prices::new([], [(Pattern::new("work/gpt-4o"), only_input(7))]);
        assert_eq!(dated.of("work", "gpt-4o-2024-08-06").map(|price| price.input), Some(7));
        let plain = Prices::new(vendors, []);
        assert_eq!(plain.of("work", "gpt-4o").map(|price| price.input), Some(2_500));
        assert_eq!(plain.of("box", "llama3.2"), Some(Price::default()), "free, not unknown");
        assert_eq!(plain.of("ollama", "anything"), Some(Price::default()));
        assert_eq!(plain.of("anthropic", "claude-haiku-4-5").map(|price| price.output), Some(5_000));
        assert_eq!(plain.of("elsewhere", "gpt-4o"), None);
    }
}
