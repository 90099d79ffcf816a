//! Children found once: a few are asked for with every request, and every other look-up hashes all their labels.

use std::sync::OnceLock;

/// Children remembered of each kind; past it the metric is asked. A house has a few endpoints and providers.
const CHILDREN_MAX: usize = 16;

/// What was found first, each under its name. Nothing is ever taken out or moved, so that looking takes no lock.
pub(super) struct Often<K, C>([OnceLock<(K, C)>; CHILDREN_MAX]);

impl<K, C> Default for Often<K, C> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; CHILDREN_MAX])
    }
}

impl<K, C> Often<K, C> {
    /// Shows what has this name. Two threads may find the same at once: what is found must be the same for both.
    pub(super) fn with(
        &self,
        is_it: impl Fn(&K) -> bool,
        find: impl FnOnce() -> (K, C),
        show: impl FnOnce(&C),
    ) {
        let known = self.0.iter().map_while(OnceLock::get);
        if let Some((_, child)) = known.into_iter().find(|(name, _)| is_it(name)) {
            return show(child);
        }
        let mut found = find();
        show(&found.1);
        for place in &self.0 {
            match place.set(found) {
                Ok(()) => return,
                // Another thread may have come first.
                Err(_) if place.get().is_some_and(|(name, _)| is_it(name)) => return,
                Err(back) => found = back,
            }
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
        let often = Often::default();
        let count = |name: &str| {
            let find = || (name.to_owned(), all.with_label_values(&[name, "b"]));
            often.with(|known| known == name, find, |child| child.inc());
        };
        for _ in 0..3 {
            count("a");
            count("aa");
        }
        let remembered = || often.0.iter().map_while(OnceLock::get).count();
        assert_eq!(remembered(), 2);
        assert_eq!(all.with_label_values(&["a", "b"]).get(), 3);
        // Another one finds the same while we do.
        let find = |name: &str| (name.to_owned(), all.with_label_values(&[name, "b"]));
        let meanwhile = || {
            count("twice");
            find("twice")
        };
        often.with(|known| known == "twice", meanwhile, |child| child.inc());
        assert_eq!((remembered(), all.with_label_values(&["twice", "b"]).get()), (3, 2));
        for index in 0..100 {
            count(&format!("{index}"));
        }
        count("99");
        assert_eq!(remembered(), CHILDREN_MAX);
        assert_eq!(all.with_label_values(&["99", "b"]).get(), 2);
        assert_eq!(all.with_label_values(&["aa", "b"]).get(), 3);
    }
}
