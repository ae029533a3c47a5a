//! One end of a connection: what operations on it do, and what they say to the trace.
//!
//! Owns how an operation on a connection fails, and the moment in which an end is closed. The
//! interfaces that users see are in `stream` and `halves`.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{Interest, ReadBuf, Ready};

use super::connection_core::Conn;
use super::host::Host;
use crate::error::Cause;
use crate::happens::By;
use crate::trace::{Direction, Verb, Waits, What};

/// A user's hold on a connection's end. Dropping it closes the end.
pub(super) struct End {
    host: Host,
    conn: Arc<Conn>,
}

impl End {
    pub(super) fn new(host: Host, conn: Arc<Conn>) -> End {
        End { host, conn }
    }

    pub(super) fn conn(&self) -> &Arc<Conn> {
        &self.conn
    }

    /// Closes the end, if it is open, on behalf of the calling task.
    pub(super) fn close(&self) -> bool {
        self.close_as(By::Task)
    }

    /// Closes the end: the port is free first, then it is said, then seen.
    fn close_as(&self, by: By) -> bool {
        let port = self.conn.local.port();
        let mut state = self.host.core.lock();
        if !state.has_conn(port, &self.conn) {
            return false;
        }
        let ours = state.ports.free(port);
        self.conn.set_down(&Cause::SocketDown);
        let closed = self.host.net.happens(by, || {
            Some(What::Close {
                addr: self.conn.local.clone(),
                peer: Some(self.conn.peer.clone()),
                socket: self.conn.socket(),
                written: self.conn.written(),
            })
        });
        drop(state);
        // The table's share of the connection goes after the lock is released, though it is never
        // the last one.
        drop(ours);
        closed.tell();
        true
    }

    fn error(&self, op: &'static str, cause: Cause) -> io::Error {
        let error = self.host.net.error(op, cause);
        let Conn { local, peer, .. } = &*self.conn;
        match op {
            "read" => error.with_source(peer.clone()).at(local.clone()),
            _ => error.with_source(local.clone()).at(peer.clone()),
        }
        .into()
    }

    /// Nothing that starts after a close succeeds.
    fn check(&self, op: &'static str) -> io::Result<()> {
        match self.conn.down() {
            None => Ok(()),
            Some(cause) => {
                self.conn.ended();
                Err(self.error(op, cause))
            }
        }
    }

    /// What a fault has done to this operation happened before its end.
    fn learn_owed(&self, bytes: &io::Result<usize>) {
        let ended = !matches!(bytes, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if let Some(gate) = self.conn.gate.as_ref().filter(|_| ended) {
            for event in gate.take_owed() {
                self.host.net.events.learn(event);
            }
        }
    }

    /// What a read of so many bytes means: EOF and errors may come of a close on this side.
    fn was_read(&self, bytes: io::Result<usize>) -> io::Result<usize> {
        self.learn_owed(&bytes);
        let cause = match bytes {
            Ok(bytes @ 1..) => {
                if let Some(tap) = &self.conn.tap {
                    tap.read(bytes);
                }
                return Ok(bytes);
            }
            Ok(0) => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => Some(Cause::from(error)),
        };
        self.check("read")?;
        if let Some(tap) = &self.conn.tap
            && matches!(cause, None | Some(Cause::ConnectionReset))
        {
            tap.read(0);
        }
        match cause {
            None => Ok(0),
            Some(cause) => Err(self.error("read", cause)),
        }
    }

    fn was_written(&self, bytes: io::Result<usize>) -> io::Result<usize> {
        if bytes.is_err() {
            self.learn_owed(&bytes);
        }
        match bytes {
            Ok(bytes) => {
                if let Some(tap) = &self.conn.tap {
                    tap.wrote(bytes);
                }
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                self.check("write")?;
                Err(self.error("write", error.into()))
            }
        }
    }

    /// Tells the trace that a poll of this direction pends, or has ended.
    fn polled<T>(&self, direction: Direction, poll: Poll<T>) -> Poll<T> {
        if let Some(tap) = &self.conn.tap {
            match poll {
                Poll::Pending => tap.pending(direction),
                Poll::Ready(_) => tap.ready(direction),
            }
        }
        poll
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check("read")?;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(tap) = &self.conn.tap {
            tap.before_read();
        }
        let filled = buf.filled().len();
        let poll = match &self.conn.gate {
            None => self.conn.io.poll_read(cx, buf),
            Some(gate) => gate.poll_read(&self.conn.io, cx, buf),
        };
        let poll = self.polled(Direction::Read, poll);
        poll.map(|read| {
            let bytes = buf.filled().len() - filled;
            self.was_read(read.map(|()| bytes)).map(drop)
        })
    }

    /// Looks at what a read would get. A trace learns nothing of it: the read will say.
    pub(super) fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            self.check("read")?;
            let poll = self.poll_ready(cx, Interest::READABLE);
            match self.polled(Direction::Read, poll) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(self.error("read", error.into())));
                }
                Poll::Ready(Ok(())) => {}
            }
            let into = buf.initialize_unfilled();
            let peeked = match &self.conn.gate {
                None => self.conn.io.peek(into),
                Some(gate) => gate.peek(&self.conn.io, into),
            };
            match peeked {
                Ok(bytes) => {
                    if bytes == 0 {
                        self.check("read")?;
                    }
                    buf.advance(bytes);
                    return Poll::Ready(Ok(bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.check("read")?;
                    return Poll::Ready(Err(self.error("read", error.into())));
                }
            }
        }
    }

    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check("write")?;
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        if self
            .poll_leaves(cx, (Verb::Send, bytes as u64))
            .is_pending()
        {
            return self.polled(Direction::Write, Poll::Pending);
        }
        if let Some(tap) = &self.conn.tap {
            tap.before_write(bytes);
        }
        let poll = match &self.conn.gate {
            None => self.conn.io.poll_write(cx, bufs),
            Some(gate) => gate.poll_write(&self.conn.io, cx, bufs, self.conn.way()),
        };
        let poll = self.polled(Direction::Write, poll);
        poll.map(|written| {
            self.left();
            self.was_written(written)
        })
    }

    /// Something comes to the event by which it leaves. `Pending`: the test holds it.
    fn poll_leaves(&self, cx: &mut Context<'_>, what: (Verb, u64)) -> Poll<()> {
        match &self.conn.gate {
            None => Poll::Ready(()),
            Some(gate) => gate.poll_leaves(cx, what, self.conn.way()),
        }
    }

    /// It has left.
    fn left(&self) {
        if let Some(gate) = &self.conn.gate {
            gate.left();
        }
    }

    pub(super) fn try_read(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.check("read")?;
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        if let Some(tap) = &self.conn.tap {
            tap.before_read();
        }
        let read = match &self.conn.gate {
            None => self.conn.io.try_read(bufs),
            Some(gate) => gate.try_read(&self.conn.io, bufs),
        };
        self.tried(Direction::Read, read)
    }

    pub(super) fn try_read_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        self.check("read")?;
        if !buf.has_remaining_mut() {
            return Ok(0);
        }
        if let Some(tap) = &self.conn.tap {
            tap.before_read();
        }
        let read = match &self.conn.gate {
            None => self.conn.io.try_read_buf(buf),
            Some(gate) => gate.try_read_buf(&self.conn.io, buf),
        };
        self.tried(Direction::Read, read)
    }

    pub(super) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.check("write")?;
        let bytes = bufs.iter().map(|buf| buf.len()).sum();
        if let Some(gate) = &self.conn.gate
            && !gate.leaves((Verb::Send, bytes as u64), self.conn.way())
        {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(tap) = &self.conn.tap {
            tap.before_write(bytes);
        }
        let written = match &self.conn.gate {
            None => self.conn.io.try_write(bufs),
            Some(gate) => gate.try_write(&self.conn.io, bufs, self.conn.way()),
        };
        if !matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.left();
        }
        self.tried(Direction::Write, written)
    }

    /// What an attempt that never pends means. It ends what was given up in its direction.
    fn tried(&self, direction: Direction, bytes: io::Result<usize>) -> io::Result<usize> {
        if let Some(tap) = &self.conn.tap {
            tap.ready(direction);
        }
        match direction {
            Direction::Read => self.was_read(bytes),
            Direction::Write => self.was_written(bytes),
        }
    }

    pub(super) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
    ) -> Poll<io::Result<()>> {
        match &self.conn.gate {
            None => self.conn.io.poll_ready(cx, interest),
            Some(gate) => match gate.poll_ready(&self.conn.io, cx, interest) {
                // What an order keeps back is known to fail by now.
                Poll::Pending if self.conn.down().is_some() => Poll::Ready(Ok(())),
                poll => poll,
            },
        }
    }

    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let waits = match &self.conn.tap {
            Some(tap) if interest.is_readable() => Waits::Read(tap.socket()),
            Some(tap) => Waits::Write(tap.socket()),
            None => Waits::Other,
        };
        match &self.conn.gate {
            None => self.conn.io.ready(interest).await,
            Some(gate) => {
                let mut ready = std::pin::pin!(gate.ready(&self.conn.io, interest));
                let ready = std::future::poll_fn(|cx| match ready.as_mut().poll(cx) {
                    // Likewise.
                    Poll::Pending if self.conn.down().is_some() => {
                        Poll::Ready(Ok(Ready::READABLE | Ready::WRITABLE))
                    }
                    poll => poll,
                });
                self.host.net.watch(waits, ready).await
            }
        }
    }

    /// Shuts writing down, once the test lets it.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check("write")?;
        if self.poll_leaves(cx, (Verb::Shutdown, 0)).is_pending() {
            return self.polled(Direction::Write, Poll::Pending);
        }
        self.left();
        Poll::Ready(self.shutdown_write())
    }

    /// Ends the direction away from here: the peer reads EOF. Repeating it does nothing.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.check("write")?;
        if self.conn.write_shut.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        if self.host.net.is_traced() {
            // Under the host's lock, so that it is not recorded after the close.
            let state = self.host.core.lock();
            if !state.has_conn(self.conn.local.port(), &self.conn) {
                drop(state);
                return self.check("write");
            }
            if let Some(tap) = &self.conn.tap {
                tap.shuts_down();
            }
            let shutdown = self.host.net.happens(By::Task, || {
                Some(What::Shutdown {
                    addr: self.conn.local.clone(),
                    peer: self.conn.peer.clone(),
                    socket: self.conn.socket(),
                    written: self.conn.written(),
                })
            });
            drop(state);
            shutdown.tell();
        }
        match self.conn.shut_write() {
            // The peer has torn it down: neither direction is open.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => self.check("write"),
            Err(error) => self.was_written(Err(error)).map(drop),
            Ok(()) => Ok(()),
        }
    }

    /// User code takes the socket: a trace can't follow its bytes any more.
    pub(super) fn tell_opaque(&self) {
        if let Some(tap) = &self.conn.tap {
            tap.opaque();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let tap = self.conn.tap.as_ref();
        let is_ours = tap.is_some_and(|tap| tap.used_only_here());
        self.close_as(By::Drop { is_ours });
        self.conn.let_go();
    }
}
