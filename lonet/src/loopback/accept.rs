//! The accepting side: from a connection of the OS to a dialer.
//!
//! Owns the loop that takes connections, and what becomes of peers that are strangers, slow, or
//! ask for what is not there. `virtnet` then decides which are accepted, and with which port.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::engine::{Loopback, connection_key};
use super::handshake::{Refusal, Request, parse_request, reply_connected, reply_error};
use super::line::{LineReader, Progress, nothing_sure, read_line};
use super::source::{self, Pair};
use crate::addr::Addr;

/// How long a peer may take for its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Of what a refused peer has sent, so many KiB are read away.
const READ_AWAY: usize = 64;

/// A dialer, over TCP.
pub(crate) struct Caller {
    stream: TcpStream,
    src: Addr,
    network: Arc<str>,
    /// The runtime that drives the stream.
    runtime: tokio::runtime::Id,
    os: (SocketAddrV4, SocketAddrV4),
    /// How many connections there were between this pair of addresses; 0 without a trace.
    nth: u64,
}

impl Caller {
    pub(crate) fn src(&self) -> &Addr {
        &self.src
    }

    /// Whether it disconnected. A dialer sends nothing between its request and the reply.
    pub(crate) fn gone(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.stream.as_raw_fd(), &mut [0], flags) {
            Ok(bytes) => bytes == 0,
            Err(error) => !matches!(error, Errno::EAGAIN | Errno::EINTR),
        }
    }

    pub(crate) fn key(&self) -> String {
        connection_key(self.os.0, self.os.1, self.nth)
    }

    pub(crate) fn refuse(self, text: &str) {
        refuse(&self.stream, &self.network, text);
    }

    /// Its connection, for the runtime that calls.
    pub(crate) fn open(self) -> io::Result<TcpStream> {
        if Handle::current().id() == self.runtime {
            return Ok(self.stream);
        }
        TcpStream::from_std(self.stream.into_std()?)
    }
}

/// Tells a dialer its peer. The line fits into a socket that has sent nothing yet; if the peer has
/// hung up, the connection ends at once.
pub(crate) fn answer(stream: &TcpStream, network: &str, local: &Addr) {
    let line = reply_connected(network, local);
    let _ = send(stream.as_raw_fd(), &line, MsgFlags::MSG_NOSIGNAL);
}

/// Tells a dialer why not. Whether it still listens is its own business.
fn refuse(stream: &TcpStream, network: &str, text: &str) {
    // Closing with data unread would take back what is said here.
    let mut unread = [0; 1024];
    for _ in 0..READ_AWAY {
        match recv(stream.as_raw_fd(), &mut unread, MsgFlags::MSG_DONTWAIT) {
            Ok(1..) => {}
            _ => break,
        }
    }
    let line = reply_error(network, text);
    let _ = send(stream.as_raw_fd(), &line, MsgFlags::MSG_NOSIGNAL);
}

/// A connection that was taken from the OS, and its request, as far as that has come.
pub(crate) struct Arrival {
    stream: TcpStream,
    /// The runtime that drives the stream.
    runtime: tokio::runtime::Id,
    peer: SocketAddrV4,
    nth: u64,
    line: LineReader,
}

impl Arrival {
    /// Reads the request, as far as it is there.
    pub(crate) fn advance(&mut self) -> io::Result<Progress> {
        self.line.advance(self.stream.as_raw_fd(), nothing_sure)
    }
}

impl Loopback {
    /// A connection has come in, the `nth` of this peer; `runtime` drives its stream. Before a byte
    /// is read: only processes of this user, or of root, get in.
    pub(crate) fn let_in(
        &self,
        stream: TcpStream,
        peer: SocketAddrV4,
        nth: u64,
        runtime: tokio::runtime::Id,
    ) -> Option<Arrival> {
        let end = Pair {
            local: peer,
            remote: self.osladdr,
        };
        if !source::is_ours(end) && !self.peer_check.allows(self.osladdr, peer) {
            return None;
        }
        Some(Arrival {
            stream,
            runtime,
            peer,
            nth,
            line: LineReader::default(),
        })
    }

    /// Waits for the request of a slow peer, in a task of its own, which then goes on with it.
    pub(crate) fn wait_aside(
        &self,
        mut arrival: Arrival,
        go_on: impl FnOnce(Arrival, io::Result<Progress>) + Send + 'static,
    ) {
        self.slow.wait(
            async move {
                let request = read_line(&arrival.stream, &mut arrival.line, nothing_sure);
                let request = tokio::time::timeout(REQUEST_TIME, request).await;
                (arrival, request)
            },
            |(arrival, request)| {
                if let Ok(progress) = request {
                    go_on(arrival, progress);
                }
            },
        );
    }

    /// The request has come, or never will: the dialer, and the address that it asks for.
    pub(crate) fn requested(
        &self,
        network: &Arc<str>,
        arrival: Arrival,
        progress: io::Result<Progress>,
    ) -> Option<(Caller, Addr)> {
        let Arrival {
            stream,
            runtime,
            peer,
            nth,
            ..
        } = arrival;
        let request = match progress {
            Ok(Progress::Line(line)) => parse_request(&line, network),
            Ok(Progress::TooLong) => Err(Refusal::InvalidRequest),
            Ok(Progress::Blocked | Progress::Eof) | Err(_) => return None,
        };
        let Request { src, dst } = match request {
            Ok(request) => request,
            Err(refusal) => {
                refuse(&stream, network, refusal.text());
                return None;
            }
        };
        let caller = Caller {
            stream,
            src,
            network: network.clone(),
            runtime,
            os: (peer, self.osladdr),
            nth,
        };
        Some((caller, dst))
    }
}
