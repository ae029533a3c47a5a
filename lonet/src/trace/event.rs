//! One event as users see it: what it is about, and its line.
//!
//! Owns the verbs and the text of an event. Does not know its order among others.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::record::{Record, What};
use crate::addr::Addr;
use crate::quote::word;

/// Which event of a scenario: the process that reported it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(u32, u64)", from = "(u32, u64)")]
#[non_exhaustive]
pub struct EventId {
    /// The reporter, as the collector counts them.
    pub process: u32,
    /// The record's number in that reporter.
    pub n: u64,
}

impl From<EventId> for (u32, u64) {
    fn from(id: EventId) -> Self {
        (id.process, id.n)
    }
}

impl From<(u32, u64)> for EventId {
    fn from((process, n): (u32, u64)) -> Self {
        EventId { process, n }
    }
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[non_exhaustive]
        pub enum Verb { $($(#[$doc])* $name,)* }

        impl Verb {
            /// Every verb there is.
            pub const ALL: &[Verb] = &[$(Verb::$name,)*];

            /// The verb's word in a line.
            pub fn as_str(self) -> &'static str {
                match self { $(Verb::$name => $text,)* }
            }
        }

        impl FromStr for Verb {
            type Err = ParseVerbError;

            /// Parses a verb's word, as it stands in a line: in lower case, nothing around it.
            fn from_str(text: &str) -> Result<Verb, ParseVerbError> {
                match text {
                    $($text => Ok(Verb::$name),)*
                    _ => Err(ParseVerbError(text.to_owned())),
                }
            }
        }
    };
}

verbs! {
    /// `α:10 listen`
    Listen "listen",
    /// `β:1 dial α:10`
    Dial "dial",
    /// `α:1 accept β:1`
    Accept "accept",
    /// `β:1 connect α:1`
    Connect "connect",
    /// `β:1 fail α:10 connection refused`
    Fail "fail",
    /// `β:1 close α:1`, `α:10 close`
    Close "close",
    /// `α mark leader term=3`
    Mark "mark",
    /// `! kill α`
    Kill "kill",
    /// `! pause α`
    Pause "pause",
    /// `! resume α`
    Resume "resume",
    /// `! terminate α`
    Terminate "terminate",
    /// `! restart α`
    Restart "restart",
    /// `! spawn α`
    Spawn "spawn",
    /// `α up`
    Up "up",
    /// `α down`
    Down "down",
    /// `α exit 0`, `α exit signal 9`
    Exit "exit",
    /// `β:1 shutdown α:1`
    Shutdown "shutdown",
    /// `β:1 send α:1 4`
    Send "send",
    /// `α:1 recv β:1 4`
    Recv "recv",
}

impl Verb {
    /// Whether the scenario did it: its line begins with `!`.
    pub fn is_interference(self) -> bool {
        use Verb::{Kill, Pause, Restart, Resume, Spawn, Terminate};
        matches!(self, Kill | Pause | Resume | Terminate | Restart | Spawn)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text is not a verb. Says which verbs there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseVerbError(String);

impl fmt::Display for ParseVerbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: Vec<&str> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
        write!(
            f,
            "{:?} is not a verb; verbs are {}",
            self.0,
            verbs.join(", ")
        )
    }
}

impl std::error::Error for ParseVerbError {}

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
    /// The event that a record tells of, if it tells of one: links and notes do not.
    pub fn of_record(process: u32, record: &Record) -> Option<Event> {
        let id = EventId {
            process,
            n: record.n,
        };
        let between = |verb, a: &Addr, p: Option<&Addr>, text: String| {
            Some(Event {
                id,
                t: record.t,
                host: a.host().to_owned(),
                verb,
                addr: Some(a.clone()),
                peer: p.cloned(),
                text,
            })
        };
        let host = |verb, h: &str, text: &str| {
            Some(Event {
                id,
                t: record.t,
                host: h.to_owned(),
                verb,
                addr: None,
                peer: None,
                text: text.to_owned(),
            })
        };
        match &record.e {
            What::Listen { a, .. } => between(Verb::Listen, a, None, String::new()),
            What::Dial { a, p } => between(Verb::Dial, a, Some(p), String::new()),
            What::Accept { a, p, .. } => between(Verb::Accept, a, Some(p), String::new()),
            What::Connect { a, p, .. } => between(Verb::Connect, a, Some(p), String::new()),
            What::Fail { a, p, x, .. } => between(Verb::Fail, a, Some(p), x.clone()),
            What::Close { a, p, .. } => between(Verb::Close, a, p.as_ref(), String::new()),
            What::Shutdown { a, p, .. } => between(Verb::Shutdown, a, Some(p), String::new()),
            What::Send { a, p, b, .. } => between(Verb::Send, a, Some(p), b.to_string()),
            What::Recv { a, p, b, .. } => between(Verb::Recv, a, Some(p), b.to_string()),
            What::Mark { h, x } => host(Verb::Mark, h, x),
            What::Up { h } => host(Verb::Up, h, ""),
            What::Down { h } => host(Verb::Down, h, ""),
            What::Spawn { h, .. } => host(Verb::Spawn, h, ""),
            What::Exit { h, x, .. } => host(Verb::Exit, h, x),
            What::Kill { h, .. } => host(Verb::Kill, h, ""),
            What::Pause { h, .. } => host(Verb::Pause, h, ""),
            What::Resume { h, .. } => host(Verb::Resume, h, ""),
            What::Terminate { h, .. } => host(Verb::Terminate, h, ""),
            What::Restart { h, .. } => host(Verb::Restart, h, ""),
            What::Link { .. } | What::Note { .. } | What::Opaque { .. } | What::Here {} => None,
        }
    }

    /// The event's name in its scenario.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// When it was reported: CLOCK_MONOTONIC in nanoseconds. For display; it orders nothing.
    pub fn time_ns(&self) -> u64 {
        self.t
    }

    /// The host that it happened to, or that the scenario did it to.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What happened.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The subject's address: `β:1` of `β:1 dial α:10`. `None` for marks, life cycle and
    /// interference.
    pub fn addr(&self) -> Option<&Addr> {
        self.addr.as_ref()
    }

    /// The other side's address: `α:10` of `β:1 dial α:10`.
    pub fn peer(&self) -> Option<&Addr> {
        self.peer.as_ref()
    }

    /// What follows: a mark's text, a failed dial's cause, an exit's status, a number of bytes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The words of the event's line: subject, verb, object, text. A mark's words are quoted where
    /// the grammar asks for it.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::with_capacity(4);
        match &self.addr {
            Some(addr) => words.push(addr.to_string()),
            None if self.verb.is_interference() => words.push("!".to_owned()),
            None => words.push(self.host.clone()),
        }
        words.push(self.verb.to_string());
        if self.verb.is_interference() {
            words.push(self.host.clone());
        }
        words.extend(self.peer.as_ref().map(Addr::to_string));
        words.extend(self.text.split_whitespace().map(|w| word(w).into_owned()));
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
                     mark, kill, pause, resume, terminate, restart, spawn, up, down, exit, \
                     shutdown, send, recv"
                )
            );
        }
    }
}
