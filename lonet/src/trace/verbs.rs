//! What can happen on a network: the table of verbs, and the record of each.
//!
//! Owns, for every verb, its word, what its line looks like, in which view it stands and who may
//! write it; the fields of its record; and how the record becomes the parts of a line. A new verb
//! is a row of [`verbs!`], a variant of [`What`] and an arm of [`What::parts`], all in this file:
//! the grammar of expected traces, events, labels and the check of reporters follow from them.
//! Knows neither who writes a record when, nor what follows from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::record::is_false;
use crate::addr::Addr;

/// What the table says of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The verb's word in a line.
    pub word: &'static str,
    /// What its line begins with.
    pub begins: Begins,
    /// Whether the other side's address follows.
    pub peer: Peer,
    /// What follows at the end.
    pub text: Follows,
    /// How an assertion comes to look at it.
    pub view: InView,
    /// Which processes may report it.
    pub by: By,
}

/// What a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// `α:10 listen`
    Address,
    /// `α mark ready`
    Host,
    /// `! kill α`: the scenario interferes with a host.
    Bang,
}

/// Whether the other side's address follows the verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It does not.
    Never,
    /// It does in some lines.
    Maybe,
    /// It does.
    Always,
}

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing more.
    Nothing,
    /// The words of a mark, or none.
    Mark,
    /// Words; how a message explains which.
    Words(&'static str),
    /// A number of bytes.
    Bytes,
}

/// How an assertion comes to look at a verb's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InView {
    /// By default.
    Default,
    /// By `with_lifecycle()`.
    Lifecycle,
    /// By `with_data()`.
    Data,
}

/// Which processes may report a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Every process on the network.
    Anyone,
    /// The test's own process alone.
    Test,
}

macro_rules! verbs {
    ($($(#[$doc:meta])*
    $name:ident $word:literal $begins:ident $peer:ident $text:ident $(($hint:literal))? $view:ident $by:ident;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[non_exhaustive]
        pub enum Verb { $($(#[$doc])* $name,)* }

        impl Verb {
            /// Every verb there is.
            pub const ALL: &[Verb] = &[$(Verb::$name,)*];

            /// The verb's row of the table.
            #[doc(hidden)]
            pub const fn rules(self) -> Rules {
                match self {
                    $(Verb::$name => Rules {
                        word: $word,
                        begins: Begins::$begins,
                        peer: Peer::$peer,
                        text: Follows::$text $(($hint))?,
                        view: InView::$view,
                        by: By::$by,
                    },)*
                }
            }
        }
    };
}

verbs! {
    // verb    word      begins  other side  what follows  view  written by

    /// `α:10 listen`
    Listen    "listen"    Address Never  Nothing Default   Anyone;
    /// `β:1 dial α:10`
    Dial      "dial"      Address Always Nothing Default   Anyone;
    /// `α:1 accept β:1`
    Accept    "accept"    Address Always Nothing Default   Anyone;
    /// `β:1 connect α:1`
    Connect   "connect"   Address Always Nothing Default   Anyone;
    /// `β:1 fail α:10 connection refused`
    Fail      "fail"      Address Always
              Words("the cause, as in `connection refused` or `cancelled`") Default Anyone;
    /// `β:1 close α:1`, `α:10 close`
    Close     "close"     Address Maybe  Nothing Default   Anyone;
    /// `α mark leader term=3`
    Mark      "mark"      Host    Never  Mark    Default   Anyone;
    /// `! kill α`
    Kill      "kill"      Bang    Never  Nothing Default   Test;
    /// `! pause α`
    Pause     "pause"     Bang    Never  Nothing Default   Test;
    /// `! resume α`
    Resume    "resume"    Bang    Never  Nothing Default   Test;
    /// `! terminate α`
    Terminate "terminate" Bang    Never  Nothing Default   Test;
    /// `! restart α`
    Restart   "restart"   Bang    Never  Nothing Default   Test;
    /// `! spawn α`
    Spawn     "spawn"     Bang    Never  Nothing Lifecycle Test;
    /// `α up`
    Up        "up"        Host    Never  Nothing Lifecycle Anyone;
    /// `α down`
    Down      "down"      Host    Never  Nothing Lifecycle Anyone;
    /// `α exit 0`, `α exit signal 9`
    Exit      "exit"      Host    Never
              Words("the status, as in `0` or `signal 9`") Lifecycle Test;
    /// `β:1 shutdown α:1`
    Shutdown  "shutdown"  Address Always Nothing Data      Anyone;
    /// `β:1 send α:1 4`
    Send      "send"      Address Always Bytes   Data      Anyone;
    /// `α:1 recv β:1 4`
    Recv      "recv"      Address Always Bytes   Data      Anyone;
}

impl Verb {
    /// The verb's word in a line.
    pub fn as_str(self) -> &'static str {
        self.rules().word
    }

    /// Whether the scenario did it: its line begins with `!`.
    pub fn is_interference(self) -> bool {
        self.rules().begins == Begins::Bang
    }
}

impl FromStr for Verb {
    type Err = ();

    fn from_str(text: &str) -> Result<Verb, ()> {
        let mut verbs = Verb::ALL.iter().copied();
        verbs.find(|verb| verb.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happened. `a` is the subject's address, `p` the other side's, `s` a socket's number in
/// this reporter, `c` a connection's key, `w` how many bytes this end has written, `h` a host's
/// name, `x` a text, `i` the number of a process that the scenario started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields' meaning is said once, above")]
pub enum What {
    /// A listener is open. `auto`: nobody asked for that port, it was the lowest free one.
    Listen {
        a: Addr,
        s: u64,
        #[serde(default, skip_serializing_if = "is_false")]
        auto: bool,
    },
    /// A dial begins; its record's number names it.
    Dial { a: Addr, p: Addr },
    /// The dial numbered `d` has this connection, and will now ask for it.
    Link { d: u64, c: String },
    /// The accepting end exists; `l` is the listener's socket.
    Accept {
        a: Addr,
        p: Addr,
        l: u64,
        s: u64,
        c: String,
    },
    /// The dialing end exists; `d` is its dial's number.
    Connect {
        a: Addr,
        p: Addr,
        d: u64,
        s: u64,
        c: String,
    },
    /// The dial numbered `d` ended without a connection.
    Fail { a: Addr, p: Addr, d: u64, x: String },
    /// A listener (no `p`) or one end of a connection is closed.
    Close {
        a: Addr,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        p: Option<Addr>,
        s: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        w: u64,
    },
    /// This end will write no more.
    Shutdown { a: Addr, p: Addr, s: u64, w: u64 },
    /// `b` bytes are about to be written, the first of them the connection's `w`-th from 0.
    Send {
        a: Addr,
        p: Addr,
        s: u64,
        w: u64,
        b: u64,
    },
    /// `b` bytes were read.
    Recv { a: Addr, p: Addr, s: u64, b: u64 },
    /// User code says something.
    Mark { h: String, x: String },
    /// A host has joined.
    Up { h: String },
    /// A host is closed.
    Down { h: String },
    /// From byte `w` on, what this end of `s` writes comes after all its task did until now.
    Note { s: u64, w: u64 },
    /// From now on user code reads and writes this socket by itself.
    Opaque { s: u64 },
    /// The task looks at the trace: what comes before this record is what it can assert.
    Here {},
    /// The scenario starts process `i` as host `h`.
    Spawn { h: String, i: u64 },
    /// Process `i` has ended: `0`, `3`, `signal 9`.
    Exit { h: String, i: u64, x: String },
    /// The scenario killed process `i`; its death is confirmed.
    Kill { h: String, i: u64 },
    /// The scenario stopped process `i`.
    Pause { h: String, i: u64 },
    /// The scenario let process `i` go on.
    Resume { h: String, i: u64 },
    /// The scenario asks process `i` to finish.
    Terminate { h: String, i: u64 },
    /// The scenario starts process `i` as a new incarnation of `h`.
    Restart { h: String, i: u64 },
}

/// The parts of an event's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What happened.
    pub verb: Verb,
    /// What it happened to.
    pub subject: Subject<'a>,
    /// The other side's address.
    pub peer: Option<&'a Addr>,
    /// What follows.
    pub text: Text<'a>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A listener, a dial or an end of a connection, by its address.
    Address(&'a Addr),
    /// A host.
    Host(&'a str),
    /// The host that a process plays which the scenario started, and the process's number.
    Process(&'a str, u64),
}

/// What follows subject, verb and object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Nothing.
    Nothing,
    /// Words, as the record has them.
    Words(&'a str),
    /// A number of bytes.
    Bytes(u64),
}

impl What {
    /// The parts of the line, if this is an event: links, notes, sockets that user code has taken
    /// and looks at the trace are not.
    #[doc(hidden)]
    #[inline]
    pub fn parts(&self) -> Option<Parts<'_>> {
        use Text::{Bytes, Nothing, Words};
        let at = |verb, a, peer, text| Parts {
            verb,
            subject: Subject::Address(a),
            peer,
            text,
        };
        let of = |verb, subject, text| Parts {
            verb,
            subject,
            peer: None,
            text,
        };
        let host = |h| Subject::Host(h);
        let process = |h, i: &u64| Subject::Process(h, *i);
        Some(match self {
            What::Listen { a, .. } => at(Verb::Listen, a, None, Nothing),
            What::Dial { a, p } => at(Verb::Dial, a, Some(p), Nothing),
            What::Accept { a, p, .. } => at(Verb::Accept, a, Some(p), Nothing),
            What::Connect { a, p, .. } => at(Verb::Connect, a, Some(p), Nothing),
            What::Fail { a, p, x, .. } => at(Verb::Fail, a, Some(p), Words(x)),
            What::Close { a, p, .. } => at(Verb::Close, a, p.as_ref(), Nothing),
            What::Shutdown { a, p, .. } => at(Verb::Shutdown, a, Some(p), Nothing),
            What::Send { a, p, b, .. } => at(Verb::Send, a, Some(p), Bytes(*b)),
            What::Recv { a, p, b, .. } => at(Verb::Recv, a, Some(p), Bytes(*b)),
            What::Mark { h, x } => of(Verb::Mark, host(h), Words(x)),
            What::Up { h } => of(Verb::Up, host(h), Nothing),
            What::Down { h } => of(Verb::Down, host(h), Nothing),
            What::Exit { h, i, x } => of(Verb::Exit, process(h, i), Words(x)),
            What::Spawn { h, i } => of(Verb::Spawn, process(h, i), Nothing),
            What::Kill { h, i } => of(Verb::Kill, process(h, i), Nothing),
            What::Pause { h, i } => of(Verb::Pause, process(h, i), Nothing),
            What::Resume { h, i } => of(Verb::Resume, process(h, i), Nothing),
            What::Terminate { h, i } => of(Verb::Terminate, process(h, i), Nothing),
            What::Restart { h, i } => of(Verb::Restart, process(h, i), Nothing),
            What::Link { .. } | What::Note { .. } | What::Opaque { .. } | What::Here {} => {
                return None;
            }
        })
    }

    /// The number of the process that the scenario started and that this is about.
    #[doc(hidden)]
    pub fn process(&self) -> Option<u64> {
        match self.parts()?.subject {
            Subject::Process(_, number) => Some(number),
            Subject::Address(_) | Subject::Host(_) => None,
        }
    }
}

impl Subject<'_> {
    /// The host that it is, or is at.
    pub fn host(&self) -> &str {
        match self {
            Subject::Address(addr) => addr.host(),
            Subject::Host(host) | Subject::Process(host, _) => host,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Event, Record};

    /// What happened as it stands on the wire, and the line of the event.
    const VECTORS: &[(&str, &str)] = &[
        (r#"{"listen":{"a":"α:10","s":1}}"#, "α:10 listen"),
        (r#"{"listen":{"a":"α:1","s":2,"auto":true}}"#, "α:1 listen"),
        (r#"{"dial":{"a":"β:1","p":"α:10"}}"#, "β:1 dial α:10"),
        (r#"{"link":{"d":4,"c":"x>y#1"}}"#, ""),
        (
            r#"{"accept":{"a":"α:1","p":"β:1","l":1,"s":2,"c":"x>y#1"}}"#,
            "α:1 accept β:1",
        ),
        (
            r#"{"connect":{"a":"β:1","p":"α:1","d":4,"s":3,"c":"x>y#1"}}"#,
            "β:1 connect α:1",
        ),
        (
            r#"{"fail":{"a":"β:1","p":"α:10","d":4,"x":"connection refused"}}"#,
            "β:1 fail α:10 connection refused",
        ),
        (r#"{"close":{"a":"α:10","s":1}}"#, "α:10 close"),
        (r#"{"close":{"a":"β:1","p":"α:1","s":3}}"#, "β:1 close α:1"),
        (
            r#"{"close":{"a":"β:1","p":"α:1","s":3,"w":4}}"#,
            "β:1 close α:1",
        ),
        (
            r#"{"shutdown":{"a":"β:1","p":"α:1","s":3,"w":0}}"#,
            "β:1 shutdown α:1",
        ),
        (
            r#"{"send":{"a":"β:1","p":"α:1","s":3,"w":0,"b":4}}"#,
            "β:1 send α:1 4",
        ),
        (
            r#"{"recv":{"a":"α:1","p":"β:1","s":2,"b":4}}"#,
            "α:1 recv β:1 4",
        ),
        (
            r#"{"mark":{"h":"α","x":"leader term=3"}}"#,
            "α mark leader term=3",
        ),
        (r#"{"up":{"h":"α"}}"#, "α up"),
        (r#"{"down":{"h":"α"}}"#, "α down"),
        (r#"{"note":{"s":3,"w":4}}"#, ""),
        (r#"{"opaque":{"s":3}}"#, ""),
        (r#"{"here":{}}"#, ""),
        (r#"{"spawn":{"h":"α","i":1}}"#, "! spawn α"),
        (
            r#"{"exit":{"h":"α","i":1,"x":"signal 9"}}"#,
            "α exit signal 9",
        ),
        (r#"{"kill":{"h":"α","i":1}}"#, "! kill α"),
        (r#"{"pause":{"h":"α","i":1}}"#, "! pause α"),
        (r#"{"resume":{"h":"α","i":1}}"#, "! resume α"),
        (r#"{"terminate":{"h":"α","i":1}}"#, "! terminate α"),
        (r#"{"restart":{"h":"α","i":2}}"#, "! restart α"),
    ];

    fn whats() -> impl Iterator<Item = What> {
        VECTORS
            .iter()
            .map(|(wire, _)| serde_json::from_str(wire).unwrap())
    }

    #[test]
    fn what_happened_is_the_same_on_the_wire_byte_for_byte() {
        for (what, (wire, _)) in whats().zip(VECTORS) {
            assert_eq!(serde_json::to_string(&what).unwrap(), *wire);
        }
    }

    #[test]
    fn what_happened_reads_as_its_line() {
        for (what, (wire, line)) in whats().zip(VECTORS) {
            let record = format!(r#"{{"n":1,"t":2,"e":{wire}}}"#);
            let record: Record = serde_json::from_str(&record).unwrap();
            assert_eq!(record.e, what);
            let event = Event::of_record(0, &record);
            let shown = event.map_or_else(String::new, |event| event.to_string());
            assert_eq!(shown, *line);
        }
    }

    #[test]
    fn every_verb_has_a_vector_and_is_what_its_row_says() {
        let mut missing: Vec<Verb> = Verb::ALL.to_vec();
        for what in whats() {
            let Some(parts) = what.parts() else { continue };
            let rules = parts.verb.rules();
            missing.retain(|verb| *verb != parts.verb);
            let begins = match parts.subject {
                Subject::Address(_) => Begins::Address,
                Subject::Process(..) if parts.verb != Verb::Exit => Begins::Bang,
                Subject::Host(_) | Subject::Process(..) => Begins::Host,
            };
            assert_eq!(rules.begins, begins, "{what:?}");
            let of_test = matches!(parts.subject, Subject::Process(..));
            assert_eq!(rules.by == By::Test, of_test, "{what:?}");
            match rules.peer {
                Peer::Never => assert_eq!(parts.peer, None, "{what:?}"),
                Peer::Maybe => {}
                Peer::Always => assert!(parts.peer.is_some(), "{what:?}"),
            }
            let ends = match parts.text {
                Text::Nothing => rules.text == Follows::Nothing,
                Text::Words(_) => matches!(rules.text, Follows::Mark | Follows::Words(_)),
                Text::Bytes(_) => rules.text == Follows::Bytes,
            };
            assert!(ends, "{what:?}");
            assert_eq!(parts.verb.as_str().parse(), Ok(parts.verb));
            assert_eq!(parts.verb.to_string(), rules.word);
        }
        assert_eq!(missing, []);
    }
}
