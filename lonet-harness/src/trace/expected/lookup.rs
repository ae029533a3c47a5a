//! The label of a trace that a line of an expectation asks for.
//!
//! Pure. Owns the translation of an expectation's numbers for hosts and texts into the trace's.

use crate::trace::expected::grammar::{Expectation, Port, Shape, Term, Text};
use crate::trace::happened::graph::Graph;
use crate::trace::intern::hash_index::NONE;
use crate::trace::intern::labels::{Head, Label};
use crate::trace::intern::symbols::Symbol;

/// By line: the label that it asks for. `NONE` where the line leaves something open, or the trace
/// has no such label.
pub(crate) fn labels(graph: &Graph, of: &Expectation) -> Vec<u32> {
    let mut lookup = Lookup {
        graph,
        of,
        hosts: vec![None; of.symbols.len()],
    };
    let labels = of.lines.iter().map(|line| {
        let label = lookup.label(&line.shape)?;
        graph.labels.find(label)
    });
    labels.map(|number| number.unwrap_or(NONE)).collect()
}

struct Lookup<'a> {
    graph: &'a Graph,
    of: &'a Expectation,
    /// By the expectation's symbol: the trace's number of that host, if it was asked for already.
    hosts: Vec<Option<Symbol>>,
}

impl<'a> Lookup<'a> {
    fn label(&mut self, shape: &Shape) -> Option<Label<'a>> {
        let number = |port: Port| match port {
            Port::Is(port) => Some(u32::from(port)),
            _ => None,
        };
        let Text::Is(text) = shape.text else {
            return None;
        };
        let (peer_host, peer_port) = match shape.peer {
            Some((host, port)) => (self.host(host)?, number(port)?),
            None => (NONE, NONE),
        };
        let head = Head {
            verb: shape.verb,
            host: self.host(shape.host)?,
            port: match shape.port {
                Some(port) => number(port)?,
                None => NONE,
            },
            peer_host,
            peer_port,
        };
        let text = self.of.symbols.text(text);
        Some(Label { head, text })
    }

    fn host(&mut self, term: Term) -> Option<Symbol> {
        let Term::Is(symbol) = term else {
            return None;
        };
        let (graph, of) = (self.graph, self.of);
        let known = &mut self.hosts[symbol as usize];
        if known.is_none() {
            *known = graph.hosts.find(of.symbols.text(symbol));
        }
        *known
    }
}
