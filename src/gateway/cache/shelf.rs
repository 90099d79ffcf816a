//! A shelf of bounded length in bytes: what was asked for last stands in front, and room is made at the back.

use std::collections::{HashMap, hash_map};

/// What a thing is found by: a SHA-256, which no two questions share.
pub(super) type Key = [u8; 32];

/// No place: the end of the chain.
const NOWHERE: usize = usize::MAX;

/// Things by key, chained from the one last used to the one longest unused. Every operation takes the same time,
/// however full it is, but for the removals that make room.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    found: HashMap<Key, usize>,
    places: Vec<Place<T>>,
    /// Places without a thing.
    free: Vec<usize>,
    front: usize,
    back: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Place<T> {
    key: Key,
    thing: Option<T>,
    bytes: usize,
    before: usize,
    after: usize,
}

impl<T: Clone> Shelf<T> {
    pub(super) fn new() -> Self {
        Self {
            found: HashMap::new(),
            places: Vec::new(),
            free: Vec::new(),
            front: NOWHERE,
            back: NOWHERE,
            bytes: 0,
        }
    }

    /// Things on it.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Their bytes, as they were said to be.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The thing of a key, which comes to the front.
    pub(super) fn take_up(&mut self, key: &Key) -> Option<T> {
        let at = *self.found.get(key)?;
        if at != self.front {
            self.unchain(at);
            self.chain(at);
        }
        self.places[at].thing.clone()
    }

    /// Puts a thing in front; gives what stood under its key before.
    pub(super) fn put(&mut self, key: Key, thing: T, bytes: usize) -> Option<T> {
        let before = self.remove(&key);
        let place = Place { key, thing: Some(thing), bytes, before: NOWHERE, after: NOWHERE };
        let at = match self.free.pop() {
            Some(at) => {
                self.places[at] = place;
                at
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        };
        self.found.insert(key, at);
        self.bytes += bytes;
        self.chain(at);
        before
    }

    /// Takes the thing of a key away.
    pub(super) fn remove(&mut self, key: &Key) -> Option<T> {
        let hash_map::Entry::Occupied(entry) = self.found.entry(*key) else { return None };
        let at = entry.remove();
        self.unchain(at);
        self.free.push(at);
        self.bytes -= self.places[at].bytes;
        self.places[at].thing.take()
    }

    /// Takes the thing longest unused away.
    pub(super) fn remove_last(&mut self) -> Option<T> {
        let key = self.places.get(self.back)?.key;
        self.remove(&key)
    }

    fn chain(&mut self, at: usize) {
        let next = std::mem::replace(&mut self.front, at);
        (self.places[at].before, self.places[at].after) = (NOWHERE, next);
        match self.places.get_mut(next) {
            Some(next) => next.before = at,
            None => self.back = at,
        }
    }

    fn unchain(&mut self, at: usize) {
        let (before, after) = (self.places[at].before, self.places[at].after);
        match self.places.get_mut(before) {
            Some(before) => before.after = after,
            None => self.front = after,
        }
        match self.places.get_mut(after) {
            Some(after) => after.before = before,
            None => self.back = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        [number; 32]
    }

    /// The same, done simply: newest first.
    #[derive(Default)]
    struct Simple(Vec<(u8, u32, usize)>);

    impl Simple {
        fn remove(&mut self, number: u8) -> Option<u32> {
            let at = self.0.iter().position(|(other, ..)| *other == number)?;
            Some(self.0.remove(at).1)
        }
    }

    #[test]
    fn it_does_what_a_simple_list_does_whatever_is_done_to_it() {
        let (mut shelf, mut simple) = (Shelf::new(), Simple::default());
        let mut seed: u64 = 7;
        for round in 0..20_000_u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (seed >> 33) as u8 % 12;
            let bytes = (seed >> 45) as usize % 100;
            match seed >> 60 {
                0..=6 => {
                    let before = simple.remove(number);
                    simple.0.insert(0, (number, round, bytes));
                    assert_eq!(shelf.put(key(number), round, bytes), before);
                }
                7..=11 => {
                    let found = simple.0.iter().position(|(other, ..)| *other == number);
                    let found = found.map(|at| {
                        let whole = simple.0.remove(at);
                        simple.0.insert(0, whole);
                        whole.1
                    });
                    assert_eq!(shelf.take_up(&key(number)), found);
                }
                12..=13 => assert_eq!(shelf.remove(&key(number)), simple.remove(number)),
                _ => assert_eq!(shelf.remove_last(), simple.0.pop().map(|(_, thing, _)| thing)),
            }
            assert_eq!(shelf.len(), simple.0.len());
            assert_eq!(shelf.bytes(), simple.0.iter().map(|(.., bytes)| bytes).sum::<usize>());
        }
        while let Some((_, thing, _)) = simple.0.pop() {
            assert_eq!(shelf.remove_last(), Some(thing));
        }
        assert_eq!((shelf.remove_last(), shelf.bytes()), (None, 0));
        assert!(shelf.places.len() <= 12, "places are used again");
    }
}
