//! The names of things in a trace: events, tasks, operations, and how far a socket was read.
//!
//! Owns the numbers and how those stand on the wire. Knows nothing of what they name.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

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

/// A task of this process: a tokio task, or, outside of one, the thread, which is where the root
/// future of a runtime runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(u64);

impl TaskKey {
    /// The task that is running now.
    pub fn current() -> TaskKey {
        let mut hasher = DefaultHasher::new();
        match tokio::task::try_id() {
            Some(id) => (0u8, id).hash(&mut hasher),
            None => (1u8, std::thread::current().id()).hash(&mut hasher),
        }
        // JSON readers of other languages keep 53 bits.
        TaskKey(hasher.finish() >> 11)
    }

    /// A task that does nothing but what becomes of one fault.
    pub fn of_fault(fault: u32) -> TaskKey {
        let mut hasher = DefaultHasher::new();
        (2u8, fault).hash(&mut hasher);
        TaskKey(hasher.finish() >> 11)
    }

    /// The number by which records name the task.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// An operation that may pend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(u64);

impl OpId {
    /// One that no other operation of this process has.
    pub(crate) fn fresh() -> OpId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        OpId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// How far a task has read a connection: `[socket, certain, all]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u64, u64, u64)", from = "(u64, u64, u64)")]
pub struct ReadCredit {
    /// The socket, as numbered by this reporter.
    pub socket: u64,
    /// So many bytes, from the connection's first, count as read: of the latest read only its
    /// first byte, all of those before. Having read EOF counts as one byte more than was sent.
    pub certain: u64,
    /// So many were read; one less than `certain` when the latest read found the end. Otherwise
    /// used for display order only.
    pub all: u64,
}

impl From<ReadCredit> for (u64, u64, u64) {
    fn from(credit: ReadCredit) -> Self {
        (credit.socket, credit.certain, credit.all)
    }
}

impl From<(u64, u64, u64)> for ReadCredit {
    fn from((s, certain, all): (u64, u64, u64)) -> Self {
        ReadCredit {
            socket: s,
            certain,
            all,
        }
    }
}
