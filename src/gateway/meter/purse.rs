//! A key's money on its way through a question: reserved before a provider is asked, extended while a stream goes on,
//! settled by what was used.
//!
//! ```text
//! open: the whole input at its dearest, and of the output all that is allowed (whole answer) or a step (stream)
//!   └─ stream: each piece is paid for before it is told, and money for one more of its like must be there before the
//!      next one is read; a step more is reserved when the last one is used up
//! settle: the reservation goes back, and what was used is paid. Dropped without a word, nothing was used.
//! ```

use super::Account;
use crate::domain::budget::{Allowance, Exhausted};
use crate::domain::chat::{Delta, Frame, Usage};
use crate::domain::price::Price;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Output tokens reserved at a time for a stream: what may lie idle of a budget per stream, in tokens.
pub(in crate::gateway) const STEP_TOKENS: u64 = 32;
/// Output tokens reserved for a whole answer when the caller sets no bound.
pub(in crate::gateway) const WHOLE_TOKENS: u64 = 4_096;

/// A key's money, as one of its questions carries it.
#[derive(Clone)]
pub struct Purse {
    account: Arc<Account>,
    /// Tokens the question cannot exceed.
    input: u64,
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purse").field("input", &self.input).finish_non_exhaustive()
    }
}

/// What one attempt may output.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) enum Output {
    /// A stream: it can be ended after any piece.
    Stepwise,
    /// A whole answer of at most so many tokens.
    Whole(u64),
}

/// One attempt's money.
pub(in crate::gateway) struct Tab {
    account: Arc<Account>,
    price: Price,
    /// What the input may cost at most; it is reserved for as long as the attempt lasts.
    input: u64,
    reserved: u64,
    /// Pieces of content heard: none has less than a token.
    pieces: u64,
    /// Tokens heard, and the most that one frame brought.
    heard: u64,
    largest: u64,
}

/// The budget does not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Broke {
    pub(in crate::gateway) allowance: Allowance,
    pub(in crate::gateway) retry_after: Duration,
}

impl Purse {
    pub(super) fn new(account: &Arc<Account>, input: u64) -> Self {
        Self { account: Arc::clone(account), input }
    }

    /// Reserves money for asking at this price; `carried` tokens are asked besides the question.
    pub(in crate::gateway) fn open(
        &self,
        price: Price,
        output: Output,
        carried: u64,
        today: SystemTime,
    ) -> Result<Tab, Broke> {
        let input = self.input.saturating_add(carried).saturating_mul(price.input_at_most());
        let (least, most) = match output {
            Output::Stepwise => (1, STEP_TOKENS),
            Output::Whole(most) => (most, most),
        };
        let of = |tokens: u64| input.saturating_add(price.output.saturating_mul(tokens));
        let reserved = self.account.reserve(of(least), of(most), today)?;
        let account = Arc::clone(&self.account);
        Ok(Tab { account, price, input, reserved, pieces: 0, heard: 0, largest: 0 })
    }
}

impl Tab {
    /// Takes note of a frame, and makes sure that everything heard so far is paid for; `said` is how many tokens that
    /// is by its length or by the provider's own count.
    pub(in crate::gateway) fn hear(
        &mut self,
        frame: &Frame,
        said: u64,
        today: impl FnOnce() -> SystemTime,
    ) -> Result<(), Broke> {
        self.pieces += frame.deltas.iter().filter(|delta| Delta::is_content(delta)).count() as u64;
        let heard = self.pieces.max(said).max(self.heard);
        self.largest = self.largest.max(heard - self.heard);
        self.heard = heard;
        self.cover(heard, today)
    }

    /// Makes sure that the next frame can be paid for, should it be as large as the largest so far.
    pub(in crate::gateway) fn look_ahead(&mut self, today: impl FnOnce() -> SystemTime) -> Result<(), Broke> {
        self.cover(self.heard.saturating_add(self.largest), today)
    }

    /// Makes sure that so much output is paid for.
    fn cover(&mut self, output: u64, today: impl FnOnce() -> SystemTime) -> Result<(), Broke> {
        let needed = self.input.saturating_add(self.price.output.saturating_mul(output));
        let Some(missing) = needed.checked_sub(self.reserved).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let step = self.price.output.saturating_mul(STEP_TOKENS);
        self.reserved += self.account.reserve(missing, missing.saturating_add(step), today())?;
        Ok(())
    }

    /// The attempt is over. Where the provider did not have the last word on what was used, it was no less than what
    /// was heard.
    pub(in crate::gateway) fn settle(mut self, used: Option<Usage>, today: SystemTime) {
        let cost = used.map_or(0, |used| {
            let output = if used.estimated { used.output.max(self.pieces) } else { used.output };
            self.price.cost(&Usage { output, ..used })
        });
        self.account.settle(std::mem::take(&mut self.reserved), cost, today);
    }
}

impl Drop for Tab {
    /// Only a panic leaves something here.
    fn drop(&mut self) {
        if self.reserved > 0 {
            self.account.give_back(self.reserved);
        }
    }
}

impl Account {
    fn reserve(&self, least: u64, most: u64, today: SystemTime) -> Result<u64, Broke> {
        // Only an account with a budget makes purses.
        let Some(budget) = &self.budget else { return Ok(0) };
        let mut budget = budget.lock();
        let allowance = budget.allowance();
        let broke = |Exhausted { retry_after }| Broke { allowance, retry_after };
        budget.reserve(least, most, today).map_err(broke)
    }

    fn settle(&self, reserved: u64, used: u64, today: SystemTime) {
        if let Some(budget) = &self.budget {
            budget.lock().settle(reserved, used, today);
        }
    }

    fn give_back(&self, reserved: u64) {
        if let Some(budget) = &self.budget {
            budget.lock().give_back(reserved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::budget::{Budget, Period};
    use crate::domain::rule::Rule;
    use parking_lot::Mutex;
    use std::time::UNIX_EPOCH;

    const TODAY: SystemTime = UNIX_EPOCH;
    const PRICE: Price = Price { input: 2, cached: 1, cache_write: 3, output: 10 };

    fn purse(nano_usd: u64, input: u64) -> Purse {
        let budget = Budget::new(Allowance { nano_usd, per: Period::Day }, TODAY);
        let rule = Arc::new(Mutex::new(Rule::default()));
        Purse::new(&Arc::new(Account { rule, budget: Some(Mutex::new(budget)) }), input)
    }

    fn spent(purse: &Purse) -> u64 {
        purse.account.budget.as_ref().map_or(0, |budget| budget.lock().spent(TODAY).1)
    }

    fn piece() -> Frame {
        Frame { deltas: vec![Delta::Text { choice: 0, text: "a".to_owned() }], verbatim: None }
    }

    fn open(purse: &Purse, output: Output) -> Result<Tab, Broke> {
        purse.open(PRICE, output, 0, TODAY)
    }

    #[test]
    fn a_stream_goes_on_to_the_last_token_the_budget_pays_for_and_no_further_one_is_read() {
        // 5 tokens of input at their dearest are 15, then 100 tokens of output.
        let purse = purse(15 + 100 * 10 + 9, 5);
        let mut tab = open(&purse, Output::Stepwise).expect("priced and affordable");
        for token in 1..=100 {
            assert!(token == 1 || tab.look_ahead(|| TODAY).is_ok(), "token {token} may be read");
            assert!(tab.hear(&piece(), 0, || TODAY).is_ok(), "token {token}");
        }
        assert!(tab.look_ahead(|| TODAY).is_err());
        tab.settle(Some(Usage { input: 5, output: 100, estimated: true, ..Usage::default() }), TODAY);
        assert_eq!(spent(&purse), 10 + 100 * 10, "nothing is overrun");
    }

    #[test]
    fn pieces_of_several_tokens_are_looked_for_ahead_and_only_a_larger_one_overruns() {
        let purse = purse(10 * 10, 0);
        let mut tab = open(&purse, Output::Stepwise).expect("affordable");
        for said in [3, 6, 9] {
            assert!(tab.look_ahead(|| TODAY).is_ok(), "{said}");
            assert!(tab.hear(&piece(), said, || TODAY).is_ok(), "{said}");
        }
        assert!(tab.look_ahead(|| TODAY).is_err(), "one is left, and pieces have three");
        tab.settle(Some(Usage { output: 9, ..Usage::default() }), TODAY);
        let mut tab = open(&purse, Output::Stepwise).expect("one token is left");
        assert!(tab.hear(&piece(), 4, || TODAY).is_err(), "nobody could know: it is heard, and not told");
        tab.settle(Some(Usage { output: 4, estimated: true, ..Usage::default() }), TODAY);
        assert_eq!(spent(&purse), 13 * 10);
    }

    #[test]
    fn two_streams_share_what_is_there_and_a_whole_answer_needs_all_of_its_bound() {
        let purse = purse(1_000, 0);
        let first = open(&purse, Output::Stepwise).expect("affordable");
        assert!(open(&purse, Output::Whole(69)).is_err(), "32 tokens are reserved");
        let second = open(&purse, Output::Whole(68)).expect("to the last cent");
        assert!(open(&purse, Output::Stepwise).is_err());
        first.settle(None, TODAY);
        second.settle(Some(Usage { output: 3, ..Usage::default() }), TODAY);
        assert_eq!(spent(&purse), 30);
    }

    #[test]
    fn what_costs_nothing_is_never_refused() {
        let purse = purse(0, 1_000);
        assert!(open(&purse, Output::Stepwise).is_err());
        assert!(purse.open(Price::default(), Output::Whole(9), 0, TODAY).is_ok());
    }

    #[test]
    fn a_tab_that_is_dropped_gives_everything_back() {
        let purse = purse(1_000, 0);
        drop(open(&purse, Output::Whole(100)));
        assert!(open(&purse, Output::Whole(100)).is_ok());
        assert_eq!(spent(&purse), 0);
    }
}
