//! What a request under way has taken of the limits; given back when it is over.

use crate::domain::chat::Usage;
use crate::domain::rule::Rule;
use parking_lot::Mutex;
use std::sync::Arc;

/// A request's place and tokens. Dropped without a word about what was used, it used nothing.
#[must_use = "the request's place is free again when this is dropped"]
#[derive(Default)]
pub struct Hold {
    own: Option<Arc<Mutex<Rule>>>,
    routes: Vec<Arc<Mutex<Rule>>>,
    reserved: u64,
    used: u64,
}

impl Hold {
    pub(super) fn new(own: Option<Arc<Mutex<Rule>>>, routes: Vec<Arc<Mutex<Rule>>>, reserved: u64) -> Self {
        Self { own, routes, reserved, used: 0 }
    }

    /// The request is over and has used this; `None`: nothing, or somebody else paid.
    pub fn settle(mut self, usage: Option<Usage>) {
        self.used = usage.map_or(0, Usage::total);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for rule in self.own.iter().chain(&self.routes) {
            rule.lock().settle(self.reserved, self.used);
        }
    }
}
