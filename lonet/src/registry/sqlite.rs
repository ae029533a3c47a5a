//! All SQL there is: the registry's file as a set of operations.
//!
//! A process that changes something holds the network's writer lock, so our own processes never meet
//! each other here; the originals don't know this lock, so conflicts with them are retried. Does not
//! know which rows are stale: callers say which processes are alive.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::ffi::{
    SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE,
};
use rusqlite::types::ValueRef;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior,
};

use super::Lookup;
use super::damage;
use super::directory::REGISTRY;
use super::opened::OpenDir;
use crate::error::Cause;

/// The version of the tables that are shared with the originals.
const SCHEMA_VERSION: &str = "lonet.1";

type Sql<T> = rusqlite::Result<T>;

/// An open registry. A caller says until when to wait while it is busy.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    until: Until,
}

/// Until when a busy registry is waited for, by whatever waits.
#[derive(Clone, Debug)]
struct Until(Arc<Mutex<Instant>>);

impl Until {
    fn set(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn is_over(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) <= Instant::now()
    }
}

impl Database {
    /// Opens the registry in that directory, or an empty one. `exposed`: another user may at any
    /// moment put something else in the directory's place.
    pub(super) fn open(dir: &OpenDir, exposed: bool, until: Instant) -> Result<Database, Cause> {
        let path = dir.shown_at(REGISTRY);
        let file = dir.at(REGISTRY);
        if fs::symlink_metadata(&file).is_ok_and(|found| !found.is_file()) {
            return Err(damage::no_file(&path));
        }
        // What else is wrong with it, SQLite finds out.
        let until = Until(Arc::new(Mutex::new(until)));
        let connect = || match exposed {
            false => open_file(&file, OpenFlags::SQLITE_OPEN_CREATE)
                .and_then(|connection| prepare(connection, &until)),
            true => exposed::connect(dir, &until),
        };
        let mut connected = connect();
        let usable = matches!(&connected, Ok(c) if c.is_readonly(c"main") == Ok(false));
        // If it was not permitted, its maker may have put that right meanwhile.
        if permit(&file) || !usable {
            connected = connect();
        }
        match connected {
            Ok(connection) => Ok(Database {
                connection,
                path,
                until,
            }),
            Err(error) => Err(damage::explain(&path, &error)),
        }
    }

    /// Whether the registry has all its tables. It is an error if it has those of another version,
    /// or of another network than the one of that name.
    pub(super) fn is_complete(&mut self, network: &str, until: Instant) -> Result<bool, Cause> {
        let rows = self.read(until, meta)?;
        let mut complete = self.read(until, has_all_tables)?;
        for (name, ours) in [("schemaver", SCHEMA_VERSION), ("network", network)] {
            match rows.iter().find(|(row, _)| row == name) {
                Some((_, theirs)) if theirs != ours => {
                    return Err(damage::mismatch(&self.path, name, theirs, ours));
                }
                row => complete &= row.is_some(),
            }
        }
        Ok(complete)
    }

    /// Makes what is missing. The caller holds the writer lock.
    pub(super) fn complete(&mut self, network: &str, until: Instant) -> Result<(), Cause> {
        // Checked anew, as another may have been faster, and so that a registry of another version
        // is not touched.
        if !self.is_complete(network, until)? {
            self.change(until, |tx| {
                tx.execute_batch(include_str!("schema.sql"))?;
                let mut row =
                    tx.prepare("INSERT OR IGNORE INTO meta (name, value) VALUES (?1, ?2)")?;
                row.execute(["schemaver", SCHEMA_VERSION])?;
                row.execute(["network", network])?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// What is known of a host. Waits while the registry is busy.
    pub(super) fn lookup(&mut self, host: &str, until: Instant) -> Result<Lookup, Cause> {
        let found = self.read(until, |connection| find(connection, host))?;
        self.parse_found(host, found)
    }

    /// What is known of a host; `None` while the registry is busy.
    pub(super) fn try_lookup(&mut self, host: &str) -> Option<Result<Lookup, Cause>> {
        self.until.set(Instant::now());
        match find(&self.connection, host) {
            Err(error) if is_busy(&error) => None,
            Err(error) => Some(Err(damage::explain(&self.path, &error))),
            Ok(found) => Some(self.parse_found(host, found)),
        }
    }

    fn parse_found(&self, host: &str, found: Found) -> Result<Lookup, Cause> {
        match found {
            Found::Never => Ok(Lookup::Never),
            Found::Gone => Ok(Lookup::Gone),
            Found::At(osladdr) => parse_osladdr(&osladdr)
                .map(Lookup::At)
                .ok_or_else(|| damage::bad_osladdr(&self.path, host, &osladdr)),
        }
    }

    /// Writes down that `host` is served at `ours`, unless `is_alive` says so of the address that
    /// has it now. The caller holds the writer lock. Says whose rows were removed as dead.
    ///
    /// `is_alive` is asked while no process can change the registry, the originals included.
    pub(super) fn announce(
        &mut self,
        host: &str,
        ours: SocketAddrV4,
        is_alive: impl Fn(SocketAddrV4) -> bool,
        until: Instant,
    ) -> Result<Option<SocketAddrV4>, Cause> {
        let path = self.path.clone();
        let done = self.change(until, |tx| {
            let holder: Option<String> = tx
                .prepare_cached("SELECT osladdr FROM hosts WHERE hostname = ?1")?
                .query_row([host], |row| Ok(text(row.get_ref(0)?)))
                .optional()?;
            let mut dead = None;
            if let Some(holder) = holder {
                let Some(osladdr) = parse_osladdr(&holder) else {
                    return Ok(Err(damage::bad_osladdr(&path, host, &holder)));
                };
                if osladdr == ours || is_alive(osladdr) {
                    return Ok(Err(Cause::HostExists));
                }
                // One address is one process: with it, all its hosts are dead.
                forget(tx, osladdr)?;
                dead = Some(osladdr);
            }
            tx.prepare_cached("INSERT INTO hosts (hostname, osladdr) VALUES (?1, ?2)")?
                .execute([host, &ours.to_string()])?;
            Ok(Ok(dead))
        });
        match done {
            Err(Failure::Taken) => Err(Cause::HostExists),
            Err(Failure::Other(cause)) => Err(cause),
            Ok(done) => done,
        }
    }

    /// Removes the rows of hosts that are served at `ours`. The caller holds the writer lock.
    pub(super) fn withdraw(
        &mut self,
        hosts: &BTreeSet<String>,
        ours: SocketAddrV4,
        until: Instant,
    ) -> Result<(), Cause> {
        self.change(until, |tx| {
            let mut row =
                tx.prepare_cached("DELETE FROM hosts WHERE hostname = ?1 AND osladdr = ?2")?;
            for host in hosts {
                row.execute([host, &ours.to_string()])?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Every name that was ever announced, in order.
    pub(super) fn all_names(&mut self, until: Instant) -> Result<Vec<String>, Cause> {
        self.read(until, |connection| {
            connection
                .prepare_cached("SELECT hostname FROM lonet_names ORDER BY hostname")?
                .query_map([], |row| Ok(text(row.get_ref(0)?)))?
                .collect()
        })
    }

    /// Whether a host is served at that address, or was, by a process that is dead now.
    pub(super) fn names(&mut self, osladdr: SocketAddrV4, until: Instant) -> Result<bool, Cause> {
        self.read(until, |connection| {
            connection
                .prepare_cached("SELECT 1 FROM hosts WHERE osladdr = ?1 LIMIT 1")?
                .exists([osladdr.to_string()])
        })
    }

    /// Removes all rows of an address. The caller holds the writer lock.
    pub(super) fn forget(&mut self, osladdr: SocketAddrV4, until: Instant) -> Result<(), Cause> {
        if self.names(osladdr, until)? {
            self.change(until, |tx| forget(tx, osladdr))?;
        }
        Ok(())
    }

    fn read<T>(
        &mut self,
        until: Instant,
        what: impl Fn(&Connection) -> Sql<T>,
    ) -> Result<T, Cause> {
        self.until.set(until);
        patiently(&self.until, || what(&self.connection))
            .map_err(|error| damage::explain(&self.path, &error))
    }

    /// One transaction that has the right to write from its begin. Nothing is changed if `what`
    /// fails, or if it gives the transaction up by an inner error.
    fn change<T>(
        &mut self,
        until: Instant,
        what: impl Fn(&Transaction<'_>) -> Sql<T>,
    ) -> Result<T, Failure> {
        self.until.set(until);
        let connection = &mut self.connection;
        patiently(&self.until, || {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = what(&tx)?;
            tx.commit()?;
            Ok(value)
        })
        .map_err(
            |error| match error.sqlite_error().map(|e| e.extended_code) {
                Some(
                    SQLITE_CONSTRAINT_PRIMARYKEY
                    | SQLITE_CONSTRAINT_UNIQUE
                    | SQLITE_CONSTRAINT_ROWID,
                ) => Failure::Taken,
                _ => Failure::Other(damage::explain(&self.path, &error)),
            },
        )
    }
}

/// Why a change was not made.
enum Failure {
    /// There is such a row already.
    Taken,
    Other(Cause),
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Cause {
        match failure {
            Failure::Taken => Cause::HostExists,
            Failure::Other(cause) => cause,
        }
    }
}

/// SQLite makes the file as the umask has it, which may take rights from the owner. `true`: it did,
/// and they are given back. A registry with content is left as it is.
fn permit(path: &Path) -> bool {
    let mode = Permissions::from_mode(0o600);
    // By its path, as only SQLite may open it; no other user can put a link there.
    fs::symlink_metadata(path).is_ok_and(|found| {
        found.is_file() && found.len() == 0 && found.mode() & mode.mode() != mode.mode()
    }) && fs::set_permissions(path, mode).is_ok()
}

/// Opens the file, and reads nothing of it.
fn open_file(path: &Path, more: OpenFlags) -> Sql<Connection> {
    let flags = more | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

fn prepare(mut connection: Connection, until: &Until) -> Sql<Connection> {
    let until = until.clone();
    connection.busy_handler(Some(move |count: i32| {
        if until.is_over() {
            return false;
        }
        thread::sleep(Duration::from_micros(50 << count.clamp(0, 4)));
        true
    }))?;
    // Nothing in here is worth an fsync: after a power cut there are no processes to find. The
    // journal mode stays what it is: an original may have chosen WAL, and is connected.
    connection.execute_batch("PRAGMA synchronous = OFF")?;
    Ok(connection)
}

/// A registry in a directory that another user may rename at any moment.
///
/// SQLite finds out what path an open directory has, and goes by that path from then on: for the
/// registry once, for a journal each time. So here it makes no file: the registry is made before,
/// and the journal is kept in memory. A process that is killed in the middle of a change, which is
/// a few writes long, then leaves a damaged registry, which is an error that says what to do; a
/// file in a directory of another user's choice would be worse.
mod exposed {
    use nix::sys::stat::{Mode, SFlag, mknodat};

    use super::*;

    pub(super) fn connect(dir: &OpenDir, until: &Until) -> Sql<Connection> {
        // Only SQLite may open it. If it can't be made, it can't be opened, and SQLite says why.
        let _ = mknodat(
            dir,
            REGISTRY,
            SFlag::S_IFREG,
            Mode::S_IRUSR | Mode::S_IWUSR,
            0,
        );
        // Another thread that opens the same file at that moment would be taken for this one.
        static OPENING: Mutex<()> = Mutex::new(());
        let opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let before = times_open(dir);
            let connection = open_file(&dir.at(REGISTRY), OpenFlags::empty())?;
            // The path may have led elsewhere.
            if times_open(dir) > before {
                drop(opening);
                let connection = prepare(connection, until)?;
                // Where it is not possible, an original has the registry in WAL mode.
                let _ = connection.execute_batch("PRAGMA journal_mode = MEMORY");
                return Ok(connection);
            }
            if until.is_over() {
                return Err(rusqlite::Error::InvalidPath(dir.shown_at(REGISTRY)));
            }
        }
    }

    /// How often this process has the registry open.
    fn times_open(dir: &OpenDir) -> usize {
        let Ok(held) = fs::symlink_metadata(dir.at(REGISTRY)) else {
            return 0;
        };
        let same = |entry: io::Result<fs::DirEntry>| {
            let there = fs::metadata(entry?.path())?;
            Ok::<_, io::Error>((there.dev(), there.ino()) == (held.dev(), held.ino()))
        };
        fs::read_dir("/proc/self/fd").map_or(0, |open| {
            open.filter_map(|entry| same(entry).ok())
                .filter(|same| *same)
                .count()
        })
    }
}

/// SQLite does not ask the busy handler everywhere: not when the journal mode changes, nor when
/// it finds that waiting could be a deadlock. So what was busy is tried again, as long as it waits.
fn patiently<T>(until: &Until, mut attempt: impl FnMut() -> Sql<T>) -> Sql<T> {
    loop {
        match attempt() {
            Err(error) if is_busy(&error) && !until.is_over() => {
                thread::sleep(Duration::from_micros(200));
            }
            done => return done,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn has_all_tables(connection: &Connection) -> Sql<bool> {
    let count: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('hosts', 'meta', 'lonet_names', 'lonet_remember_name')",
        [],
        |row| row.get(0),
    )?;
    Ok(count == 4)
}

/// What the registry says of itself; nothing, if it has no such table yet.
fn meta(connection: &Connection) -> Sql<Vec<(String, String)>> {
    let there = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'")?
        .exists([])?;
    if !there {
        return Ok(Vec::new());
    }
    connection
        .prepare("SELECT name, value FROM meta WHERE name IN ('schemaver', 'network')")?
        .query_map([], |row| Ok((row.get(0)?, text(row.get_ref(1)?))))?
        .collect()
}

enum Found {
    Never,
    Gone,
    At(String),
}

fn find(connection: &Connection, host: &str) -> Sql<Found> {
    let osladdr = connection
        .prepare_cached("SELECT osladdr FROM hosts WHERE hostname = ?1")?
        .query_row([host], |row| Ok(text(row.get_ref(0)?)))
        .optional()?;
    if let Some(osladdr) = osladdr {
        return Ok(Found::At(osladdr));
    }
    let known = connection
        .prepare_cached("SELECT 1 FROM lonet_names WHERE hostname = ?1")?
        .exists([host])?;
    Ok(if known { Found::Gone } else { Found::Never })
}

fn forget(tx: &Transaction<'_>, osladdr: SocketAddrV4) -> Sql<()> {
    tx.prepare_cached("DELETE FROM hosts WHERE osladdr = ?1")?
        .execute([osladdr.to_string()])?;
    Ok(())
}

/// A value as text, whatever is written there.
fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Null => String::new(),
        other => format!("{other:?}"),
    }
}

/// `127.x.y.z:port` in its only spelling; nothing else is ever connected to.
fn parse_osladdr(text: &str) -> Option<SocketAddrV4> {
    let osladdr: SocketAddrV4 = text.parse().ok()?;
    (is_osladdr(osladdr) && osladdr.to_string() == text).then_some(osladdr)
}

/// Whether a subnetwork may listen there.
pub(super) fn is_osladdr(osladdr: SocketAddrV4) -> bool {
    let broadcast = [
        Ipv4Addr::new(127, 0, 0, 0),
        Ipv4Addr::new(127, 255, 255, 255),
    ];
    osladdr.ip().is_loopback() && !broadcast.contains(osladdr.ip()) && osladdr.port() != 0
}
