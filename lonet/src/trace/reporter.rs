//! The reporter: numbers what happens and hands it to a sink.
//!
//! Owns the numbers of one process on one network, and what each open socket has said so far.
//! Knows no network: callers number a record under the lock that changes the port, and write it
//! once that lock is released, which is what [`Numbered`] is for.

mod tap;

use std::collections::BTreeMap;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::clock::now;
use super::ending::{Stop, end_here, park};
use super::event::Event;
use super::gate::Gate;
use super::ids::{EventId, OpId, TaskKey};
use super::orders::{EventShape, Obeyed, Standing, Then, Trigger};
use super::record::{Doing, Moved, Record};
use super::task::{Kind, Tasks, Waits};
use super::verbs::{InView, What};
use tap::Counts;
pub(crate) use tap::Users;
pub use tap::{Direction, Tap};

/// Where records go. All events pass through one sink.
pub trait Sink: Send + Sync + UnwindSafe + RefUnwindSafe + 'static {
    /// Takes a record. Called with no lock of the network held; records of concurrent operations
    /// may come out of the order of their numbers.
    fn record(&self, record: Record);
}

/// Numbers the records of one process on one network.
pub struct Reporter {
    sink: Arc<dyn Sink>,
    state: Mutex<State>,
    /// Whether connections record what they send and receive.
    data: AtomicBool,
    gate: Arc<Gate>,
    /// Whether it is for a process that this one carries. An event of that one never ends or stops this
    /// one: the test's process does that to the other.
    carries: bool,
}

struct State {
    /// The events that set a fault off, and how many of each there were.
    triggers: Vec<(Trigger, u64)>,
    /// The process ends: nothing more happens in it.
    ending: bool,
    /// The process stops, or has stopped: what happens next in it happens once it goes on.
    stop: Option<Arc<Stop>>,
    last: u64,
    sockets: u64,
    tasks: Tasks,
    /// The open ends of connections.
    ends: BTreeMap<u64, Arc<Counts>>,
}

/// A record that has its number and still has to be written.
#[must_use = "a numbered record must be written once the lock is released"]
pub struct Numbered {
    record: Record,
    sink: Arc<dyn Sink>,
    /// What the process does at this event.
    then: Option<Then>,
    stop: Option<Arc<Stop>>,
    is_told: bool,
}

impl Numbered {
    /// Hands the record to the sink. Call it with no lock held.
    pub fn write(self) {
        if let Some(stop) = &self.stop {
            stop.begins();
        }
        if self.is_told {
            self.sink.record(self.record);
        }
        match self.then {
            None | Some(Then::Tell) => {}
            Some(Then::Kill) => end_here(),
            // The thread that did it goes no further; the others can't do anything either.
            Some(Then::Vanish) => park(),
            Some(Then::Pause) => {
                if let Some(stop) = self.stop {
                    stop.here();
                }
            }
        }
    }

    /// The record's number.
    pub fn n(&self) -> u64 {
        self.record.n
    }

    /// The event that the record reports, if it reports one, in the process of that number.
    pub fn event(&self, process: u32) -> Option<Event> {
        Event::of_record(process, &self.record)
    }
}

impl Reporter {
    /// A reporter that writes to this sink, from number 1.
    pub fn new(sink: Arc<dyn Sink>) -> Arc<Reporter> {
        Reporter::behind(Gate::new(), sink)
    }

    /// The same, whose events set off faults at this gate.
    pub(crate) fn behind(gate: Arc<Gate>, sink: Arc<dyn Sink>) -> Arc<Reporter> {
        Reporter::of(gate, sink, false)
    }

    /// A reporter for a process that this one carries.
    pub(crate) fn carrying(sink: Arc<dyn Sink>) -> Arc<Reporter> {
        Reporter::of(Gate::new(), sink, true)
    }

    fn of(gate: Arc<Gate>, sink: Arc<dyn Sink>, carries: bool) -> Arc<Reporter> {
        let state = State {
            triggers: Vec::new(),
            ending: false,
            stop: None,
            last: 0,
            sockets: 0,
            tasks: Tasks::default(),
            ends: BTreeMap::new(),
        };
        Arc::new(Reporter {
            sink,
            state: Mutex::new(state),
            data: AtomicBool::new(false),
            gate,
            carries,
        })
    }

    /// The gate of this process.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Obeys these orders: the events that set faults off, and what the network is to do.
    pub fn obey(&self, orders: Arc<Standing>) -> Obeyed {
        let is_data = |shape: &EventShape| shape.verb.rules().view == InView::Data;
        let mut triggers = orders.triggers.iter();
        let mut holds = orders.holds.iter();
        if orders.data
            || triggers.any(|trigger| is_data(&trigger.event))
            || holds.any(|hold| hold.event.as_ref().is_none_or(is_data))
        {
            self.record_data();
        }
        {
            let mut state = self.lock();
            let before = std::mem::take(&mut state.triggers);
            let counted = orders.triggers.iter().map(|trigger| {
                let known = before.iter().find(|(old, _)| old.fault == trigger.fault);
                (trigger.clone(), known.map_or(0, |(_, count)| *count))
            });
            state.triggers = counted.collect();
        }
        self.gate.obey(orders)
    }

    /// Records `send` and `recv`, too, from now on.
    pub fn record_data(&self) {
        self.data.store(true, Ordering::Relaxed);
    }

    /// Numbers what a task did, or, without a task, what lonet itself did. Call it under the lock
    /// under which the thing becomes true; write the result after.
    pub fn number(&self, task: Option<TaskKey>, what: What) -> Numbered {
        self.number_in(task, None, true, what)
    }

    /// Numbers that the calling task has let go of something. That has a place in its order only
    /// where no other task could have been the last to do so.
    pub(crate) fn number_drop(&self, is_ours: bool, what: What) -> Numbered {
        self.number_in(Some(TaskKey::current()), None, is_ours, what)
    }

    /// Numbers what is part of an operation, if it is of one.
    fn number_in(
        &self,
        task: Option<TaskKey>,
        own: Option<OpId>,
        has_place: bool,
        what: What,
    ) -> Numbered {
        let kind = match what {
            What::Note { .. } | What::Opaque { .. } => Kind::Note,
            What::Here {} => Kind::Here,
            What::Accept { .. } => Kind::Accept,
            _ => Kind::News,
        };
        let mut state = self.lock();
        while let Some(stop) = state.stop.clone() {
            drop(state);
            stop.wait();
            state = self.lock();
            state.stop.take_if(|last| Arc::ptr_eq(last, &stop));
        }
        if state.ending {
            drop(state);
            park();
        }
        // What becomes of the host of a process that is dead is nothing that this has done.
        let is_told = !self.carries || !self.gate.is_dead();
        let (fires, then) = state.fires(&what, &self.gate, self.carries);
        let stop = (then == Some(Then::Pause)).then(|| Stop::at(&self.gate));
        state.stop.clone_from(&stop);
        state.last += 1;
        let said = task.map(|task| state.tasks.record(task, own, has_place, kind));
        let mut record = Record {
            n: state.last,
            // Under the lock, so that times grow as numbers do.
            t: now(),
            task: task.map(TaskKey::number),
            unordered: false,
            reads: Vec::new(),
            learned: Vec::new(),
            reads_beside: Vec::new(),
            learned_beside: Vec::new(),
            fires,
            reads_pending: Vec::new(),
            what,
        };
        drop(state);
        if let Some(said) = said {
            record.unordered = said.unordered;
            (record.reads, record.learned) = (said.reads, said.learned);
            (record.reads_beside, record.learned_beside) = (said.reads_beside, said.learned_beside);
            record.reads_pending = said.reads_pending;
        }
        Numbered {
            record,
            sink: self.sink.clone(),
            then,
            stop,
            is_told,
        }
    }

    /// A number for a new listener or connection end.
    pub fn socket(&self) -> u64 {
        let mut state = self.lock();
        state.sockets += 1;
        state.sockets
    }

    /// The calling task has learned of an event: it comes before all the task does from now on.
    pub fn learn(&self, event: EventId) {
        self.lock().tasks.learn(TaskKey::current(), event);
    }

    /// The same, of another task.
    pub fn learn_as(&self, task: TaskKey, event: EventId) {
        self.lock().tasks.learn(task, event);
    }

    /// A new operation that may pend.
    pub fn operation(self: &Arc<Self>) -> Operation {
        Operation {
            reporter: self.clone(),
            id: OpId::fresh(),
            waits: Waits::Other,
        }
    }

    /// What this process does now: what its operations wait for, since when (CLOCK_MONOTONIC in
    /// nanoseconds), and how many bytes its connections have carried.
    pub fn doing(&self) -> Doing {
        let held = self.gate.held();
        let state = self.lock();
        let ends = state.ends.iter().map(|(&socket, counts)| Moved {
            socket,
            sent: counts.written.load(Ordering::Relaxed),
            received: counts.read.load(Ordering::Relaxed),
        });
        Doing {
            ops: state.tasks.waits(),
            ends: ends.collect(),
            held,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The faults that an event sets off, and what the process does then. It is closed from here on.
    fn fires(&mut self, what: &What, gate: &Gate, carries: bool) -> (Vec<u32>, Option<Then>) {
        let mut fires = Vec::new();
        let mut then = None;
        if self.triggers.is_empty() {
            return (fires, then);
        }
        let Some(event) = what.parts() else {
            return (fires, then);
        };
        for (trigger, count) in &mut self.triggers {
            if !trigger.event.is(&event) {
                continue;
            }
            // An order that was given before the fault was set off may come after: it stays.
            *count += 1;
            if *count == trigger.nth {
                let does = if carries { Then::Tell } else { trigger.then };
                gate.fire(trigger.fault, does);
                if carries && matches!(trigger.then, Then::Kill | Then::Vanish) {
                    gate.die();
                }
                fires.push(trigger.fault);
                then = then.max(Some(does));
            }
        }
        self.ending |= matches!(then, Some(Then::Kill | Then::Vanish));
        (fires, then)
    }
}

/// An operation that may pend (a dial, an accept, an `until`): what its task does beside it
/// meanwhile has no place in the task's order. Dropping it ends it.
pub struct Operation {
    reporter: Arc<Reporter>,
    id: OpId,
    waits: Waits,
}

impl Operation {
    /// The same operation, which waits for that.
    #[must_use]
    pub fn waiting(mut self, what: Waits) -> Operation {
        self.waits = what;
        self
    }

    /// It was polled by the calling task and did not finish.
    pub fn pending(&self) {
        self.reporter
            .lock()
            .tasks
            .pending(TaskKey::current(), self.id, self.waits, now);
    }

    /// Polls a future, saying so when it pends, until it is done; then the operation has ended.
    pub async fn watch<F: Future>(self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        // Goes before the future does: what that says when it is given up is said beside nothing.
        let operation = self;
        std::future::poll_fn(|cx| {
            let task = TaskKey::current();
            operation.reporter.lock().tasks.polling(task, operation.id);
            let poll = future.as_mut().poll(cx);
            operation.reporter.lock().tasks.polled(task, operation.id);
            if poll.is_pending() {
                operation.pending();
            }
            poll
        })
        .await
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.reporter.lock().tasks.done(self.id);
    }
}
