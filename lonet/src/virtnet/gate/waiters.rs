//! The tasks that wait at one end of a connection.
//!
//! Owns their wakers. What is delayed wakes through here, too: the kernel and the clock keep one waker
//! each, and several tasks may wait for the same bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Wake, Waker};

use crate::lock::{Mutex, MutexGuard};

/// See the module.
#[derive(Default)]
pub(super) struct Waiters(Mutex<Wakers>);

#[derive(Default)]
struct Wakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Of calls of `ready`, each with its own.
    others: BTreeMap<u64, Waker>,
    calls: u64,
}

/// A kind of waiting task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiter {
    Reader,
    Writer,
    /// The call of `ready` with that number.
    Call(u64),
}

/// A call of `ready`. It waits no more once this is dropped.
pub(super) struct Call<'a> {
    waiters: &'a Waiters,
    pub(super) number: u64,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.waiters.lock().others.remove(&self.number);
    }
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Wakers> {
        // Nothing under this lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn call(&self) -> Call<'_> {
        let mut wakers = self.lock();
        wakers.calls += 1;
        Call {
            waiters: self,
            number: wakers.calls,
        }
    }

    /// It is woken by the next [`Waiters::wake_all`]; of several wakers, the newest.
    pub(super) fn wait(&self, waiter: Waiter, cx: &Context<'_>) {
        let mut wakers = self.lock();
        let slot = match waiter {
            Waiter::Reader => &mut wakers.reader,
            Waiter::Writer => &mut wakers.writer,
            Waiter::Call(number) => {
                let waker = wakers.others.entry(number);
                let waker = waker.or_insert_with(|| cx.waker().clone());
                return waker.clone_from(cx.waker());
            }
        };
        match slot {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *slot = Some(cx.waker().clone()),
        }
    }

    /// Whether anybody waits for what arrives.
    pub(super) fn any_reads(&self) -> bool {
        let wakers = self.lock();
        wakers.reader.is_some() || !wakers.others.is_empty()
    }

    pub(super) fn wake_all(&self) {
        let mut wakers = self.lock();
        let (reader, writer) = (wakers.reader.take(), wakers.writer.take());
        let others = std::mem::take(&mut wakers.others);
        drop(wakers);
        let all = others.into_values().chain(reader).chain(writer);
        all.for_each(Waker::wake);
    }

    /// How many calls of `ready` wait.
    #[cfg(test)]
    pub(super) fn calls(&self) -> usize {
        self.lock().others.len()
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}
