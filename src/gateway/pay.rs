//! Money for an attempt: its price is looked up and a tab opened before a provider is asked, and a stream that cannot be paid for ends.

use super::attempt::Stint;
use super::meter::{Broke, Output, Tab, WHOLE_TOKENS};
use super::run::Run;
use super::slot::Slot;
use super::told::Told;
use crate::domain::chat::Frame;
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Fault};
use crate::domain::price::{NANO_USD, Price};
use crate::domain::usage::tokens_of;
use crate::domain::words::Subject;

/// The code callers and tests know it by.
pub const BUDGET_EXCEEDED: &str = "budget_exceeded";

/// What asking one provider costs.
#[derive(Default)]
pub(super) struct Bill {
    /// What its tokens cost; `None`: nobody knows.
    pub(super) price: Option<Price>,
    /// `None`: the caller has no budget, or nobody knows the price.
    pub(super) tab: Option<Tab>,
}

impl<'a> Run<'a> {
    /// Reserves what asking this provider may cost.
    #[inline(never)]
    pub(super) fn open_bill(&self, slot: &Slot, model: &str) -> Result<Bill, Failure> {
        let price = self.gateway.settings.prices.of(&slot.name, model);
        let gist = &self.question.gist;
        let output = match gist.subject {
            Subject::Tokens | Subject::Description => return Ok(Bill { price, tab: None }),
            Subject::Embedding => Output::Whole(0),
            Subject::Chat if gist.stream => Output::Stepwise,
            Subject::Chat => Output::Whole(gist.output_at_most(WHOLE_TOKENS)),
        };
        let Some(purse) = &self.question.purse else { return Ok(Bill { price, tab: None }) };
        let house = &self.gateway.house;
        let Some(price) = price else {
            let known = self.gateway.known_models.contains(model);
            house.tell(&Event::Unpriced { provider: &slot.name, model: if known { model } else { "other" } });
            return Ok(Bill::default());
        };
        let carried = self.told.as_ref().and_then(Told::so_far).map_or(0, |text| tokens_of(text.len()));
        let tab = purse.open(price, output, carried, house.today()).map_err(|broke| self.broke(broke))?;
        Ok(Bill { price: Some(price), tab: Some(tab) })
    }

    /// Pays for a frame before it is told.
    pub(super) fn afford(&self, stint: &mut Stint<'a>, frame: &Frame) -> Result<(), Failure> {
        let Some(tab) = &mut stint.bill.tab else { return Ok(()) };
        let said = stint.tokens.output_so_far();
        tab.hear(frame, said, || self.gateway.house.today()).map_err(|broke| self.broke(broke))
    }

    /// Whether one more frame can be paid for, before it is read.
    pub(super) fn look_ahead(&self, stint: &mut Stint<'a>) -> Result<(), Failure> {
        let Some(tab) = &mut stint.bill.tab else { return Ok(()) };
        tab.look_ahead(|| self.gateway.house.today()).map_err(|broke| self.broke(broke))
    }

    fn broke(&self, broke: Broke) -> Failure {
        let key = self.question.caller.key_name().unwrap_or("none");
        self.gateway.house.tell(&Event::OverBudget { key });
        let usd = broke.allowance.nano_usd as f64 / NANO_USD as f64;
        let words =
            format!("this API key's budget of {usd} USD per {} is used up", broke.allowance.per.word());
        Failure {
            status: Some(429),
            code: Some(BUDGET_EXCEEDED.to_owned()),
            retry_after: Some(broke.retry_after),
            ..Failure::new(Fault::OverBudget, words)
        }
    }
}
