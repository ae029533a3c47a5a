//! Host name → OS address, across processes, and who of them is alive.

mod directory;

use std::net::SocketAddrV4;
use std::sync::Arc;

pub use directory::NetworkDir;

use crate::error::Cause;

/// What the registry knows of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Never announced on this network.
    Never,
    /// Announced once; withdrawn since, or its process is dead.
    Gone,
    /// Served there.
    At(SocketAddrV4),
}

/// Whether the process that listens at an OS address lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// Its lease is held.
    Alive,
    /// Its lease was left behind.
    Dead,
    /// It has no lease: one of the originals, or long gone.
    Unleased,
}

/// A subnetwork's place in its network's registry.
#[derive(Debug)]
pub(crate) struct Registry;

impl Registry {
    /// Opens the network's registry for the subnetwork that listens at `osladdr`.
    pub(crate) fn open(_dir: Arc<NetworkDir>, _osladdr: SocketAddrV4) -> Result<Registry, Cause> {
        todo!()
    }

    /// Makes a host known.
    pub(crate) fn announce(&self, _host: &str) -> Result<(), Cause> {
        todo!()
    }

    /// Makes a host's name free again.
    pub(crate) fn withdraw(&self, _host: &str) -> Result<(), Cause> {
        todo!()
    }

    /// Where a host is served.
    pub(crate) fn lookup(&self, _host: &str) -> Result<Lookup, Cause> {
        todo!()
    }

    /// Where a host is served, if that can be told without waiting for anyone.
    pub(crate) fn try_lookup(&self, _host: &str) -> Option<Result<Lookup, Cause>> {
        todo!()
    }

    /// Whether the subnetwork at this OS address lives.
    pub(crate) fn alive(&self, _osladdr: SocketAddrV4) -> Liveness {
        todo!()
    }

    /// Forgets this subnetwork's hosts and gives its lease up. What comes after does nothing.
    pub(crate) fn close(&self) {
        todo!()
    }
}
