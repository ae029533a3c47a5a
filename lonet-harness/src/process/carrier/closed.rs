//! Which sockets are closed: the kernel says so, of every TCP socket of the machine (sock_diag(7)).
//!
//! Owns that subscription. `close` is not trapped: a socket is gone when its last descriptor is, in
//! whichever process that was. What follows from it, is others' business.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
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

/// Room for what waits between two looks.
const ROOM: usize = 4 << 20;

/// What tells of closed sockets.
pub(super) struct Closed {
    netlink: AsyncFd<OwnedFd>,
}

/// What it told.
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
