//! What an assertion looks at: part of what was reported, closed under causes, and of that what a view
//! shows.
//!
//! Pure. Owns which events those are. What is asked of them is the business of the modules above: of
//! `check`, `explain`, `update`, and of `trace` in the name of a test.

use std::sync::{Arc, OnceLock};

use lonet::trace::{Event, EventId};

use crate::trace::happened::graph::Graph;
use crate::trace::intern::hash_index::NONE;
use crate::trace::scope::{Scope, View};

/// Events with their order, and which of them are looked at. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cut {
    pub(crate) graph: Arc<Graph>,
    pub(crate) members: Arc<Vec<bool>>,
    pub(crate) at: Option<EventId>,
    pub(crate) view: View,
    scope: OnceLock<Arc<Scope>>,
    events: OnceLock<Arc<[Event]>>,
}

impl Cut {
    /// The causal past of a record, without itself. Of a record that is not there: nothing.
    pub(crate) fn past(graph: Arc<Graph>, at: EventId) -> Cut {
        let members = match graph.node(at) {
            Some(node) => graph.past(node),
            None => vec![false; graph.label_of.len()],
        };
        Cut::of(graph, members, Some(at))
    }

    /// Everything that was reported.
    pub(crate) fn whole(graph: Arc<Graph>) -> Cut {
        let members = vec![true; graph.label_of.len()];
        Cut::of(graph, members, None)
    }

    fn of(graph: Arc<Graph>, members: Vec<bool>, at: Option<EventId>) -> Cut {
        Cut {
            graph,
            members: Arc::new(members),
            at,
            view: View::default(),
            scope: OnceLock::new(),
            events: OnceLock::new(),
        }
    }

    pub(crate) fn with_view(mut self, change: impl FnOnce(&mut View)) -> Cut {
        change(&mut self.view);
        self.scope = OnceLock::new();
        self.events = OnceLock::new();
        self
    }

    /// The events of the view as they happened: by the clock, causes before effects.
    pub(crate) fn events(&self) -> &[Event] {
        self.events.get_or_init(|| {
            let events = self.scope().events.iter();
            events.filter_map(|&node| self.graph.event(node)).collect()
        })
    }

    pub(crate) fn scope(&self) -> &Scope {
        self.scope.get_or_init(|| {
            let graph = &self.graph;
            let labels = (0..graph.labels.len() as u32).map(|label| graph.labels.label(label));
            let shows: Vec<bool> = labels
                .map(|label| self.view.shows(label, &graph.hosts))
                .collect();
            let nodes = self.members.iter().zip(&graph.label_of);
            let shown: Vec<bool> = nodes
                .map(|(&member, &label)| member && label != NONE && shows[label as usize])
                .collect();
            let order = graph.order.iter().copied();
            Arc::new(Scope {
                members: self.members.to_vec(),
                events: order.filter(|&node| shown[node as usize]).collect(),
                shown,
            })
        })
    }
}
