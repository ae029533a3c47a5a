//! Which OS addresses this process uses: a range of loopback of its own.
//!
//! Owns the range and its rotation. With one source address, connections in TIME_WAIT would use
//! up the ports towards a listener: some 28,000, for a minute each.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// A random number; that the standard library's hash keys are random is documented.
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

/// The next address to dial from.
pub(super) fn dialing() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let (x, y) = range();
    Ipv4Addr::new(127, x, y, NEXT.fetch_add(1, Ordering::Relaxed) % 254 + 1)
}
