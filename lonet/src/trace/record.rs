//! One line of the trace socket: the JSON that reporters write and the collector reads.
//!
//! Owns the format, which `docs/trace-protocol.md` describes for other languages, and nothing
//! else: who writes a record when is the reporter's business, what follows from it causality's.

use serde::{Deserialize, Serialize};

use super::event::{Event, EventId};
use super::task::Waits;
use crate::addr::Addr;

/// The version that `hello` names. A collector refuses any other.
pub const PROTOCOL_VERSION: u32 = 1;

/// A line that a reporter writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The first line of every reporter.
    Hello(Hello),
    /// One record.
    Ev(Record),
    /// A request that the collector answers with one [`Answer`].
    Ask(Ask),
    /// The answer to the collector's [`Question`].
    Waits(Waiting),
}

/// Who reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u32,
    /// A number that no other reporter has, to tell a process from one that had its pid before.
    pub nonce: u64,
    /// The host that the process was started to play (`LONET_HOST`), if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether it answers a [`Question`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub waits: bool,
}

/// What the collector asks of a reporter whose `hello` says that it answers: what its operations
/// wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names the question; the answer carries it back.
    pub waits: u64,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The question's.
    pub id: u64,
    /// What the process does.
    #[serde(flatten)]
    pub doing: Doing,
}

/// What a process does on the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Doing {
    /// What its operations wait for, each since when, the longest first.
    pub ops: Vec<Pending>,
    /// Its open ends of connections whose bytes it counts, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<Moved>,
}

/// How many bytes an end of a connection has sent and received: `[socket, sent, received]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u64, u64, u64)", from = "(u64, u64, u64)")]
pub struct Moved {
    /// The socket, as numbered by this reporter.
    pub s: u64,
    /// So many were handed to the connection.
    pub sent: u64,
    /// So many were read from it.
    pub received: u64,
}

/// An operation that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Since when, CLOCK_MONOTONIC in nanoseconds.
    pub t: u64,
    /// What it waits for.
    pub on: Waits,
}

/// A request for the first event that matches a pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Names the request; the answer carries it back. Unique for the reporter.
    pub id: u64,
    /// One line of an expected trace.
    pub until: String,
    /// Only events that are not this one and not in its past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EventId>,
}

/// The collector's answer to an [`Ask`]: exactly one of `ok` and `err`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The request's.
    pub id: u64,
    /// The event that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<Event>,
    /// Why there is none: a malformed pattern, the deadline with what did happen meanwhile, a
    /// failed host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err: Option<String>,
}

/// Something that happened in one process, with what its task had learned before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The record's number in its reporter: from 1, growing, gaps allowed. Lines may come out of
    /// this order; the numbers tell.
    pub n: u64,
    /// CLOCK_MONOTONIC in nanoseconds, taken under the lock that gives the number. For display and
    /// for the order in which a trace is written; it rejects nothing.
    pub t: u64,
    /// The task that did it; absent for what lonet itself did (a host's close, a role's end).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<u64>,
    /// Another operation of the task was pending: the record has no place in the task's order.
    #[serde(default, skip_serializing_if = "is_false")]
    pub u: bool,
    /// What the task read since its previous record without `u`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub r: Vec<ReadCredit>,
    /// The events that the task learned of (`until`, `join`, …) since its previous record without
    /// `u`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub l: Vec<EventId>,
    /// What the task read, too, and what does not order the record: it ended while another
    /// operation was pending, or the record has a `u`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ru: Vec<ReadCredit>,
    /// The events that it learned of in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lu: Vec<EventId>,
    /// What happened.
    pub e: What,
}

/// How far a task has read a connection: `[socket, certain, all]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u64, u64, u64)", from = "(u64, u64, u64)")]
pub struct ReadCredit {
    /// The socket, as numbered by this reporter.
    pub s: u64,
    /// So many bytes, from the connection's first, count as read: of the latest read only its
    /// first byte, all of those before. Having read EOF counts as one byte more than was sent.
    pub certain: u64,
    /// So many were read; one less than `certain` when the latest read found the end. Otherwise
    /// used for display order only.
    pub all: u64,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl From<Moved> for (u64, u64, u64) {
    fn from(moved: Moved) -> Self {
        (moved.s, moved.sent, moved.received)
    }
}

impl From<(u64, u64, u64)> for Moved {
    fn from((s, sent, received): (u64, u64, u64)) -> Self {
        Moved { s, sent, received }
    }
}

impl From<ReadCredit> for (u64, u64, u64) {
    fn from(credit: ReadCredit) -> Self {
        (credit.s, credit.certain, credit.all)
    }
}

impl From<(u64, u64, u64)> for ReadCredit {
    fn from((s, certain, all): (u64, u64, u64)) -> Self {
        ReadCredit { s, certain, all }
    }
}
