//! Who of several equals is asked first: by preference, by weight, by load or by speed.
//!
//! Only candidates of one step of routing are equals; the order among them is also the order of failover. Everything
//! is a function of the numbers given: no state, no chance.

use super::words::{Gist, Subject};
use std::time::Duration;

/// How candidates are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// As listed.
    #[default]
    Preference,
    /// Shares of the traffic in the proportion of the weights.
    Weighted,
    /// The fewest calls under way for its weight.
    LeastBusy,
    /// The lowest latency; now and then another, whose latency would else never be known.
    Fastest,
}

/// What a question's speed is told by. A first token comes sooner than a whole answer, and a vector sooner than
/// either: only the speeds of one kind compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timed {
    /// A stream's first content.
    FirstToken,
    /// A whole answer of a model.
    #[default]
    Answer,
    /// Vectors, counts, descriptions.
    Lookup,
}

impl Timed {
    /// How many kinds there are.
    pub const KINDS: usize = 3;

    /// By what the answer to this is timed.
    #[must_use]
    pub fn of(gist: &Gist) -> Self {
        match (gist.stream, gist.subject) {
            (true, _) => Self::FirstToken,
            (false, Subject::Chat) => Self::Answer,
            (false, Subject::Embedding | Subject::Tokens | Subject::Description) => Self::Lookup,
        }
    }
}

/// What is known of one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Its share; 0: only when nobody else is left.
    pub weight: u32,
    /// Calls under way.
    pub in_flight: usize,
    /// How long good answers of the question's kind took lately; `None`: not known.
    pub latency: Option<Duration>,
}

/// With [`Strategy::Fastest`] one request in so many goes by weight, to learn how fast the others are.
const EXPLORE_EVERY: u64 = 16;
/// 2^64 divided by the golden ratio: multiples of it, taken as fractions of 2^64, spread evenly over every interval
/// (Knuth, TAOCP 3, section 6.4), whatever subset of the tickets one looks at.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The order in which candidates are asked, as indices into `loads`. `ticket` counts requests.
#[must_use]
pub fn order(strategy: Strategy, loads: &[Load], ticket: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..loads.len()).collect();
    match strategy {
        Strategy::Preference => {}
        Strategy::Weighted => return by_weight(loads, ticket),
        Strategy::LeastBusy => places.sort_by(|one, other| {
            let (one, other) = (&loads[*one], &loads[*other]);
            // busy / weight, compared without dividing; a weight of 0 comes last.
            let left = one.in_flight as u128 * u128::from(other.weight);
            let right = other.in_flight as u128 * u128::from(one.weight);
            (one.weight == 0).cmp(&(other.weight == 0)).then(left.cmp(&right))
        }),
        Strategy::Fastest if ticket % EXPLORE_EVERY == EXPLORE_EVERY - 1 => {
            return by_weight(loads, ticket / EXPLORE_EVERY);
        }
        // Whoever is not known yet comes first: one request tells.
        Strategy::Fastest => places.sort_by_key(|place| (loads[*place].weight == 0, loads[*place].latency)),
    }
    places
}

/// Draws one after the other without putting back, each in the proportion of its weight. Those without weight
/// follow as listed.
fn by_weight(loads: &[Load], ticket: u64) -> Vec<usize> {
    let point = ticket.wrapping_mul(GOLDEN);
    let mut left: Vec<usize> = (0..loads.len()).filter(|place| loads[*place].weight > 0).collect();
    let mut drawn = Vec::with_capacity(loads.len());
    while !left.is_empty() {
        let total: u64 = left.iter().map(|place| u64::from(loads[*place].weight)).sum();
        // Below `total`, so it falls on one of them.
        let mut at = (u128::from(point) * u128::from(total)) >> 64;
        let mut hit = 0;
        for (index, place) in left.iter().enumerate() {
            let weight = u128::from(loads[*place].weight);
            hit = index;
            if at < weight {
                break;
            }
            at -= weight;
        }
        drawn.push(left.remove(hit));
    }
    drawn.extend((0..loads.len()).filter(|place| loads[*place].weight == 0));
    drawn
}

/// The mean of a latency and those before it: each new one counts a fifth.
#[must_use]
pub fn smoothed(before: Option<Duration>, now: Duration) -> Duration {
    before.map_or(now, |before| (before * 4 + now) / 5)
}

/// Puts the items of each group of equals into the order asked for. `same` says which neighbours are equals.
pub fn arrange<T: Copy>(
    (strategy, ticket): (Strategy, u64),
    items: &mut [T],
    same: impl Fn(&T, &T) -> bool,
    load: impl Fn(&T) -> Load,
) {
    if strategy == Strategy::Preference {
        return;
    }
    for group in items.chunk_by_mut(same) {
        let loads: Vec<Load> = group.iter().map(&load).collect();
        let before = group.to_vec();
        for (item, place) in group.iter_mut().zip(order(strategy, &loads, ticket)) {
            *item = before[place];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(weights: &[u32]) -> Vec<Load> {
        weights.iter().map(|weight| Load { weight: *weight, in_flight: 0, latency: None }).collect()
    }

    /// The longest run of requests in which one place was never first.
    fn longest_gap(firsts: &[usize], place: usize) -> usize {
        firsts.split(|first| *first == place).map(<[usize]>::len).max().unwrap_or(0)
    }

    #[test]
    fn weights_are_shares_of_the_traffic_in_every_stretch_of_it() {
        for shares in [&[5, 3, 2][..], &[1, 1], &[7], &[1, 99], &[1, 1, 1, 1, 1, 1, 1]] {
            let loads = weights(shares);
            let total: u32 = shares.iter().sum();
            // Every request, or every third one only: other models share the tickets.
            for step in [1, 3] {
                let firsts: Vec<usize> =
                    (0..4_000).map(|n| order(Strategy::Weighted, &loads, n * step)[0]).collect();
                for (place, share) in shares.iter().enumerate() {
                    for stretch in [100, 1_000, 4_000] {
                        for window in firsts.chunks(stretch) {
                            let got = window.iter().filter(|first| **first == place).count() as f64;
                            let due = f64::from(*share) / f64::from(total) * stretch as f64;
                            assert!((got - due).abs() <= 4.0, "{shares:?}: {place} got {got} of {due}");
                        }
                    }
                    let gap = longest_gap(&firsts, place);
                    assert!(gap <= 4 * (total / share) as usize, "{shares:?}: {place} waited {gap}");
                }
            }
        }
    }

    #[test]
    fn a_weight_of_zero_comes_last_and_everybody_comes_once() {
        for ticket in 0..100 {
            for strategy in [Strategy::Weighted, Strategy::LeastBusy, Strategy::Fastest] {
                let mut order = order(strategy, &weights(&[0, 2, 0, 1]), ticket);
                assert!(order[0] % 2 == 1 && order[1] % 2 == 1, "{strategy:?}: {order:?}");
                order.sort_unstable();
                assert_eq!(order, [0, 1, 2, 3]);
            }
        }
        assert!(order(Strategy::Weighted, &[], 3).is_empty());
    }

    #[test]
    fn the_least_busy_for_its_weight_comes_first_and_equals_stay_as_listed() {
        let load = |weight, in_flight| Load { weight, in_flight, latency: None };
        let check = |loads: &[Load], expected: &[usize]| {
            assert_eq!(order(Strategy::LeastBusy, loads, 0), expected, "{loads:?}");
        };
        check(&[load(1, 0), load(1, 0)], &[0, 1]);
        check(&[load(1, 2), load(1, 1)], &[1, 0]);
        check(&[load(4, 3), load(1, 1)], &[0, 1]);
        check(&[load(0, 0), load(1, 9)], &[1, 0]);
    }

    #[test]
    fn calls_put_to_the_least_busy_are_spread_by_weight() {
        let mut loads = weights(&[3, 1]);
        for _ in 0..40 {
            let first = order(Strategy::LeastBusy, &loads, 0)[0];
            loads[first].in_flight += 1;
        }
        assert_eq!((loads[0].in_flight, loads[1].in_flight), (30, 10));
    }

    #[test]
    fn the_fastest_comes_first_the_unknown_before_it_and_now_and_then_another() {
        let load = |millis: Option<u64>| Load {
            weight: 1,
            in_flight: 0,
            latency: millis.map(Duration::from_millis),
        };
        assert_eq!(order(Strategy::Fastest, &[load(Some(9)), load(Some(3)), load(None)], 0), [2, 1, 0]);
        let loads = [load(Some(9)), load(Some(3))];
        let slow = (0..1_600).filter(|ticket| order(Strategy::Fastest, &loads, *ticket)[0] == 0).count();
        assert!((40..=60).contains(&slow), "{slow} of 1600 went to the slower one");
    }

    #[test]
    fn only_equals_change_places() {
        let mut items = [(0, 'a'), (0, 'b'), (1, 'c'), (1, 'd')];
        let busy = |item: &(u8, char)| Load {
            weight: 1,
            in_flight: usize::from(matches!(item.1, 'a' | 'c')),
            latency: None,
        };
        arrange((Strategy::LeastBusy, 0), &mut items, |one, other| one.0 == other.0, busy);
        assert_eq!(items.map(|item| item.1), ['b', 'a', 'd', 'c']);
    }

    #[test]
    fn a_latency_follows_slowly() {
        let second = Duration::from_secs(1);
        assert_eq!(smoothed(None, second), second);
        assert_eq!(smoothed(Some(second), 6 * second), 2 * second);
    }
}
