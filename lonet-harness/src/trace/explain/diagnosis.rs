//! Whether an expectation holds and, if not, why: all of it together, as data.
//!
//! Pure. Owns [`Mismatch`], and that its parts are worked out when somebody asks for them. The line that
//! could not happen is `look`'s business, the difference to the nearest legal order `nearest`'s, hints
//! are `hints`', all wording is `report`'s.

use std::fmt;
use std::panic::Location;
use std::sync::OnceLock;

use lonet::trace::EventId;

use crate::trace::check::decide::{Mode, decide};
use crate::trace::check::outcome::Outcome;
use crate::trace::cut::Cut;
use crate::trace::expected::grammar::{Expectation, SyntaxError};
use crate::trace::explain::hints::{self, Hint};
use crate::trace::explain::look::{Look, Problem};
use crate::trace::explain::nearest::{self, Difference};
use crate::trace::write::columns::aligned;
use crate::trace::write::text;

/// Why an expected trace does not match. `Display` writes the message that a failing test shows.
pub struct Mismatch(Box<Found>);

/// The result of checking the expectation. The parts of the page are computed on demand: a test that
/// checks in a loop until something matches never needs them.
struct Found {
    cut: Cut,
    mode: Mode,
    what: What,
    /// How to have it rewritten, if that is known.
    advice: Option<Advice>,
    /// The call that checked it.
    place: Option<&'static Location<'static>>,
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
    pub(crate) cut: Cut,
    pub(crate) mode: Mode,
    pub(crate) problem: Problem,
    /// Old and new lines, in the order in which a reader wants them.
    pub(crate) diff: Vec<Difference>,
    /// The number of lines and events that were not compared: it would have taken too long.
    pub(crate) not_compared: usize,
    pub(crate) hints: Vec<Hint>,
}

/// What to do to have an expected trace rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Ask for it.
    Ask,
    /// Write it somewhere else.
    Move,
    /// The same, for that of an attribute.
    MoveFromAttribute,
    /// It can't be: what stands at that place is another run's, too.
    Part(String),
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

    /// The text can't be used as an expected trace.
    pub(crate) fn syntax(cut: &Cut, error: SyntaxError) -> Mismatch {
        Mismatch::found(cut, Mode::All, What::Syntax(error))
    }

    /// There is no text, or it can't be rewritten.
    pub(crate) fn unusable(cut: &Cut, why: String) -> Mismatch {
        Mismatch::found(cut, Mode::All, What::Unusable(why))
    }

    /// It does not match. `deepest` is the longest beginning that could happen, by line; `complete`
    /// says whether that is certain.
    pub(crate) fn diagnose(
        cut: &Cut,
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
        Mismatch::found(cut, mode, what)
    }

    /// An order that was demanded is not the one that was.
    pub(crate) fn out_of_order(cut: &Cut, problem: Problem, hints: Vec<Hint>) -> Mismatch {
        Mismatch::found(cut, Mode::Some, What::Demanded { problem, hints })
    }

    fn found(cut: &Cut, mode: Mode, what: What) -> Mismatch {
        Mismatch(Box::new(Found {
            cut: cut.clone(),
            mode,
            what,
            advice: None,
            place: None,
            parts: OnceLock::new(),
        }))
    }

    #[must_use]
    pub(crate) fn advised(mut self, advice: Advice) -> Mismatch {
        self.0.advice = Some(advice);
        self
    }

    /// The same, of the call at that place.
    pub(crate) fn at(mut self, place: &'static Location<'static>) -> Mismatch {
        self.0.place = Some(place);
        self
    }

    /// The call that checked it, if it was one of the test's.
    pub(crate) fn place(&self) -> Option<&'static Location<'static>> {
        self.0.place
    }

    /// The first event that differs from the expectation.
    pub(crate) fn diverged(&self) -> Option<EventId> {
        let graph = &self.0.cut.graph;
        let node = match &self.parts().problem {
            Problem::AboveCause { event, .. } => Some(*event),
            Problem::NotHappened { instead, .. } => instead.first().copied(),
            Problem::MoreHappened { events } => events.first().copied(),
            Problem::OutOfOrder { events, .. } => Some(events.1),
            Problem::Together(overlap) => Some(overlap.then.start),
            Problem::NotOne { .. } | Problem::Pattern(_) => None,
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
        aligned(&lines.collect::<Vec<_>>())
    }

    /// The number of the line that did not match, counted from 1 in the expected trace. `None` if
    /// every line has its event, but more events happened; also of
    /// [`check_never_together`](crate::Trace::check_never_together).
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

/// Whether an expectation holds, or else why not.
impl Cut {
    /// Whether a text holds; what to do about it, if not, is this.
    pub(crate) fn check_text(&self, text: &str, advice: Advice) -> Result<(), Mismatch> {
        self.check_as_it_is(text)
            .map_err(|mismatch| mismatch.advised(advice))
    }

    /// Whether a text holds; what to do about it is not said.
    pub(crate) fn check_as_it_is(&self, text: &str) -> Result<(), Mismatch> {
        self.check_parsed(&self.parsed(text)?, Mode::All)
    }

    pub(crate) fn parsed(&self, text: &str) -> Result<Expectation, Mismatch> {
        Expectation::parse(text).map_err(|error| Mismatch::syntax(self, error))
    }

    /// Whether a parsed expectation holds.
    pub(crate) fn check_parsed(
        &self,
        expectation: &Expectation,
        mode: Mode,
    ) -> Result<(), Mismatch> {
        match decide(&self.graph, self.scope(), expectation, mode) {
            Outcome::Holds(_) => Ok(()),
            Outcome::Fails(deepest) => {
                Err(Mismatch::diagnose(self, expectation, mode, &deepest, true))
            }
            Outcome::Undecided(deepest) => {
                Err(Mismatch::diagnose(self, expectation, mode, &deepest, false))
            }
        }
    }
}

impl Found {
    fn explain(&self) -> Parts {
        let (cut, mode) = (&self.cut, self.mode);
        let mut parts = Parts {
            cut: cut.clone(),
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
        let mut look = Look::new(cut, of, deepest);
        parts.problem = if !complete {
            look.undecided()
        } else if deepest.len() == of.lines.len() {
            let events = look.next_events();
            Problem::MoreHappened { events }
        } else {
            look.line_fails(mode, deepest)
        };
        if mode == Mode::All {
            (parts.diff, parts.not_compared) = nearest::difference(cut, of, deepest, complete);
        }
        parts.hints = hints::find(cut, of, deepest, &parts.problem, mode);
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
