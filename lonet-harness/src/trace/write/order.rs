//! The order in which lines are written: as it happened, near an old text if there is one
//!.
//!
//! Lines that stay keep the order in which they stand, as far as no effect comes to stand above its
//! cause. What is new comes by the clock: above the first of them that happened later, once all its
//! causes in this run stand above. An example: the old text has `x` above `c`, and now `n` is new,
//! which `c` leads to, with the times c=1, n=3, x=5. `n` waits for `c`, so that the order is x, c, n.
//!
//! Pure. Owns that order, and which old line matches which event; what is written for them is
//! `text`'s business.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use lonet::trace::Verb;

use crate::trace::expected::grammar::Expectation;
use crate::trace::expected::lookup;
use crate::trace::expected::pattern::{Bindings, Fields, unify};
use crate::trace::happened::graph::Graph;
use crate::trace::happened::racing_ports::Races;
use crate::trace::intern::hash_index::{FastMap, NONE};
use crate::trace::scope::Scope;
use crate::trace::write::variables::Meanings;

/// An event in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) node: u32,
    /// The old line that matched it.
    pub(crate) line: Option<u32>,
}

/// The events of the view in the order in which they are written.
pub(crate) fn order(graph: &Graph, scope: &Scope, races: &Races, old: &Expectation) -> Vec<Placed> {
    let mut kept = kept(graph, scope, races, old);
    let mut sorting = Sorting {
        graph,
        scope,
        line: kept.iter().map(|&(line, node)| (node, line)).collect(),
        waits: vec![0; graph.label_of.len()],
        done: scope.members.iter().map(|&member| !member).collect(),
        new: BinaryHeap::new(),
        hidden: Vec::new(),
        placed: Vec::with_capacity(scope.events.len()),
    };
    kept.sort_unstable();
    sorting.run(&kept);
    sorting.placed
}

/// Which old line matches which event. Of equal ones the first matches the first; what lines that
/// leave nothing open match, no other line matches.
fn kept(graph: &Graph, scope: &Scope, races: &Races, old: &Expectation) -> Vec<(u32, u32)> {
    let mut of_label: FastMap<u32, Vec<u32>> = FastMap::default();
    for &node in scope.events.iter().rev() {
        let label = graph.label_of[node as usize];
        of_label.entry(label).or_default().push(node);
    }
    let labels = lookup::labels(graph, old);
    let mut kept = Vec::with_capacity(old.lines.len());
    let mut open = Vec::new();
    for ((index, line), label) in (0..).zip(&old.lines).zip(labels) {
        if !line.shape.is_concrete() {
            open.push(index);
        } else if label != NONE
            && let Some(node) = of_label.get_mut(&label).and_then(Vec::pop)
        {
            kept.push((index, node));
        }
    }
    if open.is_empty() {
        return kept;
    }
    let fields = |node: u32| {
        let label = graph.labels.label(graph.label_of[node as usize]);
        Fields::of_label(label, &graph.hosts)
    };
    let taken: FastMap<u32, ()> = kept.iter().map(|&(_, node)| (node, ())).collect();
    let mut left: BTreeMap<Verb, Vec<u32>> = BTreeMap::new();
    for &node in scope.events.iter().filter(|node| !taken.contains_key(node)) {
        left.entry(fields(node).verb).or_default().push(node);
    }
    let mut bindings = Bindings::new(old.variables.len());
    let mut meanings = Meanings::new(old.variables.len());
    for line in open {
        let shape = &old.lines[line as usize].shape;
        let Some(left) = left.get_mut(&shape.verb) else {
            continue;
        };
        let found = left.iter().position(|&node| {
            let bound = bindings.mark();
            let raced = races.of_event(graph, node);
            let fits =
                meanings.allow(shape, raced) && unify(shape, old, &fields(node), &mut bindings);
            match fits {
                true => meanings.learn(shape, raced),
                false => bindings.undo_to(bound),
            }
            fits
        });
        if let Some(found) = found {
            kept.push((line, left.remove(found)));
        }
    }
    kept
}

struct Sorting<'a> {
    graph: &'a Graph,
    scope: &'a Scope,
    /// By node of an event: its old line.
    line: FastMap<u32, u32>,
    /// By node: how many of its causes in this run have no place yet.
    waits: Vec<u32>,
    /// By node: it has its place, or needs none.
    done: Vec<bool>,
    /// New events that wait for nothing, by the clock.
    new: BinaryHeap<Reverse<(usize, u32)>>,
    /// What waits for nothing and is not shown.
    hidden: Vec<u32>,
    placed: Vec<Placed>,
}

impl Sorting<'_> {
    fn run(&mut self, kept: &[(u32, u32)]) {
        for &node in &self.graph.order {
            if self.scope.members[node as usize] {
                let causes = self.graph.before_in_run(node);
                let causes = causes.filter(|&cause| self.scope.members[cause as usize]);
                self.waits[node as usize] = causes.count() as u32;
                self.may_come(node);
            }
        }
        for &(_, node) in kept {
            for node in self.with_causes(node) {
                self.place_new(self.graph.stands(node));
                self.place(node);
            }
        }
        self.place_new(usize::MAX);
    }

    /// The node with all that comes before it for certain and has no place, as it happened. What
    /// only came before it in this run may stand below: the old text had it so.
    fn with_causes(&self, node: u32) -> Vec<u32> {
        let mut seen: FastMap<u32, ()> = FastMap::default();
        let mut all = Vec::new();
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            if !self.done[node as usize] && seen.insert(node, ()).is_none() {
                all.push(node);
                todo.extend(self.graph.before(node).map(|(cause, _)| cause));
            }
        }
        all.sort_unstable_by_key(|&node| self.graph.stands(node));
        all
    }

    /// New events, as far as they may come and happened before this place.
    fn place_new(&mut self, before: usize) {
        loop {
            while let Some(node) = self.hidden.pop() {
                self.place(node);
            }
            match self.new.peek() {
                Some(&Reverse((stands, node))) if stands < before => {
                    self.new.pop();
                    self.place(node);
                }
                _ => return,
            }
        }
    }

    fn place(&mut self, node: u32) {
        if std::mem::replace(&mut self.done[node as usize], true) {
            return;
        }
        if self.scope.shown[node as usize] {
            let line = self.line.get(&node).copied();
            self.placed.push(Placed { node, line });
        }
        let graph = self.graph;
        for effect in graph.after_in_run(node) {
            if !self.done[effect as usize] {
                self.waits[effect as usize] -= 1;
                self.may_come(effect);
            }
        }
    }

    /// Remembers what waits for nothing any more and has no old line.
    fn may_come(&mut self, node: u32) {
        if self.waits[node as usize] > 0 {
            return;
        }
        if !self.scope.shown[node as usize] {
            self.hidden.push(node);
        } else if !self.line.contains_key(&node) {
            self.new.push(Reverse((self.graph.stands(node), node)));
        }
    }
}
