//! One line of the trace socket: the JSON that reporters write and the collector reads, and the
//! orders that go the other way.
//!
//! Owns the format, which `docs/trace-protocol.md` describes for other languages, and nothing
//! else: the reporter decides when a record is written, causality what follows from it.
//! What can happen stands in `verbs`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::ids::{EventId, ReadCredit};
use super::orders::{Coming, Obeyed, Standing};
use super::task::Pending;
use super::verbs::{What, is_false};

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
    /// What [`Order::Waits`] asked for.
    Waits(Waiting),
    /// [`Order::Network`] is in force.
    Obeyed(Obeyed),
    /// A fault has acted here for the first time: it withheld, refused or cut short something.
    Acted(u32),
    /// An operation is held before its event; again, if more holds hold it.
    Comes(Coming),
    /// A held operation of that number goes on, or was given up.
    Goes(u64),
}

/// The reporter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u32,
    /// A number that no other reporter has, to tell a process from one that had its pid before.
    pub nonce: u64,
    /// The host that the process was started to play (`LONET_HOST`), if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether it obeys [`Order::Waits`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub waits: bool,
    /// Whether it obeys [`Order::Network`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub gates: bool,
    /// The number of the process in the scenario that this reporter is for, if its own process carries
    /// others: such a process has a reporter for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carries: Option<u64>,
}

/// A line that a reporter reads: all that goes down to a process about the network goes this way.
/// A reporter ignores an order that it does not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Order {
    /// Say what the process's operations wait for. The number names the question, and the answer
    /// carries it back. Only for a reporter whose `hello` says that it obeys.
    Waits(u64),
    /// What the network is to do from now on. Only for a reporter whose `hello` says that it
    /// obeys; the first one answers that `hello`.
    Network(Arc<Standing>),
    /// The answer to an [`Ask`].
    #[serde(untagged)]
    Answer(Answer),
}

/// The answer to [`Order::Waits`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The number of the order.
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
    /// What a fault withholds from those operations, and which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<(Withheld, u32)>,
}

/// What a fault may withhold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Withheld {
    /// What arrives at the connection end of that number.
    End(u64),
    /// The dial whose record has that number.
    Dial(u64),
}

/// How many bytes an end of a connection has sent and received: `[socket, sent, received]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u64, u64, u64)", from = "(u64, u64, u64)")]
pub struct Moved {
    /// The socket, as numbered by this reporter.
    pub socket: u64,
    /// So many were handed to the connection.
    pub sent: u64,
    /// So many were read from it.
    pub received: u64,
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

/// Something that happened in one process, with what its task had learned before. On the wire its
/// fields are the letters that `docs/trace-protocol.md` explains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The record's number in its reporter: from 1, growing, gaps allowed. Lines may come out of
    /// this order; the numbers tell.
    pub n: u64,
    /// CLOCK_MONOTONIC in nanoseconds, taken under the lock that gives the number. For display and
    /// for the order in which a trace is written; it rejects nothing.
    pub t: u64,
    /// The task that did it; absent for what lonet itself did (a host's close, a role's end).
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// Another operation of the task was pending: the record has no place in the task's order.
    #[serde(rename = "u", default, skip_serializing_if = "is_false")]
    pub unordered: bool,
    /// What the task read since its previous record that has a place in its order.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ReadCredit>,
    /// The events that the task learned of (`until`, `join`, …) since its previous record without
    /// `u`.
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<EventId>,
    /// What the task read, too, and what does not order the record: it ended while another
    /// operation was pending, or the record itself has no place.
    #[serde(rename = "ru", default, skip_serializing_if = "Vec::is_empty")]
    pub reads_beside: Vec<ReadCredit>,
    /// The events that it learned of in the same way.
    #[serde(rename = "lu", default, skip_serializing_if = "Vec::is_empty")]
    pub learned_beside: Vec<EventId>,
    /// The faults that this event has set off.
    #[serde(rename = "f", default, skip_serializing_if = "Vec::is_empty")]
    pub fires: Vec<u32>,
    /// With `u`: the connection ends on which reads of the task were pending then. For messages.
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub reads_pending: Vec<u64>,
    /// What happened.
    #[serde(rename = "e")]
    pub what: What,
}

impl From<Moved> for (u64, u64, u64) {
    fn from(moved: Moved) -> Self {
        (moved.socket, moved.sent, moved.received)
    }
}

impl From<(u64, u64, u64)> for Moved {
    fn from((socket, sent, received): (u64, u64, u64)) -> Self {
        Moved {
            socket,
            sent,
            received,
        }
    }
}
