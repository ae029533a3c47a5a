//! What the carrier knows of the sockets of one program, each by its cookie.
//!
//! Owns the table.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::rc::Rc;

use super::port::Port;
use super::socket::{Bound, Cookie, Link};

/// The sockets of one program.
#[derive(Default)]
pub(super) struct Sockets {
    known: RefCell<BTreeMap<Cookie, Socket>>,
    dials: RefCell<BTreeMap<u16, Rc<Link>>>,
}

/// A socket that is on the network.
#[derive(Clone)]
pub(super) enum Socket {
    Bound(Bound),
    Listening(Bound, Rc<Port>),
    /// Connected, or about to be.
    Connected(Rc<Link>),
}

/// Where a socket really is that is bound.
pub(super) struct Placed {
    pub(super) cookie: Cookie,
    pub(super) at: SocketAddrV4,
    pub(super) listens: bool,
}

impl Sockets {
    pub(super) fn get(&self, cookie: Cookie) -> Option<Socket> {
        self.known.borrow().get(&cookie).cloned()
    }

    pub(super) fn set(&self, cookie: Cookie, socket: Socket) {
        self.known.borrow_mut().insert(cookie, socket);
    }

    pub(super) fn remove(&self, cookie: Cookie) -> Option<Socket> {
        self.known.borrow_mut().remove(&cookie)
    }

    /// Those with such an address, which may be closed without a word of it yet.
    pub(super) fn placed(&self, is_wanted: impl Fn(&Bound) -> bool) -> Vec<Placed> {
        let known = self.known.borrow();
        let placed = known.iter().filter_map(|(&cookie, socket)| {
            let (bound, listens) = match socket {
                Socket::Bound(bound) => (bound, false),
                Socket::Listening(bound, _) => (bound, true),
                Socket::Connected(_) => return None,
            };
            let at = bound.real;
            is_wanted(bound).then_some(Placed {
                cookie,
                at,
                listens,
            })
        });
        placed.collect()
    }

    /// Those that are carried, with where they and their other ends really are.
    pub(super) fn carried(&self) -> Vec<(Cookie, SocketAddrV4, SocketAddrV4)> {
        let known = self.known.borrow();
        let carried = known.iter().filter_map(|(&cookie, socket)| match socket {
            Socket::Connected(link) => link.real.get().map(|(at, peer)| (cookie, at, peer)),
            _ => None,
        });
        carried.collect()
    }

    /// Whether another socket has this address.
    pub(super) fn is_taken(&self, bound: &Bound, listeners_only: bool) -> bool {
        self.known.borrow().values().any(|socket| match socket {
            Socket::Bound(other) => !listeners_only && other.excludes(bound),
            Socket::Listening(other, _) => other.excludes(bound),
            Socket::Connected(_) => false,
        })
    }

    /// Whether another socket really is there.
    pub(super) fn is_at(&self, real: SocketAddrV4) -> bool {
        self.known.borrow().values().any(|socket| match socket {
            Socket::Bound(bound) | Socket::Listening(bound, _) => bound.real == real,
            Socket::Connected(_) => false,
        })
    }

    /// A dial has its port of the network.
    pub(super) fn dials(&self, link: &Rc<Link>) {
        let port = link.local.get().port();
        self.dials.borrow_mut().insert(port, link.clone());
    }

    /// The last dial of this program from that port of the network.
    pub(super) fn dial_from(&self, port: u16) -> Option<Rc<Link>> {
        self.dials.borrow().get(&port).cloned()
    }

    /// The port of the network that listens under this number.
    pub(super) fn port(&self, number: u16) -> Option<Rc<Port>> {
        let known = self.known.borrow();
        known.values().find_map(|socket| match socket {
            Socket::Listening(bound, port) if bound.seen.port() == number => Some(port.clone()),
            _ => None,
        })
    }

    /// Forgets all.
    pub(super) fn clear(&self) -> Vec<Socket> {
        let known = std::mem::take(&mut *self.known.borrow_mut());
        known.into_values().collect()
    }
}
