//! Which sockets are closed: the kernel says so, of every TCP socket of the machine (sock_diag(7)).
//!
//! Owns that subscription, and asking for a single socket. `close` is not trapped: a socket is gone
//! when its last descriptor is, in whichever process that was. What follows from it is others'
//! business.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use tokio::io::unix::AsyncFd;

use super::socket::Cookie;
use super::waiting::watched;

/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY`, as bits.
const GROUPS: u32 = 0b101;

/// `sizeof(struct nlmsghdr)`.
const HEADER: usize = 16;
/// Where the cookie is in `struct inet_diag_msg`: after four bytes, two ports, two addresses and the
/// interface.
const COOKIE: usize = HEADER + 4 + 2 + 2 + 16 + 16 + 4;

/// Where the type of a message is in `struct nlmsghdr`.
const TYPE: usize = 4;
/// Where the inode is in `struct inet_diag_msg`: after the cookie and four numbers.
const INODE: usize = COOKIE + 8 + 4 * 4;

/// `sizeof(struct nlmsghdr) + sizeof(struct inet_diag_req_v2)`.
const REQUEST: u32 = 16 + 56;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLM_F_REQUEST: u16 = libc::NLM_F_REQUEST as u16;

/// Room for what waits between two looks.
const ROOM: usize = 4 << 20;

/// The subscription.
pub(super) struct Closed {
    netlink: AsyncFd<OwnedFd>,
}

/// What came of it.
pub(super) enum News {
    /// These are closed.
    Closed(Vec<Cookie>),
    /// Too many were closed at once: what is known to be open is to be looked up.
    Lost,
}

impl Closed {
    /// Needs a runtime.
    pub(super) fn subscribe() -> io::Result<Closed> {
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkSockDiag,
        )?;
        // As much as the system allows.
        let _ = setsockopt(&netlink, sockopt::RcvBuf, &ROOM);
        bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(Closed {
            netlink: watched(netlink)?,
        })
    }

    /// Waits for news.
    pub(super) async fn news(&self) -> io::Result<News> {
        let mut buffer = [0; 8192];
        loop {
            let mut ready = self.netlink.readable().await?;
            let received = recv(
                self.netlink.get_ref().as_fd().as_raw_fd(),
                &mut buffer,
                MsgFlags::empty(),
            );
            match received {
                Ok(bytes) => return Ok(News::Closed(cookies(&buffer[..bytes]))),
                Err(Errno::ENOBUFS) => return Ok(News::Lost),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Asks for single sockets, by where they really are: what is to be done when the word of some was
/// lost.
pub(super) struct Lookup {
    netlink: OwnedFd,
}

impl Lookup {
    pub(super) fn new() -> io::Result<Lookup> {
        Ok(Lookup {
            netlink: socket(
                AddressFamily::Netlink,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkSockDiag,
            )?,
        })
    }

    /// Whether a descriptor still stands for that end of that connection. True if the kernel does not
    /// say.
    pub(super) fn is_open(&self, cookie: Cookie, at: SocketAddrV4, peer: SocketAddrV4) -> bool {
        let netlink = self.netlink.as_raw_fd();
        let mut answer = [0; 8192];
        let answered = send(netlink, &request(cookie, at, peer), MsgFlags::empty())
            .and_then(|_| recv(netlink, &mut answer, MsgFlags::empty()));
        let Ok(bytes) = answered else { return true };
        let message = &answer[..bytes];
        match u16_at(message, TYPE) {
            // It has no inode if it is there only until all that it sent has arrived.
            Some(SOCK_DIAG_BY_FAMILY) => u32_at(message, INODE) != Some(0),
            Some(NLMSG_ERROR) => {
                let error = u32_at(message, HEADER).map(|error| -error.cast_signed());
                let gone = [Errno::ENOENT, Errno::ESTALE].map(|errno| Some(errno as i32));
                !gone.contains(&error)
            }
            _ => true,
        }
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`, of one socket.
fn request(cookie: Cookie, at: SocketAddrV4, peer: SocketAddrV4) -> Vec<u8> {
    let mut request = Vec::with_capacity(REQUEST as usize);
    request.extend(REQUEST.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    // Its number, and whose it is: neither is looked at.
    request.extend([0; 8]);
    request.extend([libc::AF_INET as u8, libc::IPPROTO_TCP as u8, 0, 0]);
    // In every state.
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(at.port().to_be_bytes());
    request.extend(peer.port().to_be_bytes());
    for ip in [at.ip(), peer.ip()] {
        request.extend(ip.octets());
        request.extend([0; 12]);
    }
    // Of any interface.
    request.extend([0; 4]);
    request.extend((cookie as u32).to_ne_bytes());
    request.extend(((cookie >> 32) as u32).to_ne_bytes());
    request
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    let bytes = message.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// The cookies in what netlink sent.
fn cookies(mut messages: &[u8]) -> Vec<Cookie> {
    let mut cookies = Vec::new();
    while let Some(length) = messages
        .first_chunk()
        .map(|length| u32::from_ne_bytes(*length))
    {
        let length = length as usize;
        let Some(message) = messages.get(..length).filter(|_| length >= HEADER) else {
            break;
        };
        if let Some(cookie) = message.get(COOKIE..).and_then(|rest| rest.first_chunk()) {
            // Two numbers of 32 bits, the lower one first.
            let [low, high]: [u32; 2] = [0, 4].map(|at| {
                let four: &[u8; 8] = cookie;
                u32::from_ne_bytes([four[at], four[at + 1], four[at + 2], four[at + 3]])
            });
            cookies.push(u64::from(high) << 32 | u64::from(low));
        }
        messages = messages
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    cookies
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_is_open_until_its_descriptor_is_closed() {
        let lookup = Lookup::new().expect("a socket");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("known");
        let stream = TcpStream::connect(address).expect("connected");
        let accepted = listener.accept().expect("accepted").0;
        let v4 = |address: io::Result<SocketAddr>| match address {
            Ok(SocketAddr::V4(address)) => address,
            other => panic!("{other:?}"),
        };
        let (at, peer) = (v4(stream.local_addr()), v4(stream.peer_addr()));
        let cookie = rustix::net::sockopt::socket_cookie(&stream).expect("known");
        assert!(lookup.is_open(cookie, at, peer));
        assert!(!lookup.is_open(cookie + 1, at, peer));
        stream.shutdown(std::net::Shutdown::Write).expect("shut");
        assert!(lookup.is_open(cookie, at, peer));
        drop(stream);
        assert!(!lookup.is_open(cookie, at, peer));
        drop(accepted);
    }
}
