//! Whose process is at the other end of a loopback connection: the kernel is asked.
//!
//! Owns the two ways to ask: an exact look-up over netlink (sock_diag(7), about 1 µs, needs no
//! privilege), and where there is no netlink, the list in `/proc/net/tcp`. What follows from the
//! answer is the callers' business.
//!
//! What the answers are worth:
//! - A socket without an inode has no owner: it is not accepted yet, or closed already. The kernel gives
//!   it uid 0, or its maker's, so its uid means nothing. A dialer therefore learns who the acceptor
//!   is only after its reply, and nothing at all if the acceptor has closed by then.
//! - Uids are those of our user namespace. One that is not mapped into it reads as the overflow uid
//!   (65534): real root, seen from inside; and every user, if our own uid is not mapped either. Then
//!   a socket is ours if it is among the descriptors of a process that we may look into: the kernel
//!   lets us do that with processes of our user only, and compares the real uids.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use nix::unistd::geteuid;

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This process's user, or root.
    Trusted,
    /// Another user.
    Stranger,
    /// The socket does not exist, it is not open at both ends, or the kernel does not say.
    Unknown,
}

/// A way to ask the kernel, chosen once.
#[derive(Debug)]
pub(crate) struct PeerCheck {
    /// `None`: the list in `/proc`. Without its socket, it is closed.
    netlink: Option<Mutex<Option<Netlink>>>,
    trust: Trust,
}

impl PeerCheck {
    /// Finds out which way works here.
    pub(crate) fn probe() -> PeerCheck {
        PeerCheck {
            netlink: Netlink::open_if_it_works()
                .ok()
                .map(|netlink| Mutex::new(Some(netlink))),
            trust: Trust::of_this_process(),
        }
    }

    /// Whether the socket at `peer` that is connected to `local` is open and belongs to this user
    /// or to root. A doubt is a no.
    pub(crate) fn allows(&self, local: SocketAddrV4, peer: SocketAddrV4) -> bool {
        self.owner(local, peer) == Owner::Trusted
    }

    /// The same, also if that side has shut down writing.
    pub(crate) fn allows_half_closed(&self, local: SocketAddrV4, peer: SocketAddrV4) -> bool {
        [ESTABLISHED, FIN_WAIT1, FIN_WAIT2].iter().any(|&state| {
            let pair = Pair {
                local: peer,
                remote: local,
                state,
            };
            self.owner_of(pair) == Owner::Trusted
        })
    }

    /// Whose the socket at `peer` is that is connected to `local`.
    pub(crate) fn owner(&self, local: SocketAddrV4, peer: SocketAddrV4) -> Owner {
        self.owner_of(Pair {
            local: peer,
            remote: local,
            state: ESTABLISHED,
        })
    }

    /// Whose the socket is that listens at `osladdr`.
    pub(crate) fn listener(&self, osladdr: SocketAddrV4) -> Owner {
        self.owner_of(Pair {
            local: osladdr,
            remote: NOWHERE,
            state: LISTEN,
        })
    }

    /// Gives up its socket. From now on every peer is unknown.
    pub(crate) fn close(&self) {
        if let Some(netlink) = &self.netlink {
            *lock(netlink) = None;
        }
    }

    fn owner_of(&self, pair: Pair) -> Owner {
        let Some(found) = self.find(pair) else {
            return Owner::Unknown;
        };
        if found.state != pair.state || found.inode == 0 {
            return Owner::Unknown;
        }
        if self.trust.includes(found.uid) {
            return Owner::Trusted;
        }
        if self.trust.is_blind() {
            if is_of_our_processes(found.inode) {
                return Owner::Trusted;
            }
            // It may have been closed while the processes were looked through.
            if self.find(pair).as_ref() != Some(&found) {
                return Owner::Unknown;
            }
        }
        Owner::Stranger
    }

    fn find(&self, pair: Pair) -> Option<Found> {
        let found = match &self.netlink {
            Some(netlink) => lock(netlink).as_mut()?.look_up(pair),
            None => fs::read_to_string("/proc/self/net/tcp").map(|list| find_in_list(&list, pair)),
        };
        found.ok().flatten()
    }
}

fn lock(netlink: &Mutex<Option<Netlink>>) -> MutexGuard<'_, Option<Netlink>> {
    // A panic leaves at most an answer behind without a receiver.
    netlink.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The socket one asks for.
#[derive(Clone, Copy, Debug)]
struct Pair {
    local: SocketAddrV4,
    remote: SocketAddrV4,
    state: u8,
}

const NOWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// States of TCP, as the kernel numbers them.
const ESTABLISHED: u8 = 1;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;
const LISTEN: u8 = 10;

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    state: u8,
    uid: u32,
    inode: u32,
}

/// Which uids get in.
#[derive(Clone, Copy, Debug)]
struct Trust {
    me: u32,
    /// What unmapped uids read as, where there are any: it does not distinguish users.
    overflow: Option<u32>,
}

impl Trust {
    fn of_this_process() -> Trust {
        let all_mapped = fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]));
        let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid")
            .ok()
            .and_then(|uid| uid.trim().parse().ok())
            .unwrap_or(65534);
        Trust {
            me: geteuid().as_raw(),
            overflow: (!all_mapped).then_some(overflow),
        }
    }

    /// Whether every user has our uid.
    fn is_blind(self) -> bool {
        Some(self.me) == self.overflow
    }

    fn includes(self, uid: u32) -> bool {
        (uid == self.me || uid == 0) && Some(uid) != self.overflow
    }
}

/// Whether a process that we may look into has this socket. Slow: it looks through all of them.
fn is_of_our_processes(inode: u32) -> bool {
    let wanted = format!("socket:[{inode}]");
    let is_wanted = |fd: io::Result<fs::DirEntry>| {
        fd.and_then(|fd| fs::read_link(fd.path()))
            .is_ok_and(|open| open.as_os_str() == wanted.as_str())
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes
        .flatten()
        .filter(|process| {
            process
                .file_name()
                .as_encoded_bytes()
                .iter()
                .all(u8::is_ascii_digit)
        })
        .filter_map(|process| fs::read_dir(process.path().join("fd")).ok())
        .any(|fds| fds.into_iter().any(is_wanted))
}

/// A netlink socket for exact look-ups of TCP sockets.
#[derive(Debug)]
struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// Lengths and numbers of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
const ANSWER: usize = HEADER + 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;

impl Netlink {
    /// Opens the socket and tries it on a listener of our own: where the kernel lacks the part
    /// that answers, it says "not found" to everything.
    fn open_if_it_works() -> io::Result<Netlink> {
        let mut netlink = Netlink {
            socket: socket(
                AddressFamily::Netlink,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkSockDiag,
            )?,
            sequence: 0,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let std::net::SocketAddr::V4(local) = listener.local_addr()? else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let found = netlink.look_up(Pair {
            local,
            remote: NOWHERE,
            state: LISTEN,
        })?;
        match found {
            Some(Found { state: LISTEN, .. }) => Ok(netlink),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn look_up(&mut self, pair: Pair) -> io::Result<Option<Found>> {
        self.sequence = self.sequence.wrapping_add(1);
        let fd = self.socket.as_raw_fd();
        send(fd, &request(pair, self.sequence), MsgFlags::empty())?;
        let mut answer = [0; 512];
        loop {
            // The kernel has answered by the time `send` returns.
            let len = match recv(fd, &mut answer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            // An answer to an earlier question, whose asker gave up, is passed over.
            if u32_at(&answer[..len], 8) == Some(self.sequence) {
                return Ok(parse_answer(&answer[..len], pair));
            }
        }
    }
}

fn request(pair: Pair, sequence: u32) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &u32::try_from(REQUEST).expect("72").to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &NLM_F_REQUEST.to_ne_bytes());
    put(8, &sequence.to_ne_bytes());
    put(HEADER, &[AF_INET, IPPROTO_TCP]);
    put(HEADER + 4, &(1_u32 << pair.state).to_ne_bytes());
    put(HEADER + 8, &sockid(pair));
    // Interface: any. Cookie: none known.
    put(HEADER + 8 + 40, &[0xff; 8]);
    bytes
}

/// The ports and addresses of a `struct inet_diag_sockid`, in the order of the network.
fn sockid(pair: Pair) -> [u8; 36] {
    let mut bytes = [0; 36];
    bytes[0..2].copy_from_slice(&pair.local.port().to_be_bytes());
    bytes[2..4].copy_from_slice(&pair.remote.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&pair.local.ip().octets());
    bytes[20..24].copy_from_slice(&pair.remote.ip().octets());
    bytes
}

/// Reads a `struct inet_diag_msg`. `None`: an error, mostly "not found", or another socket.
fn parse_answer(answer: &[u8], pair: Pair) -> Option<Found> {
    let kind = answer.get(4..6)?;
    if answer.len() < ANSWER || kind != SOCK_DIAG_BY_FAMILY.to_ne_bytes() {
        return None;
    }
    let sockid = &answer[HEADER + 4..HEADER + 4 + 36];
    // The kernel also finds listeners; then the remote side differs.
    let same = sockid == self::sockid(pair);
    same.then_some(Found {
        state: answer[HEADER + 1],
        uid: u32_at(answer, HEADER + 64)?,
        inode: u32_at(answer, HEADER + 68)?,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}

/// Finds a socket in the text of `/proc/net/tcp`.
fn find_in_list(list: &str, pair: Pair) -> Option<Found> {
    let (local, remote) = (listed(pair.local), listed(pair.remote));
    list.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        if columns.next()? != local || columns.next()? != remote {
            return None;
        }
        let state = u8::from_str_radix(columns.next()?, 16).ok()?;
        // Queues, timer and retransmissions stand between.
        let uid = columns.nth(3)?.parse().ok()?;
        let inode = columns.nth(1)?.parse().ok()?;
        Some(Found { state, uid, inode })
    })
}

/// An address as the list has it: the address's bytes as a number of this machine.
fn listed(addr: SocketAddrV4) -> String {
    let number = u32::from_ne_bytes(addr.ip().octets());
    format!("{number:08X}:{:04X}", addr.port())
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, SocketAddr, TcpStream};

    use super::*;

    fn v4(addr: io::Result<SocketAddr>) -> SocketAddrV4 {
        match addr.unwrap() {
            SocketAddr::V4(addr) => addr,
            SocketAddr::V6(addr) => panic!("{addr}"),
        }
    }

    /// Both ways to ask, with uids as this process sees them.
    fn ways() -> [PeerCheck; 2] {
        let list = PeerCheck {
            netlink: None,
            trust: Trust::of_this_process(),
        };
        [PeerCheck::probe(), list]
    }

    #[test]
    fn netlink_is_used_where_there_is_netlink() {
        let there = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )
        .is_ok();
        assert_eq!(PeerCheck::probe().netlink.is_some(), there);
    }

    #[test]
    fn both_ends_of_a_connection_are_ours_once_accepted() {
        for check in ways() {
            let listener = TcpListener::bind("127.9.8.7:0").unwrap();
            let osladdr = v4(listener.local_addr());
            assert_eq!(check.listener(osladdr), Owner::Trusted);

            let dialer = TcpStream::connect(osladdr).unwrap();
            let dialing = v4(dialer.local_addr());
            // The acceptor's view, even before it accepts; and the dialer's, too early.
            assert!(check.allows(osladdr, dialing));
            assert_eq!(check.owner(dialing, osladdr), Owner::Unknown);

            let (acceptor, _) = listener.accept().unwrap();
            assert!(check.allows(dialing, osladdr));
            assert!(check.allows(osladdr, dialing));

            // Swapped, or another port: no such socket.
            assert!(!check.allows(osladdr, osladdr));
            assert!(!check.allows(dialing, dialing));
            // Closed in part or as a whole: the kernel's uid is worth nothing.
            dialer.shutdown(Shutdown::Write).unwrap();
            assert!(!check.allows(osladdr, dialing));
            drop(acceptor);
            drop(dialer);
            assert_eq!(check.owner(osladdr, dialing), Owner::Unknown);
            assert_eq!(check.owner(dialing, osladdr), Owner::Unknown);
            drop(listener);
            assert_eq!(check.listener(osladdr), Owner::Unknown);
        }
    }

    #[test]
    fn a_socket_of_another_user_is_a_strangers() {
        for mut check in ways() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let osladdr = v4(listener.local_addr());
            if geteuid().is_root() {
                continue; // Every user trusts root.
            }
            check.trust.me += 1;
            assert_eq!(check.listener(osladdr), Owner::Stranger);
        }
    }

    #[test]
    fn only_the_same_user_and_root_are_trusted() {
        let all_mapped = Trust {
            me: 65534,
            overflow: None,
        };
        assert!(all_mapped.includes(65534) && all_mapped.includes(0));
        assert!(!all_mapped.includes(1000));
        let in_namespace = Trust {
            me: 1000,
            overflow: Some(65534),
        };
        assert!(in_namespace.includes(1000) && in_namespace.includes(0));
        assert!(!in_namespace.includes(65534) && !in_namespace.includes(1001));
        // Our own uid is not mapped: every user has our uid.
        let unmapped = Trust {
            me: 65534,
            overflow: Some(65534),
        };
        assert!(!unmapped.includes(65534) && unmapped.is_blind());
        assert!(!all_mapped.is_blind() && !in_namespace.is_blind());
    }

    #[test]
    fn as_the_overflow_uid_only_inspectable_sockets_are_trusted() {
        for mut check in ways() {
            check.trust = Trust {
                me: 65534,
                overflow: Some(65534),
            };
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let osladdr = v4(listener.local_addr());
            assert_eq!(check.listener(osladdr), Owner::Trusted);
        }
        assert!(!is_of_our_processes(0));
    }

    #[test]
    fn the_list_is_read_by_columns() {
        let pair = Pair {
            local: "127.0.0.1:37".parse().unwrap(),
            remote: "127.1.2.3:65535".parse().unwrap(),
            state: ESTABLISHED,
        };
        let list = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: {} {} 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 20 4 30 10 -1\n",
            listed(pair.local),
            listed(pair.remote)
        );
        let found = Found {
            state: ESTABLISHED,
            uid: 1000,
            inode: 4711,
        };
        assert_eq!(find_in_list(&list, pair), Some(found));
        assert_eq!(find_in_list(&list[..list.len() / 2], pair), None);
        assert_eq!(find_in_list("", pair), None);
    }

    #[test]
    fn strange_answers_are_no_answers() {
        let pair = Pair {
            local: NOWHERE,
            remote: NOWHERE,
            state: ESTABLISHED,
        };
        let whole = [20; ANSWER];
        for len in 0..=ANSWER {
            assert_eq!(parse_answer(&whole[..len], pair), None);
        }
    }
}
