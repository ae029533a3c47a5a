//! Which OS addresses this process uses: a range of loopback of its own.
//!
//! Owns the range, the order in which a process dials from its addresses, and which of them are
//! dialing now. The port is the kernel's choice, made when it knows where to: a port that is bound
//! by hand is taken from every program of the machine that leaves the choice to the kernel, raw TCP
//! included, for as long as a connection stays in TIME_WAIT.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::socket::sockopt::IpBindAddressNoPort;
use nix::sys::socket::{SockaddrIn, bind, getsockname, setsockopt};

/// 127.x.y.1 to 127.x.y.254.
const HOSTS: u32 = 254;
/// So many sockets dial from one address before it is the next one's turn: what the kernel keeps
/// by pairs of addresses, such as routes and what it has measured, is then at hand.
const IN_A_ROW: u32 = 64;

/// A random number: the standard library promises that its hash keys are.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// The `x.y` of this process's 127.x.y.0/24. Never 127.0, where other programs are.
fn range() -> (u8, u8) {
    static RANGE: OnceLock<(u8, u8)> = OnceLock::new();
    *RANGE.get_or_init(|| {
        let random = random();
        ((random % 254 + 1) as u8, (random >> 32) as u8)
    })
}

/// An address for an OS listener of this process.
pub(super) fn listening() -> Ipv4Addr {
    let (x, y) = range();
    Ipv4Addr::new(127, x, y, (random() % 254 + 1) as u8)
}

/// A connection's end while this process dials: where it is, and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) local: SocketAddrV4,
    pub(super) remote: SocketAddrV4,
}

/// The address that a socket of this process dials from, for as long as it dials.
pub(super) struct Source {
    pair: Pair,
}

/// What this process dials now.
fn dialing() -> MutexGuard<'static, BTreeSet<Pair>> {
    static DIALING: Mutex<BTreeSet<Pair>> = Mutex::new(BTreeSet::new());
    // Nothing under this lock can leave the set half changed.
    DIALING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this end of a connection is one of this process, and dials: then the kernel need not be
/// asked whose it is. The address alone would not do: towards another destination, the kernel may
/// give the same one to anybody.
pub(super) fn is_ours(end: Pair) -> bool {
    dialing().contains(&end)
}

/// Counts the sockets: whose turn it is.
fn turn() -> &'static AtomicU32 {
    static TURN: OnceLock<AtomicU32> = OnceLock::new();
    TURN.get_or_init(|| AtomicU32::new(random() as u32))
}

/// The address whose turn it is has no port left: what dials now dials from another one.
pub(super) fn give_turn_away() {
    turn().fetch_add(IN_A_ROW, Ordering::Relaxed);
}

/// Binds a socket to the next of this process's addresses that is not the one it is to be
/// connected to: where nothing listens, TCP could connect the socket to itself. Connecting gives it
/// a port.
///
/// Each address has 28,000 ports towards one listener, and a port stays in TIME_WAIT for a minute:
/// in turns they last for millions of dials.
pub(super) fn bind_next(fd: &impl AsFd, to: Ipv4Addr) -> io::Result<()> {
    let (x, y) = range();
    let local = loop {
        let z = (turn().fetch_add(1, Ordering::Relaxed) / IN_A_ROW % HOSTS + 1) as u8;
        let ip = Ipv4Addr::new(127, x, y, z);
        if ip != to {
            break SocketAddrV4::new(ip, 0);
        }
        give_turn_away();
    };
    setsockopt(fd, IpBindAddressNoPort, &true)?;
    Ok(bind(fd.as_fd().as_raw_fd(), &SockaddrIn::from(local))?)
}

impl Source {
    /// The address of a socket that has begun to connect to `remote`.
    pub(super) fn of(fd: &impl AsFd, remote: SocketAddrV4) -> io::Result<Source> {
        let local = SocketAddrV4::from(getsockname::<SockaddrIn>(fd.as_fd().as_raw_fd())?);
        let pair = Pair { local, remote };
        dialing().insert(pair);
        Ok(Source { pair })
    }

    pub(super) fn addr(&self) -> SocketAddrV4 {
        self.pair.local
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        dialing().remove(&self.pair);
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

    use super::*;

    #[test]
    fn an_address_is_ours_towards_one_destination_only() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let [remote, elsewhere] = [7, 8].map(|port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let source = Source::of(&fd, remote).unwrap();
        let local = source.addr();
        assert!(is_ours(Pair { local, remote }));
        let remote = elsewhere;
        assert!(!is_ours(Pair { local, remote }));
        drop(source);
        let remote = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7);
        assert!(!is_ours(Pair { local, remote }));
    }

    #[test]
    fn no_socket_is_bound_where_it_is_to_connect_to() {
        let (x, y) = range();
        let to = Ipv4Addr::new(127, x, y, 7);
        let mut seen = BTreeSet::new();
        for _ in 0..3 * HOSTS * IN_A_ROW {
            let flags = SockFlag::SOCK_CLOEXEC;
            let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
            bind_next(&fd, to).unwrap();
            let bound: SockaddrIn = getsockname(fd.as_raw_fd()).unwrap();
            seen.insert(bound.ip());
        }
        assert!(!seen.contains(&to));
        assert_eq!(seen.len(), HOSTS as usize - 1);
    }
}
