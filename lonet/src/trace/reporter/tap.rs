//! What a traced connection end says of its bytes.
//!
//! Owns how far an end has been read and written, and by which tasks. When bytes move is the
//! connection's to say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Reporter;
use crate::addr::Addr;
use crate::trace::clock::now;
use crate::trace::ids::{OpId, ReadCredit, TaskKey};
use crate::trace::task::Waits;
use crate::trace::verbs::What;

/// How many bytes an end has sent and received.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) written: AtomicU64,
    pub(super) read: AtomicU64,
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
    counts: Arc<Counts>,
    read: Mutex<ReadState>,
    /// The task that last noted a write, how much it knew then, and whether it did so beside
    /// another operation.
    noted: Mutex<Option<(TaskKey, (u64, bool))>>,
    users: Mutex<Users>,
    reading: OpId,
    writing: OpId,
    opaque: AtomicBool,
    data: Data,
}

/// What is recorded of sent and received data, where it is.
struct Data {
    local: Addr,
    peer: Addr,
    /// From which byte how many were last said to be sent: those may still have to be written.
    told: Mutex<Option<(u64, u64)>>,
}

/// Which tasks have read, written or shut down an end, or accepted at a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Users {
    #[default]
    None,
    One(TaskKey),
    Several,
}

impl Users {
    /// The calling task uses it.
    pub(crate) fn used_here(&mut self) {
        let here = TaskKey::current();
        *self = match *self {
            Users::None => Users::One(here),
            Users::One(user) if user == here => Users::One(here),
            _ => Users::Several,
        };
    }

    /// Whether a drop here has a place in the calling task's order. Of what several have shared, the
    /// last to let go of it drops it, as time has it.
    pub(crate) fn only_here(self) -> bool {
        self == Users::One(TaskKey::current())
    }
}

#[derive(Default)]
struct ReadState {
    all: u64,
    /// The task that made the latest read, if more came of it than its first byte: the rest
    /// counts once that task comes back.
    unsettled: Option<TaskKey>,
}

impl Reporter {
    /// An end of a connection, here and there, that is now open.
    pub fn tap(self: &Arc<Self>, s: u64, local: &Addr, peer: &Addr) -> Tap {
        let data = Data {
            local: local.clone(),
            peer: peer.clone(),
            told: Mutex::new(None),
        };
        let counts = Arc::<Counts>::default();
        self.lock().ends.insert(s, counts.clone());
        Tap {
            reporter: self.clone(),
            s,
            data,
            counts,
            read: Mutex::new(ReadState::default()),
            noted: Mutex::new(None),
            users: Mutex::new(Users::default()),
            reading: OpId::fresh(),
            writing: OpId::fresh(),
            opaque: AtomicBool::new(false),
        }
    }
}

impl Tap {
    /// The socket's number in its reporter.
    pub fn socket(&self) -> u64 {
        self.s
    }

    /// How many bytes this end has written.
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// Call before each attempt to write so many bytes: says, when the writing task has learned
    /// something since it last said so here, that the bytes from here on come after it.
    pub fn before_write(&self, bytes: usize) {
        if self.opaque.load(Ordering::Relaxed) {
            return;
        }
        let task = TaskKey::current();
        self.used_here();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |tap: &Tap| tap.reporter.lock().tasks.knowledge(task, tap.writing);
        if let Some(send) = self.send(bytes) {
            // It says all that a note does.
            let send = self
                .reporter
                .number_in(Some(task), Some(self.writing), true, send);
            *noted = Some((task, known(self)));
            drop(noted);
            return send.write();
        }
        let known = known(self);
        if *noted == Some((task, known)) {
            return;
        }
        *noted = Some((task, known));
        drop(noted);
        let note = What::Note {
            socket: self.s,
            written: self.written(),
        };
        self.reporter
            .number_in(Some(task), Some(self.writing), true, note)
            .write();
    }

    fn used_here(&self) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.used_here();
    }

    /// Whether the calling task alone has used the end.
    pub(crate) fn used_only_here(&self) -> bool {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.only_here()
    }

    /// What to say of an attempt to send, if data is recorded: an attempt that wrote nothing and
    /// is repeated has been reported.
    fn send(&self, bytes: usize) -> Option<What> {
        if bytes == 0 || !self.reporter.data.load(Ordering::Relaxed) {
            return None;
        }
        let data = &self.data;
        let attempt = (self.written(), bytes as u64);
        let mut told = data.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.replace(attempt) == Some(attempt) {
            return None;
        }
        let (w, b) = attempt;
        Some(What::Send {
            addr: data.local.clone(),
            peer: data.peer.clone(),
            socket: self.s,
            written: w,
            bytes: b,
        })
    }

    /// So many bytes were written.
    pub fn wrote(&self, bytes: usize) {
        let written = &self.counts.written;
        written.fetch_add(bytes as u64, Ordering::Relaxed);
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
        self.reporter
            .lock()
            .tasks
            .read(task, self.reading, self.credit(all, all));
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
        self.counts.read.store(read.all, Ordering::Relaxed);
        // EOF counts as one byte, but is none: `certain` beyond `all` says that the end was read.
        let all = read.all;
        read.unsettled = (all > certain).then_some(task);
        drop(read);
        self.used_here();
        self.reporter
            .lock()
            .tasks
            .read(task, self.reading, self.credit(certain, all));
        if bytes > 0 && self.reporter.data.load(Ordering::Relaxed) {
            let data = &self.data;
            let recv = What::Recv {
                addr: data.local.clone(),
                peer: data.peer.clone(),
                socket: self.s,
                bytes: bytes as u64,
            };
            self.reporter
                .number_in(Some(task), Some(self.reading), true, recv)
                .write();
        }
    }

    fn credit(&self, certain: u64, all: u64) -> ReadCredit {
        let s = self.s;
        ReadCredit {
            socket: s,
            certain,
            all,
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

    /// The calling task shuts writing down.
    pub(crate) fn shuts_down(&self) {
        self.used_here();
        self.ready(Direction::Write);
    }

    /// The end is closed: nothing pends there any more, even if no task has polled it since.
    pub(crate) fn ended(&self) {
        let mut state = self.reporter.lock();
        state.ends.remove(&self.s);
        state.tasks.done(self.reading);
        state.tasks.done(self.writing);
    }

    /// User code has taken the socket: from here on its bytes order nothing.
    pub fn opaque(&self) {
        if !self.opaque.swap(true, Ordering::Relaxed) {
            // From here on they are not counted.
            self.reporter.lock().ends.remove(&self.s);
            self.reporter
                .number(Some(TaskKey::current()), What::Opaque { socket: self.s })
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
        self.ended();
    }
}
