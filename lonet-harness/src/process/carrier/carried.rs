//! One carried program on the network: its host, and its sockets.
//!
//! Owns the end: what its processes had sent is carried on, then its host closes. What its calls do is
//! above this. Everything here is of one thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use lonet::{Addr, Cause, Host, Stream, SubNetwork};
use nix::errno::Errno;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::bytes;
use super::closed::Lookup;
use super::names::Names;
use super::place::{self, Place};
use super::port::Rings;
use super::socket::{Cookie, Link};
use super::sockets::{Placed, Socket, Sockets};

/// How long nothing of what a program had sent is carried on before it is given up, once all its
/// processes have ended: the other ends do not accept or read it then.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all carried programs of a scenario share.
pub(super) struct Shared {
    pub(super) place: Rc<Place>,
    pub(super) names: Rc<Names>,
    pub(super) rings: Rc<Rings>,
    /// The hosts that the scenario has named.
    pub(super) hosts: RefCell<BTreeSet<String>>,
}

/// See [`Carried::busy`].
pub(super) struct Busy(Rc<Carried>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.carrying.set(self.0.carrying.get() - 1);
        self.0.news.notify_waiters();
    }
}

/// A carried program.
pub(super) struct Carried {
    network: SubNetwork,
    host: Host,
    shared: Rc<Shared>,
    pub(super) place: Rc<Place>,
    pub(super) names: Rc<Names>,
    pub(super) rings: Rc<Rings>,
    /// Where its sockets are.
    pub(super) at: Ipv4Addr,
    pub(super) sockets: Sockets,
    /// Connections that are carried.
    carrying: Cell<usize>,
    /// So many bytes it has sent were carried on.
    progress: Rc<Cell<u64>>,
    /// No process has the filter any more.
    is_empty: Cell<bool>,
    news: Notify,
}

impl Carried {
    /// Joins the network as that host, for the process of that number.
    pub(super) async fn join(
        shared: Rc<Shared>,
        process: u64,
        network: &str,
        host: &str,
    ) -> Result<Rc<Carried>, String> {
        let at = shared.place.of_host(host)?;
        let network = lonet::carried::join(network, process).await;
        let network = network.map_err(|error| error.to_string())?;
        let host = network.new_host(host).await;
        let host = host.map_err(|error| error.to_string())?;
        // Its own name has an address from the beginning.
        shared.names.address(host.name());
        Ok(Rc::new(Carried {
            network,
            host,
            place: shared.place.clone(),
            names: shared.names.clone(),
            rings: shared.rings.clone(),
            shared,
            at,
            sockets: Sockets::default(),
            carrying: Cell::default(),
            progress: Rc::default(),
            is_empty: Cell::default(),
            news: Notify::new(),
        }))
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn name(&self) -> &str {
        self.host.name()
    }

    /// The address that stands for its host.
    pub(super) fn own_address(&self) -> Ipv4Addr {
        self.names.address(self.name())
    }

    /// An address of the network, as the program sees it.
    pub(super) fn address_of(&self, addr: &Addr) -> SocketAddr {
        SocketAddr::from((self.names.address(addr.host()), addr.port()))
    }

    /// The own address of what a listener that is bound there accepts.
    pub(super) fn local_for(&self, bound: SocketAddr) -> SocketAddr {
        match bound.ip().to_canonical().is_unspecified() {
            true => SocketAddr::from((self.own_address(), bound.port())),
            false => bound,
        }
    }

    /// Carries what goes between a program's socket, at the other end of `socket`, and its stream.
    pub(super) fn carries(self: &Rc<Self>, link: Rc<Link>, socket: TcpStream, stream: Stream) {
        let real = |end: io::Result<SocketAddr>| end.ok().and_then(place::as_v4);
        link.real
            .set(real(socket.peer_addr()).zip(real(socket.local_addr())));
        let (own, busy) = (self.clone(), self.busy());
        tokio::task::spawn_local(async move {
            bytes::carry(link, socket, stream, &own.host, &own.progress).await;
            drop(busy);
        });
    }

    /// As long as this is there, the program has sent something that is to be carried on.
    pub(super) fn busy(self: &Rc<Self>) -> Busy {
        self.carrying.set(self.carrying.get() + 1);
        Busy(self.clone())
    }

    /// The names of all hosts that the scenario has named, or that have ever been there.
    pub(super) async fn all_hosts(&self) -> Vec<String> {
        let mut hosts = self.shared.hosts.borrow().clone();
        // Without the registry: what the scenario has named.
        let ever = lonet::carried::hosts(&self.network).await;
        hosts.extend(ever.unwrap_or_default());
        hosts.into_iter().collect()
    }

    /// No process has the program's filter any more.
    pub(super) fn is_now_empty(&self) {
        self.is_empty.set(true);
        self.news.notify_waiters();
    }

    /// The kernel's word of a close comes later than the program goes on, and may be lost: those of
    /// these that are not there any more are closed.
    pub(super) fn look_again(&self, placed: Vec<Placed>) {
        for Placed {
            cookie,
            at,
            listens,
        } in placed
        {
            if !place::is_there(at, listens) {
                self.closed(cookie);
            }
        }
    }

    /// The kernel's word of some sockets is lost: all are looked at.
    pub(super) fn look_at_all(&self) {
        self.look_again(self.sockets.placed(|_| true));
        // Without descriptors, at the next loss.
        let Ok(lookup) = Lookup::new() else { return };
        for (cookie, at, peer) in self.sockets.carried() {
            if !lookup.is_open(cookie, at, peer) {
                self.closed(cookie);
            }
        }
    }

    /// A socket is closed: if it is one of this program's.
    pub(super) fn closed(&self, cookie: Cookie) {
        match self.sockets.remove(cookie) {
            Some(Socket::Listening(_, port)) => port.remove(cookie),
            Some(Socket::Connected(link)) => {
                link.gone.set(true);
                link.news.notify_waiters();
            }
            _ => {}
        }
    }

    /// A socket is not connected, or not any more: it is as it was before its `connect`.
    pub(super) fn is_unconnected(&self, cookie: Cookie) {
        if let Some(Socket::Connected(link)) = self.sockets.get(cookie) {
            self.closed(cookie);
            if let Some(bound) = link.bound {
                self.sockets.set(cookie, Socket::Bound(bound));
            }
        }
    }

    /// A listener has its address still, and nothing else; what another socket has, it keeps.
    pub(super) fn listens_no_more(&self, cookie: Cookie) {
        if let Some(Socket::Listening(bound, _)) = self.sockets.get(cookie) {
            self.closed(cookie);
            self.sockets.set(cookie, Socket::Bound(bound));
        }
    }

    /// Closes its host, once no process has its filter and all that was sent is carried on.
    pub(super) async fn end(self: Rc<Self>) {
        // What was not found to be killed, since it has left all by which it is, has no host any more.
        let _ = tokio::time::timeout(PATIENCE, self.until(|own| own.is_empty.get())).await;
        for socket in self.sockets.clear() {
            match socket {
                Socket::Connected(link) => {
                    link.gone.set(true);
                    link.news.notify_waiters();
                }
                Socket::Listening(_, port) => port.stop(),
                Socket::Bound(_) => {}
            }
        }
        loop {
            let before = self.progress.get();
            let carried_on = self.until(|own| own.carrying.get() == 0);
            let done = tokio::time::timeout(PATIENCE, carried_on).await.is_ok();
            if done || self.progress.get() == before {
                break;
            }
        }
        self.close().await;
    }

    /// Closes its host.
    pub(super) async fn close(&self) {
        let _ = self.host.close().await;
        let _ = self.network.close().await;
    }

    async fn until(&self, is_so: impl Fn(&Carried) -> bool) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if is_so(self) {
                return;
            }
            news.await;
        }
    }
}

/// What a program gets where an operation on the network failed.
pub(super) fn as_errno(cause: &Cause) -> Errno {
    match cause {
        Cause::AddrInUse => Errno::EADDRINUSE,
        Cause::AddrNotAvailable | Cause::PortsExhausted => Errno::EADDRNOTAVAIL,
        Cause::TimedOut => Errno::ETIMEDOUT,
        Cause::HostDown | Cause::NetworkDown => Errno::ENETDOWN,
        // Also for a name without a host: its address is on the network, and nothing listens there.
        _ => Errno::ECONNREFUSED,
    }
}
