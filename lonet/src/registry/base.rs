//! The directory that all networks of the machine lie in: made, checked, repaired.
//!
//! It is shared by all users, so it is writable for all and sticky, like the directory for
//! temporary files itself. What lies in it is not looked at here.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};

use super::opened::OpenDir;
use super::random;
use crate::error::Cause;

/// What the base directory's mode must be: anybody may make an entry, only its owner remove it.
const MODE: u32 = 0o1777;

/// The base directory in this directory for temporary files, made if it is not there.
pub(super) fn prepare(tmp: &Path) -> Result<OpenDir, Cause> {
    let path = tmp.join("lonet");
    loop {
        match OpenDir::open(&path) {
            Ok(base) => {
                check(&base)?;
                return Ok(base);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(tmp, &path)?,
            Err(error) => return Err(not_opened(&path, &path, "it must be a directory", &error)),
        }
    }
}

/// Whether the base directory belongs to another user than us and root, who may at any moment
/// rename what lies in it, or put something else in its place.
pub(super) fn is_anothers(base: &OpenDir) -> Result<bool, Cause> {
    /// The uid that the kernel shows for users not mapped into this user namespace; we may be one.
    const UNMAPPED: u32 = 65534;
    let me = geteuid().as_raw();
    match base.metadata() {
        Ok(found) => Ok(found.uid() != 0 && (found.uid() != me || me == UNMAPPED)),
        Err(error) => Err(failed("look at", base.shown(), &error)),
    }
}

/// Why the directory at `path`, which users know as `shown`, could not be opened.
pub(super) fn not_opened(path: &Path, shown: &Path, rule: &str, error: &io::Error) -> Cause {
    let broken = |what: &str| Cause::Directory(format!("{} {what}", shown.display()));
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => broken(&format!("is a symbolic link; {rule}")),
        Ok(found) if !found.is_dir() => broken("is not a directory"),
        _ => failed("open", shown, error),
    }
}

fn check(base: &OpenDir) -> Result<(), Cause> {
    let shown = base.shown();
    let found = base
        .metadata()
        .map_err(|error| failed("look at", shown, &error))?;
    let broken = |rule: String| Err(Cause::Directory(format!("{} {rule}", shown.display())));
    if found.mode() & 0o7777 & MODE == MODE {
        return Ok(());
    }
    if found.uid() != geteuid().as_raw() {
        let (owner, mode) = (user(found.uid()), found.mode() & 0o7777);
        return broken(format!(
            "belongs to {owner} and has mode {mode:04o}; its owner must change the mode to {MODE:04o}, so that other users can use it too"
        ));
    }
    base.set_mode(MODE)
        .map_err(|error| failed("repair the mode of", shown, &error))
}

/// Makes the base directory aside and moves it to its place once its mode is right, so that no user
/// ever sees it with a wrong one. If another process was faster, its directory stays.
fn make(tmp: &Path, base: &Path) -> Result<(), Cause> {
    let aside = tmp.join(format!(".lonet-{}", random::word()));
    DirBuilder::new()
        .mode(0o700)
        .create(&aside)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                failed("find the directory for temporary files", tmp, &error)
            }
            _ => failed("make", &aside, &error),
        })?;
    let placed = fs::set_permissions(&aside, Permissions::from_mode(MODE))
        .and_then(|()| rename_without_replacing(&aside, base));
    let Err(error) = placed else { return Ok(()) };
    // No other process knows it, so it is empty; if it can't be removed, the next error says why.
    let _ = fs::remove_dir(&aside);
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => Ok(()),
        _ => Err(failed("make", base, &error)),
    }
}

#[cfg(target_env = "gnu")]
pub(super) fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    use nix::errno::Errno;
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // This file system can't: see below.
        Err(Errno::EINVAL | Errno::ENOSYS) => fs::rename(from, to),
        done => Ok(done?),
    }
}

/// Without the flag, a rename may replace an empty directory: one that is not used yet, and ours,
/// because the directory for temporary files is sticky.
#[cfg(not(target_env = "gnu"))]
pub(super) fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// A user as messages name one: `bob (uid 1000)`.
pub(super) fn user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        _ => format!("uid {uid}"),
    }
}

/// The cause of an operation of the system on a path that failed.
pub(super) fn failed(doing: &str, path: &Path, error: &io::Error) -> Cause {
    Cause::Io(
        error.kind(),
        format!("cannot {doing} {}: {error}", path.display()),
    )
}
