//! Which events come next after an event.
//!
//! Owns what tells interchangeable events from others; which of them are tried is `search`'s
//! business.

use std::collections::BTreeSet;

use crate::trace::happened::graph::Graph;
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::FastMap;
use crate::trace::scope::Scope;

/// The events that come next after an event, through what is not shown; as a number that is the
/// same for the same events.
#[derive(Default)]
pub(super) struct Nexts {
    of: FastMap<u32, u32>,
    numbers: FastMap<Vec<(u32, bool)>, u32>,
}

impl Nexts {
    pub(super) fn of(&mut self, node: u32, graph: &Graph, scope: &Scope) -> u32 {
        if let Some(&known) = self.of.get(&node) {
            return known;
        }
        let fresh = self.numbers.len() as u32;
        let nexts = Nexts::find(node, graph, scope);
        let number = *self.numbers.entry(nexts).or_insert(fresh);
        self.of.insert(node, number);
        number
    }

    fn find(of: u32, graph: &Graph, scope: &Scope) -> Vec<(u32, bool)> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut todo = vec![of];
        while let Some(node) = todo.pop() {
            for (effect, why) in graph.after(node) {
                let index = effect as usize;
                if !scope.members[index] {
                    continue;
                }
                if scope.shown[index] {
                    found.insert((effect, why == Why::Port));
                } else if why != Why::Port && seen.insert(effect) {
                    todo.push(effect);
                }
            }
        }
        found.into_iter().collect()
    }
}
