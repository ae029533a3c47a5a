//! The dialing side: from a host's name to an answered connection.
//!
//! Owns where a name leads, connecting, and how long the answer may take. The port and the events
//! of a dial are `virtnet`'s.

use std::io::{self, ErrorKind};
use std::net::{SocketAddrV4, TcpStream as StdStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::TcpStreamExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, connect, getpeername, send, socket,
};
use tokio::net::TcpStream;

use super::engine::{Loopback, blocking, connection_key};
use super::handshake::{Reply, cause_of_error_reply, parse_reply, request, sure_of_reply};
use super::line::{LineReader, Progress, read_line};
use super::peer_uid::Owner;
use super::source::{self, Source};
use crate::addr::Addr;
use crate::call::Call;
use crate::error::Cause;
use crate::registry::{Liveness, Lookup};
use crate::trace::NAMES_NAME;

/// While a dial waits for another process, it looks so often whether that lives. In the tests below,
/// time runs faster.
const PROBE_EVERY: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });
/// So long a dial to a process without a lease waits in all: one of the originals. That is a minute.
const UNLEASED_TIME: Duration = PROBE_EVERY.saturating_mul(60);
/// So many addresses of this process are tried when one has no port left.
const SOURCES: usize = 16;

/// A call that was answered.
pub(crate) struct Answered {
    pub(crate) stream: TcpStream,
    /// The accepting end.
    pub(crate) peer: Addr,
    /// The connection's key, if the network is traced.
    pub(crate) key: Option<String>,
}

impl Loopback {
    /// Carries a dial to where its host is served, and waits until it is accepted. It goes to where
    /// the host is known to be, if it is, before the registry is asked.
    pub(crate) async fn carry(
        self: &Arc<Self>,
        call: &Call<'_>,
        known: Option<SocketAddrV4>,
    ) -> Result<Answered, Cause> {
        let host = call.dst.host();
        let Some(known) = known else {
            let at = self.look_up(host).await?;
            return self
                .call(at, call, false)
                .await
                .map_err(|failed| failed.cause);
        };
        let Failed { cause, elsewhere } = match self.call(known, call, true).await {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        self.forget(host);
        if !elsewhere {
            return Err(cause);
        }
        match self.look_up(host).await? {
            at if at == known => Err(cause),
            at => self
                .call(at, call, false)
                .await
                .map_err(|failed| failed.cause),
        }
    }

    /// What the registry says of a host.
    async fn find(self: &Arc<Self>, host: &str) -> Result<Lookup, Cause> {
        if let Some(found) = self.registry.try_lookup(host) {
            return found;
        }
        let (own, host) = (self.clone(), host.to_owned());
        blocking(move || own.registry.lookup(&host)).await?
    }

    /// Where the registry says a host is served.
    pub(crate) async fn look_up(self: &Arc<Self>, host: &str) -> Result<SocketAddrV4, Cause> {
        match self.find(host).await? {
            Lookup::Never if self.is_reserved(host).await? => Err(Cause::ConnectionRefused),
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

    /// Whether the test has reserved this name for a host that comes later.
    async fn is_reserved(self: &Arc<Self>, host: &str) -> Result<bool, Cause> {
        let own = self.clone();
        let reserved = blocking(move || own.registry.text_of(NAMES_NAME)).await?;
        Ok(reserved.is_some_and(|names| names.lines().any(|name| name == host)))
    }

    /// Calls the process that listens there: where the host is, or where it was when last asked.
    async fn call(
        self: &Arc<Self>,
        at: SocketAddrV4,
        call: &Call<'_>,
        remembered: bool,
    ) -> Result<Answered, Failed> {
        let host = call.dst.host();
        if call.dst.port() == 0 {
            return Err(Cause::ConnectionRefused.into());
        }
        let (stream, source) = start_connecting(at, at == self.osladdr).map_err(Cause::from)?;
        let local = source.addr();
        if local == at {
            // TCP connected to itself: nothing listens there.
            return Err(Cause::ConnectionRefused.into());
        }
        let mut waited = Duration::ZERO;
        let line = request(call.network, call.src, call.dst);
        let mut listener = Owner::Unknown;
        let key = || connection_key(local, at, self.count_dialed((local, at)));
        let mut linked = None;
        // On loopback the connection is usually there at once, and the request goes with it.
        let sent = if call.dial.is_none() || is_connected(&stream) {
            listener = self.listener_at(at, host).await?;
            linked = call.linked(key);
            send_request(&stream, &line)?
        } else {
            false
        };
        let dialing = Dialing {
            source,
            stream: TcpStream::from_std(stream).map_err(Cause::from)?,
        };
        let stream = &dialing.stream;
        if !sent {
            self.while_alive(at, host, &mut waited, stream.writable())
                .await?
                .map_err(Cause::from)?;
            if let Some(error) = stream.take_error().map_err(Cause::from)? {
                return Err(Cause::from(error).into());
            }
            listener = self.listener_at(at, host).await?;
            if linked.is_none() {
                linked = call.linked(key);
            }
            if !send_request(stream, &line)? {
                let why = "a connected socket takes no line".to_owned();
                return Err(Cause::Io(ErrorKind::WouldBlock, why).into());
            }
        }
        // Whether it is still served where it was remembered. Asked while the answer is on its way:
        // if the host had been there, and was closed afterwards, this dial ends with it.
        let elsewhere = remembered
            && at != self.osladdr
            && match self.registry.try_lookup(host) {
                Some(found) => found.is_ok_and(|found| found != Lookup::At(at)),
                // It is being changed: unknown.
                None => true,
            };
        let failed = |cause| Failed { cause, elsewhere };
        let answered = self.answered(at, stream, call, &mut waited).await;
        // Where the listener told nothing, the connection may, once it was accepted and as long as
        // both ends have it; else the process that has the network's lease is not a stranger.
        let known = || {
            listener == Owner::Trusted
                || self.peer_check.owner(local, at) == Owner::Trusted
                || self.registry.alive(at) == Liveness::Alive
        };
        match answered {
            Ok(_) if !known() => Err(failed(Cause::ConnectionRefused)),
            Ok(peer) => Ok(Answered {
                stream: dialing.established(),
                peer,
                key: linked,
            }),
            // Whatever a stranger on a dead host's port says or does.
            Err(_) if self.registry.alive(at) == Liveness::Dead => {
                Err(failed(Cause::ConnectionRefused))
            }
            Err(cause) => Err(failed(cause)),
        }
    }

    /// Waits for what the process that listens there, or its kernel, has to do: as long as that
    /// process lives. `waited`: how long this dial has waited for it before.
    async fn while_alive<T>(
        &self,
        at: SocketAddrV4,
        host: &str,
        waited: &mut Duration,
        event: impl Future<Output = T>,
    ) -> Result<T, Cause> {
        let mut event = pin!(event);
        loop {
            match tokio::time::timeout(PROBE_EVERY, event.as_mut()).await {
                Ok(happened) => return Ok(happened),
                Err(_elapsed) => *waited += PROBE_EVERY,
            }
            match self.registry.alive(at) {
                Liveness::Alive => {}
                Liveness::Dead => return Err(Cause::ConnectionRefused),
                // One of the originals; or it has left, and its port is another's now.
                Liveness::Unleased => match self.registry.try_lookup(host) {
                    Some(Ok(found)) if found != Lookup::At(at) => {
                        return Err(Cause::ConnectionRefused);
                    }
                    _ if *waited < UNLEASED_TIME => {}
                    _ => return Err(Cause::TimedOut),
                },
            }
        }
    }

    /// Waits for the answer.
    async fn answered(
        &self,
        at: SocketAddrV4,
        stream: &TcpStream,
        call: &Call<'_>,
        waited: &mut Duration,
    ) -> Result<Addr, Cause> {
        let host = call.dst.host();
        let mut line = LineReader::default();
        let sure = |begun: &[u8]| sure_of_reply(call.network, host, begun);
        let read = read_line(stream, &mut line, sure);
        let line = match self.while_alive(at, host, waited, read).await? {
            Ok(Progress::Line(line)) => line,
            // It ended before it answered.
            Ok(Progress::Eof | Progress::Blocked) => return Err(Cause::ConnectionRefused),
            Ok(Progress::TooLong) => {
                return Err(Cause::Protocol("the reply has no end".to_owned()));
            }
            Err(error) => return Err(refused_by(error.into())),
        };
        match parse_reply(&line, call.network)? {
            Reply::Connected(peer) if peer.host() == host => Ok(peer),
            Reply::Connected(peer) => Err(Cause::Protocol(format!(
                "{peer} answered, but {host} was dialed"
            ))),
            Reply::Error(text) => Err(cause_of_error_reply(&text)),
        }
    }

    /// Whose the listener is that a connection was just made to. Asked before anything is sent to it:
    /// now it is still there, while a stranger who has answered may have closed all by which the
    /// kernel would know it. Another user's is refused, and so is one that is not the host's.
    async fn listener_at(self: &Arc<Self>, at: SocketAddrV4, host: &str) -> Result<Owner, Cause> {
        if at == self.osladdr {
            return Ok(Owner::Trusted);
        }
        let owner = self.peer_check.listener(at);
        if owner == Owner::Stranger {
            return Err(Cause::ConnectionRefused);
        }
        // The connection was made to the process that listened then. If the host's lease is held now, it was
        // held then, and the host's process listens for as long as it holds it. But for a moment: a
        // subnetwork that closes gives up its names, and then its lease, after it has stopped to
        // listen, which frees the port, as the kernel chose it.
        let is_the_hosts = match self.registry.alive(at) {
            Liveness::Alive => true,
            Liveness::Dead => false,
            // One of the originals, if the registry says so.
            Liveness::Unleased => self.find(host).await? == Lookup::At(at),
        };
        if is_the_hosts {
            Ok(owner)
        } else {
            Err(Cause::ConnectionRefused)
        }
    }
}

/// A call that failed.
struct Failed {
    cause: Cause,
    /// Whether the host may be elsewhere: no process was sent anything, or the registry said so then.
    elsewhere: bool,
}

impl From<Cause> for Failed {
    /// Before the request was sent.
    fn from(cause: Cause) -> Failed {
        Failed {
            cause,
            elsewhere: true,
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

/// A socket that connects to `at`, which is `within` this subnetwork or not, from an address of
/// this process.
fn start_connecting(at: SocketAddrV4, within: bool) -> io::Result<(StdStream, Source)> {
    let mut tries = 1;
    loop {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let stream = StdStream::from(socket(AddressFamily::Inet, SockType::Stream, flags, None)?);
        source::bind_next(&stream, *at.ip())?;
        stream.set_nodelay(true)?;
        if within {
            // The request is what acknowledges the connection, and what the dialer says next, the
            // reply: two packets less. Another process wakes by the first while the request is made.
            stream.set_quickack(false)?;
        }
        match connect(stream.as_raw_fd(), &SockaddrIn::from(at)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {
                let source = Source::of(&stream, at)?;
                return Ok((stream, source));
            }
            Err(Errno::EADDRNOTAVAIL) if tries < SOURCES => {
                tries += 1;
                source::give_turn_away();
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_connected(fd: &impl AsFd) -> bool {
    getpeername::<SockaddrIn>(fd.as_fd().as_raw_fd()).is_ok()
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

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use nix::sys::socket::{Backlog, bind, listen};

    use super::*;
    use crate::{Host, SubNetwork};

    /// A network with a host, and another one, `ο`, of which the registry says that it is served
    /// there: as one of the originals.
    async fn with_an_original(at: SocketAddrV4) -> (SubNetwork, Host) {
        let net = crate::join("").await.unwrap();
        let beta = net.new_host("β").await.unwrap();
        let path = std::env::temp_dir().join("lonet").join(net.name());
        rusqlite::Connection::open(path.join("registry.db"))
            .unwrap()
            .execute("INSERT INTO hosts VALUES ('ο', ?)", [at.to_string()])
            .unwrap();
        (net, beta)
    }

    async fn cause_of_dialing(beta: &Host) -> Cause {
        let dialed = tokio::time::timeout(Duration::from_secs(60), beta.dial("ο:10"));
        let error = dialed.await.expect("it hangs").unwrap_err();
        error.cause().clone()
    }

    fn osladdr(listener: &TcpListener) -> SocketAddrV4 {
        match listener.local_addr().unwrap() {
            SocketAddr::V4(addr) => addr,
            SocketAddr::V6(addr) => panic!("{addr}"),
        }
    }

    #[tokio::test]
    async fn an_original_that_does_not_answer_has_a_minute() {
        let silent = TcpListener::bind("127.9.8.6:0").unwrap();
        let (_net, beta) = with_an_original(osladdr(&silent)).await;
        assert_eq!(cause_of_dialing(&beta).await, Cause::TimedOut);
    }

    #[tokio::test]
    async fn an_original_that_does_not_connect_has_a_minute() {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        bind(fd.as_raw_fd(), &SockaddrIn::new(127, 9, 8, 5, 0)).unwrap();
        listen(&fd, Backlog::new(0).unwrap()).unwrap();
        let full = TcpListener::from(fd);
        let at = osladdr(&full);
        let queued: Vec<_> = (0..4)
            .map(|_| start_connecting(at, false).unwrap())
            .collect();
        assert!(!is_connected(&queued[3].0), "the kernel takes them all");
        let (_net, beta) = with_an_original(at).await;
        assert_eq!(cause_of_dialing(&beta).await, Cause::TimedOut);
    }
}
