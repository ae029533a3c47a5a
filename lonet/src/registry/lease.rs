//! Which processes are alive: a subnetwork holds the lock of a file named after its OS address for as long as
//! its process lives, and the kernel gives the lock up however that ends.
//!
//! A lease file is only ever unlinked by a process that holds its lock and has seen that its name still leads
//! to it: otherwise two processes could each hold "the" lease. Knows no hosts.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use super::Liveness;
use super::base::failed;
use super::flock::{self, Kind};
use super::opened::OpenDir;
use super::random;
use crate::error::Cause;

/// How long a lease that is probed by others is tried for; a probe takes a microsecond.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many leases are looked at for dead ones.
const LOOKS: usize = 8;
/// What their files' names begin with.
const PREFIX: &str = "lease-";

/// The lease of the subnetwork at one OS address, held until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Lease {
    dir: Arc<OpenDir>,
    name: String,
    file: File,
}

impl Lease {
    /// Takes the lease of this address, which we listen at.
    pub(super) fn take(dir: Arc<OpenDir>, osladdr: SocketAddrV4) -> Result<Lease, Cause> {
        let name = name_of(osladdr);
        let failing = |doing| {
            let shown = dir.shown_at(&name);
            move |error: io::Error| failed(doing, &shown, &error)
        };
        loop {
            let file = flock::open_or_create(&dir, &name).map_err(failing("open"))?;
            let file = flock::lock_within(file, Kind::Exclusive, PATIENCE)
                .map_err(failing("lock"))?
                .ok_or_else(|| held(&dir, &name, osladdr))?;
            if flock::is_at(&file, &dir, &name).map_err(failing("look at"))? {
                return Ok(Lease { dir, name, file });
            }
        }
    }

    /// Gives the lease up and removes its file: nothing in the registry needs it any more.
    pub(super) fn remove(self) {
        remove_if_held(&self.dir, &self.name, &self.file);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Not left to the closing: a child between fork and exec may hold the same open file.
        let _ = self.file.unlock();
    }
}

/// Whether the subnetwork at this address lives.
pub(super) fn probe(dir: &OpenDir, osladdr: SocketAddrV4) -> Liveness {
    match flock::open(dir, &name_of(osladdr)) {
        // What can't be told is alive: a living host's name is never given away.
        Ok(file) => match flock::try_lock(&file, Kind::Shared) {
            Ok(true) => {
                let _ = file.unlock();
                Liveness::Dead
            }
            Ok(false) | Err(_) => Liveness::Alive,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Liveness::Unleased,
        Err(_) => Liveness::Alive,
    }
}

/// The addresses of leases that were left behind, of a few that are looked at: others each time.
pub(super) fn some_dead(dir: &OpenDir) -> Vec<SocketAddrV4> {
    let Ok(names) = dir.names() else {
        return Vec::new();
    };
    let mut leases: Vec<SocketAddrV4> = names
        .iter()
        .filter_map(|name| name.to_str()?.strip_prefix(PREFIX)?.parse().ok())
        .collect();
    // Those of the living must not hide the ones behind them for ever.
    let begin = random::below(leases.len());
    leases.rotate_left(begin);
    leases.truncate(LOOKS);
    leases.retain(|&osladdr| probe(dir, osladdr) == Liveness::Dead);
    leases
}

/// Removes the file of a lease that was left behind. Nothing in the registry may need it.
pub(super) fn remove_dead(dir: &OpenDir, osladdr: SocketAddrV4) {
    let name = name_of(osladdr);
    if let Ok(file) = flock::open(dir, &name)
        && let Ok(true) = flock::try_lock(&file, Kind::Exclusive)
    {
        remove_if_held(dir, &name, &file);
        let _ = file.unlock();
    }
}

fn remove_if_held(dir: &OpenDir, name: &str, file: &File) {
    if let Ok(true) = flock::is_at(file, dir, name) {
        // If it stays, it says "dead", which is true.
        let _ = fs::remove_file(dir.at(name));
    }
}

fn held(dir: &OpenDir, name: &str, osladdr: SocketAddrV4) -> Cause {
    Cause::Registry(format!(
        "{} is held by another process, although this one listens at {osladdr}: do they share {} but not the kernel's network (containers)?",
        dir.shown_at(name).display(),
        dir.shown().display()
    ))
}

fn name_of(osladdr: SocketAddrV4) -> String {
    format!("{PREFIX}{osladdr}")
}
