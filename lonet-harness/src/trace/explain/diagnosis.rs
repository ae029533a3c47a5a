//! Why an expectation does not hold, as data.
//!
//! Pure. Owns which line could not happen, what happened instead, and the chain of causes. The
//! difference to the nearest legal order is `nearest`'s business, hints are `hints`', all wording
//! is `report`'s.

use std::fmt;
use std::sync::OnceLock;

use lonet::trace::EventId;

use crate::trace::check::blocks::Kept;
use crate::trace::check::decide::{Mode, counts, names_port};
use crate::trace::expected::grammar::{Expectation, SyntaxError};
use crate::trace::expected::pattern::{Bindings, Fields, unify};
use crate::trace::explain::hints::{self, Hint};
use crate::trace::explain::nearest::{self, Difference};
use crate::trace::happened::graph::Graph;
use crate::trace::happened::relation::Why;
use crate::trace::trace::Trace;
use crate::trace::update::source::Advice;
use crate::trace::write::text;

/// Why an expected trace does not match. `Display` writes the message that a failing test shows.
pub struct Mismatch(Box<Found>);

/// The result of checking the expectation. The parts of the page are computed on demand: a test that
/// checks in a loop until something matches never needs them.
struct Found {
    trace: Trace,
    mode: Mode,
    what: What,
    /// How to have it rewritten, if that is known.
    advice: Option<Advice>,
    parts: OnceLock<Parts>,
}

enum What {
    Syntax(SyntaxError),
    Unusable(String),
    /// The events did not happen in the demanded order.
    Demanded {
        problem: Problem,
        hints: Vec<Hint>,
    },
    Fails {
        of: Box<Expectation>,
        /// The longest beginning that could happen, by line.
        deepest: Vec<u32>,
        /// Whether that is certain.
        complete: bool,
    },
}

pub(crate) struct Parts {
    pub(crate) trace: Trace,
    pub(crate) mode: Mode,
    pub(crate) problem: Problem,
    /// Old and new lines, in the order in which a reader wants them.
    pub(crate) diff: Vec<Difference>,
    /// The number of lines and events that were not compared: it would have taken too long.
    pub(crate) not_compared: usize,
    pub(crate) hints: Vec<Hint>,
}

/// A line of the expectation, as it was written, and its number in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) number: u32,
    pub(crate) text: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Problem {
    Syntax(SyntaxError),
    /// The expected trace can't be read or can't be rewritten.
    Unusable(String),
    /// The line's event happened, but something that happens before it has no line above.
    AboveCause {
        line: Told,
        event: u32,
        cause: u32,
        /// From the cause to the event.
        chain: Vec<(u32, Why)>,
        /// The line of the other of the two, if there is one: below, the cause's; where lines tell
        /// only of some events, above, the effect's.
        other: Option<Told>,
        /// What could come next at this point.
        instead: Vec<u32>,
    },
    /// No event is left that the line matches.
    NotHappened {
        line: Told,
        /// The number of events that match but are already matched by a line above.
        told_above: usize,
        /// What could come next at this point.
        instead: Vec<u32>,
    },
    /// Every line has its event, but there are more events.
    Untold {
        events: Vec<u32>,
    },
    /// A line of a demanded order matches no event of the past, or several.
    NotOne {
        line: Told,
        /// The number of events that it matches.
        matching: usize,
        /// Some of those; if there are none, similar events.
        candidates: Vec<u32>,
    },
    /// The event of a line did not happen after the event of the line above it.
    OutOfOrder {
        above: Told,
        below: Told,
        events: (u32, u32),
        /// The chain of causes from the event of the line below to the other; without one, the clock
        /// decided.
        chain: Vec<(u32, Why)>,
    },
    /// The search was given up.
    Undecided {
        line: Told,
        alike: Vec<Told>,
    },
}

impl Mismatch {
    /// What the page is made of.
    pub(crate) fn parts(&self) -> &Parts {
        self.0.parts.get_or_init(|| self.0.explain())
    }

    /// How to have the expectation rewritten, if that is known.
    pub(crate) fn advice(&self) -> Option<&Advice> {
        self.0.advice.as_ref()
    }

    /// The text is not an expected trace.
    pub(crate) fn syntax(trace: &Trace, error: SyntaxError) -> Mismatch {
        Mismatch::found(trace, Mode::All, What::Syntax(error))
    }

    /// The text is missing, or it can't be rewritten.
    pub(crate) fn unusable(trace: &Trace, why: String) -> Mismatch {
        Mismatch::found(trace, Mode::All, What::Unusable(why))
    }

    /// It does not match. `deepest` is the longest beginning that could happen, by line; `complete`
    /// says whether that is certain.
    pub(crate) fn diagnose(
        trace: &Trace,
        of: &Expectation,
        mode: Mode,
        deepest: &[u32],
        complete: bool,
    ) -> Mismatch {
        let what = What::Fails {
            of: Box::new(of.clone()),
            deepest: deepest.to_vec(),
            complete,
        };
        Mismatch::found(trace, mode, what)
    }

    /// The events did not happen in the demanded order.
    pub(crate) fn out_of_order(trace: &Trace, problem: Problem, hints: Vec<Hint>) -> Mismatch {
        Mismatch::found(trace, Mode::Some, What::Demanded { problem, hints })
    }

    fn found(trace: &Trace, mode: Mode, what: What) -> Mismatch {
        Mismatch(Box::new(Found {
            trace: trace.clone(),
            mode,
            what,
            advice: None,
            parts: OnceLock::new(),
        }))
    }

    #[must_use]
    pub(crate) fn advised(mut self, advice: Advice) -> Mismatch {
        self.0.advice = Some(advice);
        self
    }

    /// The first event that differs from the expectation.
    pub(crate) fn diverged(&self) -> Option<EventId> {
        let graph = &self.0.trace.graph;
        let node = match &self.parts().problem {
            Problem::AboveCause { event, .. } => Some(*event),
            Problem::NotHappened { instead, .. } => instead.first().copied(),
            Problem::Untold { events } => events.first().copied(),
            Problem::OutOfOrder { events, .. } => Some(events.1),
            Problem::NotOne { .. } => None,
            Problem::Syntax(_) | Problem::Unusable(_) | Problem::Undecided { .. } => None,
        };
        node.and_then(|node| graph.event(node))
            .map(|event| event.id())
    }

    /// The expected lines, as they were written.
    pub(crate) fn expected(&self) -> String {
        let What::Fails { of, .. } = &self.0.what else {
            return String::new();
        };
        let lines = (0..of.lines.len()).map(|line| Ok(text::split_words(of.text(line))));
        crate::trace::write::columns::aligned(&lines.collect::<Vec<_>>())
    }

    /// The number of the line that did not match, counted from 1 in the expected trace. `None` if
    /// every line has its event, but more events happened.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("one");
    /// let mismatch = scenario.check_trace("α mark one\n α mark two").unwrap_err();
    /// assert_eq!(mismatch.line(), Some(2));
    /// # Ok(()) }
    /// ```
    pub fn line(&self) -> Option<usize> {
        match &self.0.what {
            What::Syntax(error) => Some(error.line),
            What::Unusable(_) => None,
            What::Fails {
                of,
                deepest,
                complete,
            } => {
                let last = of.lines.len().checked_sub(1).filter(|_| !complete);
                let line = of.lines.get(deepest.len());
                let line = line.or_else(|| of.lines.get(last?))?;
                Some(line.number as usize)
            }
            What::Demanded { problem, .. } => match problem {
                Problem::NotOne { line, .. } | Problem::OutOfOrder { below: line, .. } => {
                    Some(line.number as usize)
                }
                _ => None,
            },
        }
    }
}

impl Found {
    fn explain(&self) -> Parts {
        let (trace, mode) = (&self.trace, self.mode);
        let mut parts = Parts {
            trace: trace.clone(),
            mode,
            problem: Problem::Unusable(String::new()),
            diff: Vec::new(),
            not_compared: 0,
            hints: Vec::new(),
        };
        let (of, deepest, complete) = match &self.what {
            What::Syntax(error) => {
                parts.problem = Problem::Syntax(error.clone());
                return parts;
            }
            What::Unusable(why) => {
                parts.problem = Problem::Unusable(why.clone());
                return parts;
            }
            What::Demanded { problem, hints } => {
                (parts.problem, parts.hints) = (problem.clone(), hints.clone());
                return parts;
            }
            What::Fails {
                of,
                deepest,
                complete,
            } => (of, deepest, *complete),
        };
        let mut look = Look::new(trace, of, deepest);
        parts.problem = if !complete {
            look.undecided()
        } else if deepest.len() == of.lines.len() {
            let events = look.next_events();
            Problem::Untold { events }
        } else {
            look.line_fails(mode, deepest)
        };
        if mode == Mode::All {
            (parts.diff, parts.not_compared) = nearest::difference(trace, of, deepest, complete);
        }
        parts.hints = hints::find(trace, of, deepest, &parts.problem, mode);
        parts
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `unwrap` and a test's `Err` show: the page reads better than any structure.
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Mismatch {}

/// A look at the point where the expectation fails.
pub(crate) struct Look<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) graph: &'a Graph,
    pub(crate) of: &'a Expectation,
    pub(crate) line: usize,
    /// By node: matched by a line above.
    pub(crate) told: Vec<bool>,
    pub(crate) bindings: Bindings,
}

#[cfg(test)]
thread_local! {
    /// How many looks this thread has taken: each part of a page begins with one, a check has none.
    pub(crate) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl<'a> Look<'a> {
    pub(crate) fn new(trace: &'a Trace, of: &'a Expectation, deepest: &[u32]) -> Look<'a> {
        #[cfg(test)]
        LOOKS.set(LOOKS.get() + 1);
        let graph: &Graph = &trace.graph;
        let mut told = vec![false; graph.label_of.len()];
        let mut bindings = Bindings::new(of.variables.len());
        for (line, &node) in of.lines.iter().zip(deepest) {
            told[node as usize] = true;
            unify(&line.shape, of, &fields(graph, node), &mut bindings);
        }
        Look {
            trace,
            graph,
            of,
            line: deepest.len(),
            told,
            bindings,
        }
    }

    pub(crate) fn line_told(&self, line: usize) -> Told {
        Told {
            number: self.of.lines[line].number,
            text: text::split_words(self.of.text(line)).join(" "),
        }
    }

    /// Whether a line matches an event, given the variables bound so far.
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

    /// The events that a line matches, and that no line above has matched.
    pub(crate) fn untold_matches(&mut self, line: usize) -> Vec<u32> {
        let mut events = self.trace.scope().events.clone();
        events.retain(|&node| !self.told[node as usize] && self.matches(line, node));
        events
    }

    /// Matches the line with this event.
    pub(crate) fn bind(&mut self, line: usize, node: u32) {
        self.told[node as usize] = true;
        let (of, fields) = (self.of, fields(self.graph, node));
        unify(&of.lines[line].shape, of, &fields, &mut self.bindings);
    }

    /// The events of the view that no line has matched yet, but whose causes all have a line.
    pub(crate) fn next_events(&self) -> Vec<u32> {
        let scope = self.trace.scope();
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
            let untold = scope.shown[index] && !self.told[index];
            if untold && !waits {
                next.push(node);
            }
            blocked[index] = waits || untold;
        }
        next.sort_by_cached_key(|&node| line_of(self.graph, node));
        next
    }

    fn undecided(&self) -> Problem {
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
            .map(|index| self.line_told(index))
            .collect();
        Problem::Undecided {
            line: self.line_told(line),
            alike,
        }
    }

    /// Why the failing line fails.
    pub(crate) fn line_fails(&mut self, mode: Mode, deepest: &[u32]) -> Problem {
        let scope = self.trace.scope();
        let line = self.line_told(self.line);
        let mut told_above = 0;
        let mut blocked = None;
        for &node in &scope.events {
            if !self.matches(self.line, node) {
                continue;
            }
            if self.told[node as usize] {
                told_above += 1;
            } else if blocked.is_none() {
                blocked = Some(node);
            }
        }
        if let Some(event) = blocked {
            let found = match mode {
                Mode::All => {
                    let causes = self.untold_causes(event);
                    let decides = causes.iter().find(|&&cause| !self.forgiven(cause, event));
                    decides.or(causes.first()).map(|&cause| (cause, event))
                }
                // Here it is the other way round: a line above matches an effect of this event.
                Mode::Some => self.told_effect(event).map(|effect| (event, effect)),
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
                    other: other.map(|index| self.line_told(index)),
                    instead: self.next_events(),
                };
            }
        }
        Problem::NotHappened {
            line,
            told_above,
            instead: self.next_events(),
        }
    }

    /// The events that happen before this one and have no line above the line that fails, the
    /// nearest first.
    pub(crate) fn untold_causes(&self, event: u32) -> Vec<u32> {
        let scope = self.trace.scope();
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
                if scope.shown[index] && !self.told[index] {
                    causes.push(cause);
                }
                todo.push_back(cause);
            }
        }
        causes
    }

    /// Whether a block allows the cause to stand below the failing line, which matches the event.
    fn forgiven(&mut self, cause: u32, event: u32) -> bool {
        let lines = &self.of.lines;
        let block = lines[self.line].block;
        let mut below = self.line + 1..lines.len();
        let has_line = block.is_some()
            && below.any(|line| lines[line].block == block && self.matches(line, cause));
        let scope = self.trace.scope();
        has_line && !Kept::find(self.graph).orders(self.graph, scope, cause, event)
    }

    fn told_effect(&self, event: u32) -> Option<u32> {
        let told = self.trace.scope().events.iter().copied();
        let mut effects = told.filter(|&node| self.told[node as usize]);
        effects.find(|&node| self.graph.reaches(event, node))
    }
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
