//! What a gateway takes over from the one it replaces: whatever a reload did not change stays as it was.

use super::Gateway;
use super::cache::Cache;
use super::slot::Slot;
use std::sync::Arc;

impl Gateway {
    /// Takes over every slot that would be the same here: the same provider, told the same. With it come its
    /// breakers, health, statistics and the places its calls under way take up. Stop the old one's checks before
    /// the new one's begin.
    #[must_use]
    pub fn inheriting(mut self, old: &Self) -> Self {
        let same_numbers = self.settings.breaker == old.settings.breaker
            && self.settings.health.failure_threshold == old.settings.health.failure_threshold;
        if same_numbers {
            for slot in &mut self.slots {
                if let Some(known) = old.slots.iter().find(|known| is_same(known, slot)) {
                    known.resize(&slot.limits, self.house.now());
                    *slot = Arc::clone(known);
                }
            }
        }
        if self.answers_like(old) {
            self.cache.clone_from(&old.cache);
        }
        self
    }

    /// Whether whoever asked would have got the same answers of the old one: the same providers in the same order,
    /// the same names. Kept answers are of use only then.
    fn answers_like(&self, old: &Self) -> bool {
        let same_cache = |(ours, theirs): (&Arc<Cache>, &Arc<Cache>)| ours.same(theirs);
        self.cache.as_ref().zip(old.cache.as_ref()).is_some_and(same_cache)
            && self.settings.models == old.settings.models
            && self.settings.strategy == old.settings.strategy
            && self.slots.len() == old.slots.len()
            && self.slots.iter().zip(&old.slots).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

/// A provider that is the very same value was configured the same: whoever makes providers sees to that.
fn is_same(one: &Slot, other: &Slot) -> bool {
    let told = |slot: &Slot| (Arc::clone(&slot.name), slot.retries, slot.max_concurrency, slot.weight);
    Arc::ptr_eq(&one.provider, &other.provider) && told(one) == told(other)
}
