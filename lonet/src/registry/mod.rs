//! Host name → OS address, across processes, and which of them are alive. A map of its modules;
//! start with `membership`.

mod membership;

mod damage;
mod sqlite;

mod base;
mod directory;
mod random;
mod sweep;

mod flock;
mod lease;
mod opened;

#[cfg(test)]
mod tests;

use std::net::SocketAddrV4;

pub use directory::NetworkDir;
pub(crate) use membership::Registry;

/// What the registry knows of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Never announced on this network.
    Never,
    /// Announced once, and withdrawn since.
    Gone,
    /// Served there; whether that process lives, [`Registry::alive`] tells.
    At(SocketAddrV4),
}

/// Whether the process that listens at an OS address lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// Its lease is held.
    Alive,
    /// Its lease was left behind.
    Dead,
    /// It has no lease: one of the originals, or closed.
    Unleased,
}
