//! What is wrong with an order of a schedule that was not kept.
//!
//! Pure. Owns the words. What became of it is the collector's to say.

use crate::collector::hold::{Kept, Outcome};
use crate::trace::Pattern;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;

/// An event of an order: as it is shown, and how it is found.
pub(crate) struct Named {
    pub(crate) text: String,
    pub(crate) pattern: String,
    pub(crate) nth: usize,
}

/// What there is to say of an order that was not kept.
pub(crate) enum Unkept {
    /// The program itself has the two in the other order: it does not have this race, or no longer.
    Ordered(String),
    /// The schedule is not one of this program.
    Wrong(String),
}

/// A sentence for an order that was not kept. The records tell why, if they do.
pub(crate) fn unkept(
    (first, then): (&Named, &Named),
    outcome: &Outcome,
    records: impl FnOnce() -> Vec<Process>,
) -> Option<Unkept> {
    let order = format!("{} before {}", first.text, then.text);
    match outcome.kept {
        Kept::Yes { .. } => None,
        Kept::NeverCame => {
            let missing = outcome.missing.as_deref().unwrap_or("nothing came to it");
            Some(Unkept::Wrong(format!(
                "`{order}` did not come about: {missing}"
            )))
        }
        Kept::GivenUp { quiet, held_for } => {
            if let Some(chain) = chain(&Graph::build(records()), then, first) {
                let told = format!("`{order}` can't be: {chain}");
                return Some(Unkept::Ordered(told));
            }
            let seconds = held_for.as_secs_f64();
            if let Some(missing) = &outcome.missing {
                return Some(Unkept::Wrong(format!(
                    "`{order}` did not come about: `{}` was held for {seconds:.1} s; {missing}",
                    then.text
                )));
            }
            let and = match quiet {
                true => "while nothing else happened",
                false => "in all the time that it was held",
            };
            Some(Unkept::Wrong(format!(
                "`{order}` did not come about: `{}` was held for {seconds:.1} s, and `{}` did not happen \
                 {and}; something that lonet can't see orders them, or the schedule is of another program",
                then.text, first.text,
            )))
        }
    }
}

/// The causes that lead from one event to another: "`a` → `b` → `c`".
fn chain(graph: &Graph, from: &Named, to: &Named) -> Option<String> {
    let (from, to) = (find(graph, from)?, find(graph, to)?);
    let (a, b) = (graph.event(from)?, graph.event(to)?);
    if !graph.happens_before(a.id(), b.id()) {
        return None;
    }
    let nodes = graph.chain(from, to).into_iter();
    let events = nodes.filter_map(|(node, _)| graph.event(node));
    let lines: Vec<String> = events.map(|event| format!("`{event}`")).collect();
    Some(format!("{} happen in this order", lines.join(" → ")))
}

/// The node of that event.
fn find(graph: &Graph, point: &Named) -> Option<u32> {
    let pattern = Pattern::parse(&point.pattern).ok()?;
    let nodes = graph.order.iter().copied();
    let mut matching = nodes.filter(|&node| {
        let event = graph.event(node);
        event.is_some_and(|event| pattern.matches(&event))
    });
    matching.nth(point.nth.saturating_sub(1))
}
