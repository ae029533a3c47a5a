//! What each variable alone shows about an expectation, where the search for all of them together
//! is too long.
//!
//! Pure. A line that stands above its cause can't be helped by what other variables stand for: if
//! the lines with one variable hold for none of the hosts, the expectation does not hold.

use std::collections::BTreeSet;

use crate::trace::check::outcome::Outcome;
use crate::trace::check::search;
use crate::trace::expected::grammar::{Expectation, Shape, Term, Text, Word};
use crate::trace::happened::graph::Graph;
use crate::trace::scope::Scope;

/// The most states for one variable and one host.
const MOST_STATES: usize = 200;
/// So much is looked at in all, in nodes: each is compared with all lines of the variable.
const MOST_NODES: usize = 500_000;

/// How many lines, from the first on, could hold together, for all that one variable at a time
/// tells.
pub(crate) fn most_lines(graph: &Graph, scope: &Scope, of: &Expectation) -> usize {
    let mut hosts = BTreeSet::new();
    for &event in &scope.events {
        hosts.extend(
            graph
                .labels
                .label(graph.label_of[event as usize])
                .hosts(&graph.hosts),
        );
    }
    let variables = (0..).zip(&of.variables);
    let variables = variables.filter(|(_, variable)| variable.is_host);
    let each = hosts.len() * graph.label_of.len();
    variables
        .take(MOST_NODES / each.max(1))
        .filter_map(|(variable, _)| {
            let lines = of.lines.iter().enumerate();
            let lines = lines.filter(|(_, line)| mentions(&line.shape, variable));
            let (numbers, lines): (Vec<_>, Vec<_>) =
                lines.map(|(number, line)| (number, line.clone())).unzip();
            let some = Expectation {
                lines,
                ..of.clone()
            };
            let hosts = hosts.iter().copied();
            fails_for_all(graph, scope, &some, variable, hosts, &numbers)
        })
        .fold(of.lines.len(), usize::min)
}

/// The furthest of the lines that fail, if they do whichever host the variable stands for.
fn fails_for_all<'a>(
    graph: &Graph,
    scope: &Scope,
    of: &Expectation,
    variable: u32,
    hosts: impl Iterator<Item = &'a str>,
    numbers: &[usize],
) -> Option<usize> {
    let mut furthest = None;
    for host in hosts {
        match search::some_where(graph, scope, of, (variable, host), MOST_STATES) {
            Outcome::Fails(deepest) => furthest = furthest.max(numbers.get(deepest.len()).copied()),
            Outcome::Holds(_) | Outcome::Undecided(_) => return None,
        }
    }
    furthest
}

fn mentions(shape: &Shape, variable: u32) -> bool {
    let is = |term: Term| term == Term::Variable(variable);
    let words = match &shape.text {
        Text::Is(_) => &[][..],
        Text::Words(words) => words,
    };
    is(shape.host)
        || shape.peer.is_some_and(|(host, _)| is(host))
        || words.iter().any(|word| match word {
            Word::Whole(term) | Word::After(_, term) => is(*term),
            Word::Ends(ends) => ends.iter().any(|(host, _)| is(*host)),
            Word::Rest => false,
        })
}
