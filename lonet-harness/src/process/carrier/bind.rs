//! `bind` and `listen` of a carried program.
//!
//! Owns where its sockets really are: at an address of the carrier's range that stands for the host,
//! with the port that the program asks for wherever that is free and allowed there. What the program
//! sees is what it asked for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::errno::Errno;
use rustix::io::Errno as Refused;
use rustix::net::sockopt;

use super::carried::{Carried, as_errno};
use super::names::{Meaning, in_family};
use super::place::local;
use super::port::{Door, Port};
use super::socket::Bound;
use super::sockets::Socket;
use super::trap::{Sockaddr, Trap, errno, is_v6};

impl Carried {
    /// `bind`.
    pub(super) fn bind(&self, trap: &mut Trap, socket: &OwnedFd) -> Result<i64, Errno> {
        let is_v6 = is_v6(socket);
        let asked = match trap.address(1, 2)? {
            Sockaddr::Inet(asked) if asked.is_ipv6() == is_v6 => asked,
            // As the kernel has it, for programs of old.
            Sockaddr::Unspec if !is_v6 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            Sockaddr::Inet(_) => return Err(Errno::EINVAL),
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let cookie = sockopt::socket_cookie(socket).map_err(errno)?;
        if let Some(Socket::Bound(_) | Socket::Listening(..)) = self.sockets.get(cookie) {
            return Err(Errno::EINVAL);
        }
        self.bind_at(socket, asked)?;
        Ok(0)
    }

    /// Binds a socket to what the program asks for.
    fn bind_at(&self, socket: &OwnedFd, asked: SocketAddr) -> Result<Bound, Errno> {
        let is_any = asked.ip().to_canonical().is_unspecified();
        let is_loopback = match self.names.meaning(self.name(), asked.ip()) {
            Meaning::Loopback => !is_any,
            Meaning::Own => false,
            Meaning::Host(_) | Meaning::Nowhere => return Err(Errno::EADDRNOTAVAIL),
        };
        let is_v6 = is_v6(socket);
        let cookie = sockopt::socket_cookie(socket).map_err(errno)?;
        let mut bound = Bound {
            seen: asked,
            real: SocketAddrV4::new(self.at, asked.port()),
            is_loopback,
            is_v6_only: is_v6 && sockopt::ipv6_v6only(socket).unwrap_or_default(),
            shares: sockopt::socket_reuseport(socket).unwrap_or_default(),
        };
        if asked.port() == 0 {
            self.look_again(self.sockets.placed(|_| true));
            bound
                .seen
                .set_port(self.free_port().ok_or(Errno::EADDRINUSE)?);
            bound.real.set_port(bound.seen.port());
        }
        let reuses = sockopt::socket_reuseaddr(socket).unwrap_or_default();
        self.look_again(self.sockets.placed(|other| other.excludes(&bound)));
        // Of two that are bound and do not listen yet, the kernel lets both be that allow it.
        if self.sockets.is_taken(&bound, reuses) {
            return Err(Errno::EADDRINUSE);
        }
        self.bind_really(socket, &mut bound, is_v6, reuses)?;
        self.sockets.set(cookie, Socket::Bound(bound));
        Ok(bound)
    }

    /// Binds it where it really is to be.
    fn bind_really(
        &self,
        socket: &OwnedFd,
        bound: &mut Bound,
        is_v6: bool,
        reuses: bool,
    ) -> Result<(), Errno> {
        if bound.is_v6_only {
            // It is at an IPv4 address.
            sockopt::set_ipv6_v6only(socket, false).map_err(errno)?;
        }
        let bind = |at: SocketAddrV4| rustix::net::bind(socket, &in_family(at.into(), is_v6));
        // What an earlier incarnation of the host has left does not count.
        let _ = sockopt::set_socket_reuseaddr(socket, true);
        let result = match self.sockets.is_at(bound.real) {
            // The kernel would let both be there, until the second listens.
            true => Err(Refused::ADDRINUSE),
            false => bind(bound.real),
        };
        let result = match result {
            // A port that only root has here, or that another socket has.
            Err(Refused::ACCESS | Refused::ADDRINUSE) => bind(SocketAddrV4::new(self.at, 0)),
            result => result,
        };
        let _ = sockopt::set_socket_reuseaddr(socket, reuses);
        result.map_err(errno)?;
        bound.real = local(socket).map_err(errno)?;
        Ok(())
    }

    /// The lowest port of the host that neither the network nor a socket of the program has.
    fn free_port(&self) -> Option<u16> {
        let free = |port: &u16| {
            let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port));
            let bound = Bound {
                seen: any,
                real: SocketAddrV4::new(self.at, *port),
                is_loopback: false,
                is_v6_only: false,
                shares: false,
            };
            lonet::carried::is_free(self.host(), *port) && !self.sockets.is_taken(&bound, false)
        };
        (1..=u16::MAX).find(free)
    }

    /// `listen`.
    pub(super) async fn listen(self: Rc<Self>, trap: Trap, socket: OwnedFd) {
        let listened = self.listen_on(&trap, &socket).await;
        if !lonet::carried::settled(self.host()).await {
            return trap.abandon();
        }
        match listened {
            Ok(()) => trap.value(0),
            Err(error) => trap.error(error),
        }
    }

    async fn listen_on(&self, trap: &Trap, socket: &OwnedFd) -> Result<(), Errno> {
        let cookie = sockopt::socket_cookie(socket).map_err(errno)?;
        let is_v6 = is_v6(socket);
        let backlog = trap.arg(1) as i32;
        let bound = match self.sockets.get(cookie) {
            Some(Socket::Bound(bound)) => bound,
            Some(Socket::Connected(_)) => return Err(Errno::EINVAL),
            Some(Socket::Listening(..)) => {
                return rustix::net::listen(socket, backlog).map_err(errno);
            }
            None => {
                let any = IpAddr::from(Ipv4Addr::UNSPECIFIED);
                let any = in_family(SocketAddr::new(any, 0), false);
                self.bind_at(socket, if is_v6 { any_v6() } else { any })?
            }
        };
        if self.sockets.is_taken(&bound, true) {
            return Err(Errno::EADDRINUSE);
        }
        rustix::net::listen(socket, backlog).map_err(errno)?;
        let door = (cookie, Door::of(&bound));
        let port = match self.sockets.port(bound.seen.port()) {
            Some(port) => {
                port.add(door);
                if !bound.is_loopback {
                    port.open_to_all();
                }
                port
            }
            None => {
                let port = bound.seen.port();
                let listening = lonet::carried::listen(self.host(), port, bound.is_loopback).await;
                let listener = listening.map_err(|error| as_errno(error.cause()))?;
                Port::open(listener, door, self.rings.clone())
            }
        };
        self.sockets.set(cookie, Socket::Listening(bound, port));
        Ok(())
    }
}

fn any_v6() -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0))
}
