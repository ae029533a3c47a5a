//! `accept` of a carried program.
//!
//! Owns what the call returns, and when. The port that it takes a dial from is [`port`](super::port)'s.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use lonet::Addr;
use nix::errno::Errno;
use nix::libc;
use rustix::net::{SocketFlags, sockopt};

use super::carried::Carried;
use super::names::in_family;
use super::socket::{Bound, Cookie, Link};
use super::sockets::Socket;
use super::trap::{Trap, errno};
use super::waiting::{Waiting, watched};

impl Carried {
    /// `accept` and `accept4`, whose flags these are.
    pub(super) async fn accept(self: Rc<Self>, mut trap: Trap, socket: OwnedFd, flags: i32) {
        let cookie = sockopt::socket_cookie(&socket).unwrap_or_default();
        let Some(Socket::Listening(bound, port)) = self.sockets.get(cookie) else {
            return trap.error(Errno::EINVAL);
        };
        let mut inner = SocketFlags::CLOEXEC;
        inner.set(SocketFlags::NONBLOCK, flags & libc::SOCK_NONBLOCK != 0);
        let mut waiting = Waiting::of(&socket, sockopt::Timeout::Recv);
        let mut queue = None;
        let taken = loop {
            // Made before it looks: from here on no news go unnoticed.
            let mut news = std::pin::pin!(port.news.notified());
            news.as_mut().enable();
            match port.taken(&socket, inner) {
                Ok(Some(taken)) => break taken,
                Ok(None) => {}
                Err(error) => return trap.error(error),
            }
            if waiting.is_nonblocking() {
                return trap.error(Errno::EAGAIN);
            }
            if !self.listens(cookie) {
                return trap.error(Errno::EINVAL);
            }
            // What rings is in the queue some time after it has begun to.
            let queue = match &mut queue {
                Some(queue) => queue,
                None => match socket.try_clone().and_then(watched) {
                    Ok(watched) => queue.insert(watched),
                    Err(error) => return trap.error(errno(error)),
                },
            };
            let news = Box::pin(async {
                tokio::select! {
                    () = news => {}
                    ready = queue.readable() => ready.into_iter().for_each(|mut ready| ready.clear_ready()),
                }
            });
            trap = match waiting.wait(trap, news).await {
                Ok((trap, ())) => trap,
                Err(over) => return over.answer(),
            };
        };
        if !lonet::carried::settled(self.host()).await {
            return trap.abandon();
        }
        let is_v6 = bound.seen.is_ipv6();
        let (local, peer) = self.ends(&bound, taken.stream.peer_addr());
        let (local, peer) = (in_family(local, is_v6), in_family(peer, is_v6));
        if let Err(error) = trap.put_address(1, 2, peer, is_v6) {
            return trap.error(error);
        }
        let link = Link::new(local, peer, None);
        let cookie = sockopt::socket_cookie(&taken.ours).unwrap_or_default();
        self.sockets.set(cookie, Socket::Connected(link.clone()));
        let close_on_exec = flags & libc::SOCK_CLOEXEC != 0;
        let given = trap.hand_in(taken.ours.as_fd(), close_on_exec);
        drop(taken.ours);
        if given.is_err() {
            self.sockets.remove(cookie);
            return;
        }
        self.carries(link, taken.bell, taken.stream);
    }

    /// The own and the other address of what a socket that is bound there accepts from `peer`.
    fn ends(&self, bound: &Bound, peer: &Addr) -> (SocketAddr, SocketAddr) {
        let own_dial = match peer.host() == self.name() {
            true => self.sockets.dial_from(peer.port()),
            false => None,
        };
        match own_dial {
            Some(dial) if bound.seen.is_ipv6() || dial.peer.ip().to_canonical().is_ipv4() => {
                (dial.peer, dial.local.get())
            }
            _ => (self.local_for(bound.seen), self.address_of(peer)),
        }
    }

    fn listens(&self, cookie: Cookie) -> bool {
        matches!(self.sockets.get(cookie), Some(Socket::Listening(..)))
    }
}
