//! Which OS addresses this process uses: a range of loopback of its own.
//!
//! Owns the range, the order in which a process dials from its addresses, and which of them are
//! dialing now. A dial binds an address and port of its own choice: millions of dials later comes
//! the first one that might meet a connection in TIME_WAIT, of which a kernel that chooses by
//! itself has 28,000 towards a listener, for a minute each.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{SockaddrIn, bind};

/// The ports that Linux itself chooses from unless told otherwise: nobody counts on one of them
/// being free.
const FIRST_PORT: u32 = 32768;
const PORTS: u32 = 28232;
/// 127.x.y.1 to 127.x.y.254.
const HOSTS: u32 = 254;
/// So many ports in a row may be taken by others.
const TRIES: u32 = 2000;

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

/// The address that a socket of this process dials from, for as long as it dials.
pub(super) struct Source {
    local: SocketAddrV4,
}

/// Where this process dials from now.
fn dialing() -> MutexGuard<'static, BTreeSet<SocketAddrV4>> {
    static DIALING: Mutex<BTreeSet<SocketAddrV4>> = Mutex::new(BTreeSet::new());
    // Nothing under this lock can leave the set half changed.
    DIALING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the socket at this address is one of this process, and dials. The kernel gave nobody
/// else that address, so it need not be asked whose it is.
pub(super) fn is_ours(local: SocketAddrV4) -> bool {
    dialing().contains(&local)
}

impl Source {
    /// Binds a socket to the next address.
    pub(super) fn bind(fd: &impl AsFd) -> io::Result<Source> {
        static NEXT: OnceLock<AtomicU32> = OnceLock::new();
        let next = NEXT.get_or_init(|| AtomicU32::new(random() as u32 % (PORTS * HOSTS)));
        let (x, y) = range();
        let mut tries = 0;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let z = (n / PORTS % HOSTS + 1) as u8;
            let port = (FIRST_PORT + n % PORTS) as u16;
            let local = SocketAddrV4::new(Ipv4Addr::new(127, x, y, z), port);
            match bind(fd.as_fd().as_raw_fd(), &SockaddrIn::from(local)) {
                Ok(()) => {
                    dialing().insert(local);
                    return Ok(Source { local });
                }
                Err(Errno::EADDRINUSE) if tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn addr(&self) -> SocketAddrV4 {
        self.local
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        dialing().remove(&self.local);
    }
}
