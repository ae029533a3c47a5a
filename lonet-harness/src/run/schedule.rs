//! A fault as a line of text: of a sweep (`kill p`), and of a schedule, with the event at which it acts
//! (`kill p at p:1 send c:1 #2`).
//!
//! Pure. Owns the grammar of both, and at which word the message stands for what is not legal. What is
//! legal in a fault, and what it does, is known to `scenario::fault`; which points a sweep has, to
//! `sweep`.

use std::fmt;

use lonet::trace::{EventId, Parts, Subject, Text};
use lonet::{Addr, check_name, parse_port};

use crate::scenario::fault::{self, Fault};
use crate::trace::write::text::split_words;
use crate::trace::{Event, Pattern, Verb};

/// What can be swept.
const LEGAL: &str = "legal are `kill p`, `pause p`, `vanish p`, `reset p _` and `partition p _`, with a host's name for p";

/// What a schedule looks like.
const SCHEDULE: &str = "as in `kill p at p:1 send c:1 #2`";

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

/// An event of one host: a pattern, and the how-many-th match in the host's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) host: String,
    /// One line of a trace.
    pub(crate) pattern: String,
    pub(crate) nth: usize,
}

/// A fault, and where it acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) fault: FaultLine,
    pub(crate) at: Point,
}

/// `then` is held until `first` has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) first: Point,
    pub(crate) then: Point,
}

/// What is wrong with a text, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    at: usize,
    pub(crate) message: String,
}

impl Wrong {
    /// The line and the column, in characters, both from 1.
    pub(crate) fn place(&self, text: &str) -> (u32, u32) {
        let before = &text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        (narrow(line), narrow(column))
    }
}

/// The words of a text, each with the byte where it begins.
struct Words<'a> {
    text: &'a str,
    read: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        let rest = &self.text[self.read..];
        let word = rest.trim_start();
        let at = self.text.len() - word.len();
        let length = word.find(char::is_whitespace).unwrap_or(word.len());
        self.read = at + length;
        (length > 0).then(|| (at, &word[..length]))
    }

    fn next_if(&mut self, wanted: bool) -> Option<(usize, &'a str)> {
        wanted.then(|| self.next()).flatten()
    }

    fn wrong<T>(&self, at: Option<usize>, message: String) -> Result<T, Wrong> {
        let at = at.unwrap_or(self.text.trim_end().len());
        Err(Wrong { at, message })
    }
}

impl FaultLine {
    /// The fault of a sweep.
    ///
    /// # Errors
    ///
    /// What is wrong, and what is legal.
    pub(crate) fn parse(text: &str) -> Result<FaultLine, Wrong> {
        let mut words = Words { text, read: 0 };
        let fault = FaultLine::read(&mut words)?;
        match words.next() {
            None => Ok(fault),
            Some((at, "at")) => words.wrong(
                Some(at),
                format!(
                    "a sweep goes through all points; one alone is a `schedule`, {SCHEDULE}; {LEGAL}"
                ),
            ),
            Some((at, word)) => {
                words.wrong(Some(at), format!("`{word}` is too much after `{fault}`; {LEGAL}"))
            }
        }
    }

    fn read(words: &mut Words<'_>) -> Result<FaultLine, Wrong> {
        let Some((at, verb)) = words.next() else {
            return words.wrong(None, format!("the fault is missing; {LEGAL}"));
        };
        let Some(&(_, kind)) = Kind::ALL.iter().find(|(name, _)| *name == verb) else {
            let message = format!("`{verb}` can't be swept or scheduled; {LEGAL}");
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
    pub(crate) fn at(&self, at: &Point) -> Schedule {
        Schedule {
            fault: self.clone(),
            at: at.clone(),
        }
    }
}

impl Schedule {
    /// A schedule.
    ///
    /// # Errors
    ///
    /// What is wrong, and what is legal.
    pub(crate) fn parse(text: &str) -> Result<Schedule, Wrong> {
        let mut words = Words { text, read: 0 };
        let fault = FaultLine::read(&mut words)?;
        match words.next() {
            Some((_, "at")) => {}
            Some((at, word)) => {
                let message = format!(
                    "`{word}` is too much after `{fault}`: `at` and an event follow, {SCHEDULE}"
                );
                return words.wrong(Some(at), message);
            }
            None => {
                let message = format!(
                    "`{fault}` needs the event at which it acts: `at` and a line of a trace, {SCHEDULE}; \
                     a `sweep` goes through all events"
                );
                return words.wrong(None, message);
            }
        }
        let start = text.len() - text[words.read..].trim_start().len();
        let at = Point::read(fault.host(), &mut words)?;
        let schedule = Schedule { fault, at };
        match schedule.fault().plan(0) {
            Ok(_) => Ok(schedule),
            Err(error) => words.wrong(Some(start), error.to_string()),
        }
    }

    /// It, as a test would inject it.
    pub(crate) fn fault(&self) -> Fault {
        self.fault.fault().at(&self.at.pattern).nth(self.at.nth)
    }
}

impl Point {
    fn read(host: &str, words: &mut Words<'_>) -> Result<Point, Wrong> {
        let rest = &words.text[words.read..];
        let start = words.text.len() - rest.trim_start().len();
        let mut line = rest.trim();
        let mut nth = 1;
        if line.is_empty() {
            let message = format!("the event is missing: `at` and a line of a trace, {SCHEDULE}");
            return words.wrong(None, message);
        }
        let last = line.len() - line.rsplit(char::is_whitespace).next().map_or(0, str::len);
        if let Some(number) = line[last..].strip_prefix('#') {
            match number.parse() {
                Ok(number) if number > 0 => nth = number,
                _ => {
                    let message = format!(
                        "`#{number}` does not say which match: legal is `#1`, `#2` and so on, {SCHEDULE}"
                    );
                    return words.wrong(Some(start + last), message);
                }
            }
            line = line[..last].trim_end();
        }
        let pattern = match split_words(line).as_slice() {
            [up] if up == "up" => format!("{host} up"),
            // How many bytes a write has may differ from run to run.
            [_, send, _] if send == "send" => format!("{line} _"),
            _ => line.to_owned(),
        };
        if let Err(error) = Pattern::parse(&pattern) {
            let column = line
                .char_indices()
                .nth(error.column - 1)
                .map_or(line.len(), |(at, _)| at);
            return words.wrong(Some(start + column), error.message);
        }
        let mut point = Point {
            host: host.to_owned(),
            pattern,
            nth,
        };
        point.host = point.subject();
        Ok(point)
    }

    fn words(&self) -> Vec<String> {
        split_words(&self.pattern)
    }

    fn verb(&self) -> Verb {
        let words = self.words();
        let verb = words.get(1).and_then(|word| word.parse().ok());
        verb.unwrap_or(Verb::Kill)
    }

    /// The host that its line begins with.
    fn subject(&self) -> String {
        let words = self.words();
        let subject = words.first().map_or("", String::as_str);
        let host = subject.rsplit_once(':').map_or(subject, |(host, _)| host);
        host.to_owned()
    }

    /// The event as the test sees it. A port that raced is 0, and the bytes of a write are left out.
    pub(crate) fn event(&self) -> Event {
        let words = self.words();
        let verb = self.verb();
        let address = |word: &String| {
            let (host, port) = word.rsplit_once(':')?;
            Addr::new(host, parse_port(port).unwrap_or(0)).ok()
        };
        let subject = words.first().and_then(address);
        let peer = words.get(2).and_then(address).filter(|_| subject.is_some());
        let rest = words.iter().skip(2 + usize::from(peer.is_some()));
        let rest = rest.filter(|_| verb != Verb::Send);
        let plain = |word: &String| match lonet::__private::unquote_text(word) {
            Ok((text, _)) if word.starts_with('"') => text,
            _ => word.clone(),
        };
        let text = rest.map(plain).collect::<Vec<_>>().join(" ");
        let parts = Parts {
            verb,
            subject: match &subject {
                Some(addr) => Subject::Address(addr),
                None => Subject::Host(&self.host),
            },
            peer: peer.as_ref(),
            text: Text::Words(&text),
        };
        Event::of_parts(EventId::from((0, 0)), 0, &parts)
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

impl fmt::Display for Point {
    /// As a schedule has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [host, "up"] if *host == self.host => f.write_str("up")?,
            [from, moves @ ("send" | "recv"), to, "_"] => write!(f, "{from} {moves} {to}")?,
            _ => f.write_str(&self.pattern)?,
        }
        match self.nth {
            1 => Ok(()),
            nth => write!(f, " #{nth}"),
        }
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} before {}", self.first, self.then)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.fault, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_prints_as_it_is_written() {
        for text in [
            "kill p at up",
            "kill p at p:1 send c:1",
            "kill p at p:1 send c:1 #2",
            "kill p at p:_ send c:_ #12",
            "kill p at p:1 send c:1 5",
            "pause p at p mark stored x=1",
            "vanish α at α:10 listen",
            "reset p _ at p:1 accept c:1",
            "reset p:1 c at p:1 shutdown c:1",
            "partition p q,r at p mark \"#2\"",
            "partition p q at q:1 send p:1",
            "partition p q,r at p mark \"#2\" #3",
            "kill at at up",
        ] {
            let parsed = Schedule::parse(text).unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(Schedule::parse(&parsed.to_string()), Ok(parsed));
        }
        let spaced = Schedule::parse("  kill p  at  p:1  send c:1  #1 ").unwrap();
        assert_eq!(spaced.at.pattern, "p:1  send c:1 _");
    }

    #[test]
    fn what_is_illegal_is_said_with_its_place() {
        let wrong = |text: &str| {
            let wrong = Schedule::parse(text).unwrap_err();
            let (line, column) = wrong.place(text);
            format!("{line}:{column} {}", wrong.message)
        };
        let told = |text: &str, place: &str, says: &str| {
            let told = wrong(text);
            assert!(
                told.starts_with(place) && told.contains(says),
                "{text}: {told}"
            );
        };
        told("", "1:1 ", "the fault is missing; legal are `kill p`");
        told(
            "kil p at up",
            "1:1 ",
            "`kil` can't be swept or scheduled; legal are `kill p`",
        );
        told("kill", "1:5 ", "`kill` needs the host");
        told("kill p,q at up", "1:6 ", "needs one host");
        told("reset _ p at up", "1:7 ", "`reset` needs one host, whose");
        told("kill p:1 at up", "1:6 ", "`p:1` is not the name of one");
        told("kill p", "1:7 ", "needs the event at which it acts");
        told("kill p up", "1:8 ", "`up` is too much after `kill p`");
        told("kill p at", "1:10 ", "the event is missing");
        told("kill α at α hums", "1:13 ", "`hums` is not a verb");
        told(
            "kill p at q:1 send c:1",
            "1:11 ",
            "q is not a host of the fault",
        );
        told("kill p at _ mark x", "1:11 ", "must be one host by name");
        told(
            "kill p at ! kill p",
            "1:11 ",
            "`kill` is recorded by the test",
        );
        told(
            "kill p at p:1 send c:1 #0",
            "1:24 ",
            "`#0` does not say which",
        );
        told(
            "kill p at p:1 send c:1 #x",
            "1:24 ",
            "`#x` does not say which",
        );
        told("reset p", "1:8 ", "`reset p` needs the other ends");
        told(
            "reset p at up",
            "1:12 ",
            "`up` is too much after `reset p at`",
        );
        told("reset p q,! at up", "1:7 ", "illegal end \"!\"");
        told("partition p:0 _ at up", "1:11 ", "\"0\" is not a port");
        told(
            "kill p at p mark\n  at _ #x",
            "2:8 ",
            "`#x` does not say which",
        );
    }

    #[test]
    fn a_sweep_is_a_fault_alone() {
        for text in [
            "kill p",
            "pause p",
            "vanish p",
            "reset p _",
            "partition p:1 q,r",
        ] {
            assert_eq!(FaultLine::parse(text).unwrap().to_string(), text);
            assert_eq!(FaultLine::parse(text).unwrap().host(), "p");
        }
        let wrong = |text: &str| FaultLine::parse(text).unwrap_err();
        let one = wrong("kill p at up");
        assert_eq!(one.place("kill p at up"), (1, 8));
        assert!(one.message.contains("one alone is a `schedule`"));
        assert!(
            wrong("kill p q")
                .message
                .contains("`q` is too much after `kill p`; legal are")
        );
        assert!(
            wrong("delay p _ 5us")
                .message
                .contains("`delay` can't be swept")
        );
    }

    #[test]
    fn a_test_is_told_of_the_event_as_far_as_it_is_certain() {
        let event = |text: &str| {
            let event = Schedule::parse(text).unwrap().at.event();
            (
                event.to_string(),
                event.host().to_owned(),
                event.text().to_owned(),
            )
        };
        let is = |line: &str, text: &str| (line.to_owned(), "p".to_owned(), text.to_owned());
        assert_eq!(event("kill p at up"), is("p up", ""));
        assert_eq!(event("kill p at p:1 send c:1 #2"), is("p:1 send c:1", ""));
        assert_eq!(event("kill p at p:_ accept c:3"), is("p:0 accept c:3", ""));
        assert_eq!(
            event("kill p at p mark stored x=1"),
            is("p mark stored x=1", "stored x=1")
        );
        assert_eq!(event("kill p at p mark \"#2\""), is("p mark \"#2\"", "#2"));
        assert_eq!(event("kill p at p:10 listen"), is("p:10 listen", ""));
    }
}
