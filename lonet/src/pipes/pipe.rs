//! A connection in memory: two bounded queues of bytes, with readiness as a socket has it.
//!
//! Owns bytes, EOF, broken pipes and wakers. Knows no addresses.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{Interest, ReadBuf, Ready};
use tokio::task::coop;

/// So many bytes may be under way in one direction.
const CAPACITY: usize = 64 * 1024;

/// One end of a connection. Dropping it closes it.
pub(crate) struct PipeEnd {
    incoming: Arc<Queue>,
    outgoing: Arc<Queue>,
}

/// Two ends, connected.
pub(crate) fn pair() -> (PipeEnd, PipeEnd) {
    let (there, back) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
    let far = PipeEnd {
        incoming: there.clone(),
        outgoing: back.clone(),
    };
    let near = PipeEnd {
        incoming: back,
        outgoing: there,
    };
    (near, far)
}

/// One direction.
#[derive(Default)]
struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// The writing end will write no more.
    ended: bool,
    /// The reading end will read no more.
    broken: bool,
    /// The writing end has reset the connection, and the reading end has not learned of it yet.
    reset: bool,
    wakers: Vec<(Waiter, Waker)>,
}

/// The waiting tasks: the polls of a direction share a place, each `ready` has its own.
#[derive(Clone, Copy, PartialEq)]
enum Waiter {
    PollRead,
    PollWrite,
    Ready(u64),
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the tasks that may wait for that.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        for (_, waker) in wakers {
            waker.wake();
        }
        result
    }
}

impl State {
    fn wait(&mut self, waiter: Waiter, cx: &Context<'_>) {
        match self.wakers.iter_mut().find(|(other, _)| *other == waiter) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => self.wakers.push((waiter, cx.waker().clone())),
        }
    }

    fn readable(&self) -> bool {
        !self.bytes.is_empty() || self.ended || self.broken
    }

    fn there(&self) -> (u64, bool) {
        (self.bytes.len() as u64, self.ended || self.broken)
    }

    /// Tells of a reset, once.
    fn take_reset(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.reset) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }

    fn writable(&self) -> bool {
        self.bytes.len() < CAPACITY || self.ended || self.broken
    }
}

impl PipeEnd {
    /// Ends both directions, for both ends. What was written before can still be read there.
    pub(crate) fn close(&self) {
        self.shutdown_write();
        self.incoming.change(|state| {
            state.broken = true;
            state.bytes.clear();
        });
    }

    /// The same, and the other end learns of it by an error, once, as a socket has it: a read that has
    /// read all, or a write.
    pub(crate) fn reset(&self) {
        self.outgoing
            .change(|state| state.reset = !state.broken && !state.ended);
        self.close();
    }

    /// Ends the direction away from here.
    pub(crate) fn shutdown_write(&self) {
        self.outgoing.change(|state| state.ended = true);
    }

    /// How many bytes can be read, and whether the end comes after them.
    pub(crate) fn there(&self) -> (u64, bool) {
        self.incoming.lock().there()
    }

    /// Polls until what lies there is news.
    pub(crate) fn poll_more(
        &self,
        cx: &mut Context<'_>,
        is_news: impl Fn((u64, bool)) -> bool,
    ) -> Poll<()> {
        let mut state = self.incoming.lock();
        if is_news(state.there()) {
            return Poll::Ready(());
        }
        state.wait(Waiter::PollRead, cx);
        Poll::Pending
    }

    pub(crate) fn try_read(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if !self.incoming.lock().readable() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.incoming.change(|state| {
            if state.bytes.is_empty() {
                state.take_reset()?;
            }
            state.bytes.read_vectored_all(bufs)
        })
    }

    pub(crate) fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.incoming.lock();
        if !state.readable() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if state.bytes.is_empty() {
            state.take_reset()?;
        }
        let (mut first, mut second) = state.bytes.as_slices();
        let bytes = first.read(buf)?;
        Ok(bytes + second.read(&mut buf[bytes..])?)
    }

    pub(crate) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let state = self.outgoing.lock();
        if state.ended || state.broken {
            drop(state);
            self.incoming.lock().take_reset()?;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let asked: usize = bufs.iter().map(|buf| buf.len()).sum();
        if asked == 0 {
            return Ok(0);
        }
        if !state.writable() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        drop(state);
        self.outgoing.change(|state| {
            let before = state.bytes.len();
            for buf in bufs {
                let room = CAPACITY.saturating_sub(state.bytes.len());
                state.bytes.extend(&buf[..buf.len().min(room)]);
            }
            Ok(state.bytes.len() - before)
        })
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let coop = ready!(coop::poll_proceed(cx));
        ready!(self.poll_incoming(cx, Waiter::PollRead));
        coop.made_progress();
        let read = self.try_read(&mut [IoSliceMut::new(buf.initialize_unfilled())]);
        Poll::Ready(read.map(|bytes| buf.advance(bytes)))
    }

    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let coop = ready!(coop::poll_proceed(cx));
        ready!(self.poll_outgoing(cx, Waiter::PollWrite));
        coop.made_progress();
        Poll::Ready(self.try_write(bufs))
    }

    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<()> {
        if interest.is_readable() {
            self.poll_incoming(cx, Waiter::PollRead)
        } else {
            self.poll_outgoing(cx, Waiter::PollWrite)
        }
    }

    fn poll_incoming(&self, cx: &Context<'_>, waiter: Waiter) -> Poll<()> {
        let mut state = self.incoming.lock();
        if state.readable() {
            return Poll::Ready(());
        }
        state.wait(waiter, cx);
        Poll::Pending
    }

    fn poll_outgoing(&self, cx: &Context<'_>, waiter: Waiter) -> Poll<()> {
        let mut state = self.outgoing.lock();
        if state.writable() {
            return Poll::Ready(());
        }
        state.wait(waiter, cx);
        Poll::Pending
    }

    /// Waits for any of these states.
    pub(crate) async fn ready(&self, interest: Interest) -> Ready {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let turn = Turn {
            end: self,
            waiter: Waiter::Ready(NEXT.fetch_add(1, Ordering::Relaxed)),
        };
        std::future::poll_fn(|cx| {
            let readable = interest.is_readable() && self.poll_incoming(cx, turn.waiter).is_ready();
            let writable = interest.is_writable() && self.poll_outgoing(cx, turn.waiter).is_ready();
            if readable || writable {
                Poll::Ready(self.state(readable, writable))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    fn state(&self, readable: bool, writable: bool) -> Ready {
        let mut ready = Ready::EMPTY;
        if readable {
            let state = self.incoming.lock();
            ready |= Ready::READABLE;
            if state.ended || state.broken {
                ready |= Ready::READ_CLOSED;
            }
        }
        if writable {
            let state = self.outgoing.lock();
            ready |= Ready::WRITABLE;
            if state.ended || state.broken {
                ready |= Ready::WRITE_CLOSED;
            }
        }
        ready
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.close();
    }
}

/// A `ready` that waits. Dropped, it takes its wakers with it.
struct Turn<'a> {
    end: &'a PipeEnd,
    waiter: Waiter,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        for queue in [&self.end.incoming, &self.end.outgoing] {
            queue
                .lock()
                .wakers
                .retain(|(waiter, _)| *waiter != self.waiter);
        }
    }
}

/// Reads into several buffers as far as the bytes go; `VecDeque` by itself stops where it wraps.
trait ReadAll {
    fn read_vectored_all(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize>;
}

impl ReadAll for VecDeque<u8> {
    fn read_vectored_all(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut all = 0;
        for buf in bufs {
            let mut rest = &mut buf[..];
            while !rest.is_empty() && !self.is_empty() {
                let bytes = self.read(rest)?;
                all += bytes;
                rest = &mut rest[bytes..];
            }
        }
        Ok(all)
    }
}
