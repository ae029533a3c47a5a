//! What the network is to do to a process: the faults in force, the events that set others off, and
//! the events that the test holds.
//!
//! Owns these orders as they stand on the trace socket, and which connections and events they
//! name. Pure. The test's process decides what is ordered; `gate` obeys.

use serde::{Deserialize, Serialize};

use super::ids::EventId;
use super::verbs::{Parts, Subject, Text, Verb, is_false};
use crate::addr::Addr;

/// All orders of one moment: not what has changed, but what holds from now on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Counts the changes; the answer carries it back.
    pub seq: u64,
    /// The faults in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The events of this process that set a fault off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    /// The faults that an event of this process has set off and that all others obey by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<u32>,
    /// The faults that have ended so far, and the event of each end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub healed: Vec<(u32, EventId)>,
    /// Nothing passes: the process is about to be stopped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shut: bool,
    /// The events that the test holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// The operations of this process that are held and may go on all the same, by their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<u64>,
    /// What is sent and received is recorded from now on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub data: bool,
}

/// An event that the test holds: what comes to it waits before it, in its future.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Its number. No fault has the same.
    pub hold: u32,
    /// Which events; without it, all that can be held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventShape>,
    /// Only the how-many-th that comes to it in this process, from 1; of arrivals, at one end of a
    /// connection. 0 is every one.
    #[serde(default)]
    pub nth: u64,
}

/// An operation that a hold keeps from its event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coming {
    /// Its number in this process.
    pub op: u64,
    /// The holds.
    pub holds: Vec<u32>,
    /// What is about to happen.
    pub verb: Verb,
    /// Where. An arrival is a [`Verb::Recv`], also if it is an EOF or a reset.
    pub addr: Addr,
    /// The other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Addr>,
    /// The number of its record, if it has one: a dial is recorded, and its request is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// How many bytes a write has, or how many have arrived; 0 have where an EOF or a reset has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Hold {
    /// Whether it holds such an event.
    pub(crate) fn is_of(&self, verb: Verb, addr: &Addr, peer: Option<&Addr>) -> bool {
        self.event.as_ref().is_none_or(|shape| {
            shape.is(&Parts {
                verb,
                subject: Subject::Address(addr),
                peer,
                text: Text::Nothing,
            })
        })
    }
}

/// What a fault does to all that goes from some ends to others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The fault's number. A fault may have several rules.
    pub fault: u32,
    /// The fault's event: what it withholds, refuses or cuts short ends after it. A reset without
    /// one does nothing yet but note what has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Whose bytes.
    pub from: Ends,
    /// Where they arrive.
    pub to: Ends,
    /// What becomes of them.
    pub does: Does,
    /// The size of both buffers of the sockets, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Does {
    /// What has arrived is read, then nothing arrives; no dial completes.
    Withhold,
    /// The other side is gone without a trace: nothing arrives, and a write fails. Only the
    /// connections that exist when the rule comes into force.
    Gone,
    /// Everything arrives so much later, in microseconds.
    Delay(u64),
    /// Everything arrives by a random time later, in microseconds at most, from this seed.
    Jitter(u64, u64),
    /// A read or a write moves at most so many bytes.
    Slice(u64),
    /// So many bytes of a connection arrive, then it ends; or is reset.
    Limit(u64, bool),
    /// What has arrived is read, then the connection is reset. Only those that exist when the rule
    /// comes into force.
    Reset,
    /// Dials are refused.
    Refuse,
}

/// Ends of connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ends {
    /// Those of these hosts, and these.
    These(Vec<Place>),
    /// Those of all hosts that the other side of the rule does not name; of all, if that names none.
    Others,
}

/// A host, or one end of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The host's name.
    pub host: String,
    /// Only the end with this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Ends {
    fn has(&self, addr: &Addr) -> bool {
        let is = |place: &Place| {
            place.host == addr.host() && place.port.is_none_or(|port| port == addr.port())
        };
        match self {
            Ends::These(places) => places.iter().any(is),
            Ends::Others => false,
        }
    }

    fn names(&self, host: &str) -> bool {
        match self {
            Ends::These(places) => places.iter().any(|place| place.host == host),
            Ends::Others => false,
        }
    }
}

impl Rule {
    /// Whether what goes from there to there is its business.
    pub fn covers(&self, from: &Addr, to: &Addr) -> bool {
        match (&self.from, &self.to) {
            (Ends::These(_), Ends::These(_)) => self.from.has(from) && self.to.has(to),
            (Ends::These(_), Ends::Others) => self.from.has(from) && !self.from.names(to.host()),
            (Ends::Others, Ends::These(_)) => self.to.has(to) && !self.to.names(from.host()),
            (Ends::Others, Ends::Others) => true,
        }
    }
}

/// An event of one process that sets a fault off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// The fault.
    pub fault: u32,
    /// Which events.
    pub event: EventShape,
    /// The how-many-th of them in this process, from 1, since the order came.
    pub nth: u64,
    /// What the process does then.
    pub then: Then,
}

/// What a process does at an event that sets a fault off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// It says so, and lets nothing pass until the fault is settled.
    Tell,
    /// It stops; when it goes on, nothing passes until the fault is settled.
    Pause,
    /// As with `Tell`; then it ends.
    Vanish,
    /// It ends.
    Kill,
}

/// What an event of one host looks like; `None` is anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventShape {
    /// What happens.
    pub verb: Verb,
    /// The host.
    pub host: String,
    /// The port of the subject's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The other side. Without it: an event that has none, as the close of a listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<(Option<String>, Option<u16>)>,
    /// The words that follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<WordShape>,
    /// More words may follow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// What a word looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WordShape {
    /// Any word.
    Any,
    /// This word.
    Is(String),
    /// Any word that begins so: `term=`.
    Begins(String),
}

impl EventShape {
    /// Whether an event looks like this.
    pub fn is(&self, event: &Parts<'_>) -> bool {
        if event.verb != self.verb || event.subject.host() != self.host {
            return false;
        }
        let port = match event.subject {
            Subject::Address(addr) => Some(addr.port()),
            Subject::Host(_) | Subject::Process(..) => None,
        };
        let peer = match (&self.peer, event.peer) {
            (None, other) => other.is_none(),
            (Some(_), None) => false,
            (Some((host, port)), Some(addr)) => {
                host.as_deref().is_none_or(|host| host == addr.host())
                    && port.is_none_or(|port| port == addr.port())
            }
        };
        self.port.is_none_or(|own| Some(own) == port) && peer && self.has_words(event.text)
    }

    fn has_words(&self, text: Text<'_>) -> bool {
        let number;
        let text = match text {
            Text::Nothing => "",
            Text::Words(words) => words,
            Text::Bytes(bytes) => {
                number = bytes.to_string();
                &number
            }
        };
        let mut words = text.split_whitespace();
        let all = self.words.iter().all(|shape| {
            words.next().is_some_and(|word| match shape {
                WordShape::Any => true,
                WordShape::Is(own) => own == word,
                WordShape::Begins(own) => word.starts_with(own.as_str()),
            })
        });
        all && (self.more || words.next().is_none())
    }
}

/// What a process has found of the faults, when it obeyed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Obeyed {
    /// The number of the orders.
    pub seq: u64,
    /// The faults that have acted here by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acted: Vec<u32>,
    /// The connections here, this end and the other, that a reset without an event has noted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noted: Vec<(u32, Addr, Addr)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> Ends {
        match text {
            "_" => Ends::Others,
            text => Ends::These(
                text.split(',')
                    .map(|end| match end.split_once(':') {
                        Some((host, port)) => Place {
                            host: host.into(),
                            port: port.parse().ok(),
                        },
                        None => Place {
                            host: end.into(),
                            port: None,
                        },
                    })
                    .collect(),
            ),
        }
    }

    #[test]
    fn a_rule_covers_the_ends_it_names() {
        let covers = |from, to, a: &str, b: &str| {
            let rule = Rule {
                fault: 1,
                event: None,
                from: ends(from),
                to: ends(to),
                does: Does::Withhold,
                window: None,
            };
            rule.covers(&a.parse().unwrap(), &b.parse().unwrap())
        };
        assert!(covers("a", "b", "a:1", "b:7"));
        assert!(!covers("a", "b", "b:7", "a:1"));
        assert!(covers("a,c", "b", "c:1", "b:7"));
        assert!(covers("a:1", "b", "a:1", "b:7"));
        assert!(!covers("a:1", "b", "a:2", "b:7"));
        // All others are all other hosts, never the host itself.
        assert!(covers("a", "_", "a:1", "z:1"));
        assert!(!covers("a", "_", "a:1", "a:2"));
        assert!(!covers("a", "_", "z:1", "a:1"));
        assert!(covers("_", "a,b", "z:1", "b:1"));
        assert!(!covers("_", "a,b", "a:1", "b:1"));
        assert!(covers("a", "a", "a:1", "a:2"));
        assert!(covers("_", "_", "a:1", "a:2"));
    }

    #[test]
    fn an_event_has_the_shape_or_not() {
        let mark = EventShape {
            verb: Verb::Mark,
            host: "s".into(),
            port: None,
            peer: None,
            words: vec![
                WordShape::Is("applied".into()),
                WordShape::Begins("x=".into()),
            ],
            more: false,
        };
        let of = |shape: &EventShape, text| {
            let subject = Subject::Host("s");
            shape.is(&Parts {
                verb: Verb::Mark,
                subject,
                peer: None,
                text: Text::Words(text),
            })
        };
        assert!(of(&mark, "applied x=1"));
        assert!(of(&mark, "applied  x="));
        assert!(!of(&mark, "applied"));
        assert!(!of(&mark, "applied x=1 y"));
        assert!(!of(&mark, "applies x=1"));
        let more = EventShape { more: true, ..mark };
        assert!(of(&more, "applied x=1 y"));

        let send = EventShape {
            verb: Verb::Send,
            host: "s".into(),
            port: Some(1),
            peer: Some((Some("c".into()), None)),
            words: vec![WordShape::Any],
            more: false,
        };
        let sends = |from: &str, to: &str| {
            let (from, to): (Addr, Addr) = (from.parse().unwrap(), to.parse().unwrap());
            send.is(&Parts {
                verb: Verb::Send,
                subject: Subject::Address(&from),
                peer: Some(&to),
                text: Text::Bytes(4),
            })
        };
        assert!(sends("s:1", "c:9"));
        assert!(!sends("s:2", "c:9"));
        assert!(!sends("s:1", "d:9"));

        // A listener's close and a connection's are different lines.
        let closes = EventShape {
            verb: Verb::Close,
            host: "s".into(),
            port: None,
            peer: None,
            words: Vec::new(),
            more: false,
        };
        let (own, other): (Addr, Addr) = ("s:1".parse().unwrap(), "c:9".parse().unwrap());
        let close = |peer| Parts {
            verb: Verb::Close,
            subject: Subject::Address(&own),
            peer,
            text: Text::Nothing,
        };
        assert!(closes.is(&close(None)));
        assert!(!closes.is(&close(Some(&other))));
    }
}
