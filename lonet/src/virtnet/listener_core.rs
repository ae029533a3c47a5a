//! The queue of those who dialed a listener, and those who wait to accept.
//!
//! Owns who gets which dialer. What users hold of a listener, and accepting, is in `listener`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use super::io::Knock;
use crate::addr::Addr;
use crate::error::Cause;
use crate::lock::{Mutex, MutexGuard};
use crate::trace::{EventId, Gated, Held, Obeyed, Standing, Users};

/// What a host's port table has of a listener.
pub(crate) struct ListenerCore {
    socket: u64,
    /// Whether only its own host may dial it.
    only_own: AtomicBool,
    state: Mutex<ListenerState>,
}

pub(super) struct ListenerState {
    closed: Option<Cause>,
    queue: VecDeque<Queued>,
    /// At this length, the queue is cleared of those who hung up, which would else stay until
    /// somebody accepts.
    sweep_at: usize,
    /// The calls that wait to accept, in order; 0 is `poll_accept`.
    waiting: BTreeMap<u64, Waker>,
    /// The task that waits for a dialer to announce.
    dialed: Option<Waker>,
    pub(super) tickets: u64,
    /// Which tasks have accepted here.
    pub(super) users: Users,
}

/// A dialer in the queue.
pub(super) struct Queued {
    pub(super) knock: Knock,
    /// The faults that have withheld it, each with its event.
    pub(super) held: Vec<(u32, Option<EventId>)>,
    /// The acceptance to which it has come, while the test holds that.
    pub(super) comes: Option<Held>,
    /// Whether it was said that it could be accepted, and no accept has found otherwise since.
    announced: bool,
}

/// The queue's length from which on it is swept.
const SWEEP_FROM: usize = 64;

impl ListenerCore {
    pub(super) fn new(socket: u64, only_own: bool) -> ListenerCore {
        let state = ListenerState {
            closed: None,
            queue: VecDeque::new(),
            sweep_at: SWEEP_FROM,
            waiting: BTreeMap::new(),
            dialed: None,
            tickets: 0,
            users: Users::default(),
        };
        ListenerCore {
            socket,
            only_own: AtomicBool::new(only_own),
            state: Mutex::new(state),
        }
    }

    /// Its number in the trace.
    pub(super) fn socket(&self) -> u64 {
        self.socket
    }

    /// Whether it refuses dials of other hosts.
    pub(super) fn is_only_own(&self) -> bool {
        self.only_own.load(Ordering::Relaxed)
    }

    /// From now on other hosts may dial it, too.
    pub(super) fn open_to_all(&self) {
        self.only_own.store(false, Ordering::Relaxed);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ListenerState> {
        // Nothing under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a dialer, or gives it back if the listener is closed.
    pub(super) fn push(&self, knock: Knock) -> Result<(), Knock> {
        let mut state = self.lock();
        if state.closed.is_some() {
            return Err(knock);
        }
        if state.queue.len() >= state.sweep_at {
            // Whether one that is withheld has hung up, is not known yet.
            state
                .queue
                .retain(|queued| !queued.held.is_empty() || !queued.knock.gone());
            state.sweep_at = (state.queue.len() * 2).max(SWEEP_FROM);
        }
        state.queue.push_back(Queued {
            knock,
            held: Vec::new(),
            comes: None,
            announced: false,
        });
        // The task that polled `poll_accept` may have lost interest, so it is woken beside another.
        let polling = state.waiting.remove(&0);
        let first = state.waiting.pop_first().map(|(_, waker)| waker);
        let dialed = state.dialed.take();
        drop(state);
        for waker in polling.into_iter().chain(first).chain(dialed) {
            waker.wake();
        }
        Ok(())
    }

    /// The next dialer that `admits` lets in; without one, the waker is kept under that ticket, if
    /// there is one.
    pub(super) fn poll_pop(
        &self,
        waiting: Option<(&Context<'_>, u64)>,
        mut admits: impl FnMut(&mut Queued) -> bool,
    ) -> Poll<Result<Queued, Cause>> {
        let mut state = self.lock();
        if let Some(why) = &state.closed {
            return Poll::Ready(Err(why.clone()));
        }
        let first = state.queue.iter_mut().position(|queued| {
            let admitted = admits(queued);
            // The caller asked for it in vain, so it has to be announced again.
            queued.announced &= admitted;
            admitted
        });
        if let Some(queued) = first.and_then(|first| state.queue.remove(first)) {
            return Poll::Ready(Ok(queued));
        }
        let Some((cx, ticket)) = waiting else {
            return Poll::Pending;
        };
        match state.waiting.get_mut(&ticket) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                state.waiting.insert(ticket, cx.waker().clone());
            }
        }
        Poll::Pending
    }

    /// Whether there is a dialer that `admits` lets in and that was not announced: it is, now. Without
    /// one, the waker is kept.
    pub(super) fn poll_announce(
        &self,
        cx: &Context<'_>,
        mut admits: impl FnMut(&mut Queued) -> bool,
    ) -> Poll<Result<Addr, Cause>> {
        let mut state = self.lock();
        if let Some(why) = &state.closed {
            return Poll::Ready(Err(why.clone()));
        }
        let is_new = |queued: &mut Queued| !queued.announced && admits(queued);
        if let Some(first) = state.queue.iter_mut().position(is_new) {
            let queued = &mut state.queue[first];
            queued.announced = true;
            return Poll::Ready(Ok(queued.knock.src().clone()));
        }
        state.dialed = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Somebody waits no more. If it had been woken for a dialer, another is.
    pub(super) fn give_up(&self, ticket: u64) {
        let mut state = self.lock();
        if state.waiting.remove(&ticket).is_some() || state.queue.is_empty() {
            return;
        }
        let next = state.waiting.pop_first();
        drop(state);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }

    /// The calls that wait to accept look again.
    pub(super) fn wake_all(&self) {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        let dialed = state.dialed.take();
        drop(state);
        for waker in waiting.into_values().chain(dialed) {
            waker.wake();
        }
    }

    /// Wakes the calls that wait to accept. The dialers in the queue are to be refused.
    pub(super) fn close(&self, why: Cause) -> Vec<Knock> {
        let mut state = self.lock();
        if state.closed.is_some() {
            return Vec::new();
        }
        state.closed = Some(why);
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        self.wake_all();
        queue.into_iter().map(|queued| queued.knock).collect()
    }
}

impl Gated for ListenerCore {
    fn ordered(&self, _: &Standing, _: &mut Obeyed) {}

    fn wake(&self) {
        self.wake_all();
    }
}

/// Refuses dialers whose listener is closed.
pub(super) fn refuse(knocks: Vec<Knock>) {
    for knock in knocks {
        knock.refuse(&Cause::ConnectionRefused);
    }
}
