//! A subnetwork's place in its network's registry: its hosts' names and its lease.
//!
//! Owns the order of things: which locks are held when the registry changes, and which rows are
//! stale. SQL is `sqlite`'s, files are `directory`'s and `lease`'s. Everything here blocks, for
//! microseconds as a rule, but for seconds when a process of the network is stopped.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::{NetworkDir, PATIENCE, WriterLock};
use super::lease::{self, Lease};
use super::opened::OpenDir;
use super::sqlite::{Database, is_osladdr};
use super::{Liveness, Lookup};
use crate::error::Cause;

/// How long an address without a lease is given to refuse a connection. Over loopback that takes
/// microseconds.
const PROBE: Duration = Duration::from_millis(250);
/// How long a caller that must not block waits for others: a drop, which may happen on a thread that
/// has other tasks to run.
const AT_ONCE: Duration = Duration::from_millis(250);
/// How long it takes at most until what could not be withdrawn is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// A subnetwork's place in its network's registry. Given up by [`Registry::close`], or on drop.
#[derive(Debug)]
pub(crate) struct Registry(Arc<Place>);

/// What is shared with the thread that withdraws what could not be withdrawn at once.
///
/// Locks are taken in this order: the network's writer lock, `open`, `leaving`.
#[derive(Debug)]
struct Place {
    osladdr: SocketAddrV4,
    dir: Arc<OpenDir>,
    open: Mutex<Option<Open>>,
    leaving: Mutex<Leaving>,
}

/// Its fields are dropped in this order: the last one out removes the directory with all in it.
#[derive(Debug)]
struct Open {
    database: Database,
    lease: Lease,
    dir: Arc<NetworkDir>,
}

/// Hosts of ours that are closed, and whose rows are still there.
#[derive(Debug, Default)]
struct Leaving {
    hosts: BTreeSet<String>,
    /// Whether a thread is at it.
    retried: bool,
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
        let until = Instant::now() + PATIENCE;
        let place = dir.opened();
        let mut database = Database::open(place, dir.is_exposed(), until)?;
        // Looked at before the writer lock is taken, so that joining an old network is short.
        let complete = database.is_complete(dir.name(), until)?;
        let dead = lease::some_dead(place);
        let writer = WriterLock::take(place, until)?;
        if !complete {
            database.complete(dir.name(), until)?;
        }
        // The lease of a dead process may have been left behind at this very address. From the
        // moment it is ours, that process's rows look alive; no process may judge them until they are
        // gone, so both happen under the writer lock.
        let lease = Lease::take(place.clone(), osladdr)?;
        database.forget(osladdr, until)?;
        // No other process would ever remove the lease of a process that was killed without a host.
        for dead in dead {
            if !database.names(dead, until)? {
                lease::remove_dead(place, dead);
            }
        }
        drop(writer);
        Ok(Registry(Arc::new(Place {
            osladdr,
            dir: place.clone(),
            open: Mutex::new(Some(Open {
                database,
                lease,
                dir,
            })),
            leaving: Mutex::default(),
        })))
    }

    /// Makes it known that we serve this host.
    ///
    /// # Errors
    ///
    /// [`Cause::HostExists`] when a living process has a host of this name, [`Cause::Registry`]
    /// when the registry can't be used, [`Cause::NetworkDown`] after `close`.
    pub(crate) fn announce(&self, host: &str) -> Result<(), Cause> {
        let place = &self.0;
        if place.lock().is_none() {
            // With the last one, the directory goes, and the lock in it.
            return Err(Cause::NetworkDown);
        }
        let until = Instant::now() + PATIENCE;
        let _writer = WriterLock::take(&place.dir, until)?;
        let mut guard = place.lock();
        let Open { database, .. } = guard.as_mut().ok_or(Cause::NetworkDown)?;
        // It may be the name of one that is closed.
        place.withdraw_leaving(database, until)?;
        let is_alive = |other| match self.alive(other) {
            Liveness::Alive => true,
            Liveness::Dead => false,
            Liveness::Unleased => answers(other),
        };
        let dead = database.announce(host, place.osladdr, is_alive, until)?;
        if let Some(dead) = dead {
            lease::remove_dead(&place.dir, dead);
        }
        Ok(())
    }

    /// Notes that this host's name is to be free again: the next change of the registry withdraws
    /// it. Waits for nothing.
    pub(crate) fn give_back(&self, host: &str) {
        self.0.leaving().hosts.insert(host.to_owned());
    }

    /// Makes the names free that were given back. A host that is not ours stays. What can't be
    /// withdrawn now is tried again on a thread of its own, until it can be, or until `close`.
    pub(crate) fn withdraw(&self) {
        self.0.withdraw(PATIENCE);
    }

    /// The same, without waiting for others longer than a drop may.
    pub(crate) fn withdraw_at_once(&self) {
        self.0.withdraw(AT_ONCE);
    }

    /// Where a host is served. Waits while others change the registry.
    ///
    /// # Errors
    ///
    /// [`Cause::Registry`] when the registry can't be used, [`Cause::NetworkDown`] after `close`.
    pub(crate) fn lookup(&self, host: &str) -> Result<Lookup, Cause> {
        let until = Instant::now() + PATIENCE;
        let mut guard = self.0.lock();
        let open = guard.as_mut().ok_or(Cause::NetworkDown)?;
        open.database.lookup(host, until)
    }

    /// Where a host is served, as [`Registry::lookup`], but `None` where that would have to wait.
    pub(crate) fn try_lookup(&self, host: &str) -> Option<Result<Lookup, Cause>> {
        match self.0.try_lock()?.as_mut() {
            Some(open) => open.database.try_lookup(host),
            None => Some(Err(Cause::NetworkDown)),
        }
    }

    /// The names of all hosts that were ever announced, in order. Waits while others change the
    /// registry.
    ///
    /// # Errors
    ///
    /// As for [`Registry::lookup`].
    pub(crate) fn names(&self) -> Result<Vec<String>, Cause> {
        let until = Instant::now() + PATIENCE;
        let mut guard = self.0.lock();
        let open = guard.as_mut().ok_or(Cause::NetworkDown)?;
        open.database.all_names(until)
    }

    /// The text of a file in the network's directory; `None` if there is none.
    pub(crate) fn text_of(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.0.dir.at(file)).ok()
    }

    /// Whether the subnetwork at this OS address lives. Never waits.
    pub(crate) fn alive(&self, osladdr: SocketAddrV4) -> Liveness {
        lease::probe(&self.0.dir, osladdr)
    }

    /// Forgets this subnetwork's hosts, gives its lease up, and leaves the network's directory. What
    /// comes after finds the network down. If the registry can't be changed, the lease alone says
    /// that the hosts are gone.
    pub(crate) fn close(&self) {
        if !self.0.leave(PATIENCE) {
            self.0.abandon();
        }
    }

    /// The same, but nothing is given up where others would have to be waited for longer than a
    /// drop may: `false`.
    pub(crate) fn close_at_once(&self) -> bool {
        self.0.leave(AT_ONCE)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if !self.close_at_once() {
            self.0.abandon();
        }
    }
}

impl Place {
    fn withdraw(self: &Arc<Self>, patience: Duration) {
        if !self.try_withdraw(patience) && !std::mem::replace(&mut self.leaving().retried, true) {
            let place = self.clone();
            let started = thread::Builder::new()
                .name("lonet-withdraw".to_owned())
                .spawn(move || place.keep_withdrawing());
            if started.is_err() {
                // No thread to be had: the next change of the registry withdraws them.
                self.leaving().retried = false;
            }
        }
    }

    /// Until nothing is left to be withdrawn. What keeps it from that (no descriptors, a program
    /// that holds the registry) may last, and nothing reports its end.
    fn keep_withdrawing(&self) {
        let mut pause = Duration::from_millis(1);
        loop {
            thread::sleep(pause);
            pause = (pause * 2).min(RETRY);
            self.try_withdraw(RETRY);
            let mut leaving = self.leaving();
            if leaving.hosts.is_empty() {
                leaving.retried = false;
                return;
            }
        }
    }

    /// Withdraws what is to be withdrawn. `false`: it could not be.
    fn try_withdraw(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let writer = WriterLock::take(&self.dir, until);
        let Some(mut guard) = self.lock_until(until) else {
            return false;
        };
        match guard.as_mut() {
            Some(Open { database, .. }) => {
                writer.is_ok() && self.withdraw_leaving(database, until).is_ok()
            }
            None => {
                self.leaving().hosts.clear();
                true
            }
        }
    }

    /// The caller holds the writer lock.
    fn withdraw_leaving(&self, database: &mut Database, until: Instant) -> Result<(), Cause> {
        let hosts = self.leaving().hosts.clone();
        if !hosts.is_empty() {
            database.withdraw(&hosts, self.osladdr, until)?;
            // Meanwhile others may have come, but none of these: they had to be announced anew.
            self.leaving().hosts.retain(|host| !hosts.contains(host));
        }
        Ok(())
    }

    /// Forgets this subnetwork's hosts and gives all up. `false`: the registry can't be changed.
    fn leave(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        match self.lock_until(until).as_deref() {
            Some(Some(_)) => {}
            Some(None) => return true,
            None => return false,
        }
        let writer = WriterLock::take(&self.dir, until);
        let Some(mut guard) = self.lock_until(until) else {
            return false;
        };
        let forgotten = guard
            .as_mut()
            .is_none_or(|open| writer.is_ok() && open.database.forget(self.osladdr, until).is_ok());
        if forgotten && let Some(open) = guard.take() {
            let Open {
                database,
                lease,
                dir,
            } = open;
            // In this order: no row may ever be without its lease.
            lease.remove();
            drop(database);
            drop(dir);
        }
        forgotten
    }

    /// Gives the lease up, and with it the rows: no process takes them for those of running hosts.
    fn abandon(&self) {
        drop(self.lock().take());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // A panic in here leaves SQLite to roll back; the value itself is never half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Open>>> {
        match self.open.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The process that has the lock may itself wait for others, and longer.
    fn lock_until(&self, until: Instant) -> Option<MutexGuard<'_, Option<Open>>> {
        loop {
            match self.try_lock() {
                None if Instant::now() < until => thread::sleep(Duration::from_micros(200)),
                locked => return locked,
            }
        }
    }

    fn leaving(&self) -> MutexGuard<'_, Leaving> {
        // Nothing under this lock can leave the set half changed.
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether something listens at an address that has no lease: an original has none.
fn answers(osladdr: SocketAddrV4) -> bool {
    match TcpStream::connect_timeout(&SocketAddr::V4(osladdr), PROBE) {
        Err(error) => error.kind() != io::ErrorKind::ConnectionRefused,
        // Connected to itself, as TCP does when the dead port happens to be chosen as the source.
        Ok(stream) => stream.local_addr().ok() != stream.peer_addr().ok(),
    }
}
