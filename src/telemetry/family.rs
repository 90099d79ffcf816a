//! A metric's children, told apart by each of their labels.
//!
//! The registry's own vectors hash labels one behind the other with no mark between them, so that `a`, `bc` and `ab`,
//! `c` count as one; names of providers, keys and models are anybody's choice.

use parking_lot::RwLock;
use prometheus::core::{Collector, Desc, Metric};
use prometheus::proto::{MetricFamily, MetricType};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Makes a child with these labels and their values.
type Make<C> = Box<dyn Fn(HashMap<String, String>) -> prometheus::Result<C> + Send + Sync>;

/// Every child with its labels, under the labels' hash.
type Children<C> = HashMap<u64, Vec<(Vec<Box<str>>, C)>>;

/// A metric divided by labels. Clones are the same metric.
pub(super) struct Family<C>(Arc<Inner<C>>);

struct Inner<C> {
    desc: Desc,
    kind: MetricType,
    make: Make<C>,
    hasher: RandomState,
    /// Labels are a closed set, so this is bounded. Held to look or to add.
    children: RwLock<Children<C>>,
}

impl<C> Clone for Family<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Metric> Family<C> {
    /// A metric without children.
    pub(super) fn new(desc: Desc, kind: MetricType, make: Make<C>) -> Self {
        Self(Arc::new(Inner { desc, kind, make, hasher: RandomState::new(), children: RwLock::default() }))
    }

    /// The child with these labels, in the order of their names.
    pub(super) fn with_label_values(&self, labels: &[&str]) -> C {
        let hash = self.0.hasher.hash_one(labels);
        let known = |children: &Children<C>| {
            let alike = children.get(&hash)?.iter();
            let mut same =
                alike.filter(|(theirs, _)| theirs.iter().map(|label| &**label).eq(labels.iter().copied()));
            same.next().map(|(_, child)| child.clone())
        };
        if let Some(child) = known(&self.0.children.read()) {
            return child;
        }
        let mut children = self.0.children.write();
        // Another thread may have come first.
        if let Some(child) = known(&children) {
            return child;
        }
        let names = self.0.desc.variable_labels.iter().cloned();
        let values = names.zip(labels.iter().map(|label| (*label).to_owned())).collect();
        let child = (self.0.make)(values).expect("the names were accepted when the metric was made");
        children
            .entry(hash)
            .or_default()
            .push((labels.iter().map(|label| Box::from(*label)).collect(), child.clone()));
        child
    }

    /// Forgets every child.
    pub(super) fn reset(&self) {
        self.0.children.write().clear();
    }
}

impl<C: Metric> Collector for Family<C> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(self.0.kind);
        let children = self.0.children.read();
        family.set_metric(children.values().flatten().map(|(_, child)| child.metric()).collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::super::maker::Maker;
    use prometheus::{Encoder, Registry, TextEncoder};

    #[test]
    fn children_whose_labels_read_the_same_in_a_row_are_two() {
        let make = Maker(Registry::new());
        let failovers = make.counters("hapax_failovers_total").expect("it is in the table");
        failovers.with_label_values(&["a", "aa", "busy"]).inc();
        failovers.with_label_values(&["aa", "a", "busy"]).inc_by(2);
        failovers.with_label_values(&["a", "aa", "busy"]).inc();
        let mut text = Vec::new();
        TextEncoder::new().encode(&make.0.gather(), &mut text).expect("memory takes it");
        let text = String::from_utf8(text).expect("text");
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "hapax_failovers_total{from=\"a\",reason=\"busy\",to=\"aa\"} 2",
                "hapax_failovers_total{from=\"aa\",reason=\"busy\",to=\"a\"} 2",
            ]
        );
        failovers.reset();
        assert!(make.0.gather().is_empty());
    }
}
