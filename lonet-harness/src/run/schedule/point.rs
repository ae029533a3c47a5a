//! An event of one host, as a line of text: `p:1 send c:1 #2`.
//!
//! Pure. Owns which match it is, and what is printed of it. What the line means is the grammar of
//! expected traces.

use std::fmt;

use lonet::trace::{EventId, Parts, Subject, Text};
use lonet::{Addr, parse_port};

use super::words::{Words, Wrong, numbered};
use crate::trace::expected::shape::with_bytes;
use crate::trace::write::text::split_words;
use crate::trace::{Event, Pattern, Verb};

/// An event of one host: a pattern, and the how-many-th match in the host's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) host: String,
    /// One line of a trace.
    pub(crate) pattern: String,
    pub(crate) nth: usize,
}

impl Point {
    /// What a fault stands before, whose host it is: `up` alone is that host's.
    pub(super) fn read(host: &str, words: &mut Words<'_>, example: &str) -> Result<Point, Wrong> {
        let (start, rest) = words.rest();
        if rest.is_empty() {
            let message = format!("the event is missing: `at` and a line of a trace, {example}");
            return words.wrong(None, message);
        }
        let (line, nth) = numbered(rest, start, example)?;
        let pattern = match split_words(line).as_slice() {
            [up] if up == "up" => format!("{host} up"),
            _ => with_bytes(line).into_owned(),
        };
        if let Err(error) = Pattern::parse(&pattern) {
            return Err(Wrong::in_line(line, start, error));
        }
        let mut point = Point {
            host: host.to_owned(),
            pattern,
            nth,
        };
        point.host = point.subject();
        Ok(point)
    }

    /// The words of its line, without any number of bytes where it says none.
    pub(super) fn plain_words(&self) -> Vec<String> {
        let mut words = self.words();
        if let [_, moves, _, any] = words.as_slice()
            && (moves == "send" || moves == "recv")
            && any == "_"
        {
            words.truncate(3);
        }
        words
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

    /// Which match it is, unless it is the first.
    pub(super) fn write_nth(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            1 => Ok(()),
            nth => write!(f, " #{nth}"),
        }
    }

    /// The event as the test sees it. A port that raced is 0, and the bytes of a write or a read are
    /// left out.
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
        let rest = rest.filter(|_| !matches!(verb, Verb::Send | Verb::Recv));
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

impl fmt::Display for Point {
    /// As a fault has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.plain_words().as_slice() {
            [host, up] if *host == self.host && up == "up" => f.write_str("up")?,
            words => f.write_str(&words.join(" "))?,
        }
        self.write_nth(f)
    }
}
