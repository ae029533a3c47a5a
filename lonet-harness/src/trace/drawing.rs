//! A trace as something to draw: its events in canonical order, and for each the events that
//! directly caused it.
//!
//! Pure. Owns what counts as direct: a cause from which no other shown event leads to the effect
//! by hidden records alone. How it is drawn is the business of [`report`](crate::report).

use std::collections::BTreeMap;

use lonet::trace::Event;

use crate::trace::Trace;
use crate::trace::check::decide::Scope;
use crate::trace::happened::graph::Graph;

/// Events and their direct causes, as places in `events`.
#[derive(Debug)]
pub struct Drawing {
    /// In canonical order.
    pub events: Vec<Event>,
    /// For each event, what directly caused it, ascending.
    pub causes: Vec<Vec<usize>>,
}

impl Trace {
    /// The trace as something to draw.
    pub fn drawing(&self) -> Drawing {
        let (graph, scope) = (&self.graph, self.scope());
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
