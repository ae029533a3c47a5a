//! The bytes of one end of a connection, and the dialer of whom it is made.
//!
//! Owns the choice between a socket and a pipe. Knows neither ports nor who has closed what.

use std::io;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{Interest, ReadBuf, Ready};
use tokio::net::TcpStream;

use crate::addr::Addr;
use crate::error::Cause;
use crate::loopback;
use crate::pipes::{self, PipeEnd};

/// Somebody who dialed and waits to be accepted.
pub(crate) enum Knock {
    Tcp(loopback::Caller),
    Pipe(pipes::Caller),
}

/// A way to tell an accepted dialer its peer.
pub(crate) enum Answer {
    /// A line on the connection.
    Line,
    /// Its end of the pipe.
    Pipe(PipeEnd, pipes::Answering),
}

impl Knock {
    /// The dialing end.
    pub(crate) fn src(&self) -> &Addr {
        match self {
            Knock::Tcp(caller) => caller.src(),
            Knock::Pipe(caller) => caller.src(),
        }
    }

    /// Whether the dialer has hung up.
    pub(crate) fn gone(&self) -> bool {
        match self {
            Knock::Tcp(caller) => caller.gone(),
            Knock::Pipe(caller) => caller.gone(),
        }
    }

    /// The connection's key.
    pub(crate) fn key(&self) -> String {
        match self {
            Knock::Tcp(caller) => caller.key(),
            Knock::Pipe(caller) => caller.key(),
        }
    }

    /// Tells the dialer why it is not accepted.
    pub(crate) fn refuse(self, cause: &Cause) {
        match self {
            Knock::Tcp(caller) => caller.refuse(&cause.to_string()),
            Knock::Pipe(caller) => caller.refuse(cause.clone()),
        }
    }

    /// Makes a connection of it, for the runtime that calls; the dialer does not know yet.
    pub(crate) fn open(self) -> io::Result<(Io, Answer)> {
        match self {
            Knock::Tcp(caller) => Ok((Io::Tcp(caller.open()?), Answer::Line)),
            Knock::Pipe(caller) => {
                let (ours, theirs, answer) = caller.open();
                Ok((Io::Pipe(ours), Answer::Pipe(theirs, answer)))
            }
        }
    }
}

/// What a read into a growing buffer takes from a pipe at once.
const MOST_AT_ONCE: usize = 64 << 10;

/// What lies in a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct There {
    /// So many bytes can be read.
    pub(super) bytes: u64,
    /// After them comes the end, or a reset.
    pub(super) ended: bool,
}

impl From<(u64, bool)> for There {
    fn from((bytes, ended): (u64, bool)) -> There {
        There { bytes, ended }
    }
}

/// The bytes of one end of a connection.
pub(crate) enum Io {
    Tcp(TcpStream),
    Pipe(PipeEnd),
}

impl Io {
    /// Tells the dialer its peer. If it has hung up meanwhile, the connection ends at once.
    pub(crate) fn answer(&self, answer: Answer, network: &str, local: &Addr) {
        match (self, answer) {
            (Io::Tcp(stream), _) => loopback::answer(stream, network, local),
            (Io::Pipe(_), Answer::Pipe(end, sender)) => {
                let _ = sender.send(Ok((end, local.clone())));
            }
            (Io::Pipe(_), Answer::Line) => unreachable!("a pipe is answered with its other end"),
        }
    }

    /// Ends both directions; whatever waits here or there wakes.
    pub(crate) fn shutdown(&self) {
        match self {
            Io::Tcp(stream) => loopback::socket::shutdown(stream),
            Io::Pipe(end) => end.close(),
        }
    }

    /// Ends both directions at once, so that the other side learns of it by an error.
    pub(super) fn reset(&self) {
        match self {
            Io::Tcp(stream) => loopback::socket::reset(stream),
            Io::Pipe(end) => end.reset(),
        }
    }

    /// Ends the direction away from here.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Io::Tcp(stream) => loopback::socket::shutdown_write(stream),
            Io::Pipe(end) => {
                end.shutdown_write();
                Ok(())
            }
        }
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(stream) => loopback::socket::poll_read(stream, cx, buf),
            Io::Pipe(end) => end.poll_read(cx, buf),
        }
    }

    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Io::Tcp(stream) => loopback::socket::poll_write(stream, cx, bufs),
            Io::Pipe(end) => end.poll_write(cx, bufs),
        }
    }

    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
    ) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(stream) if interest.is_readable() => stream.poll_read_ready(cx),
            Io::Tcp(stream) => stream.poll_write_ready(cx),
            Io::Pipe(end) => end.poll_ready(cx, interest).map(|_| Ok(())),
        }
    }

    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Io::Tcp(stream) => loopback::socket::try_peek(stream, buf),
            Io::Pipe(end) => end.try_peek(buf),
        }
    }

    pub(crate) fn try_read(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Io::Tcp(stream) => stream.try_read_vectored(bufs),
            Io::Pipe(end) => end.try_read(bufs),
        }
    }

    pub(crate) fn try_read_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Io::Tcp(stream) => stream.try_read_buf(buf),
            Io::Pipe(end) => {
                let mut read = vec![0; buf.chunk_mut().len().min(MOST_AT_ONCE)];
                let bytes = end.try_read(&mut [io::IoSliceMut::new(&mut read)])?;
                buf.put_slice(&read[..bytes]);
                Ok(bytes)
            }
        }
    }

    pub(crate) fn try_write(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Io::Tcp(stream) => stream.try_write_vectored(bufs),
            Io::Pipe(end) => end.try_write(bufs),
        }
    }

    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Io::Tcp(stream) => stream.ready(interest).await,
            Io::Pipe(end) => Ok(end.ready(interest).await),
        }
    }

    /// What lies there to be read.
    pub(super) fn there(&self) -> There {
        match self {
            Io::Tcp(stream) => loopback::socket::there(stream),
            Io::Pipe(end) => end.there(),
        }
        .into()
    }

    /// Polls for more than this. `watch` is kept from one poll to the next.
    pub(super) fn poll_more(
        &self,
        cx: &mut Context<'_>,
        than: There,
        watch: &mut Option<loopback::socket::Watch>,
    ) -> Poll<()> {
        let is_news = |now| There::from(now) != than;
        match self {
            Io::Tcp(stream) => {
                // Again, if the runtime is gone that watched it until now.
                for _ in 0..2 {
                    if watch.is_none() {
                        *watch = loopback::socket::Watch::of(stream).ok();
                    }
                    let polled = watch.as_ref().map(|watch| watch.poll_more(cx, is_news));
                    match polled {
                        Some(Poll::Ready(Ok(()))) => return Poll::Ready(()),
                        Some(Poll::Ready(Err(_))) => *watch = None,
                        // Without a descriptor, it is seen at the next look.
                        Some(Poll::Pending) | None => return Poll::Pending,
                    }
                }
                Poll::Pending
            }
            Io::Pipe(end) => end.poll_more(cx, is_news),
        }
    }

    /// Sets the size of both buffers, where there are any.
    pub(super) fn set_buffers(&self, bytes: usize) {
        if let Io::Tcp(stream) = self {
            loopback::socket::set_buffers(stream, bytes);
        }
    }

    /// The socket, if there is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Io::Tcp(stream) => Some(stream),
            Io::Pipe(_) => None,
        }
    }
}
