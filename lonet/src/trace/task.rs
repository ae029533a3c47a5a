//! Which task acts, what it has learned since it last reported, and which of that orders its events.
//!
//! While a task has two operations pending, which of them ends first is chance. So what it records
//! or learns *beside* a pending operation has no place in its order, and only that: what it does
//! while nothing else is pending stays in order. An example, of `join!(a.read(), b.read())`, each
//! followed by a mark: the first read to end ends beside the other one, so neither it nor its mark
//! orders anything; the last one ends alone, and what follows comes after it.
//!
//! Pure bookkeeping under the reporter's lock; writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ids::{EventId, OpId, ReadCredit, TaskKey};

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

/// An operation that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Since when, CLOCK_MONOTONIC in nanoseconds.
    pub t: u64,
    /// What it waits for.
    pub on: Waits,
}

/// All tasks of a reporter.
#[derive(Default)]
pub(crate) struct Tasks {
    states: BTreeMap<TaskKey, TaskState>,
    /// Which task each pending operation belongs to, what it waits for, and since when.
    pending: BTreeMap<OpId, (TaskKey, Waits, u64)>,
}

#[derive(Default)]
struct TaskState {
    /// Grows with each thing the task learns: an event of its own, a read, an `until`.
    knowledge: u64,
    /// What it has learned since the last record that has a place in its order.
    alone: Learned,
    /// What it has learned beside another operation since its last record.
    beside: Learned,
    pending: BTreeSet<OpId>,
    /// The operations that are being polled, the innermost last.
    polled: Vec<OpId>,
}

#[derive(Clone, Default)]
struct Learned {
    reads: BTreeMap<u64, ReadCredit>,
    events: Vec<EventId>,
}

impl TaskState {
    /// Whether an operation is pending that is none of those that act now.
    fn is_beside(&self, own: Option<OpId>) -> bool {
        self.beside(own).next().is_some()
    }

    /// The operations that are pending and are none of those that act now.
    fn beside(&self, own: Option<OpId>) -> impl Iterator<Item = OpId> {
        let acts = move |op: &OpId| Some(*op) == own || self.polled.contains(op);
        self.pending.iter().copied().filter(move |op| !acts(op))
    }

    fn learned(&mut self, own: Option<OpId>) -> &mut Learned {
        self.knowledge += 1;
        match self.is_beside(own) {
            true => &mut self.beside,
            false => &mut self.alone,
        }
    }
}

/// What a record says of the task that made it.
pub(crate) struct Said {
    pub(crate) unordered: bool,
    /// What orders the record.
    pub(crate) reads: Vec<ReadCredit>,
    pub(crate) learned: Vec<EventId>,
    /// What the task has learned, too, and what orders nothing by task.
    pub(crate) reads_beside: Vec<ReadCredit>,
    pub(crate) learned_beside: Vec<EventId>,
    /// The connection ends whose reads were pending and cost the record its place.
    pub(crate) reads_pending: Vec<u64>,
}

/// What a record is to its task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An event: what the task writes from now on comes after it.
    News,
    /// The same; from there on the task does what has nothing to do with what it did for others.
    Accept,
    /// Nothing that others would have to come after.
    Note,
    /// A look at the trace, which sees all that the task has learned and orders nothing.
    Here,
}

impl Tasks {
    /// The task makes a record, as part of the operation `own` if it is of one, and which may have a
    /// place in its order or not.
    pub(crate) fn record(
        &mut self,
        task: TaskKey,
        own: Option<OpId>,
        has_place: bool,
        kind: Kind,
    ) -> Said {
        let state = self.states.entry(task).or_default();
        state.knowledge += u64::from(matches!(kind, Kind::News | Kind::Accept));
        let unordered = !has_place || state.is_beside(own);
        let beside_ops = state.beside(own).filter_map(|op| self.pending.get(&op));
        let reads_pending = beside_ops.filter_map(|&(_, waits, _)| match waits {
            Waits::Read(socket) => Some(socket),
            _ => None,
        });
        let reads_pending = reads_pending.collect();
        let mut beside = std::mem::take(&mut state.beside);
        let mut alone = Learned::default();
        if unordered || kind == Kind::Here {
            beside.reads.extend(state.alone.reads.iter());
            beside.events.extend(&state.alone.events);
            if kind == Kind::Accept {
                state.alone = Learned::default();
            }
        } else {
            alone = std::mem::take(&mut state.alone);
        }
        Said {
            unordered,
            reads: alone.reads.into_values().collect(),
            learned: alone.events,
            reads_beside: beside.reads.into_values().collect(),
            learned_beside: beside.events,
            reads_pending,
        }
    }

    /// How much the task has learned, and whether what it does now has no place in its order.
    pub(crate) fn knowledge(&self, task: TaskKey, own: OpId) -> (u64, bool) {
        self.states.get(&task).map_or((0, false), |state| {
            (state.knowledge, state.is_beside(Some(own)))
        })
    }

    pub(crate) fn learn(&mut self, task: TaskKey, event: EventId) {
        let state = self.states.entry(task).or_default();
        state.learned(None).events.push(event);
    }

    /// The task has read a socket up to `all`, of which `certain` count; by that operation.
    pub(crate) fn read(&mut self, task: TaskKey, own: OpId, read: ReadCredit) {
        let state = self.states.entry(task).or_default();
        state.learned(Some(own)).reads.insert(read.socket, read);
    }

    /// An operation of the task is pending.
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
        self.states.entry(task).or_default().pending.insert(op);
    }

    /// The task begins to poll this operation.
    pub(crate) fn polling(&mut self, task: TaskKey, op: OpId) {
        self.states.entry(task).or_default().polled.push(op);
    }

    /// The task has polled it.
    pub(crate) fn polled(&mut self, task: TaskKey, op: OpId) {
        if let Some(state) = self.states.get_mut(&task) {
            state.polled.retain(|polled| *polled != op);
        }
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
