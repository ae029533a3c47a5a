//! A fault as a line: alone, as a sweep has it (`kill p`), and at an event (`kill p at p:1 send c:1 #2`).
//!
//! Pure. Owns the grammar of both. What is legal in a fault, and what it does, is known to
//! `scenario::fault`; which points a sweep has, to `sweep`.

use std::fmt;

use lonet::check_name;

use super::point::Point;
use super::words::{Words, Wrong};
use crate::scenario::fault::{self, Fault};

/// What can be swept.
const LEGAL: &str = "legal are `kill p`, `pause p`, `vanish p`, `reset p _` and `partition p _`, with a host's name for p";

/// What a fault at an event looks like.
pub(super) const EXAMPLE: &str = "as in `kill p at p:1 send c:1 #2`";

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kill,
    Pause,
    Vanish,
    Reset,
    Partition,
}

impl Kind {
    const ALL: [(&str, Kind); 5] = [
        ("kill", Kind::Kill),
        ("pause", Kind::Pause),
        ("vanish", Kind::Vanish),
        ("reset", Kind::Reset),
        ("partition", Kind::Partition),
    ];

    /// Those that there are, as a message lists them.
    pub(super) fn names() -> String {
        Kind::ALL.map(|(name, _)| format!("`{name}`")).join(", ")
    }

    /// The one with this name.
    pub(super) fn of(name: &str) -> Option<Kind> {
        let kind = Kind::ALL.iter().find(|(known, _)| *known == name);
        kind.map(|&(_, kind)| kind)
    }

    fn has_other_ends(self) -> bool {
        matches!(self, Kind::Reset | Kind::Partition)
    }

    /// Whether it acts on a process, which must not be the test's own.
    pub(crate) fn acts_on_process(self) -> bool {
        !self.has_other_ends()
    }
}

/// A fault and its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaultLine {
    pub(crate) kind: Kind,
    /// One host, or one end of it.
    from: String,
    /// Several, or `_`.
    to: Vec<String>,
}

/// A fault, and where it acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaultAt {
    pub(crate) fault: FaultLine,
    pub(crate) at: Point,
}

impl FaultLine {
    /// The fault of a sweep.
    ///
    /// # Errors
    ///
    /// What is wrong, and what is legal.
    pub(crate) fn parse(text: &str) -> Result<FaultLine, Wrong> {
        let mut words = Words::of(text);
        let fault = FaultLine::read(&mut words)?;
        match words.next() {
            None => Ok(fault),
            Some((at, "at")) => words.wrong(
                Some(at),
                format!(
                    "a sweep goes through all points; one alone is a `schedule`, {EXAMPLE}; {LEGAL}"
                ),
            ),
            Some((at, word)) => words.wrong(
                Some(at),
                format!("`{word}` is too much after `{fault}`; {LEGAL}"),
            ),
        }
    }

    fn read(words: &mut Words<'_>) -> Result<FaultLine, Wrong> {
        let Some((at, verb)) = words.next() else {
            return words.wrong(None, format!("the fault is missing; {LEGAL}"));
        };
        let Some(kind) = Kind::of(verb) else {
            let message = format!("`{verb}` can't be swept; {LEGAL}");
            return words.wrong(Some(at), message);
        };
        let Some((at, from)) = words.next() else {
            let message = format!("`{verb}` needs the host that it acts on; {LEGAL}");
            return words.wrong(None, message);
        };
        let host = from.split_once(':').map_or(from, |(host, _)| host);
        if let Err(why) = check_name(host) {
            let message =
                format!("`{verb}` needs one host, whose events are the points: {why}; {LEGAL}");
            return words.wrong(Some(at), message);
        }
        let to: Vec<String> = match (kind.has_other_ends(), words.next_if(kind.has_other_ends())) {
            (false, _) => Vec::new(),
            (true, Some((_, ends))) => ends.split(',').map(str::to_owned).collect(),
            (true, None) => {
                let message =
                    format!("`{verb} {from}` needs the other ends, or `_` for all others; {LEGAL}");
                return words.wrong(None, message);
            }
        };
        let fault = FaultLine {
            kind,
            from: from.to_owned(),
            to,
        };
        match fault.fault().plan(0) {
            Ok(_) => Ok(fault),
            Err(error) => words.wrong(Some(at), error.to_string()),
        }
    }

    /// It, as a test would inject it.
    pub(crate) fn fault(&self) -> Fault {
        let (from, to) = (&self.from, &self.to);
        match self.kind {
            Kind::Kill => fault::kill(from),
            Kind::Pause => fault::pause(from),
            Kind::Vanish => fault::vanish(from),
            Kind::Reset => fault::reset(from, to),
            Kind::Partition => fault::partition(from, to),
        }
    }

    /// The host whose events are the points.
    pub(crate) fn host(&self) -> &str {
        self.from
            .split_once(':')
            .map_or(&self.from, |(host, _)| host)
    }

    /// It, at that point.
    pub(crate) fn at(&self, at: &Point) -> FaultAt {
        FaultAt {
            fault: self.clone(),
            at: at.clone(),
        }
    }
}

impl FaultAt {
    /// A fault, `at`, and an event.
    ///
    /// # Errors
    ///
    /// What is wrong, and what is legal.
    pub(crate) fn parse(text: &str) -> Result<FaultAt, Wrong> {
        let mut words = Words::of(text);
        let fault = FaultLine::read(&mut words)?;
        match words.next() {
            Some((_, "at")) => {}
            Some((at, word)) => {
                let message = format!(
                    "`{word}` is too much after `{fault}`: `at` and an event follow, {EXAMPLE}"
                );
                return words.wrong(Some(at), message);
            }
            None => {
                let message = format!(
                    "`{fault}` needs the event at which it acts: `at` and a line of a trace, {EXAMPLE}; \
                     a `sweep` goes through all events"
                );
                return words.wrong(None, message);
            }
        }
        let (start, _) = words.rest();
        let at = Point::read(fault.host(), &mut words, EXAMPLE)?;
        let whole = FaultAt { fault, at };
        match whole.fault().plan(0) {
            Ok(_) => Ok(whole),
            Err(error) => words.wrong(Some(start), error.to_string()),
        }
    }

    /// It, as a test would inject it.
    pub(crate) fn fault(&self) -> Fault {
        self.fault.fault().at(&self.at.pattern).nth(self.at.nth)
    }
}

impl fmt::Display for FaultLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = Kind::ALL.iter().find(|(_, kind)| *kind == self.kind);
        let (verb, _) = kind.expect("every kind has a name");
        write!(f, "{verb} {}", self.from)?;
        match self.to.is_empty() {
            true => Ok(()),
            false => write!(f, " {}", self.to.join(",")),
        }
    }
}

impl fmt::Display for FaultAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.fault, self.at)
    }
}
