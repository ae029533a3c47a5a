//! Whether events happened in a given order, which an expected trace never asks.
//!
//! Pure. Owns which event each line means, and which of two was first: by this run's causes or, where
//! there are none, by the clock that all processes share.

use crate::trace::cut::Cut;
use crate::trace::expected::grammar::Expectation;
use crate::trace::explain::diagnosis::Mismatch;
use crate::trace::explain::hints::Hint;
use crate::trace::explain::look::{Look, Problem, fields};
use crate::trace::intern::hash_index::NONE;

/// So many events are shown that a line may mean.
const MOST_SHOWN: usize = 20;

/// Whether each line means exactly one event of the past, in all views, and each happened after that
/// of the line above.
///
/// # Errors
///
/// What is wrong, with what there is to do about it.
pub(crate) fn in_order(cut: &Cut, of: &Expectation) -> Result<(), Mismatch> {
    let mut look = Look::new(cut, of, &[]);
    let mut above: Option<u32> = None;
    for line in 0..of.lines.len() {
        let event = only_event(&mut look, line)?;
        if let Some(earlier) = above
            && !happened_after(cut, earlier, event)
        {
            let caused = cut.graph.reaches(event, earlier);
            let chain = caused.then(|| cut.graph.chain(event, earlier));
            let problem = Problem::OutOfOrder {
                above: look.expected_line(line - 1),
                below: look.expected_line(line),
                events: (earlier, event),
                chain: chain.unwrap_or_default(),
            };
            return Err(Mismatch::out_of_order(cut, problem, Vec::new()));
        }
        look.bind(line, event);
        above = Some(event);
    }
    Ok(())
}

fn only_event(look: &mut Look<'_>, line: usize) -> Result<u32, Mismatch> {
    let graph = look.graph;
    let members = &look.cut.members;
    let events = (0..graph.len() as u32).filter(|&node| graph.label_of[node as usize] != NONE);
    let (mut inside, mut outside) = (Vec::new(), None);
    for node in events {
        if !look.matches(line, node) {
            continue;
        }
        match members[node as usize] {
            true => inside.push(node),
            false => outside = outside.or(Some(node)),
        }
    }
    inside.sort_by_key(|&node| (time(look.cut, node), node));
    if let [only] = inside[..] {
        return Ok(only);
    }
    let hints = outside
        .filter(|_| inside.is_empty())
        .map(|node| Hint::concurrent(graph, node));
    let matching = inside.len();
    if matching == 0 {
        inside = nearest(look, line);
    }
    inside.truncate(MOST_SHOWN);
    let problem = Problem::NotOne {
        line: look.expected_line(line),
        matching,
        candidates: inside,
    };
    let hints = hints.into_iter().collect();
    Err(Mismatch::out_of_order(look.cut, problem, hints))
}

/// What of the past is like a line that nothing matches: the same verb.
fn nearest(look: &Look<'_>, line: usize) -> Vec<u32> {
    let graph = look.graph;
    let verb = look.of.lines[line].shape.verb;
    let alike = graph.order.iter().copied().filter(|&node| {
        look.cut.members[node as usize]
            && graph.label_of[node as usize] != NONE
            && fields(graph, node).verb == verb
    });
    alike.collect()
}

fn happened_after(cut: &Cut, a: u32, b: u32) -> bool {
    let graph = &cut.graph;
    if graph.reaches_in_run(a, b) {
        return true;
    }
    a != b && !graph.reaches_in_run(b, a) && time(cut, a) < time(cut, b)
}

/// When it was recorded.
fn time(cut: &Cut, node: u32) -> u64 {
    cut.graph.record(node).map_or(0, |(_, record)| record.t)
}
