//! One socket of a program, as the program sees it.
//!
//! Owns which addresses exclude each other, as in the kernel. Descriptors are the program's own, and
//! so is what they stand for after a fork or a `dup`: a socket is the same as long as its cookie is.

use std::cell::Cell;
use std::net::{SocketAddr, SocketAddrV4};
use std::rc::Rc;

use tokio::sync::Notify;

/// The number of a socket, which the kernel gives no other.
pub(super) type Cookie = u64;

/// A socket's own address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// What the program sees.
    pub(super) seen: SocketAddr,
    /// Where the socket is.
    pub(super) real: SocketAddrV4,
    /// Whether other hosts reach it.
    pub(super) is_loopback: bool,
    pub(super) is_v6_only: bool,
    pub(super) shares: bool,
}

/// A connection, as the program has it.
pub(super) struct Link {
    /// Its own end and the other one, as the program sees them.
    pub(super) local: Cell<SocketAddr>,
    pub(super) peer: SocketAddr,
    /// What its socket was bound to before it connected, and still is.
    pub(super) bound: Option<Bound>,
    /// Where its socket really is, and the carrier's, once it is carried.
    pub(super) real: Cell<Option<(SocketAddrV4, SocketAddrV4)>>,
    /// The program has shut down writing: the end of its bytes is not the end of its socket.
    pub(super) shut: Cell<bool>,
    /// The socket is gone.
    pub(super) gone: Cell<bool>,
    pub(super) news: Notify,
}

impl Link {
    pub(super) fn new(local: SocketAddr, peer: SocketAddr, bound: Option<Bound>) -> Rc<Link> {
        Rc::new(Link {
            local: Cell::new(local),
            peer,
            bound,
            real: Cell::default(),
            shut: Cell::default(),
            gone: Cell::default(),
            news: Notify::new(),
        })
    }

    /// Returns when the socket is gone.
    pub(super) async fn gone(&self) {
        while !self.gone.get() {
            self.news.notified().await;
        }
    }
}

impl Bound {
    /// Whether no two sockets can have both of these.
    pub(super) fn excludes(&self, other: &Bound) -> bool {
        if self.seen.port() != other.seen.port() || (self.shares && other.shares) {
            return false;
        }
        let any = |bound: &Bound| bound.seen.ip().is_unspecified();
        let is_of = |bound: &Bound, other: &Bound| {
            // Which family it is for.
            !(bound.is_v6_only && other.seen.ip().to_canonical().is_ipv4())
        };
        match any(self) || any(other) {
            true => is_of(self, other) && is_of(other, self),
            false => self.seen.ip().to_canonical() == other.seen.ip().to_canonical(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(seen: &str, is_v6_only: bool, shares: bool) -> Bound {
        Bound {
            seen: seen.parse().expect("an address"),
            real: SocketAddrV4::new([127, 1, 2, 3].into(), 1),
            is_loopback: false,
            is_v6_only,
            shares,
        }
    }

    #[test]
    fn two_sockets_have_one_port_as_in_the_kernel() {
        let any = bound("0.0.0.0:80", false, false);
        let any6 = bound("[::]:80", false, false);
        let only6 = bound("[::]:80", true, false);
        let one = bound("127.0.0.1:80", false, false);
        let two = bound("198.18.0.1:80", false, false);
        let other = bound("0.0.0.0:81", false, false);
        let shared = bound("0.0.0.0:80", false, true);
        for (a, b, excludes) in [
            (&any, &any, true),
            (&any, &any6, true),
            (&any, &only6, false),
            (&any6, &only6, true),
            (&any, &one, true),
            (&any6, &one, true),
            (&only6, &one, false),
            (&one, &two, false),
            (&one, &one, true),
            (&any, &other, false),
            (&shared, &shared, false),
            (&shared, &any, true),
        ] {
            assert_eq!(a.excludes(b), excludes, "{a:?} {b:?}");
            assert_eq!(b.excludes(a), excludes, "{b:?} {a:?}");
        }
    }
}
