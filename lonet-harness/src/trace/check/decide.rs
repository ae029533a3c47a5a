//! Whether an expectation holds.
//!
//! Pure. Owns the linear check for lines that leave nothing open, and the choice between it and
//! `search`. What the failure means is `diagnosis`' business, its words are `report`'s.

use crate::trace::check::alone;
use crate::trace::check::blocks::Kept;
use crate::trace::check::counting;
use crate::trace::check::outcome::{Outcome, counts};
use crate::trace::check::search;
use crate::trace::expected::grammar::Expectation;
use crate::trace::expected::lookup;
use crate::trace::happened::graph::Graph;
use crate::trace::intern::hash_index::{FastMap, NONE};
use crate::trace::scope::Scope;

/// The most states that the search visits beyond its first descent.
pub(crate) const MOST_STATES: usize = 200_000;
/// As many are visited before anything else is tried.
const FEW_STATES: usize = 2_000;

/// Whether the expectation tells of every event, or only of some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each event has its line.
    All,
    /// The lines hold of some of the events.
    Some,
}

/// Decides whether the expectation holds of the events in scope.
pub(crate) fn decide(graph: &Graph, scope: &Scope, of: &Expectation, mode: Mode) -> Outcome {
    if mode == Mode::All
        && let Some(assignment) = by_position(graph, scope, of)
    {
        return Outcome::Holds(assignment);
    }
    let search = match mode {
        Mode::All => search::all,
        Mode::Some => search::some,
    };
    let most = counting::most_lines(graph, scope, of);
    let found = search(graph, scope, of, most, FEW_STATES);
    if !matches!(found, Outcome::Undecided(_)) {
        return found;
    }
    let most = most.min(alone::most_lines(graph, scope, of));
    search(graph, scope, of, most, MOST_STATES)
}

/// Takes the i-th of equal lines for the i-th of equal events, and checks the edges. Where equal
/// events are ordered, this is the only possible assignment; where it holds, it is one. All lines
/// of a block stand at one place, that of its first.
fn by_position(graph: &Graph, scope: &Scope, of: &Expectation) -> Option<Vec<u32>> {
    if of.lines.len() != scope.events.len() {
        return None;
    }
    let labels = lookup::labels(graph, of);
    // By label: its first line; by line: the next with the same label. Lines count from 1.
    let mut first = vec![0u32; graph.labels.len()];
    let mut next = vec![0u32; of.lines.len() + 1];
    for (index, label) in labels.into_iter().enumerate().rev() {
        if label == NONE {
            return None;
        }
        let label = label as usize;
        next[index + 1] = std::mem::replace(&mut first[label], index as u32 + 1);
    }
    let mut assignment = vec![0u32; of.lines.len()];
    let places = places(of);
    // By node: the place of the lowest line among it and what comes before it.
    let mut line = vec![0u32; graph.label_of.len()];
    for &node in &graph.order {
        let index = node as usize;
        if !scope.members[index] {
            continue;
        }
        let shown = scope.shown[index];
        let causes = graph.before(node).filter(|&(_, why)| counts(why, shown));
        let lines = causes.map(|(cause, _)| line[cause as usize]);
        let latest = lines.fold(0, u32::max);
        if shown {
            let label = graph.label_of[index] as usize;
            let position = first[label];
            if position == 0 {
                return None;
            }
            let in_block = of.lines[position as usize - 1].block.is_some();
            let place = places[position as usize - 1];
            if place < latest || (place == latest && !in_block) {
                return None;
            }
            first[label] = next[position as usize];
            assignment[position as usize - 1] = node;
            line[index] = place;
        } else {
            line[index] = latest;
        }
    }
    within_blocks(graph, scope, of, &assignment).then_some(assignment)
}

/// By line: where it stands, from 1. Those of a block stand where its first does.
fn places(of: &Expectation) -> Vec<u32> {
    let mut places: Vec<u32> = Vec::with_capacity(of.lines.len());
    for (index, line) in of.lines.iter().enumerate() {
        let above = index.checked_sub(1);
        let above =
            above.filter(|&above| line.block.is_some() && of.lines[above].block == line.block);
        places.push(above.map_or(index as u32 + 1, |above| places[above]));
    }
    places
}

/// Whether the orders hold that a block does not forgive.
fn within_blocks(graph: &Graph, scope: &Scope, of: &Expectation, assignment: &[u32]) -> bool {
    let Some(kept) = Kept::for_blocks(graph, of) else {
        return true;
    };
    let lines = assignment.iter().zip(0u32..);
    let line: FastMap<u32, u32> = lines.map(|(&node, line)| (node, line)).collect();
    let blocks = (0u32..).zip(assignment);
    let mut blocks = blocks.filter(|&(below, _)| of.lines[below as usize].block.is_some());
    blocks.all(|(below, &node)| {
        let above = kept.before(graph, scope, node);
        above.iter().all(|cause| line[cause] < below)
    })
}
