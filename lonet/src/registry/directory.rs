//! The directory of a network: its place on disk, and which users may use it.
//!
//! Owns the layout of a network's directory, the rules it must keep to, and the presence lock by
//! which other processes know that the network is in use. What the files in it hold is others' business.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use super::base::{self, failed, user};
use super::flock::{self, Kind};
use super::opened::OpenDir;
use super::{random, sweep};
use crate::addr::check_name;
use crate::error::Cause;

/// The file of which every process in the network holds a shared lock.
pub(super) const PRESENCE: &str = "here";
/// The file that marks a random network: the last one out removes it.
pub(super) const MARK: &str = "random";
/// The file whose exclusive lock a process holds while it changes the registry.
pub(super) const WRITER: &str = "writer";
/// The registry. Only SQLite opens it.
pub(super) const REGISTRY: &str = "registry.db";

/// How long others are waited for. They hold their locks for microseconds, unless they are stopped.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A network's directory. As long as this exists, no process removes it.
///
/// When the last one of a random network is dropped, in whatever process, the directory goes.
#[derive(Debug)]
pub struct NetworkDir {
    name: String,
    base: Arc<OpenDir>,
    dir: Arc<OpenDir>,
    presence: File,
    exposed: bool,
}

impl NetworkDir {
    /// Joins or creates the directory of the network of that name, `<tmp>/lonet/<name>`.
    ///
    /// # Errors
    ///
    /// [`Cause::InvalidName`] when the name is none; no file is made then. [`Cause::Directory`]
    /// when the directory or the one it lies in breaks a rule, and [`Cause::Io`] when the system
    /// fails.
    pub fn open(name: &str) -> Result<NetworkDir, Cause> {
        let dir = NetworkDir::open_in(&tmp()?, name)?;
        dir.sweep_others();
        Ok(dir)
    }

    /// Makes the directory of a fresh network with a random unique name.
    ///
    /// # Errors
    ///
    /// [`Cause::Directory`] when the directory it lies in breaks a rule, and [`Cause::Io`] when
    /// the system fails.
    pub fn random() -> Result<NetworkDir, Cause> {
        let dir = NetworkDir::random_in(&tmp()?)?;
        dir.sweep_others();
        Ok(dir)
    }

    /// As [`NetworkDir::open`], in this directory for temporary files, and without sweeping.
    pub(super) fn open_in(tmp: &Path, name: &str) -> Result<NetworkDir, Cause> {
        check_name(name)?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let base = Arc::new(base::prepare(tmp)?);
            make(&base, name)?;
            // `None`: swept meanwhile.
            if let Some(dir) = NetworkDir::enter(&base, name)? {
                return Ok(dir);
            }
        }
        Err(unsteady(&tmp.join("lonet").join(name)))
    }

    /// As [`NetworkDir::random`], in this directory for temporary files, and without sweeping.
    pub(super) fn random_in(tmp: &Path) -> Result<NetworkDir, Cause> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let base = Arc::new(base::prepare(tmp)?);
            let name = random::network_name();
            if make(&base, &name)?
                && let Some(dir) = NetworkDir::enter(&base, &name)?
            {
                return Ok(dir);
            }
        }
        Err(unsteady(&tmp.join("lonet")))
    }

    fn enter(base: &Arc<OpenDir>, name: &str) -> Result<Option<NetworkDir>, Cause> {
        let Some(dir) = open_ours(base, name)? else {
            return Ok(None);
        };
        // First of all: what a SIGKILL leaves without the mark, no sweep may remove. But only where
        // there is nothing yet: it may be another network that was put in the place of ours.
        if random::is_network_name(name) && !mark_if_empty(&dir)? {
            return Ok(None);
        }
        let failing = |doing| {
            let lock = dir.shown_at(PRESENCE);
            move |error: io::Error| failed(doing, &lock, &error)
        };
        let presence = match flock::open_or_create(&dir, PRESENCE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failing("open"))?,
        };
        let presence = flock::lock_within(presence, Kind::Shared, PATIENCE)
            .map_err(failing("lock"))?
            .ok_or_else(|| held(&dir.shown_at(PRESENCE)))?;
        // It may have been removed while we waited, and even created again by another process.
        if !flock::is_at(&presence, &dir, PRESENCE).map_err(failing("look at"))?
            || !dir.is_at(&base.at(name)).map_err(failing("find"))?
        {
            return Ok(None);
        }
        Ok(Some(NetworkDir {
            name: name.to_owned(),
            exposed: base::is_anothers(base)?,
            base: base.clone(),
            dir: Arc::new(dir),
            presence,
        }))
    }

    /// Removes a few networks that other processes left behind, without blocking them.
    fn sweep_others(&self) {
        sweep::sweep_aside(&self.base);
    }

    /// The directory itself, whatever its path leads to.
    pub(super) fn opened(&self) -> &Arc<OpenDir> {
        &self.dir
    }

    /// Whether another user may rename it, or put something else in its place, at any moment.
    pub(super) fn is_exposed(&self) -> bool {
        self.exposed
    }

    /// The network's name, without the prefix: what `join` takes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.shown()
    }

    /// A path to the directory that leads nowhere else, whatever is done to what it lies in, in this
    /// process and as long as this lives.
    pub fn reach(&self) -> PathBuf {
        self.dir.path()
    }

    /// Leaves the directory where it is, so that a user can look into it: no process removes it, also
    /// if the network is a random one.
    ///
    /// # Errors
    ///
    /// [`Cause::Io`] when the system fails; then it goes as any other.
    pub fn keep(self) -> Result<(), Cause> {
        match fs::remove_file(self.dir.at(MARK)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &self.dir.shown_at(MARK), &error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for NetworkDir {
    fn drop(&mut self) {
        if sweep::is_marked(&self.dir) {
            sweep::remove_if_alone(&self.base, self.name.as_ref(), &self.dir, &self.presence);
        } else {
            // Not left to the closing: a child between fork and exec may hold the same open file.
            let _ = self.presence.unlock();
        }
    }
}

/// The right to change the registry of a network, held until this is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct WriterLock(File);

impl WriterLock {
    /// Takes it in the network's directory, and waits until then for the process that holds it.
    pub(super) fn take(dir: &OpenDir, until: Instant) -> Result<WriterLock, Cause> {
        let failing = |doing| {
            let shown = dir.shown_at(WRITER);
            move |error: io::Error| failed(doing, &shown, &error)
        };
        let file = flock::open_or_create(dir, WRITER).map_err(failing("open"))?;
        let patience = until.saturating_duration_since(Instant::now());
        flock::lock_within(file, Kind::Exclusive, patience)
            .map_err(failing("lock"))?
            .map(WriterLock)
            .ok_or_else(|| held(&dir.shown_at(WRITER)))
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// The platform's directory for temporary files, whatever this process's working directory
/// becomes. To the originals, an empty `TMPDIR` is as good as none; to the standard library it is
/// a path.
fn tmp() -> Result<PathBuf, Cause> {
    let tmp = match std::env::temp_dir() {
        empty if empty.as_os_str().is_empty() => PathBuf::from("/tmp"),
        tmp => tmp,
    };
    std::path::absolute(&tmp).map_err(|error| failed("find", &tmp, &error))
}

/// Makes a network's directory. Says whether it was not there yet.
fn make(base: &OpenDir, name: &str) -> Result<bool, Cause> {
    match DirBuilder::new().mode(0o700).create(base.at(name)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // Where a rename can't be told to replace nothing, the base may have been replaced by
        // another's while it was empty.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_proc_there() => Ok(false),
        Err(_) if !is_proc_there() => Err(Cause::Directory(format!(
            "{} can't be reached without /proc, which is not mounted; mount it",
            base.shown_at(name).display()
        ))),
        Err(error) => Err(failed("make", &base.shown_at(name), &error)),
    }
}

fn is_proc_there() -> bool {
    Path::new("/proc/self/fd").exists()
}

/// Marks the directory of a random network if nothing is in it. Says whether it is still there.
fn mark_if_empty(dir: &OpenDir) -> Result<bool, Cause> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let marked = match dir.names() {
        Ok(names) if names.is_empty() => options.open(dir.at(MARK)).map(drop),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    match marked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("make", &dir.shown_at(MARK), &error)),
    }
}

/// Opens a network's directory if it is ours alone. `None`: it is not there.
fn open_ours(base: &OpenDir, name: &str) -> Result<Option<OpenDir>, Cause> {
    let shown = base.shown_at(name);
    let dir = match base.open_in(name) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let rule = "the directory of a network must not be one";
            return Err(base::not_opened(&base.at(name), &shown, rule, &error));
        }
    };
    let found = dir
        .metadata()
        .map_err(|error| failed("look at", &shown, &error))?;
    let broken = |rule: String| Err(Cause::Directory(format!("{} {rule}", shown.display())));
    let me = geteuid().as_raw();
    if found.uid() != me {
        let (owner, me) = (user(found.uid()), user(me));
        return broken(format!(
            "belongs to {owner}; a network that {me} joins must be in a directory of {me}"
        ));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return broken(format!(
            "is open to other users (mode {mode:04o}); it must be 0700"
        ));
    }
    if mode != 0o700 {
        // Made under an umask that takes rights from the owner, or where groups are inherited.
        dir.set_mode(0o700)
            .map_err(|error| failed("repair the mode of", &shown, &error))?;
    }
    Ok(Some(dir))
}

fn unsteady(path: &Path) -> Cause {
    Cause::Directory(format!(
        "{} was replaced repeatedly for {} s; end the program that does this, or set TMPDIR to another directory",
        path.display(),
        PATIENCE.as_secs()
    ))
}

fn held(lock: &Path) -> Cause {
    Cause::Registry(format!(
        "{} has been locked for {} s; a process of this network is stopped (SIGSTOP) or hangs",
        lock.display(),
        PATIENCE.as_secs()
    ))
}
