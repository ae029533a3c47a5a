//! The reporter: numbers what happens and hands it to a sink.
//!
//! Owns the numbers of one process on one network, and what each open socket has said so far.
//! Knows no network: callers number a record under the lock that changes the port, and write it
//! once that lock is released, which is what [`Numbered`] is for.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::event::EventId;
use super::record::{Pending, Record, What};
use super::task::{OpId, TaskKey, Tasks, Waits};
use crate::addr::Addr;

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
    /// Whether connections that open from now on record what they send and receive.
    data: AtomicBool,
}

struct State {
    last: u64,
    sockets: u64,
    tasks: Tasks,
}

/// A record that has its number and still has to be written.
#[must_use = "a numbered record must be written once the lock is released"]
pub struct Numbered {
    record: Record,
    sink: Arc<dyn Sink>,
}

impl Numbered {
    /// Hands the record to the sink. Call it with no lock held.
    pub fn write(self) {
        self.sink.record(self.record);
    }

    /// The record's number.
    pub fn n(&self) -> u64 {
        self.record.n
    }
}

impl Reporter {
    /// A reporter that writes to this sink, from number 1.
    pub fn new(sink: Arc<dyn Sink>) -> Arc<Reporter> {
        let state = State {
            last: 0,
            sockets: 0,
            tasks: Tasks::default(),
        };
        Arc::new(Reporter {
            sink,
            state: Mutex::new(state),
            data: AtomicBool::new(false),
        })
    }

    /// Records `send` and `recv`, too, of connections that open from now on.
    pub fn record_data(&self) {
        self.data.store(true, Ordering::Relaxed);
    }

    /// Numbers what a task did, or, without a task, what lonet itself did. Call it under the lock
    /// under which the thing becomes true; write the result after.
    pub fn number(&self, task: Option<TaskKey>, what: What) -> Numbered {
        let mut state = self.lock();
        state.last += 1;
        let n = state.last;
        let (k, u, r, l) = match task {
            Some(task) => {
                let news = !matches!(
                    what,
                    What::Note { .. } | What::Opaque { .. } | What::Here {}
                );
                let said = state.tasks.record(task, news);
                (
                    Some(task.number()),
                    said.unordered,
                    said.reads,
                    said.learned,
                )
            }
            None => (None, false, Vec::new(), Vec::new()),
        };
        drop(state);
        let record = Record {
            n,
            t: now(),
            k,
            u,
            r,
            l,
            e: what,
        };
        Numbered {
            record,
            sink: self.sink.clone(),
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

    /// A new operation that may pend.
    pub fn operation(self: &Arc<Self>) -> Operation {
        Operation {
            reporter: self.clone(),
            id: OpId::fresh(),
            waits: Waits::Other,
        }
    }

    /// What operations of this process wait for now, and since when (CLOCK_MONOTONIC in
    /// nanoseconds), the longest first.
    pub fn waits(&self) -> Vec<Pending> {
        self.lock().tasks.waits()
    }

    /// An end of a connection, here and there, that is now open.
    pub fn tap(self: &Arc<Self>, s: u64, local: &Addr, peer: &Addr) -> Tap {
        let data = self.data.load(Ordering::Relaxed).then(|| Data {
            local: local.clone(),
            peer: peer.clone(),
            told: Mutex::new(None),
        });
        Tap {
            reporter: self.clone(),
            s,
            data,
            written: AtomicU64::new(0),
            read: Mutex::new(ReadState::default()),
            noted: Mutex::new(None),
            reading: OpId::fresh(),
            writing: OpId::fresh(),
            opaque: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operation that may pend (a dial, an accept, an `until`): while two of one task do so at
/// once, the task stops ordering its events. Dropping it ends it.
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
        std::future::poll_fn(|cx| {
            let task = TaskKey::current();
            let outer = self.reporter.lock().tasks.polling(task, Some(self.id));
            let poll = future.as_mut().poll(cx);
            self.reporter.lock().tasks.polling(task, outer);
            if poll.is_pending() {
                self.pending();
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

/// The direction of an operation on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards this end.
    Read,
    /// Away from this end.
    Write,
}

/// What a traced connection end says of its bytes.
pub struct Tap {
    reporter: Arc<Reporter>,
    s: u64,
    written: AtomicU64,
    read: Mutex<ReadState>,
    /// The task that last noted a write, and how much it knew then.
    noted: Mutex<Option<(TaskKey, u64)>>,
    reading: OpId,
    writing: OpId,
    opaque: AtomicBool,
    /// Present when sent and received data is recorded.
    data: Option<Data>,
}

struct Data {
    local: Addr,
    peer: Addr,
    /// From which byte how many were last said to be sent: those may still have to be written.
    told: Mutex<Option<(u64, u64)>>,
}

#[derive(Default)]
struct ReadState {
    all: u64,
    /// The task that made the latest read, if more came of it than its first byte: the rest
    /// counts once that task comes back.
    unsettled: Option<TaskKey>,
}

impl Tap {
    /// The socket's number in its reporter.
    pub fn socket(&self) -> u64 {
        self.s
    }

    /// How many bytes this end has written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Call before each attempt to write so many bytes: says, when the writing task has learned
    /// something since it last said so here, that the bytes from here on come after it.
    pub fn before_write(&self, bytes: usize) {
        if self.opaque.load(Ordering::Relaxed) {
            return;
        }
        let task = TaskKey::current();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(send) = self.send(bytes) {
            // It says all that a note does.
            let send = self.reporter.number(Some(task), send);
            *noted = Some((task, self.reporter.lock().tasks.knowledge(task)));
            drop(noted);
            return send.write();
        }
        let known = self.reporter.lock().tasks.knowledge(task);
        if *noted == Some((task, known)) {
            return;
        }
        *noted = Some((task, known));
        drop(noted);
        let note = What::Note {
            s: self.s,
            w: self.written(),
        };
        self.reporter.number(Some(task), note).write();
    }

    /// What to say of an attempt to send, if data is recorded: an attempt that wrote nothing and
    /// is repeated has been told.
    fn send(&self, bytes: usize) -> Option<What> {
        let data = self.data.as_ref().filter(|_| bytes > 0)?;
        let attempt = (self.written(), bytes as u64);
        let mut told = data.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.replace(attempt) == Some(attempt) {
            return None;
        }
        let (w, b) = attempt;
        Some(What::Send {
            a: data.local.clone(),
            p: data.peer.clone(),
            s: self.s,
            w,
            b,
        })
    }

    /// So many bytes were written.
    pub fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Call before each attempt to read: the task comes back for more, so it has had all it read.
    pub fn before_read(&self) {
        if self.opaque.load(Ordering::Relaxed) {
            return;
        }
        let task = TaskKey::current();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.unsettled != Some(task) {
            return;
        }
        read.unsettled = None;
        let all = read.all;
        drop(read);
        self.reporter.lock().tasks.read(task, self.s, all, all);
    }

    /// So many bytes were read, into a buffer that was not empty: none means EOF, or that the
    /// connection was reset.
    pub fn read(&self, bytes: usize) {
        if self.opaque.load(Ordering::Relaxed) {
            return;
        }
        let task = TaskKey::current();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let certain = read.all + 1;
        read.all += bytes as u64;
        // EOF counts as one byte, but is none: `certain` beyond `all` says that the end was read.
        let all = read.all;
        read.unsettled = (all > certain).then_some(task);
        drop(read);
        self.reporter.lock().tasks.read(task, self.s, certain, all);
        if let Some(data) = self.data.as_ref().filter(|_| bytes > 0) {
            let recv = What::Recv {
                a: data.local.clone(),
                p: data.peer.clone(),
                s: self.s,
                b: bytes as u64,
            };
            self.reporter.number(Some(task), recv).write();
        }
    }

    /// An attempt in this direction is pending for the calling task.
    pub fn pending(&self, direction: Direction) {
        let (operation, waits) = match direction {
            Direction::Read => (self.reading, Waits::Read(self.s)),
            Direction::Write => (self.writing, Waits::Write(self.s)),
        };
        self.reporter
            .lock()
            .tasks
            .pending(TaskKey::current(), operation, waits, now);
    }

    /// An attempt in this direction has ended.
    pub fn ready(&self, direction: Direction) {
        self.reporter.lock().tasks.done(self.operation(direction));
    }

    /// User code has taken the socket: from here on its bytes order nothing.
    pub fn opaque(&self) {
        if !self.opaque.swap(true, Ordering::Relaxed) {
            self.reporter
                .number(Some(TaskKey::current()), What::Opaque { s: self.s })
                .write();
        }
    }

    fn operation(&self, direction: Direction) -> OpId {
        match direction {
            Direction::Read => self.reading,
            Direction::Write => self.writing,
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut state = self.reporter.lock();
        state.tasks.done(self.reading);
        state.tasks.done(self.writing);
    }
}

/// CLOCK_MONOTONIC, in nanoseconds.
fn now() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| {
        t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64
    })
}
