//! The system calls of an established connection, on a shared `TcpStream`.
//!
//! Owns how many there are: as many as tokio makes. Knows no hosts. Tokio's own reads and writes
//! want the stream for themselves; here the network keeps a share of it, to shut it down.

use std::io::{self, IoSlice};
use std::net::TcpStream as StdStream;
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll, ready};

use nix::sys::socket::sockopt::{RcvBuf, SndBuf};
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, setsockopt, shutdown as shut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use rustix::net::connect_unspec;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

/// How many bytes can be read, and whether the end or an error comes after them.
pub(crate) fn there(stream: &TcpStream) -> (u64, bool) {
    let bytes = ioctl_fionread(stream).unwrap_or(0);
    let mut polled = [PollFd::new(stream, PollFlags::RDHUP)];
    let ended = poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
    // What came between the two questions: the end comes after it.
    let bytes = match ended {
        true => ioctl_fionread(stream).unwrap_or(bytes),
        false => bytes,
    };
    (bytes, ended)
}

/// Watches what arrives at a socket, beside those who read it: it forgets that there is something
/// once it has looked, which they must not. So it has a registration of its own.
pub(crate) struct Watch(TcpStream);

impl Watch {
    pub(crate) fn of(stream: &TcpStream) -> io::Result<Watch> {
        let own = StdStream::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Watch(TcpStream::from_std(own)?))
    }

    /// Polls until what lies there is news. It fails when the runtime is gone in which it began.
    pub(crate) fn poll_more(
        &self,
        cx: &mut Context<'_>,
        is_news: impl Fn((u64, bool)) -> bool,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            let looked = self
                .0
                .try_io(Interest::READABLE, || match is_news(there(&self.0)) {
                    true => Ok(()),
                    // Forgets that it is ready, unless something has come since.
                    false => Err(io::ErrorKind::WouldBlock.into()),
                });
            if looked.is_ok() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Sets the size of both buffers; the kernel doubles it, and has a least one.
pub(crate) fn set_buffers(stream: &TcpStream, bytes: usize) {
    // As far as it goes.
    let _ = setsockopt(stream, RcvBuf, &bytes);
    let _ = setsockopt(stream, SndBuf, &bytes);
}

/// So many bytes are read away at once.
const READ_AWAY: usize = 16 << 10;

/// Does I/O of which a short count says that the socket has no more for now: then tokio, which
/// learns of news by edges, it is woken by one, and the next attempt costs no call that fails.
pub(super) fn try_short_io(
    stream: &TcpStream,
    interest: Interest,
    asked: usize,
    io: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut short = None;
    let done = stream.try_io(interest, || match io() {
        Ok(bytes) if 0 < bytes && bytes < asked => {
            short = Some(bytes);
            Err(io::ErrorKind::WouldBlock.into())
        }
        other => other,
    });
    short.map_or(done, Ok)
}

pub(crate) fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let read = if buf.initialized().len() == buf.capacity() {
            let into = buf.initialize_unfilled();
            let asked = into.len();
            let read = try_short_io(stream, Interest::READABLE, asked, || {
                Ok(recv(stream.as_raw_fd(), into, MsgFlags::empty())?)
            });
            read.map(|bytes| buf.advance(bytes))
        } else {
            // Without clearing memory that the kernel will fill.
            stream.try_read_buf(buf).map(drop)
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

pub(crate) fn poll_write(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let written = match bufs {
            [buf] => try_short_io(stream, Interest::WRITABLE, buf.len(), || {
                Ok(send(stream.as_raw_fd(), buf, MsgFlags::MSG_NOSIGNAL)?)
            }),
            _ => stream.try_write_vectored(bufs),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

pub(crate) fn try_peek(stream: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    stream.try_io(Interest::READABLE, || {
        Ok(recv(stream.as_raw_fd(), buf, MsgFlags::MSG_PEEK)?)
    })
}

/// Ends both directions. Fails only if the peer was faster.
pub(crate) fn shutdown(stream: &TcpStream) {
    let fd = stream.as_raw_fd();
    let _ = shut(fd, Shutdown::Both);
    // A peer that waits for room in our window would wait for as long as somebody holds this
    // socket. With what is unread gone, the peer sends on, and that is answered by a reset. What
    // was sent to the peer is not touched. It ends, as nothing is taken in any more.
    let mut unread = [0; READ_AWAY];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    while matches!(recv(fd, &mut unread, flags), Ok(1..)) {}
}

/// Ends the connection at once, so that the other side reads a reset. What it has been sent and has
/// not read stays there. For this no descriptor needs to be closed, and others may have one.
pub(crate) fn reset(stream: &TcpStream) {
    if connect_unspec(stream).is_err() {
        shutdown(stream);
    }
}

/// Ends the direction away from here.
pub(crate) fn shutdown_write(stream: &TcpStream) -> io::Result<()> {
    Ok(shut(stream.as_raw_fd(), Shutdown::Write)?)
}
