//! A subnetwork's place in its network's registry: its hosts' names and its lease.
//!
//! Owns the order of things: who holds which lock when the registry changes, and which rows are
//! stale. SQL is `sqlite`'s, files are `directory`'s and `lease`'s. Everything here blocks, for
//! microseconds as a rule, but for seconds when a process of the network is stopped.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::directory::{NetworkDir, REGISTRY};
use super::lease::{self, Lease};
use super::sqlite::{Database, is_osladdr};
use super::{Liveness, Lookup};
use crate::error::Cause;

/// How long an address without a lease is given to refuse a connection. Over loopback that takes
/// microseconds; whoever lets us wait is there.
const PROBE: Duration = Duration::from_millis(250);

/// A subnetwork's place in its network's registry. Given up by [`Registry::close`], or on drop.
///
/// Locks are taken in this order: the network's writer lock, then `open`.
#[derive(Debug)]
pub(crate) struct Registry {
    osladdr: SocketAddrV4,
    open: Mutex<Option<Open>>,
    /// Last, so that the registry is closed when the last one out removes the directory.
    dir: Arc<NetworkDir>,
}

#[derive(Debug)]
struct Open {
    database: Database,
    lease: Lease,
}

impl Registry {
    /// Opens the network's registry for the subnetwork that listens at `osladdr`, and takes its
    /// lease.
    ///
    /// # Errors
    ///
    /// [`Cause::Registry`] when the registry can't be used, or when `osladdr` is not on loopback.
    pub(crate) fn open(dir: Arc<NetworkDir>, osladdr: SocketAddrV4) -> Result<Registry, Cause> {
        if !is_osladdr(osladdr) {
            return Err(Cause::Registry(format!(
                "a subnetwork listens on 127.x.y.z:port, not on {osladdr}"
            )));
        }
        let mut database = Database::open(dir.path().join(REGISTRY))?;
        // Looked at before the writer lock is taken, so that joining an old network is short.
        let complete = database.is_complete(dir.name())?;
        let writer = dir.writer()?;
        if !complete {
            database.complete(dir.name())?;
        }
        // The lease of a dead process may have been left behind at this very address. From the
        // moment it is ours, that process's rows look alive; nobody may judge them until they are
        // gone, so both happen under the writer lock.
        let lease = Lease::take(dir.path(), osladdr)?;
        database.forget(osladdr)?;
        drop(writer);
        let open = Mutex::new(Some(Open { database, lease }));
        Ok(Registry { osladdr, open, dir })
    }

    /// Makes it known that we serve this host.
    ///
    /// # Errors
    ///
    /// [`Cause::HostExists`] when a living process has a host of this name, [`Cause::Registry`]
    /// when the registry can't be used, [`Cause::NetworkDown`] after `close`.
    pub(crate) fn announce(&self, host: &str) -> Result<(), Cause> {
        let _writer = self.dir.writer()?;
        let mut guard = self.lock();
        let Open { database, .. } = guard.as_mut().ok_or(Cause::NetworkDown)?;
        let dead = database.announce(host, self.osladdr, |other| match self.alive(other) {
            Liveness::Alive => true,
            Liveness::Dead => false,
            Liveness::Unleased => answers(other),
        })?;
        if let Some(dead) = dead {
            lease::remove_dead(self.dir.path(), dead);
        }
        Ok(())
    }

    /// Makes this host's name free again. A host that is not ours stays.
    ///
    /// # Errors
    ///
    /// [`Cause::Registry`] when the registry can't be used. After `close` there is nothing to do.
    pub(crate) fn withdraw(&self, host: &str) -> Result<(), Cause> {
        let _writer = self.dir.writer()?;
        match self.lock().as_mut() {
            Some(open) => open.database.withdraw(host, self.osladdr),
            None => Ok(()),
        }
    }

    /// Where a host is served. Waits while others change the registry.
    ///
    /// # Errors
    ///
    /// [`Cause::Registry`] when the registry can't be used, [`Cause::NetworkDown`] after `close`.
    pub(crate) fn lookup(&self, host: &str) -> Result<Lookup, Cause> {
        let mut guard = self.lock();
        let open = guard.as_mut().ok_or(Cause::NetworkDown)?;
        open.database.lookup(host)
    }

    /// Where a host is served, as [`Registry::lookup`], but `None` where that would have to wait.
    pub(crate) fn try_lookup(&self, host: &str) -> Option<Result<Lookup, Cause>> {
        let mut guard = match self.open.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        match guard.as_mut() {
            Some(open) => open.database.try_lookup(host),
            None => Some(Err(Cause::NetworkDown)),
        }
    }

    /// Whether the subnetwork at this OS address lives. Never waits.
    pub(crate) fn alive(&self, osladdr: SocketAddrV4) -> Liveness {
        lease::probe(self.dir.path(), osladdr)
    }

    /// Forgets this subnetwork's hosts and gives its lease up. What comes after finds the network
    /// down. If the registry can't be changed, the lease alone says that the hosts are gone.
    pub(crate) fn close(&self) {
        // Without the writer lock nothing is changed, but the lease is given up all the same.
        let writer = self.dir.writer();
        let Some(Open {
            mut database,
            lease,
        }) = self.lock().take()
        else {
            return;
        };
        if writer.is_ok() && database.forget(self.osladdr).is_ok() {
            // In this order: no row may ever be without its lease.
            lease.remove();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // A panic in here leaves SQLite to roll back; the value itself is never half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if self.lock().is_some() {
            self.close();
        }
    }
}

/// Whether somebody listens at an address that has no lease: an original has none.
fn answers(osladdr: SocketAddrV4) -> bool {
    match TcpStream::connect_timeout(&SocketAddr::V4(osladdr), PROBE) {
        Err(error) => error.kind() != io::ErrorKind::ConnectionRefused,
        // Connected to itself, as TCP does when the dead port happens to be chosen as the source.
        Ok(stream) => stream.local_addr().ok() != stream.peer_addr().ok(),
    }
}
