//! A look at the point where an expectation fails.
//!
//! Pure. Owns which line could not happen, what happened instead, and the chain of causes.

use crate::trace::check::blocks::Kept;
use crate::trace::check::decide::Mode;
use crate::trace::check::outcome::{counts, names_port};
use crate::trace::cut::Cut;
use crate::trace::expected::grammar::{Expectation, SyntaxError};
use crate::trace::expected::pattern::{Bindings, Fields, unify};
use crate::trace::happened::graph::Graph;
use crate::trace::happened::relation::Why;
use crate::trace::write::text;

/// A line of the expectation, as it was written, and its number in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedLine {
    pub(crate) number: u32,
    pub(crate) text: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Problem {
    Syntax(SyntaxError),
    /// What is expected can't be read, or not be rewritten.
    Unusable(String),
    /// The line's event happened, but something that happens before it has no line above.
    AboveCause {
        line: ExpectedLine,
        event: u32,
        cause: u32,
        /// From the cause to the event.
        chain: Vec<(u32, Why)>,
        /// The line of the other of the two, if there is one: below, the cause's; where lines tell
        /// only of some events, above, the effect's.
        other: Option<ExpectedLine>,
        /// What could come next at this point.
        instead: Vec<u32>,
    },
    /// No event is left that the line could match.
    NotHappened {
        line: ExpectedLine,
        /// How many events would match, if no line above did.
        matched_above: usize,
        /// What could come next at this point.
        instead: Vec<u32>,
    },
    /// Every line has its event, but there are more events.
    MoreHappened {
        events: Vec<u32>,
    },
    /// A line of an order that is demanded means no event of the past, or several.
    NotOne {
        line: ExpectedLine,
        /// How many it means.
        matching: usize,
        /// Some of those; if there are none, what is like it.
        candidates: Vec<u32>,
    },
    /// What a demanded order has below did not happen after what it has above.
    OutOfOrder {
        above: ExpectedLine,
        below: ExpectedLine,
        events: (u32, u32),
        /// From the event of the line below to the other, if that is a cause of it; else the clock
        /// decided.
        chain: Vec<(u32, Why)>,
    },
    /// A pattern can't be read.
    Pattern(String),
    /// Intervals that must never overlap could.
    Together(Overlap),
    /// The search was given up.
    Undecided {
        line: ExpectedLine,
        alike: Vec<ExpectedLine>,
    },
}

/// A look at the point where the expectation fails.
pub(crate) struct Look<'a> {
    pub(crate) cut: &'a Cut,
    pub(crate) graph: &'a Graph,
    pub(crate) of: &'a Expectation,
    pub(crate) line: usize,
    /// By node: a line above matches it.
    pub(crate) matched: Vec<bool>,
    pub(crate) bindings: Bindings,
}

#[cfg(test)]
thread_local! {
    /// How many looks this thread has taken: each part of a page begins with one, a check has none.
    pub(crate) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl<'a> Look<'a> {
    pub(crate) fn new(cut: &'a Cut, of: &'a Expectation, deepest: &[u32]) -> Look<'a> {
        #[cfg(test)]
        LOOKS.set(LOOKS.get() + 1);
        let graph: &Graph = &cut.graph;
        let mut matched = vec![false; graph.label_of.len()];
        let mut bindings = Bindings::new(of.variables.len());
        for (line, &node) in of.lines.iter().zip(deepest) {
            matched[node as usize] = true;
            unify(&line.shape, of, &fields(graph, node), &mut bindings);
        }
        Look {
            cut,
            graph,
            of,
            line: deepest.len(),
            matched,
            bindings,
        }
    }

    pub(crate) fn expected_line(&self, line: usize) -> ExpectedLine {
        ExpectedLine {
            number: self.of.lines[line].number,
            text: text::split_words(self.of.text(line)).join(" "),
        }
    }

    /// Whether a line could match an event, with what the variables stand for so far.
    pub(crate) fn matches(&mut self, line: usize, node: u32) -> bool {
        let bound = self.bindings.mark();
        let shape = &self.of.lines[line].shape;
        let matches = unify(
            shape,
            self.of,
            &fields(self.graph, node),
            &mut self.bindings,
        );
        self.bindings.undo_to(bound);
        matches
    }

    /// The events that a line could match, and that no line matches yet.
    pub(crate) fn open_matches(&mut self, line: usize) -> Vec<u32> {
        let mut events = self.cut.scope().events.clone();
        events.retain(|&node| !self.matched[node as usize] && self.matches(line, node));
        events
    }

    /// The line matches that event, from now on.
    pub(crate) fn bind(&mut self, line: usize, node: u32) {
        self.matched[node as usize] = true;
        let (of, fields) = (self.of, fields(self.graph, node));
        unify(&of.lines[line].shape, of, &fields, &mut self.bindings);
    }

    /// The events of the view that no line matches yet and whose causes all have lines.
    pub(crate) fn next_events(&self) -> Vec<u32> {
        let scope = self.cut.scope();
        let mut blocked = vec![false; self.graph.label_of.len()];
        let mut next = Vec::new();
        for &node in &self.graph.order {
            let index = node as usize;
            if !scope.members[index] {
                continue;
            }
            let causes = self.graph.before(node);
            let waits = causes
                .filter(|(_, why)| *why != Why::Port)
                .any(|(cause, _)| blocked[cause as usize]);
            let unmatched = scope.shown[index] && !self.matched[index];
            if unmatched && !waits {
                next.push(node);
            }
            blocked[index] = waits || unmatched;
        }
        next.sort_by_cached_key(|&node| line_of(self.graph, node));
        next
    }

    /// Which lines may have made the search too long.
    pub(crate) fn undecided(&self) -> Problem {
        let line = self.line.min(self.of.lines.len().saturating_sub(1));
        let shape = &self.of.lines[line].shape;
        // Lines that say the same, or that leave something open: those are what is ambiguous.
        let mut seen = std::collections::BTreeMap::<&str, usize>::new();
        for index in 0..self.of.lines.len() {
            *seen.entry(self.of.text(index)).or_default() += 1;
        }
        let alike = (0..self.of.lines.len())
            .filter(|&index| {
                let other = &self.of.lines[index].shape;
                let open = !other.is_concrete() && !shape.is_concrete();
                seen[self.of.text(index)] > 1 || open
            })
            .map(|index| self.expected_line(index))
            .collect();
        Problem::Undecided {
            line: self.expected_line(line),
            alike,
        }
    }

    /// Why the line that fails does.
    pub(crate) fn line_fails(&mut self, mode: Mode, deepest: &[u32]) -> Problem {
        let scope = self.cut.scope();
        let line = self.expected_line(self.line);
        let mut matched_above = 0;
        let mut blocked = None;
        for &node in &scope.events {
            if !self.matches(self.line, node) {
                continue;
            }
            if self.matched[node as usize] {
                matched_above += 1;
            } else if blocked.is_none() {
                blocked = Some(node);
            }
        }
        if let Some(event) = blocked {
            let found = match mode {
                Mode::All => {
                    let causes = self.unmatched_causes(event);
                    let decides = causes.iter().find(|&&cause| !self.forgiven(cause, event));
                    decides.or(causes.first()).map(|&cause| (cause, event))
                }
                // Here it is the other way round: a line above tells of an effect of this event.
                Mode::Some => self.matched_effect(event).map(|effect| (event, effect)),
            };
            if let Some((cause, event)) = found {
                let other = match mode {
                    Mode::All => {
                        let mut below = self.line + 1..self.of.lines.len();
                        below.find(|&index| self.matches(index, cause))
                    }
                    Mode::Some => deepest.iter().position(|&node| node == event),
                };
                return Problem::AboveCause {
                    line,
                    event,
                    cause,
                    chain: self.graph.chain(cause, event),
                    other: other.map(|index| self.expected_line(index)),
                    instead: self.next_events(),
                };
            }
        }
        Problem::NotHappened {
            line,
            matched_above,
            instead: self.next_events(),
        }
    }

    /// The events that happen before this one and have no line above the line that fails, the
    /// nearest first.
    pub(crate) fn unmatched_causes(&self, event: u32) -> Vec<u32> {
        let scope = self.cut.scope();
        let named = names_port(&self.of.lines[self.line].shape);
        let mut causes = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut todo = std::collections::VecDeque::from([event]);
        while let Some(node) = todo.pop_front() {
            for (cause, why) in self.graph.before(node) {
                let index = cause as usize;
                let follows = counts(why, node == event && named);
                if !follows || !scope.members[index] || !seen.insert(cause) {
                    continue;
                }
                if scope.shown[index] && !self.matched[index] {
                    causes.push(cause);
                }
                todo.push_back(cause);
            }
        }
        causes
    }

    /// Whether a block forgives that the cause stands below the line that fails, which tells of
    /// the event.
    fn forgiven(&mut self, cause: u32, event: u32) -> bool {
        let lines = &self.of.lines;
        let block = lines[self.line].block;
        let mut below = self.line + 1..lines.len();
        let has_line = block.is_some()
            && below.any(|line| lines[line].block == block && self.matches(line, cause));
        let scope = self.cut.scope();
        has_line && !Kept::find(self.graph).orders(self.graph, scope, cause, event)
    }

    fn matched_effect(&self, event: u32) -> Option<u32> {
        let events = self.cut.scope().events.iter().copied();
        let mut effects = events.filter(|&node| self.matched[node as usize]);
        effects.find(|&node| self.graph.reaches(event, node))
    }
}

/// From an event to the next one that ends it, if any does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval {
    pub(crate) start: u32,
    pub(crate) end: Option<u32>,
}

/// Two intervals that could overlap.
#[derive(Clone, Debug)]
pub(crate) struct Overlap {
    /// The one that started first in this run.
    pub(crate) first: Interval,
    pub(crate) then: Interval,
    /// They did in this run, by the clock.
    pub(crate) in_run: bool,
    /// They do in every order.
    pub(crate) always: bool,
    /// So many other pairs could overlap.
    pub(crate) others: usize,
}

pub(crate) fn fields(graph: &Graph, node: u32) -> Fields<'_> {
    let label = graph.labels.label(graph.label_of[node as usize]);
    Fields::of_label(label, &graph.hosts)
}

/// An event's line.
pub(crate) fn line_of(graph: &Graph, node: u32) -> String {
    let label = graph.labels.label(graph.label_of[node as usize]);
    text::words(graph, label).join(" ")
}
