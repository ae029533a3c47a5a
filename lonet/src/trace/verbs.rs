//! What can happen on a network: the table of verbs, and the record of each.
//!
//! Owns, for every verb, its word, what its line looks like, in which view it stands and who may
//! write it; the fields of its record; and how the record becomes the parts of a line. A new verb
//! is a row of [`verbs!`], a variant of [`What`] and an arm of [`What::parts`], all in this file:
//! the grammar of expected traces, events, labels and the check of reporters follow from them.
//! Does not know when a record is written, nor what follows from it.

mod rules;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::addr::Addr;
use rules::to;
pub use rules::{Amount, Begins, By, Follows, InView, OtherEnds, Peer, Rules};

macro_rules! verbs {
    ($($(#[$doc:meta])*
    $name:ident $word:literal $begins:ident $peer:ident $text:ident $(($hint:expr))? $view:ident $by:ident;)*) => {
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
    /// `! vanish α`
    Vanish    "vanish"    Bang    Never  Nothing Default   Test;
    /// `! partition α β`
    Partition "partition" Bang    Never
              Ends(to("the other side", Amount::Nothing)) Default Test;
    /// `! cut α β`
    Cut       "cut"       Bang    Never
              Ends(to("the side that receives nothing", Amount::Nothing)) Default Test;
    /// `! delay α β 5000us`
    Delay     "delay"     Bang    Never
              Ends(to("the receiving side", Amount::Micros)) Default Test;
    /// `! slice α β 3`
    Slice     "slice"     Bang    Never
              Ends(to("the receiving side", Amount::Bytes)) Default Test;
    /// `! limit α β 100`
    Limit     "limit"     Bang    Never
              Ends(to("the receiving side", Amount::Bytes)) Default Test;
    /// `! refuse α β`
    Refuse    "refuse"    Bang    Never
              Ends(to("the side that refuses", Amount::Nothing)) Default Test;
    /// `! reset α:1 β:1`
    Reset     "reset"     BangAddress Always Nothing Default Test;
    /// `! heal α β`
    Heal      "heal"      Bang    Never
              Ends(to("the other side", Amount::Nothing)) Default Test;
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

    /// Whether the scenario itself causes events with this verb: their lines begin with `!`.
    pub fn is_interference(self) -> bool {
        matches!(self.rules().begins, Begins::Bang | Begins::BangAddress)
    }

    /// Whether its lines name the ends of a fault: `! partition α,β:1 _`.
    #[doc(hidden)]
    pub fn names_ends(self) -> bool {
        matches!(self.rules().text, Follows::Ends(_))
    }
}

impl FromStr for Verb {
    type Err = ParseVerbError;

    /// Parses a verb's word, as it stands in a line: in lower case, nothing around it.
    fn from_str(text: &str) -> Result<Verb, ParseVerbError> {
        let mut verbs = Verb::ALL.iter().copied();
        let verb = verbs.find(|verb| verb.as_str() == text);
        verb.ok_or_else(|| ParseVerbError(text.to_owned()))
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error of parsing a [`Verb`]. The message lists the verbs.
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

/// What happened. Each field has a short name on the wire, which `docs/trace-protocol.md` explains.
///
/// `addr` is the subject's address, `peer` the other side's, `socket` a socket's number in this
/// reporter, `key` a connection's key, `dial` the number of a dial's record, `written` how many
/// bytes this end has written, `host` a host's name, `process` the number of a process that the
/// scenario started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields' meaning is said once, above")]
pub enum What {
    /// A listener is open. `auto`: the port was not requested; it was the lowest free one.
    Listen {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "s")]
        socket: u64,
        #[serde(default, skip_serializing_if = "is_false")]
        auto: bool,
    },
    /// A dial begins; its record's number names it.
    Dial {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p")]
        peer: Addr,
    },
    /// The dial of that number has this connection, and will now ask for it.
    Link {
        #[serde(rename = "d")]
        dial: u64,
        #[serde(rename = "c")]
        key: String,
    },
    /// The accepting end exists.
    Accept {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p")]
        peer: Addr,
        #[serde(rename = "l")]
        listener: u64,
        #[serde(rename = "s")]
        socket: u64,
        #[serde(rename = "c")]
        key: String,
    },
    /// The dialing end exists.
    Connect {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p")]
        peer: Addr,
        #[serde(rename = "d")]
        dial: u64,
        #[serde(rename = "s")]
        socket: u64,
        #[serde(rename = "c")]
        key: String,
    },
    /// The dial of that number ended without a connection.
    Fail {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p")]
        peer: Addr,
        #[serde(rename = "d")]
        dial: u64,
        #[serde(rename = "x")]
        text: String,
    },
    /// A listener (no `peer`) or one end of a connection is closed.
    Close {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
        peer: Option<Addr>,
        #[serde(rename = "s")]
        socket: u64,
        #[serde(rename = "w", default, skip_serializing_if = "is_zero")]
        written: u64,
    },
    /// This end will write no more.
    Shutdown {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p")]
        peer: Addr,
        #[serde(rename = "s")]
        socket: u64,
        #[serde(rename = "w")]
        written: u64,
    },
    /// So many bytes are about to be written, the first of them the one after `written`.
    Send {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p")]
        peer: Addr,
        #[serde(rename = "s")]
        socket: u64,
        #[serde(rename = "w")]
        written: u64,
        #[serde(rename = "b")]
        bytes: u64,
    },
    /// So many bytes were read.
    Recv {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p")]
        peer: Addr,
        #[serde(rename = "s")]
        socket: u64,
        #[serde(rename = "b")]
        bytes: u64,
    },
    /// User code says something.
    Mark {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "x")]
        text: String,
    },
    /// A host has joined.
    Up {
        #[serde(rename = "h")]
        host: String,
    },
    /// A host is closed.
    Down {
        #[serde(rename = "h")]
        host: String,
    },
    /// What this end writes after the bytes that it has written comes after all its task did until
    /// now.
    Note {
        #[serde(rename = "s")]
        socket: u64,
        #[serde(rename = "w")]
        written: u64,
    },
    /// From now on user code reads and writes this socket by itself.
    Opaque {
        #[serde(rename = "s")]
        socket: u64,
    },
    /// The task looks at the trace: what comes before this record is what it can assert.
    Here {},
    /// The scenario starts a process as a host.
    Spawn {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "i")]
        process: u64,
    },
    /// A process has ended: `0`, `3`, `signal 9`.
    Exit {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "i")]
        process: u64,
        #[serde(rename = "x")]
        text: String,
    },
    /// The scenario killed a process; its death is confirmed.
    Kill {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "i")]
        process: u64,
    },
    /// The scenario stopped a process.
    Pause {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "i")]
        process: u64,
    },
    /// The scenario let a process go on.
    Resume {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "i")]
        process: u64,
    },
    /// The scenario asks a process to finish.
    Terminate {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "i")]
        process: u64,
    },
    /// The scenario cut a host's power: it is killed, and its peers see no end of it.
    Vanish {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "i")]
        process: u64,
    },
    /// A fault between hosts begins to act, or, with [`Verb::Heal`], ends. `from` and `text` are what
    /// follows the verb in its line: its ends as they were given, and its number.
    Fault {
        #[serde(rename = "v")]
        verb: Verb,
        #[serde(rename = "h")]
        from: String,
        #[serde(rename = "x")]
        text: String,
    },
    /// The scenario resets a connection.
    Reset {
        #[serde(rename = "a")]
        addr: Addr,
        #[serde(rename = "p")]
        peer: Addr,
    },
    /// The scenario starts a process as a new incarnation of a host.
    Restart {
        #[serde(rename = "h")]
        host: String,
        #[serde(rename = "i")]
        process: u64,
    },
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
        let at = |verb, addr, peer, text| Parts {
            verb,
            subject: Subject::Address(addr),
            peer,
            text,
        };
        let of = |verb, subject, text| Parts {
            verb,
            subject,
            peer: None,
            text,
        };
        let one = |host| Subject::Host(host);
        let run = |host, process: &u64| Subject::Process(host, *process);
        Some(match self {
            What::Listen { addr, .. } => at(Verb::Listen, addr, None, Nothing),
            What::Dial { addr, peer } => at(Verb::Dial, addr, Some(peer), Nothing),
            What::Accept { addr, peer, .. } => at(Verb::Accept, addr, Some(peer), Nothing),
            What::Connect { addr, peer, .. } => at(Verb::Connect, addr, Some(peer), Nothing),
            What::Fail {
                addr, peer, text, ..
            } => at(Verb::Fail, addr, Some(peer), Words(text)),
            What::Close { addr, peer, .. } => at(Verb::Close, addr, peer.as_ref(), Nothing),
            What::Shutdown { addr, peer, .. } => at(Verb::Shutdown, addr, Some(peer), Nothing),
            What::Send {
                addr, peer, bytes, ..
            } => at(Verb::Send, addr, Some(peer), Bytes(*bytes)),
            What::Recv {
                addr, peer, bytes, ..
            } => at(Verb::Recv, addr, Some(peer), Bytes(*bytes)),
            What::Mark { host, text } => of(Verb::Mark, one(host), Words(text)),
            What::Up { host } => of(Verb::Up, one(host), Nothing),
            What::Down { host } => of(Verb::Down, one(host), Nothing),
            What::Exit {
                host,
                process,
                text,
            } => of(Verb::Exit, run(host, process), Words(text)),
            What::Spawn { host, process } => of(Verb::Spawn, run(host, process), Nothing),
            What::Kill { host, process } => of(Verb::Kill, run(host, process), Nothing),
            What::Pause { host, process } => of(Verb::Pause, run(host, process), Nothing),
            What::Resume { host, process } => of(Verb::Resume, run(host, process), Nothing),
            What::Terminate { host, process } => of(Verb::Terminate, run(host, process), Nothing),
            What::Vanish { host, process } => of(Verb::Vanish, run(host, process), Nothing),
            What::Fault { verb, from, text } => of(*verb, one(from), Words(text)),
            What::Reset { addr, peer } => at(Verb::Reset, addr, Some(peer), Nothing),
            What::Restart { host, process } => of(Verb::Restart, run(host, process), Nothing),
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
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod vectors;
