//! Which task acts, what it has learned since it last reported, and whether it still orders
//! its events (TRACES 7.2, rule 1 and rule 4).
//!
//! Pure bookkeeping under the reporter's lock; writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::event::EventId;
use super::record::{Pending, ReadCredit};

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

/// What a pending operation waits for. Sockets are named by their numbers in the reporter, as in
/// its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Waits {
    /// A dialer, at this listener.
    Accept(u64),
    /// Bytes, or their end, on this connection end.
    Read(u64),
    /// Room for bytes on this connection end.
    Write(u64),
    /// An acceptor; the records say which dials have not ended.
    Dial,
    /// An event.
    Until,
    /// Something else.
    Other,
}

/// All tasks of a reporter.
#[derive(Default)]
pub(crate) struct Tasks {
    states: BTreeMap<TaskKey, TaskState>,
    /// Which task each pending operation belongs to, what it waits for, and since when.
    pending: BTreeMap<OpId, (TaskKey, Waits, u64)>,
    unordered: BTreeSet<TaskKey>,
}

#[derive(Default)]
struct TaskState {
    /// Grows with each thing the task learns: an event of its own, a read, an `until`.
    knowledge: u64,
    reads: BTreeMap<u64, ReadCredit>,
    learned: Vec<EventId>,
    pending: BTreeSet<OpId>,
    /// The operation that is being polled.
    polled: Option<OpId>,
}

/// What a record says of the task that made it.
pub(crate) struct Said {
    pub(crate) unordered: bool,
    pub(crate) reads: Vec<ReadCredit>,
    pub(crate) learned: Vec<EventId>,
}

impl Tasks {
    /// The task makes a record, which says what it learned since its last one. An event is news:
    /// what the task writes from now on comes after it.
    pub(crate) fn record(&mut self, task: TaskKey, news: bool) -> Said {
        let state = self.states.entry(task).or_default();
        state.knowledge += u64::from(news);
        // What happens while another operation is under way is a branch of its own. A read or write
        // that was given up is not known to be: those count only when both are seen to pend.
        let awaited = |op| {
            let waits = self.pending.get(op).map(|&(_, waits, _)| waits);
            !matches!(waits, None | Some(Waits::Read(_) | Waits::Write(_)))
        };
        if state
            .pending
            .iter()
            .any(|op| Some(*op) != state.polled && awaited(op))
        {
            self.unordered.insert(task);
        }
        Said {
            unordered: self.unordered.contains(&task),
            reads: std::mem::take(&mut state.reads).into_values().collect(),
            learned: std::mem::take(&mut state.learned),
        }
    }

    /// How much the task has learned.
    pub(crate) fn knowledge(&self, task: TaskKey) -> u64 {
        self.states.get(&task).map_or(0, |state| state.knowledge)
    }

    pub(crate) fn learn(&mut self, task: TaskKey, event: EventId) {
        let state = self.states.entry(task).or_default();
        state.knowledge += 1;
        state.learned.push(event);
    }

    /// The task has read a socket up to `all`, of which `certain` count.
    pub(crate) fn read(&mut self, task: TaskKey, s: u64, certain: u64, all: u64) {
        let state = self.states.entry(task).or_default();
        state.knowledge += 1;
        state.reads.insert(s, ReadCredit { s, certain, all });
    }

    /// An operation of the task is pending. Two at once, and the task orders no longer.
    pub(crate) fn pending(
        &mut self,
        task: TaskKey,
        op: OpId,
        waits: Waits,
        now: impl FnOnce() -> u64,
    ) {
        match self.pending.get_mut(&op) {
            Some((before, ..)) if *before == task => return,
            Some((before, ..)) => {
                let before = std::mem::replace(before, task);
                if let Some(state) = self.states.get_mut(&before) {
                    state.pending.remove(&op);
                }
            }
            None => {
                self.pending.insert(op, (task, waits, now()));
            }
        }
        let state = self.states.entry(task).or_default();
        state.pending.insert(op);
        if state.pending.len() > 1 {
            self.unordered.insert(task);
        }
    }

    /// The task begins to poll this operation, or, with the answer of that, ends to.
    pub(crate) fn polling(&mut self, task: TaskKey, op: Option<OpId>) -> Option<OpId> {
        let state = self.states.entry(task).or_default();
        std::mem::replace(&mut state.polled, op)
    }

    /// What is waited for, and since when, the longest first.
    pub(crate) fn waits(&self) -> Vec<Pending> {
        let mut waits: Vec<_> = self
            .pending
            .values()
            .map(|&(_, on, t)| Pending { t, on })
            .collect();
        waits.sort_by_key(|pending| pending.t);
        waits
    }

    /// The operation has ended, or was given up.
    pub(crate) fn done(&mut self, op: OpId) {
        if let Some((task, ..)) = self.pending.remove(&op)
            && let Some(state) = self.states.get_mut(&task)
        {
            state.pending.remove(&op);
        }
    }
}
