//! Label children found once: a few are asked for with every request, and every other look-up hashes all their labels.

use super::family::Family;
use parking_lot::RwLock;
use prometheus::core::Metric;

/// Children remembered per metric; past it the metric is asked. A house has a few endpoints and providers.
const CHILDREN_MAX: usize = 16;

/// Asks the metric for a child.
type Find<C> = Box<dyn Fn(&[&str]) -> C + Send + Sync>;

/// A metric whose children are asked for with every request.
pub(super) struct Often<C> {
    find: Find<C>,
    /// The children that were asked for first, each with its labels. Held to look or to add.
    known: RwLock<Vec<(Vec<Box<str>>, C)>>,
}

impl<C: Metric + 'static> From<Family<C>> for Often<C> {
    fn from(all: Family<C>) -> Self {
        Self { find: Box::new(move |labels| all.with_label_values(labels)), known: RwLock::default() }
    }
}

impl<C> Often<C> {
    /// Shows the child with these labels.
    pub(super) fn with(&self, labels: &[&str], show: impl FnOnce(&C)) {
        let is_it = |(theirs, _): &&(Vec<Box<str>>, C)| {
            theirs.iter().map(|label| &**label).eq(labels.iter().copied())
        };
        if let Some((_, child)) = self.known.read().iter().find(is_it) {
            return show(child);
        }
        let child = (self.find)(labels);
        show(&child);
        let mut known = self.known.write();
        // Another thread may have come first.
        if known.len() < CHILDREN_MAX && !known.iter().any(|entry| is_it(&entry)) {
            known.push((labels.iter().map(|label| Box::from(*label)).collect(), child));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::maker::Maker;
    use super::*;
    use prometheus::Registry;

    #[test]
    fn a_child_is_the_metrics_own_and_their_number_is_bounded() {
        let all = Maker(Registry::new()).counters("hapax_retries_total").expect("it is in the table");
        let often = Often::from(all.clone());
        for _ in 0..3 {
            often.with(&["a", "b"], |child| child.inc());
            often.with(&["b", "a"], |child| child.inc());
        }
        assert_eq!(often.known.read().len(), 2);
        assert_eq!(all.with_label_values(&["a", "b"]).get(), 3);
        for index in 0..100 {
            often.with(&["a", &format!("{index}")], |child| child.inc());
        }
        assert_eq!(often.known.read().len(), CHILDREN_MAX);
        assert_eq!(all.with_label_values(&["a", "99"]).get(), 1);
    }
}
