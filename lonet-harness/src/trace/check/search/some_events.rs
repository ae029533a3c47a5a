//! The part of the search that looks for some of the events: which of them a line could match, and
//! which are out of the question once it has one.
//!
//! Pure. What is taken and undone is the search's business.

use super::{Search, by_label};
use crate::trace::check::outcome::counts;
use crate::trace::expected::grammar::Shape;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::relation::Why;
use crate::trace::intern::hash_index::{FastMap, NONE};
use crate::trace::scope::Scope;

/// What the search for some of the events keeps.
pub(super) struct Partial {
    /// By node: happens before a taken event, or is one.
    pub(super) covered: Vec<bool>,
    by_label: FastMap<u32, Vec<u32>>,
}

impl Partial {
    pub(super) fn new(graph: &Graph, scope: &Scope) -> Partial {
        Partial {
            covered: vec![false; graph.label_of.len()],
            by_label: by_label(graph, scope),
        }
    }
}

impl Search<'_> {
    /// Events that are neither taken nor before one that is. An event that comes after another
    /// which would do as well is never needed instead of it.
    pub(super) fn partial_candidates(&mut self, shape: &Shape, label: u32) -> Vec<u32> {
        let Some(partial) = &self.partial else {
            return Vec::new();
        };
        let among: &[u32] = match label {
            NONE => &self.scope.events,
            label => partial.by_label.get(&label).map_or(&[], Vec::as_slice),
        };
        let open = among.iter().copied();
        let open: Vec<u32> = open.filter(|&n| !partial.covered[n as usize]).collect();
        if label == NONE {
            let mut candidates = self.matching(shape, open);
            let of = &self.graph.label_of;
            self.keep_first(&mut candidates, |a, b| of[a as usize] == of[b as usize]);
            return candidates;
        }
        let mut candidates = open;
        self.keep_first(&mut candidates, |_, _| true);
        candidates
    }

    fn keep_first(&self, candidates: &mut Vec<u32>, alike: impl Fn(u32, u32) -> bool) {
        let mut kept: Vec<u32> = Vec::new();
        for &node in candidates.iter() {
            let later = kept.iter().any(|&first| {
                let by = |why| why != Why::Port;
                alike(first, node) && self.graph.reaches_by(first, node, by)
            });
            if !later {
                kept.push(node);
            }
        }
        *candidates = kept;
    }

    pub(super) fn cover(&mut self, node: u32, names_port: bool) {
        let Some(partial) = &mut self.partial else {
            return;
        };
        let mut todo = vec![node];
        partial.covered[node as usize] = true;
        self.taken.push(node);
        while let Some(effect) = todo.pop() {
            for (cause, why) in self.graph.before(effect) {
                let covered = &mut partial.covered[cause as usize];
                if !*covered && counts(why, names_port && effect == node) {
                    *covered = true;
                    self.taken.push(cause);
                    todo.push(cause);
                }
            }
        }
    }
}
