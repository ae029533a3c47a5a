//! The accepting side: from a connection of the OS to the queue of a listener.
//!
//! Owns the loop that takes connections, and what becomes of peers that are strangers, slow, or
//! ask for what is not there. `virtnet` then decides which are accepted, and with which port.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::dial::connection_key;
use super::handshake::{Refusal, parse_request, reply_connected, reply_error};
use super::join::Loopback;
use super::line::{LineReader, Progress, nothing_sure};
use super::source::{self, Pair};
use crate::addr::Addr;
use crate::virtnet::Net;
use crate::virtnet::engine::{Engine, Knock};

/// How long a peer may take for its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// So many peers may owe their request; a further one takes the place of the oldest.
const MAX_SLOW: usize = 256;
/// How long the loop waits before it tries again when there are no descriptors.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(10);
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

/// Peers that owe their request, the oldest first.
#[derive(Default)]
pub(super) struct Slow(Mutex<SlowPeers>);

#[derive(Default)]
struct SlowPeers {
    next: u64,
    waiting: BTreeMap<u64, AbortHandle>,
}

impl Slow {
    fn peers<T>(&self, with: impl FnOnce(&mut SlowPeers) -> T) -> T {
        // Nothing under this lock can leave the peers half changed.
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// No request is waited for any more.
    pub(super) fn clear(&self) {
        for (_, task) in self.peers(|peers| std::mem::take(&mut peers.waiting)) {
            task.abort();
        }
    }
}

/// A connection that was taken from the OS.
struct Arrival {
    stream: TcpStream,
    /// The runtime that drives the stream.
    runtime: tokio::runtime::Id,
    peer: SocketAddrV4,
    nth: u64,
    line: LineReader,
}

/// That a subnetwork is served. When this is dropped and the subnetwork is open, the runtime that
/// joined has ended: then it closes, as at the end of a process. Else it would look alive to
/// others, and every dial to it would wait for ever.
pub(super) struct Serving {
    net: Weak<Net>,
    /// The runtime that serves.
    runtime: tokio::runtime::Id,
}

impl Serving {
    pub(super) fn on(runtime: tokio::runtime::Id, net: &Arc<Net>) -> Serving {
        let net = Arc::downgrade(net);
        Serving { net, runtime }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(net) = self.net.upgrade() {
            net.end();
        }
    }
}

/// Takes connections for as long as the subnetwork lives.
pub(super) async fn serve(listener: Arc<TcpListener>, serving: Serving) {
    loop {
        let accepted = listener.accept().await;
        // Held for one connection only: a task must not keep the network open.
        let Some(net) = serving.net.upgrade() else {
            return;
        };
        let Engine::Loopback(loopback) = &net.engine else {
            return;
        };
        match accepted {
            Ok((stream, SocketAddr::V4(peer))) => {
                loopback.arrived(&net, stream, peer, serving.runtime);
            }
            Ok((_, SocketAddr::V6(_))) => {}
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                // It was shut: the subnetwork is closed.
                Some(Errno::EINVAL | Errno::EBADF) => return,
                Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                    drop(net);
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
                // The peer was faster; or a signal came.
                _ => {}
            },
        }
    }
}

impl Loopback {
    /// A connection has come in. Usually its request came with it; else it is waited for aside.
    fn arrived(
        &self,
        net: &Arc<Net>,
        stream: TcpStream,
        peer: SocketAddrV4,
        runtime: tokio::runtime::Id,
    ) {
        let nth = match net.is_traced() {
            true => self.count_accepted((peer, self.osladdr)),
            false => 0,
        };
        // Before a byte is read: only processes of this user, or of root, get in.
        let end = Pair {
            local: peer,
            remote: self.osladdr,
        };
        if !source::is_ours(end) && !self.peer_check.allows(self.osladdr, peer) {
            return;
        }
        let mut arrival = Arrival {
            stream,
            runtime,
            peer,
            nth,
            line: LineReader::default(),
        };
        match arrival
            .line
            .advance(arrival.stream.as_raw_fd(), nothing_sure)
        {
            Ok(Progress::Blocked) => self.wait_aside(net, arrival),
            other => self.requested(net, arrival, other),
        }
    }

    /// Waits for the request of a slow peer, in a task of its own.
    fn wait_aside(&self, net: &Arc<Net>, arrival: Arrival) {
        let weak = Arc::downgrade(net);
        let slow = self.slow.clone();
        self.slow.peers(|peers| {
            if peers.waiting.len() >= MAX_SLOW
                && let Some((_, oldest)) = peers.waiting.pop_first()
            {
                oldest.abort();
            }
            let id = peers.next;
            peers.next += 1;
            let mut arrival = arrival;
            let task = tokio::spawn(async move {
                let request = read_line(&arrival.stream, &mut arrival.line, nothing_sure);
                let request = tokio::time::timeout(REQUEST_TIME, request).await;
                slow.peers(|peers| peers.waiting.remove(&id));
                if let (Ok(progress), Some(net)) = (request, weak.upgrade())
                    && let Engine::Loopback(loopback) = &net.engine
                {
                    loopback.requested(&net, arrival, progress);
                }
            });
            peers.waiting.insert(id, task.abort_handle());
        });
    }

    /// The request is there, or will never be.
    fn requested(&self, net: &Arc<Net>, arrival: Arrival, progress: io::Result<Progress>) {
        let Arrival {
            stream,
            runtime,
            peer,
            nth,
            ..
        } = arrival;
        let network = net.network();
        let request = match progress {
            Ok(Progress::Line(line)) => parse_request(&line, network),
            Ok(Progress::TooLong) => Err(Refusal::InvalidRequest),
            Ok(Progress::Blocked | Progress::Eof) | Err(_) => return,
        };
        let request = match request {
            Ok(request) => request,
            Err(refusal) => return refuse(&stream, network, refusal.text()),
        };
        let caller = Caller {
            stream,
            src: request.src,
            network: network.clone(),
            runtime,
            os: (peer, self.osladdr),
            nth,
        };
        if let Err(Knock::Tcp(caller)) = net.knock(&request.dst, Knock::Tcp(caller)) {
            caller.refuse(Refusal::ConnectionRefused.text());
        }
    }
}

/// Waits for a line, of which so much is `sure`, or for what makes one impossible; never returns
/// `Progress::Blocked`.
pub(super) async fn read_line(
    stream: &TcpStream,
    line: &mut LineReader,
    sure: impl Fn(&[u8]) -> usize,
) -> io::Result<Progress> {
    loop {
        stream.readable().await?;
        let progress = stream.try_io(Interest::READABLE, || {
            match line.advance(stream.as_raw_fd(), &sure)? {
                Progress::Blocked => Err(ErrorKind::WouldBlock.into()),
                progress => Ok(progress),
            }
        });
        match progress {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}
