//! One event as users see it: what it is about, and its line.
//!
//! Owns the text of an event; the verbs stand in `verbs`. Does not know its order among others.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::EventId;
use super::record::Record;
use super::verbs::{Parts, Subject, Text, Verb};
use crate::addr::Addr;
use crate::quote::word;

/// One thing that happened on a network. Its `Display` is its line, with single blanks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    id: EventId,
    t: u64,
    host: String,
    verb: Verb,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    addr: Option<Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Addr>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
}

impl Event {
    /// The event that a record reports, if it reports one: links and notes do not.
    pub fn of_record(process: u32, record: &Record) -> Option<Event> {
        let id = EventId {
            process,
            n: record.n,
        };
        Some(Event::of_parts(id, record.t, &record.what.parts()?))
    }

    /// An event that says this. Not for users: the harness says with it which event is to come.
    #[doc(hidden)]
    pub fn of_parts(id: EventId, t: u64, parts: &Parts<'_>) -> Event {
        let Parts {
            verb,
            subject,
            peer,
            text,
        } = parts;
        Event {
            id,
            t,
            host: subject.host().to_owned(),
            verb: *verb,
            addr: match *subject {
                Subject::Address(addr) => Some(addr.clone()),
                Subject::Host(_) | Subject::Process(..) => None,
            },
            peer: peer.cloned(),
            text: match *text {
                Text::Nothing => String::new(),
                Text::Words(words) => words.to_owned(),
                Text::Bytes(bytes) => bytes.to_string(),
            },
        }
    }

    /// Identifies the event in its scenario.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// The time of the event: CLOCK_MONOTONIC in nanoseconds. For display only; it does not define
    /// the order of events.
    pub fn time_ns(&self) -> u64 {
        self.t
    }

    /// The host of the event; for an interference, the host that the scenario acted on.
    ///
    /// A fault between hosts has several: the result is its first ends, just as they stand in the
    /// line. That is `α,β:1` in `! partition α,β:1 _`, and `_` in `! limit _ β 100`; neither is the
    /// name of a host. The other ends are in [`text`](Event::text). Of `! reset α:1 β:1`, it is `α`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What happened.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The subject's address: `β:1` in `β:1 dial α:10`, or `α:1` in `! reset α:1 β:1`. `None` for
    /// marks, life-cycle events and all other interference.
    pub fn addr(&self) -> Option<&Addr> {
        self.addr.as_ref()
    }

    /// The other side's address: `α:10` in `β:1 dial α:10`.
    pub fn peer(&self) -> Option<&Addr> {
        self.peer.as_ref()
    }

    /// The rest of the line: a mark's text, a failed dial's cause, an exit status, a number of
    /// bytes, or the other ends of a fault and its number (`β 5000us` in `! delay α β 5000us`).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The words of the event's line: subject, verb, object, text. A mark's words are quoted where
    /// the grammar requires it.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::with_capacity(4);
        let subject = match &self.addr {
            Some(addr) => addr.to_string(),
            None => self.host.clone(),
        };
        let verb = self.verb.to_string();
        match self.verb.is_interference() {
            true => words.extend(["!".to_owned(), verb, subject]),
            false => words.extend([subject, verb]),
        }
        words.extend(self.peer.as_ref().map(Addr::to_string));
        // A fault's `_` stands for all other ends, as it does in a pattern.
        let is_plain = self.verb.names_ends();
        let text = self.text.split_whitespace();
        words.extend(text.map(|text| match is_plain {
            true => text.to_owned(),
            false => word(text).into_owned(),
        }));
        words
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_parsed_as_it_is_printed() {
        for verb in Verb::ALL {
            assert_eq!(verb.to_string().parse(), Ok(*verb));
        }
        for bad in ["", "dail", "Dial", " dial"] {
            let error: Box<dyn std::error::Error> = bad.parse::<Verb>().unwrap_err().into();
            assert_eq!(
                error.to_string(),
                format!(
                    "{bad:?} is not a verb; verbs are listen, dial, accept, connect, fail, close, \
                     mark, kill, pause, resume, terminate, restart, vanish, partition, cut, \
                     delay, slice, limit, refuse, reset, heal, spawn, up, down, exit, shutdown, \
                     send, recv"
                )
            );
        }
    }
}
