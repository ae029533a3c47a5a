//! The subnetworks that this process carries, by the OS address at which others find them: dials
//! between two of them go through memory.
//!
//! Owns that table. Where a host is that it has not, the registry knows; how such a dial goes is in
//! `carry`.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::engine::Engine;
use super::net::Net;

type Carried = BTreeMap<SocketAddrV4, Weak<Net>>;

fn carried() -> MutexGuard<'static, Carried> {
    static CARRIED: Mutex<Carried> = Mutex::new(BTreeMap::new());
    // Nothing under this lock can leave the table half changed.
    CARRIED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net {
    /// The open subnetwork at this address, if this process carries it.
    pub(super) fn beside(at: SocketAddrV4) -> Option<Arc<Net>> {
        let net = carried().get(&at).cloned();
        // With the lock released: what is the last handle by now closes the subnetwork, which leaves.
        net?.upgrade()
    }

    /// The open subnetwork of this network that has that host, if this process carries it: no other
    /// process can have the host then.
    pub(super) fn beside_with(&self, host: &str) -> Option<(Arc<Net>, SocketAddrV4)> {
        let all: Vec<_> = carried()
            .iter()
            .map(|(&at, net)| (at, net.clone()))
            .collect();
        let of_ours = all
            .into_iter()
            .filter_map(|(at, net)| Some((net.upgrade()?, at)));
        let mut of_ours = of_ours.filter(|(net, _)| net.network() == self.network());
        of_ours.find(|(net, _)| net.has(host))
    }

    /// From now on it is found, until it closes.
    pub(super) fn enter(self: &Arc<Net>) {
        if let Engine::Loopback(loopback) = &self.engine {
            carried().insert(loopback.osladdr(), Arc::downgrade(self));
        }
    }

    /// It closes: the next subnetwork at its address is another one.
    pub(super) fn leave(&self) {
        if let Engine::Loopback(loopback) = &self.engine
            && self.is_carried
        {
            carried().remove(&loopback.osladdr());
        }
    }
}
