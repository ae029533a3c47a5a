//! A port of the network that sockets of a program listen on.
//!
//! Owns how a dial reaches them. A dial on the network rings one of the program's own listeners, by a
//! connection to it, so that whatever the program waits with wakes. When it accepts, that connection
//! is what it gets, and its other end is carried to the dialer.
//!
//! What else connects to the program's listener is closed: it does not come from the network.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Duration;

use lonet::{Addr, Listener, Stream};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::net::SocketFlags;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::place::{self, as_v4};
use super::socket::{Bound, Cookie};
use super::trap::errno;

/// How long it takes until ringing that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// A port of the network on which sockets of a program listen.
pub(super) struct Port {
    listener: Rc<Listener>,
    /// The sockets, and where they are.
    doors: RefCell<BTreeMap<Cookie, Door>>,
    /// Whose turn it is to be rung at.
    turn: Cell<usize>,
    /// The other ends of the connections in the queues of those sockets, by their addresses, each with
    /// where its socket is.
    rung: RefCell<BTreeMap<SocketAddrV4, (Rc<TcpStream>, SocketAddrV4)>>,
    /// Something has rung, or nobody listens any more.
    pub(super) news: Notify,
    ringing: RefCell<Option<AbortHandle>>,
}

impl Port {
    /// The port of a listener, at which that socket is the first to be rung.
    pub(super) fn open(listener: Listener, door: (Cookie, Door), rings: Rc<Rings>) -> Rc<Port> {
        let port = Rc::new(Port {
            listener: Rc::new(listener),
            doors: RefCell::new(BTreeMap::from([door])),
            turn: Cell::default(),
            rung: RefCell::default(),
            news: Notify::new(),
            ringing: RefCell::default(),
        });
        let ringing = tokio::task::spawn_local(ring(Rc::downgrade(&port), rings));
        *port.ringing.borrow_mut() = Some(ringing.abort_handle());
        port
    }

    /// Another socket listens, too.
    pub(super) fn add(&self, door: (Cookie, Door)) {
        self.doors.borrow_mut().extend([door]);
    }

    /// A socket is gone. If it was the last, nobody listens any more; the others are rung at for what
    /// was in its queue.
    pub(super) fn remove(self: Rc<Port>, cookie: Cookie) {
        let Some(gone) = self.doors.borrow_mut().remove(&cookie) else {
            return;
        };
        if self.doors.borrow().is_empty() {
            tokio::task::spawn_local(async move { self.close().await });
            return;
        }
        let mut in_vain = 0;
        self.rung.borrow_mut().retain(|_, (bell, door)| {
            // What is still connecting finds out by itself.
            let is_lost = *door == gone.at && has_failed(bell);
            in_vain += usize::from(is_lost);
            !is_lost
        });
        tokio::task::spawn_local(async move {
            for _ in 0..in_vain {
                self.ring().await;
            }
        });
    }

    /// Rings no more.
    pub(super) fn stop(&self) {
        self.doors.borrow_mut().clear();
        if let Some(ringing) = self.ringing.borrow_mut().take() {
            ringing.abort();
        }
    }

    /// Opens it to dials of other hosts, too.
    pub(super) fn open_to_all(&self) {
        lonet::carried::open_to_all(&self.listener);
    }

    /// Nobody listens any more.
    async fn close(&self) {
        self.stop();
        let _ = self.listener.close().await;
        self.rung.borrow_mut().clear();
        self.news.notify_waiters();
    }

    /// Where to ring next.
    fn door(&self) -> Option<SocketAddrV4> {
        let doors = self.doors.borrow();
        let first = doors.values().map(|door| door.rank).min()?;
        let doors: Vec<_> = doors.values().filter(|door| door.rank == first).collect();
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        Some(doors[turn % doors.len()].at)
    }

    /// Rings for one dial.
    async fn ring(&self) {
        while let Some(door) = self.door() {
            if self.rings_at(door).await {
                break;
            }
            // Either its socket is gone, which is known soon; or descriptors are, until some are free.
            tokio::time::sleep(TRY_AGAIN).await;
        }
        self.news.notify_waiters();
    }

    /// Rings there; false if that fails.
    async fn rings_at(&self, door: SocketAddrV4) -> bool {
        let Ok((bell, at)) = place::connecting(door) else {
            return false;
        };
        let bell = Rc::new(bell);
        // The program may accept it before its end here knows that it is connected.
        let ringing = (bell.clone(), door);
        self.rung.borrow_mut().insert(at, ringing);
        if bell.peer_addr().is_ok() {
            return true;
        }
        // Not yet, or not at all.
        let weak = Rc::downgrade(&bell);
        drop(bell);
        std::future::poll_fn(|cx| match weak.upgrade() {
            Some(bell) => bell.poll_write_ready(cx).map(drop),
            None => Poll::Ready(()),
        })
        .await;
        let failed = weak.upgrade().is_some_and(|bell| has_failed(&bell));
        if failed {
            self.rung.borrow_mut().remove(&at);
        }
        !failed
    }

    /// Takes the first connection of a socket's queue that rang for a dial, with its other end.
    /// `None`: there is none.
    fn answered(
        &self,
        socket: &OwnedFd,
        flags: SocketFlags,
    ) -> Result<Option<(OwnedFd, TcpStream)>, Errno> {
        loop {
            if !is_readable(socket) {
                return Ok(None);
            }
            let accepted = rustix::net::acceptfrom_with(socket, flags).map_err(errno)?;
            let peer = accepted.1.and_then(|peer| SocketAddr::try_from(peer).ok());
            let bell = peer
                .and_then(as_v4)
                .and_then(|peer| self.rung.borrow_mut().remove(&peer));
            // Elsewhere it is held only for the length of a poll.
            if let Some(bell) = bell.and_then(|(bell, _)| Rc::into_inner(bell)) {
                return Ok(Some((accepted.0, bell)));
            }
        }
    }

    /// Takes a dial, for the connection that rang for one. `None`: there is none.
    pub(super) fn taken(
        &self,
        socket: &OwnedFd,
        flags: SocketFlags,
    ) -> Result<Option<Taken>, Errno> {
        // What rang for a dial that is gone by now is left out.
        while let Some((ours, bell)) = self.answered(socket, flags)? {
            match lonet::carried::try_accept(&self.listener) {
                Some(Ok(stream)) => return Ok(Some(Taken { ours, bell, stream })),
                Some(Err(_)) => return Err(Errno::ENFILE),
                None => {}
            }
        }
        Ok(None)
    }
}

/// A socket that listens.
pub(super) struct Door {
    at: SocketAddrV4,
    rank: Rank,
}

/// Only the first of these are rung at. Dials come by IPv4 addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    ForAll,
    ForV6,
    ForItself,
}

impl Door {
    pub(super) fn of(bound: &Bound) -> Door {
        let rank = match () {
            () if bound.is_loopback => Rank::ForItself,
            () if bound.is_v6_only => Rank::ForV6,
            () => Rank::ForAll,
        };
        Door {
            at: bound.real,
            rank,
        }
    }
}

/// Rings once for each dial, as long as there is the port.
async fn ring(port: Weak<Port>, rings: Rc<Rings>) {
    let Some(listener) = port.upgrade().map(|port| port.listener.clone()) else {
        return;
    };
    let dialed = || std::future::poll_fn(|cx| lonet::carried::poll_dialed(&listener, cx));
    while let Ok(from) = dialed().await {
        let Some(port) = port.upgrade() else { return };
        port.ring().await;
        rings.rung(&from);
    }
}

/// The dials of this carrier's programs that have not been decided: a program's own dial is, once it
/// has rung at a program.
#[derive(Default)]
pub(super) struct Rings {
    dials: RefCell<BTreeMap<String, oneshot::Sender<()>>>,
}

impl Rings {
    /// Says when the dial from there has rung.
    pub(super) fn expect(&self, from: &Addr, sender: oneshot::Sender<()>) {
        let mut dials = self.dials.borrow_mut();
        dials.retain(|_, sender| !sender.is_closed());
        dials.insert(from.to_string(), sender);
    }

    fn rung(&self, from: &Addr) {
        if let Some(sender) = self.dials.borrow_mut().remove(&from.to_string()) {
            // Who asked may have given up.
            let _ = sender.send(());
        }
    }
}

/// What `accept` gives a program.
pub(super) struct Taken {
    pub(super) ours: OwnedFd,
    pub(super) bell: TcpStream,
    pub(super) stream: Stream,
}

/// Whether a connection has failed, or was reset.
fn has_failed(connection: &TcpStream) -> bool {
    !matches!(connection.take_error(), Ok(None))
}

/// Whether something is in a listener's queue, or it has an error.
fn is_readable(socket: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
