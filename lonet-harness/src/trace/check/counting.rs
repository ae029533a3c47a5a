//! What counting shows about an expectation before anything is searched.
//!
//! Pure. Owns how many lines could have an event each at most; which event a line has is
//! `search`'s business.

use std::collections::{BTreeMap, HashMap};

use lonet::trace::Verb;

use crate::trace::expected::grammar::{Expectation, Port, Shape, Term, Text, Word};
use crate::trace::expected::lookup;
use crate::trace::expected::pattern::{Bindings, Fields, unify};
use crate::trace::happened::graph::Graph;
use crate::trace::intern::hash_index::NONE;
use crate::trace::scope::Scope;

/// So many pairs of a line that leaves something open and a label are compared. What more there
/// would be is left to the search: a line that is not counted has room.
const MOST_COMPARISONS: usize = 4_000_000;

/// How many lines, from the first on, could have an event each. The next one can't, whatever the
/// variables stand for: all events that it could match would have lines above it.
pub(crate) fn most_lines(graph: &Graph, scope: &Scope, of: &Expectation) -> usize {
    let mut left = vec![0usize; graph.labels.len()];
    for &event in &scope.events {
        left[graph.label_of[event as usize] as usize] += 1;
    }
    let mut open = Open::new(graph, of, &left);
    let labels = lookup::labels(graph, of);
    let lines = of.lines.iter().zip(labels);
    let counted = lines.take_while(|(line, label)| {
        let left = match (line.shape.is_concrete(), *label) {
            (false, _) => open.left(&line.shape),
            (true, NONE) => return false,
            (true, label) => &mut left[label as usize],
        };
        let has_room = *left > 0;
        *left = left.saturating_sub(1);
        has_room
    });
    counted.count().min(scope.events.len())
}

/// The lines that leave something open, those together that leave open the same.
struct Open<'a> {
    graph: &'a Graph,
    of: &'a Expectation,
    /// The labels of each verb that have events, and how many.
    labels: BTreeMap<Verb, Vec<(u32, usize)>>,
    comparisons: usize,
    /// Looked up by shape, never iterated.
    left: HashMap<Shape, usize>,
}

impl<'a> Open<'a> {
    fn new(graph: &'a Graph, of: &'a Expectation, counts: &[usize]) -> Open<'a> {
        let mut labels: BTreeMap<Verb, Vec<(u32, usize)>> = BTreeMap::new();
        for (label, &count) in (0..).zip(counts) {
            if count > 0 {
                let verb = graph.labels.label(label).head.verb;
                labels.entry(verb).or_default().push((label, count));
            }
        }
        Open {
            graph,
            of,
            labels,
            comparisons: 0,
            left: HashMap::new(),
        }
    }

    /// How many events are left for lines of this shape.
    fn left(&mut self, shape: &Shape) -> &mut usize {
        let shape = anonymous(shape);
        if !self.left.contains_key(&shape) {
            let count = self.count(&shape);
            self.left.insert(shape.clone(), count);
        }
        self.left.entry(shape).or_default()
    }

    fn count(&mut self, shape: &Shape) -> usize {
        let Some(labels) = self.labels.get(&shape.verb) else {
            return 0;
        };
        self.comparisons += labels.len();
        if self.comparisons > MOST_COMPARISONS {
            return usize::MAX;
        }
        let mut unbound = Bindings::new(0);
        let labels = labels.iter().filter(|&&(label, _)| {
            let label = self.graph.labels.label(label);
            let fields = Fields::of_label(label, &self.graph.hosts);
            unify(shape, self.of, &fields, &mut unbound)
        });
        labels.map(|(_, count)| count).sum()
    }
}

/// The shape with `_` for each variable.
fn anonymous(shape: &Shape) -> Shape {
    let term = |term: Term| match term {
        Term::Variable(_) => Term::Any,
        known => known,
    };
    let port = |port: Port| match port {
        Port::Variable(_) => Port::Any,
        known => known,
    };
    let word = |word: &Word| match word {
        Word::Whole(of) => Word::Whole(term(*of)),
        Word::After(prefix, of) => Word::After(*prefix, term(*of)),
        Word::Ends(ends) => {
            let ends = ends.iter();
            Word::Ends(ends.map(|&(host, at)| (term(host), at.map(port))).collect())
        }
        Word::Rest => Word::Rest,
    };
    Shape {
        verb: shape.verb,
        host: term(shape.host),
        port: shape.port.map(port),
        peer: shape.peer.map(|(host, number)| (term(host), port(number))),
        text: match &shape.text {
            Text::Is(text) => Text::Is(*text),
            Text::Words(words) => Text::Words(words.iter().map(word).collect()),
        },
    }
}
