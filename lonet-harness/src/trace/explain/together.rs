//! Whether two intervals could overlap in an order that a run allows.
//!
//! Pure. Owns how starts and ends are paired, which pairs of intervals could overlap, and which of
//! several findings is shown.
//!
//! Two intervals are apart in every order if one's end happens before the other's start for certain.
//! Otherwise some order has both starts before both ends: putting the starts first contradicts
//! nothing. So there is no need to try orders. For example, let α lead from 1 to 2 and β from 3 to 4.
//! If β starts because of a message that α sent at its end, 2 happens before 3. Without that message,
//! 1 3 2 4 is an order, even if the clock of this run shows 1 2 3 4.

use std::collections::{BTreeMap, BTreeSet};

use crate::trace::check::outcome::{counts, names_port};
use crate::trace::cut::Cut;
use crate::trace::expected::grammar::{Expectation, Term};
use crate::trace::expected::pattern::{Bindings, Pattern, unify};
use crate::trace::explain::diagnosis::Mismatch;
use crate::trace::explain::look::{Interval, Overlap, Problem, fields};
use crate::trace::happened::graph::Graph;
use crate::trace::intern::hash_index::NONE;

/// Whether no interval of the one kind could overlap one of the other kind. A kind is the pattern
/// of its starts and that of its ends.
///
/// # Errors
///
/// Two intervals that could, or what is wrong with a pattern.
pub(crate) fn never_together(
    cut: &Cut,
    one: (&str, &str),
    other: (&str, &str),
) -> Result<(), Mismatch> {
    let demanded = |problem| Mismatch::out_of_order(cut, problem, Vec::new());
    let mut text = String::new();
    for pattern in [one.0, one.1, other.0, other.1] {
        let parsed = Pattern::parse(pattern)
            .map_err(|error| demanded(Problem::Pattern(error.of_pattern(pattern))))?;
        text.push_str(parsed.as_str());
        text.push('\n');
    }
    // As one text, so that a variable stands for the same in all four.
    let of = cut.parsed(&text)?;
    match Kinds::new(cut, &of).overlap() {
        None => Ok(()),
        Some(overlap) => Err(demanded(Problem::Together(overlap))),
    }
}

/// The lines of a kind: what starts it and what ends it.
const KINDS: [(usize, usize); 2] = [(0, 1), (2, 3)];

struct Kinds<'a> {
    cut: &'a Cut,
    graph: &'a Graph,
    of: &'a Expectation,
    /// By line: what could match it, as this run had it. First what is of the past.
    candidates: Vec<[Vec<u32>; 2]>,
}

impl<'a> Kinds<'a> {
    fn new(cut: &'a Cut, of: &'a Expectation) -> Kinds<'a> {
        let graph: &Graph = &cut.graph;
        let mut kinds = Kinds {
            cut,
            graph,
            of,
            candidates: Vec::new(),
        };
        let nodes = graph.order.iter().copied();
        let events: Vec<u32> = nodes
            .filter(|&node| graph.label_of[node as usize] != NONE)
            .collect();
        for line in 0..of.lines.len() {
            let mut bindings = Bindings::new(of.variables.len());
            let matching = events.iter().copied().filter(|&node| {
                let matches = kinds.matches(line, node, &mut bindings);
                bindings.undo_to(0);
                matches
            });
            let parts = matching.partition(|&node| cut.members[node as usize]);
            kinds.candidates.push(<[Vec<u32>; 2]>::from(parts));
        }
        kinds
    }

    /// Whether a line matches an event. The bindings may have grown in any case.
    fn matches(&self, line: usize, node: u32, bindings: &mut Bindings) -> bool {
        let shape = &self.of.lines[line].shape;
        unify(shape, self.of, &fields(self.graph, node), bindings)
    }

    /// The next event that ends what started there. What happened concurrently with the assertion
    /// happens before nothing that it sees: such an end decides nothing, but it shows what this run did.
    fn end(&self, line: usize, start: u32, bindings: &mut Bindings) -> Option<u32> {
        let shape = &self.of.lines[line].shape;
        // `_` is the host that started it.
        let same_host = shape.host == Term::Any && !shape.verb.names_ends();
        let host = fields(self.graph, start).host;
        let place = self.graph.place(start);
        for candidates in &self.candidates[line] {
            let below = candidates.partition_point(|&node| self.graph.place(node) <= place);
            for &node in &candidates[below..] {
                if same_host && fields(self.graph, node).host != host {
                    continue;
                }
                let bound = bindings.mark();
                if self.matches(line, node, bindings) {
                    return Some(node);
                }
                bindings.undo_to(bound);
            }
        }
        None
    }

    fn overlap(&self) -> Option<Overlap> {
        let [one, other] = KINDS;
        let ended = self.ended();
        // Whether the one ends before the other starts, in every order.
        let apart = |one: Interval, other: Interval| {
            one.end
                .is_some_and(|end| ended[&other.start].binary_search(&end).is_ok())
        };
        let mut found = BTreeSet::new();
        let mut bindings = Bindings::new(self.of.variables.len());
        for &start in &self.candidates[one.0][0] {
            bindings.undo_to(0);
            self.matches(one.0, start, &mut bindings);
            let end = self.end(one.1, start, &mut bindings);
            let a = Interval { start, end };
            let bound = bindings.mark();
            for &start in &self.candidates[other.0][0] {
                bindings.undo_to(bound);
                if start == a.start || !self.matches(other.0, start, &mut bindings) {
                    continue;
                }
                let end = self.end(other.1, start, &mut bindings);
                let b = Interval { start, end };
                if apart(a, b) || apart(b, a) {
                    continue;
                }
                let (first, then) = match self.graph.place(a.start) < self.graph.place(b.start) {
                    true => (a, b),
                    false => (b, a),
                };
                // One that was seen to happen is worth most, then the earliest.
                let places = [first, then].map(|interval| self.graph.place(interval.start));
                found.insert((!self.overlapped(first, then), places, first, then));
            }
        }
        let others = found.len().saturating_sub(1);
        let (not_in_run, _, first, then) = found.pop_first()?;
        let starts_before = |start: u32, end: Option<u32>| {
            end.is_none_or(|end| self.graph.reaches_by(start, end, |why| counts(why, false)))
        };
        Some(Overlap {
            first,
            then,
            in_run: !not_in_run,
            always: starts_before(first.start, then.end) && starts_before(then.start, first.end),
            others,
        })
    }

    fn overlapped(&self, first: Interval, then: Interval) -> bool {
        let place = |node| self.graph.place(node);
        first.end.is_none_or(|end| place(end) > place(then.start))
    }

    /// By start of either kind: the ends that happen before it for certain, or are it, ascending.
    fn ended(&self) -> BTreeMap<u32, Vec<u32>> {
        let ends = KINDS.iter().flat_map(|kind| &self.candidates[kind.1][0]);
        let ends: BTreeSet<u32> = ends.copied().collect();
        let mut ended = BTreeMap::new();
        for (line, _) in KINDS {
            let named = names_port(&self.of.lines[line].shape);
            for &start in &self.candidates[line][0] {
                let past = self.past(start, named);
                let before = ends.iter().copied().filter(|&end| past[end as usize]);
                // Of two kinds, the one that names the port says more.
                let before: Vec<u32> = before.collect();
                let known: &mut Vec<u32> = ended.entry(start).or_default();
                if known.len() < before.len() {
                    *known = before;
                }
            }
        }
        ended
    }

    /// By node: what happens before this one for certain, and itself: an event may end one interval and
    /// begin the other. The order of a port's users counts as it does in an expected trace.
    fn past(&self, of: u32, names_port: bool) -> Vec<bool> {
        let mut past = vec![false; self.cut.members.len()];
        past[of as usize] = true;
        let mut todo = vec![of];
        while let Some(node) = todo.pop() {
            let named = names_port && node == of;
            for (cause, _) in self
                .graph
                .before(node)
                .filter(|&(_, why)| counts(why, named))
            {
                if !std::mem::replace(&mut past[cause as usize], true) {
                    todo.push(cause);
                }
            }
        }
        past
    }
}
