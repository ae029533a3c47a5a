//! A trace as something to draw: its events in canonical order, and for each the events that
//! directly caused it.
//!
//! Pure. Owns what counts as direct: a cause from which no other shown event leads to the effect
//! by hidden records alone. How it is drawn is the business of [`report`](crate::report).

use std::collections::BTreeMap;

use lonet::trace::Event;

use crate::trace::Trace;
use crate::trace::happened::graph::Graph;
use crate::trace::scope::Scope;

/// Events and their direct causes, as places in `events`.
#[derive(Debug)]
pub(crate) struct Drawing {
    /// In canonical order.
    pub(crate) events: Vec<Event>,
    /// For each event, what directly caused it, ascending.
    pub(crate) causes: Vec<Vec<usize>>,
}

impl Trace {
    /// The trace as something to draw.
    pub(crate) fn drawing(&self) -> Drawing {
        let (graph, scope) = (&self.cut.graph, self.cut.scope());
        let order = &scope.events;
        let place: BTreeMap<u32, usize> = order
            .iter()
            .enumerate()
            .map(|(place, &node)| (node, place))
            .collect();
        let causes = order
            .iter()
            .map(|&node| {
                let mut causes: Vec<usize> = direct(graph, scope, node)
                    .into_iter()
                    .filter_map(|cause| place.get(&cause).copied())
                    .collect();
                causes.sort_unstable();
                causes
            })
            .collect();
        let events = order.iter().filter_map(|&node| graph.event(node)).collect();
        Drawing { events, causes }
    }
}

impl Drawing {
    /// Moves what happened after that moment below all else; where it begins, if there is any. An
    /// effect is never earlier than its cause.
    pub(crate) fn parted(&mut self, moment: u64) -> Option<usize> {
        let mut order: Vec<usize> = (0..self.events.len()).collect();
        // Stable: both parts stay in canonical order.
        order.sort_by_key(|&place| self.events[place].time_ns() > moment);
        let mut place_of = vec![0; order.len()];
        for (place, &old) in order.iter().enumerate() {
            place_of[old] = place;
        }
        let moved = |causes: &Vec<usize>| {
            let mut causes: Vec<usize> = causes.iter().map(|&cause| place_of[cause]).collect();
            causes.sort_unstable();
            causes
        };
        self.causes = order.iter().map(|&old| moved(&self.causes[old])).collect();
        self.events = order.iter().map(|&old| self.events[old].clone()).collect();
        let after = |event: &Event| event.time_ns() > moment;
        self.events.iter().position(after)
    }
}

/// The shown nodes from which hidden ones alone lead to this node, in this run.
fn direct(graph: &Graph, scope: &Scope, node: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut todo = vec![node];
    while let Some(at) = todo.pop() {
        for cause in graph.before_in_run(at) {
            if !seen.insert(cause) {
                continue;
            }
            if scope.shown[cause as usize] {
                found.push(cause);
            } else if scope.members[cause as usize] {
                todo.push(cause);
            }
        }
    }
    found
}
