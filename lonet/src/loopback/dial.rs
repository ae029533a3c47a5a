//! The dialing side: from a host's name to an answered connection.
//!
//! Owns where a name leads, connecting, and how long the answer may take. The port and the events
//! of a dial are `virtnet`'s.

use std::io::{self, ErrorKind};
use std::net::{SocketAddrV4, TcpStream as StdStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::TcpNoDelay;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, connect, getpeername, send,
    setsockopt, socket,
};
use tokio::net::TcpStream;

use super::accept::read_line;
use super::handshake::{Reply, Request, cause_of_error_reply, parse_reply};
use super::join::Loopback;
use super::line::{LineReader, Progress};
use super::peer_uid::Owner;
use super::source::{self, Source};
use crate::error::Cause;
use crate::registry::{Liveness, Lookup};
use crate::virtnet::engine::{Call, Carried, Io, blocking};

/// While a dial waits for its answer, it looks so often whether the other process lives.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// So long a dial to a process without a lease waits: one of the originals.
const UNLEASED_TIME: Duration = Duration::from_secs(60);
/// So many addresses of this process are tried when one has no port left.
const SOURCES: usize = 16;

/// A connection's key in the trace.
pub(super) fn connection_key(dialer: SocketAddrV4, acceptor: SocketAddrV4, nth: u64) -> String {
    format!("{dialer}>{acceptor}#{nth}")
}

impl Loopback {
    /// Carries a dial to where its host is served, and waits until it is accepted.
    pub(crate) async fn carry(self: &Arc<Self>, call: &Call<'_>) -> Result<Carried, Cause> {
        let host = call.dst.host();
        let Some(known) = self.known(host) else {
            let at = self.look_up(host).await?;
            return self.call(at, call).await;
        };
        match self.call(known, call).await {
            Ok(carried) => Ok(carried),
            Err(cause) => {
                // The host may have moved since: its process died and another one has the name.
                self.forget(host);
                match self.look_up(host).await? {
                    at if at == known => Err(cause),
                    at => self.call(at, call).await,
                }
            }
        }
    }

    /// Where the registry says a host is served.
    async fn look_up(self: &Arc<Self>, host: &str) -> Result<SocketAddrV4, Cause> {
        let found = match self.registry.try_lookup(host) {
            Some(found) => found,
            None => {
                let (own, host) = (self.clone(), host.to_owned());
                blocking(move || own.registry.lookup(&host)).await?
            }
        };
        match found? {
            Lookup::Never => Err(Cause::NoSuchHost),
            Lookup::Gone => Err(Cause::ConnectionRefused),
            Lookup::At(osladdr) if self.registry.alive(osladdr) == Liveness::Dead => {
                Err(Cause::ConnectionRefused)
            }
            Lookup::At(osladdr) => {
                self.remember(host, osladdr);
                Ok(osladdr)
            }
        }
    }

    /// Calls the process that listens there.
    async fn call(&self, at: SocketAddrV4, call: &Call<'_>) -> Result<Carried, Cause> {
        if call.dst.port() == 0 {
            return Err(Cause::ConnectionRefused);
        }
        let (fd, source) = start_connecting(at).map_err(Cause::from)?;
        let local = source.addr();
        if local == at {
            // TCP met itself: nobody listens there.
            return Err(Cause::ConnectionRefused);
        }
        let request = Request {
            network: call.net.network().to_string(),
            src: call.src.clone(),
            dst: call.dst.clone(),
        };
        let line = request.line();
        let mut listener = Owner::Unknown;
        let key = || connection_key(local, at, self.count_dialed((local, at)));
        let mut linked = None;
        // On loopback the connection is usually there at once, and the request goes with it.
        let sent = if call.dial.is_none() || is_connected(&fd) {
            listener = self.listener_at(at)?;
            linked = call.linked(key);
            send_request(&fd, &line)?
        } else {
            false
        };
        let dialing = Dialing {
            source,
            stream: TcpStream::from_std(StdStream::from(fd)).map_err(Cause::from)?,
        };
        let stream = &dialing.stream;
        if !sent {
            stream.writable().await.map_err(Cause::from)?;
            if let Some(error) = stream.take_error().map_err(Cause::from)? {
                return Err(error.into());
            }
            listener = self.listener_at(at)?;
            if linked.is_none() {
                linked = call.linked(key);
            }
            if !send_request(stream, &line)? {
                return Err(Cause::Io(
                    ErrorKind::WouldBlock,
                    "a connected socket takes no line".to_owned(),
                ));
            }
        }
        let answered = self.answered(at, stream, call).await;
        // Where the listener told nothing, the connection may, once it was accepted and as long as
        // both ends have it; else whoever has the network's lease is no stranger.
        let known = || {
            listener == Owner::Trusted
                || self.peer_check.owner(local, at) == Owner::Trusted
                || self.registry.alive(at) == Liveness::Alive
        };
        match answered {
            Ok(_) if !known() => Err(Cause::ConnectionRefused),
            Ok(peer) => Ok(Carried {
                io: Io::Tcp(dialing.established()),
                peer,
                key: linked,
            }),
            // Whatever a stranger on a dead host's port says or does.
            Err(_) if self.registry.alive(at) == Liveness::Dead => Err(Cause::ConnectionRefused),
            Err(cause) => Err(cause),
        }
    }

    /// Waits for the answer: as long as the other process lives.
    async fn answered(
        &self,
        at: SocketAddrV4,
        stream: &TcpStream,
        call: &Call<'_>,
    ) -> Result<crate::Addr, Cause> {
        let mut line = LineReader::default();
        let mut waited = Duration::ZERO;
        let progress = loop {
            match tokio::time::timeout(PROBE_EVERY, read_line(stream, &mut line)).await {
                Ok(progress) => break progress,
                Err(_elapsed) => waited += PROBE_EVERY,
            }
            match self.registry.alive(at) {
                Liveness::Alive => {}
                Liveness::Dead => return Err(Cause::ConnectionRefused),
                // One of the originals; or it has left, and its port is another's now.
                Liveness::Unleased => match self.registry.try_lookup(call.dst.host()) {
                    Some(Ok(found)) if found != Lookup::At(at) => {
                        return Err(Cause::ConnectionRefused);
                    }
                    _ if waited < UNLEASED_TIME => {}
                    _ => return Err(Cause::TimedOut),
                },
            }
        };
        let line = match progress {
            Ok(Progress::Line(line)) => line,
            // It ended before it answered.
            Ok(Progress::Eof | Progress::Blocked) => return Err(Cause::ConnectionRefused),
            Ok(Progress::TooLong) => {
                return Err(Cause::Protocol("the reply has no end".to_owned()));
            }
            Err(error) => return Err(refused_by(error.into())),
        };
        match parse_reply(&line, call.net.network())? {
            Reply::Connected(peer) => Ok(peer),
            Reply::Error(text) => Err(cause_of_error_reply(&text)),
        }
    }

    /// Whose the listener is that a connection was just made to. Asked before it is told anything:
    /// now it is still there, while a stranger who has answered may have closed all by which the
    /// kernel would know it. Another user's is refused.
    fn listener_at(&self, at: SocketAddrV4) -> Result<Owner, Cause> {
        if at == self.osladdr {
            return Ok(Owner::Trusted);
        }
        match self.peer_check.listener(at) {
            Owner::Stranger => Err(Cause::ConnectionRefused),
            known => Ok(known),
        }
    }
}

/// A connection that is not answered yet. Its fields are dropped in this order: the address must
/// not be called ours for a moment longer than the socket has it.
struct Dialing {
    source: Source,
    stream: TcpStream,
}

impl Dialing {
    fn established(self) -> TcpStream {
        drop(self.source);
        self.stream
    }
}

/// A connection that is torn down before it is answered was refused.
fn refused_by(cause: Cause) -> Cause {
    match cause {
        Cause::ConnectionReset | Cause::BrokenPipe => Cause::ConnectionRefused,
        other => other,
    }
}

/// A socket that connects to `at`, from an address of this process.
fn start_connecting(at: SocketAddrV4) -> io::Result<(OwnedFd, Source)> {
    let mut tries = 1;
    loop {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        source::bind_next(&fd, *at.ip())?;
        setsockopt(&fd, TcpNoDelay, &true)?;
        match connect(fd.as_raw_fd(), &SockaddrIn::from(at)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {
                let source = Source::of(&fd, at)?;
                return Ok((fd, source));
            }
            Err(Errno::EADDRNOTAVAIL) if tries < SOURCES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_connected(fd: &OwnedFd) -> bool {
    getpeername::<SockaddrIn>(fd.as_raw_fd()).is_ok()
}

/// Writes the request, in one write. `false`: the connection is not there yet.
fn send_request(fd: &impl AsFd, line: &[u8]) -> Result<bool, Cause> {
    match send(fd.as_fd().as_raw_fd(), line, MsgFlags::MSG_NOSIGNAL) {
        Ok(sent) if sent == line.len() => Ok(true),
        Ok(_) => Err(Cause::Io(
            ErrorKind::WriteZero,
            "a fresh socket takes no whole line".to_owned(),
        )),
        Err(Errno::EAGAIN | Errno::ENOTCONN) => Ok(false),
        Err(error) => Err(refused_by(io::Error::from(error).into())),
    }
}
