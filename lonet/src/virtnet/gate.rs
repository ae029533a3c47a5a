//! What an end of a connection and a dial ask before anything reaches user code, or leaves it.
//!
//! Owns that while orders change, and the wakers of what waits for them. Which orders there are is
//! `trace::Gate`'s to know; how many bytes may be read is decided in `arrivals`. Where nothing is
//! traced, there is no gate; where nothing is ordered, a read takes one uncontended lock,
//! so that an order is in force once it says so: no read is under way then that began before.

mod arrivals;
mod dials;
mod held;
mod ready;
#[cfg(test)]
mod tests;
mod waiters;

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::BufMut;
use tokio::io::ReadBuf;
use tokio::time::Sleep;

use super::io::{Io, There};
use crate::addr::Addr;
use crate::lock::{AtomicBool, Mutex, MutexGuard};
use crate::loopback::socket::Watch;
use crate::trace::{Does, EventId, Gate, Held, Obeyed, Rule, Standing};
use arrivals::{Admits, Arrivals, Random};
pub(super) use dials::{Admission, answer_may_come, dial_may_go};
use held::HeldArrivals;
use waiters::{Waiter, Waiters};

/// So much of a read into a growing buffer goes through a buffer of its own, where a fault limits it.
const MOST_AT_ONCE: usize = 64 << 10;

/// The gate of one end of a connection.
pub(super) struct EndGate {
    gate: Arc<Gate>,
    waiters: Arc<Waiters>,
    state: Mutex<EndState>,
    /// Whether a fault or a hold concerns this end, which may outlive its order.
    is_marked: AtomicBool,
}

#[derive(Default)]
struct EndState {
    arrivals: Arrivals,
    /// Wakes the waiting tasks when delayed bytes may be read.
    due: Option<Pin<Box<Sleep>>>,
    /// Wakes the writer when it may learn of a delayed end.
    write_due: Option<Pin<Box<Sleep>>>,
    /// Sees what arrives meanwhile.
    watch: Option<Watch>,
    slices: Option<Random>,
    /// A write that was withheld took the socket's only word of a reset: it is told after the heal.
    took_reset: bool,
    /// A write found the end of the other side, and may not say so: it would find it again.
    write_waits: bool,
    /// What the test holds of its arrivals.
    held: HeldArrivals,
    /// The write or the shutdown under way, once it has come to its event.
    leaves: Option<Held>,
}

impl EndState {
    /// Whether all that arrives may be read.
    fn is_free(&self) -> bool {
        self.arrivals.is_free() && self.held.is_free()
    }

    /// So many bytes were read.
    fn took(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.arrivals.took(bytes);
        self.held.took(bytes);
    }

    /// A fault has made this of a read: the user learns of it, and the other side sees the end, too.
    fn got(&mut self, io: &Io, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() {
            self.arrivals.say_reset();
        }
        io.shutdown();
        result
    }
}

/// The moment as tokio's timers know it, whose clock a test may have paused.
fn moment() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// At that moment the task is woken.
fn poll_due(due: &mut Option<Pin<Box<Sleep>>>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let due = due.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
    if due.deadline() != at.into() {
        due.as_mut().reset(at.into());
    }
    due.as_mut().poll(cx)
}

/// What a read may do now.
enum May {
    /// Read so many bytes.
    Read(u64),
    /// Get this.
    Get(io::Result<()>),
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

/// Whether an error tells that the other side is gone.
fn tells_of_the_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, TimedOut};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionReset | NotConnected | TimedOut
    )
}

impl EndGate {
    pub(super) fn new(gate: Arc<Gate>) -> EndGate {
        EndGate {
            gate,
            waiters: Arc::default(),
            state: Mutex::default(),
            is_marked: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, EndState> {
        // Nothing under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is nothing to ask.
    pub(super) fn is_free(&self) -> bool {
        !self.gate.is_busy() && !self.is_marked.load(Ordering::Acquire)
    }

    fn mark(&self, state: &EndState) {
        let is_marked = !state.is_free() || state.took_reset || state.leaves.is_some();
        self.is_marked.store(is_marked, Ordering::Release);
    }

    /// Tells what has acted. With no lock held.
    fn tell(&self, acted: Vec<u32>) {
        for fault in acted {
            self.gate.acted(fault);
        }
    }

    /// The events that what was read comes after. Asked before the read is recorded.
    pub(super) fn take_owed(&self) -> Vec<EventId> {
        match self.is_marked.load(Ordering::Acquire) {
            false => Vec::new(),
            true => {
                let mut state = self.lock();
                let owed = state.arrivals.take_owed();
                self.mark(&state);
                owed
            }
        }
    }

    /// What of what is there may be read.
    fn admits(&self, state: &mut EndState, there: There) -> Admits {
        let by_faults = match state.arrivals.is_free() {
            true => Admits::UpTo(u64::MAX),
            false => state.arrivals.admits(there, moment()),
        };
        match by_faults {
            by_faults if state.held.is_free() => by_faults,
            Admits::UpTo(_) => by_faults.and(state.held.admits(there, &self.gate)),
            // The end that a fault makes arrives though the socket knows of none.
            Admits::End | Admits::Reset => {
                let (bytes, ended) = (0, true);
                let there = There { bytes, ended };
                by_faults.and(state.held.admits(there, &self.gate))
            }
            // What has not arrived can't be held.
            by_faults => by_faults,
        }
    }

    /// Asks what a read may do. `Pending`: the waiter is woken when it may do something.
    fn poll_may(
        &self,
        state: &mut EndState,
        io: &Io,
        cx: &mut Context<'_>,
        waiter: Waiter,
    ) -> Poll<May> {
        // Several may wait for the same bytes, and each has to be woken.
        let all = Waker::from(self.waiters.clone());
        let all = &mut Context::from_waker(&all);
        loop {
            // Before it looks: what comes after that wakes.
            self.waiters.wait(waiter, cx);
            if self.gate.is_shut() {
                return Poll::Pending;
            }
            if state.is_free() {
                (state.due, state.watch) = (None, None);
                return Poll::Ready(May::Read(u64::MAX));
            }
            let there = io.there();
            match self.admits(state, there) {
                Admits::UpTo(most) => return Poll::Ready(May::Read(most)),
                Admits::End => return Poll::Ready(May::Get(Ok(()))),
                Admits::Reset => return Poll::Ready(May::Get(Err(reset()))),
                Admits::Withheld => return Poll::Pending,
                Admits::Nothing => ready!(io.poll_more(all, there, &mut state.watch)),
                Admits::Later(at) => {
                    let more = io.poll_more(all, there, &mut state.watch).is_ready();
                    if !more && poll_due(&mut state.due, at, all).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// The same, without waiting.
    fn may(&self, state: &mut EndState, io: &Io) -> io::Result<May> {
        if self.gate.is_shut() {
            return Err(would_block());
        }
        if state.is_free() {
            return Ok(May::Read(u64::MAX));
        }
        match self.admits(state, io.there()) {
            Admits::UpTo(most) => Ok(May::Read(most)),
            Admits::End => Ok(May::Get(Ok(()))),
            Admits::Reset => Ok(May::Get(Err(reset()))),
            Admits::Withheld | Admits::Nothing | Admits::Later(_) => Err(would_block()),
        }
    }

    pub(super) fn poll_read(
        &self,
        io: &Io,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if self.is_free() {
            let poll = io.poll_read(cx, buf);
            if poll.is_pending() {
                self.waiters.wait(Waiter::Reader, cx);
            }
            return poll;
        }
        let poll = self.poll_read_gated(&mut state, io, cx, buf);
        self.after(state);
        poll
    }

    fn poll_read_gated(
        &self,
        state: &mut EndState,
        io: &Io,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = match ready!(self.poll_may(state, io, cx, Waiter::Reader)) {
            May::Get(result) => return Poll::Ready(state.got(io, result)),
            May::Read(most) => within(most, buf.remaining()),
        };
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(io.poll_read(cx, &mut part))?;
        let bytes = part.filled().len();
        if bytes == 0 && most > 0 && std::mem::take(&mut state.took_reset) {
            return Poll::Ready(Err(reset()));
        }
        buf.advance(bytes);
        state.took(bytes);
        Poll::Ready(Ok(()))
    }

    /// Tells what the faults did meanwhile.
    fn after(&self, mut state: MutexGuard<'_, EndState>) {
        let acted = state.arrivals.take_acted();
        drop(state);
        self.tell(acted);
    }

    pub(super) fn try_read(&self, io: &Io, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut state = self.lock();
        if self.is_free() {
            return io.try_read(bufs);
        }
        let may = self.may(&mut state, io);
        let bytes = may.and_then(|may| match may {
            May::Get(result) => state.got(io, result).map(|()| 0),
            May::Read(most) => {
                let first = bufs.iter_mut().find(|buf| !buf.is_empty());
                let first = first.map_or(&mut [][..], |buf| &mut **buf);
                let most = within(most, first.len());
                match io.try_read(&mut [IoSliceMut::new(&mut first[..most])]) {
                    Ok(0) if most > 0 && std::mem::take(&mut state.took_reset) => Err(reset()),
                    read => read,
                }
            }
        });
        if let Ok(bytes) = bytes {
            state.took(bytes);
        }
        self.after(state);
        bytes
    }

    pub(super) fn try_read_buf(&self, io: &Io, buf: &mut impl BufMut) -> io::Result<usize> {
        {
            let _state = self.lock();
            if self.is_free() {
                return io.try_read_buf(buf);
            }
        }
        let mut part = vec![0; buf.chunk_mut().len().min(MOST_AT_ONCE)];
        let bytes = self.try_read(io, &mut [IoSliceMut::new(&mut part)])?;
        buf.put_slice(&part[..bytes]);
        Ok(bytes)
    }

    /// Looks at what a read would get, once [`EndGate::poll_ready`] has said that it gets something.
    pub(super) fn peek(&self, io: &Io, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        if self.is_free() {
            return io.peek(buf);
        }
        let may = self.may(&mut state, io);
        let bytes = may.and_then(|may| match may {
            May::Get(result) => state.got(io, result).map(|()| 0),
            May::Read(most) => {
                let most = within(most, buf.len());
                io.peek(&mut buf[..most])
            }
        });
        self.after(state);
        bytes
    }

    pub(super) fn poll_write(
        &self,
        io: &Io,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        (local, peer): (&Addr, &Addr),
    ) -> Poll<io::Result<usize>> {
        if self.is_free() {
            // No lock is held meanwhile, and orders may come: one that pends looks again below.
            let poll = self.wrote(io, io.poll_write(cx, bufs), None);
            if poll.is_ready() {
                return poll;
            }
        }
        self.waiters.wait(Waiter::Writer, cx);
        match self.before_write(bufs, (local, peer)) {
            Ok(None) => self.wrote(io, io.poll_write(cx, bufs), Some(cx)),
            Ok(Some(part)) => self.wrote(io, io.poll_write(cx, &[part]), Some(cx)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    pub(super) fn try_write(
        &self,
        io: &Io,
        bufs: &[IoSlice<'_>],
        (local, peer): (&Addr, &Addr),
    ) -> io::Result<usize> {
        let part = match self.is_free() {
            true => None,
            false => self.before_write(bufs, (local, peer))?,
        };
        let written = match part {
            None => io.try_write(bufs),
            Some(part) => io.try_write(&[part]),
        };
        match self.wrote(io, Poll::Ready(written), None) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(would_block()),
        }
    }

    /// What of these bytes may be written; `None` is all. `WouldBlock`: nothing, for now.
    fn before_write<'a>(
        &self,
        bufs: &'a [IoSlice<'_>],
        (local, peer): (&Addr, &Addr),
    ) -> io::Result<Option<IoSlice<'a>>> {
        if self.gate.is_shut() {
            return Err(would_block());
        }
        let standing = self.gate.standing();
        let mut state = self.lock();
        if let Some(is_reset) = state.arrivals.refuses_write() {
            self.after(state);
            if !is_reset {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            // Who reads may learn of it now, too.
            self.wake();
            return Err(reset());
        }
        let slices = |rule: &&Rule| matches!(rule.does, Does::Slice(_)) && rule.covers(local, peer);
        let Some(rule) = standing.rules.iter().find(slices) else {
            return Ok(None);
        };
        let Does::Slice(most) = rule.does else {
            return Ok(None);
        };
        let Some(first) = bufs.iter().find(|buf| !buf.is_empty()) else {
            return Ok(None);
        };
        let random = state.slices.get_or_insert(Random(
            u64::from(rule.fault) << 32 | u64::from(local.port()),
        ));
        let part = within(random.up_to(most), first.len());
        drop(state);
        if bufs.iter().map(|buf| buf.len()).sum::<usize>() > part {
            self.gate.acted(rule.fault);
        }
        Ok(Some(IoSlice::new(&first[..part])))
    }

    /// What a write came to. That the other side is gone is not told while it is withheld, nor before
    /// the delay is over.
    fn wrote(
        &self,
        io: &Io,
        written: Poll<io::Result<usize>>,
        cx: Option<&mut Context<'_>>,
    ) -> Poll<io::Result<usize>> {
        let error = match written {
            Poll::Ready(Err(error)) if tells_of_the_end(&error) => error,
            other => return other,
        };
        let mut state = self.lock();
        let later = state.arrivals.end_comes(io.there(), moment());
        if !state.arrivals.is_withheld() && later.is_none() {
            state.write_waits = false;
            let took_reset = std::mem::take(&mut state.took_reset);
            return Poll::Ready(Err(if took_reset { reset() } else { error }));
        }
        state.write_waits = true;
        state.took_reset |= error.kind() == io::ErrorKind::ConnectionReset;
        state.arrivals.withheld_write();
        if let (Some(at), Some(cx)) = (later, cx) {
            let due = &mut state.write_due;
            let is_due = poll_due(due, at, cx).is_ready();
            // It looks again at once.
            is_due.then(|| cx.waker().wake_by_ref());
        }
        self.after(state);
        Poll::Pending
    }

    /// Whether the error of an operation that ends this direction may be told.
    pub(super) fn hides(&self, error: &io::Error) -> bool {
        !self.is_free() && tells_of_the_end(error) && self.lock().arrivals.is_withheld()
    }

    /// Orders hold for this end; `there` says what lies in its socket.
    pub(super) fn ordered(
        &self,
        io: &Io,
        (local, peer): (&Addr, &Addr),
        now: &Standing,
        found: &mut Obeyed,
    ) {
        let mut state = self.lock();
        // What lies in a socket costs system calls.
        let idle = now.rules.is_empty() && now.holds.is_empty() && state.is_free();
        let there = match idle && !now.shut {
            true => There::default(),
            false => io.there(),
        };
        let arrivals = &mut state.arrivals;
        arrivals.order(now, (peer, local), there, moment(), &mut found.noted);
        state.held.order(now, (peer, local), there);
        self.mark(&state);
        self.after(state);
        let covers = |rule: &&Rule| rule.covers(peer, local) || rule.covers(local, peer);
        let rules = now.rules.iter().filter(covers);
        if let Some(bytes) = rules.filter_map(|rule| rule.window).min() {
            io.set_buffers(bytes);
        }
    }

    /// The fault that withholds something from an operation that waits here.
    pub(super) fn withholds_from_waiting(&self) -> Option<u32> {
        let withheld_by = self.lock().arrivals.withheld_by();
        withheld_by.filter(|_| self.waiters.any_reads())
    }

    /// Whether arrivals are withheld, so that nothing may be learned of the other side.
    pub(super) fn is_withheld(&self) -> bool {
        !self.is_free() && self.lock().arrivals.is_withheld()
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn wake(&self) {
        self.waiters.wake_all();
    }

    /// How many calls of `ready` wait.
    #[cfg(test)]
    pub(super) fn waiting_calls(&self) -> usize {
        self.waiters.calls()
    }
}

/// `most` bytes, of a buffer of that length.
fn within(most: u64, length: usize) -> usize {
    usize::try_from(most).map_or(length, |most| most.min(length))
}
