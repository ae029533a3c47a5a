//! Where a network lies on disk, and who may use it.
//!
//! Owns the layout of a network's directory, the rules it must keep to, and the presence lock by
//! which the others know that somebody is there. What the files in it hold is others' business.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use super::base::{self, failed, user};
use super::flock::{self, Kind};
use super::{random, sweep};
use crate::addr::check_name;
use crate::error::Cause;

/// The file that everybody in the network holds a shared lock of.
pub(super) const PRESENCE: &str = "here";
/// The file that marks a random network: the last one out removes it.
pub(super) const MARK: &str = "random";
/// The file that whoever changes the registry holds an exclusive lock of.
pub(super) const WRITER: &str = "writer";
/// The registry. Only SQLite opens it.
pub(super) const REGISTRY: &str = "registry.db";

/// How long others are waited for. They hold their locks for microseconds, unless they are stopped.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A network's directory. As long as this lives, nobody removes it.
///
/// When the last one of a random network is dropped, in whatever process, the directory goes.
#[derive(Debug)]
pub struct NetworkDir {
    name: String,
    path: PathBuf,
    presence: File,
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
        let base = base::prepare(tmp)?;
        loop {
            let made = make(&base.join(name))?;
            // `None`: swept meanwhile.
            if let Some(dir) = NetworkDir::enter(&base, name, made)? {
                return Ok(dir);
            }
        }
    }

    /// As [`NetworkDir::random`], in this directory for temporary files, and without sweeping.
    pub(super) fn random_in(tmp: &Path) -> Result<NetworkDir, Cause> {
        let base = base::prepare(tmp)?;
        loop {
            let name = random::network_name();
            if make(&base.join(&name))?
                && let Some(dir) = NetworkDir::enter(&base, &name, true)?
            {
                return Ok(dir);
            }
        }
    }

    fn enter(base: &Path, name: &str, made: bool) -> Result<Option<NetworkDir>, Cause> {
        let path = base.join(name);
        if !check(&path)? {
            return Ok(None);
        }
        // First of all: what a SIGKILL leaves without the mark, nobody may remove.
        if made && random::is_network_name(name) && !put_mark(&path.join(MARK))? {
            return Ok(None);
        }
        let lock = path.join(PRESENCE);
        let presence = match flock::open_or_create(&lock) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| failed("open", &lock, &error))?,
        };
        let presence = flock::lock_within(presence, Kind::Shared, PATIENCE)
            .map_err(|error| failed("lock", &lock, &error))?
            .ok_or_else(|| held(&lock))?;
        // It may have been removed while we waited, and even made anew by somebody else.
        if !flock::is_at(&presence, &lock).map_err(|error| failed("look at", &lock, &error))? {
            return Ok(None);
        }
        Ok(Some(NetworkDir {
            name: name.to_owned(),
            path,
            presence,
        }))
    }

    /// Removes a few networks that others left behind, in nobody's way.
    fn sweep_others(&self) {
        if let Some(base) = self.path.parent() {
            sweep::sweep_aside(base);
        }
    }

    /// The network's name, without the prefix: what `join` takes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory where it is, for whoever wants to look into it: nobody removes it, also
    /// if the network is a random one.
    ///
    /// # Errors
    ///
    /// [`Cause::Io`] when the system fails; then it goes as any other.
    pub fn keep(self) -> Result<(), Cause> {
        let mark = self.path.join(MARK);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &mark, &error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for NetworkDir {
    fn drop(&mut self) {
        if sweep::is_marked(&self.path) {
            sweep::remove_if_alone(&self.path, &self.presence);
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
    /// Takes it in the network's directory. Who has it is waited for until then.
    pub(super) fn take(dir: &Path, until: Instant) -> Result<WriterLock, Cause> {
        let path = dir.join(WRITER);
        let file = flock::open_or_create(&path).map_err(|error| failed("open", &path, &error))?;
        let patience = until.saturating_duration_since(Instant::now());
        flock::lock_within(file, Kind::Exclusive, patience)
            .map_err(|error| failed("lock", &path, &error))?
            .map(WriterLock)
            .ok_or_else(|| held(&path))
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
fn make(path: &Path) -> Result<bool, Cause> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("make", path, &error)),
    }
}

/// Marks a random network's directory. Says whether that is still there.
fn put_mark(mark: &Path) -> Result<bool, Cause> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    match options.open(mark) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("make", mark, &error)),
    }
}

/// Checks that a network's directory is ours alone. Says whether it is there.
fn check(path: &Path) -> Result<bool, Cause> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found.map_err(|error| failed("look at", path, &error))?,
    };
    let broken = |rule: String| Err(Cause::Directory(format!("{} {rule}", path.display())));
    if found.is_symlink() {
        return broken("is a symbolic link; a network's directory must be none".to_owned());
    }
    if !found.is_dir() {
        return broken("is no directory".to_owned());
    }
    let me = geteuid().as_raw();
    if found.uid() != me {
        let (owner, me) = (user(found.uid()), user(me));
        return broken(format!(
            "belongs to {owner}; the directory of a network that {me} joins must be theirs"
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
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(|error| failed("repair the mode of", path, &error))?;
    }
    Ok(true)
}

fn held(lock: &Path) -> Cause {
    Cause::Registry(format!(
        "{} has been locked for {} s; a process of this network is stopped (SIGSTOP), or hangs",
        lock.display(),
        PATIENCE.as_secs()
    ))
}
