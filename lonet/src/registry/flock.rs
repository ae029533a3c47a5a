//! Advisory locks on files, held by an open file: taken within bounds, and re-checked against the
//! path, because a file may be unlinked while one waits for it.
//!
//! Does not know what is locked, nor why.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

/// How a file is locked: by many at once, or by one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Shared,
    Exclusive,
}

/// Opens a file that is only there to be locked, or makes it.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    options().create(true).mode(0o600).open(path)
}

/// Opens a file that is only there to be locked.
pub(super) fn open(path: &Path) -> io::Result<File> {
    options().open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        // Whatever somebody may have put there: no link is followed, no FIFO waited for.
        .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    options
}

/// Locks the file unless that means waiting. Converts a lock of the other kind; when that fails,
/// the former lock is gone.
pub(super) fn try_lock(file: &File, kind: Kind) -> io::Result<bool> {
    loop {
        let taken = match kind {
            Kind::Shared => file.try_lock_shared(),
            Kind::Exclusive => file.try_lock(),
        };
        match taken {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Locks the file, waiting at most that long: a holder may be a process that is stopped.
pub(super) fn lock_within(file: &File, kind: Kind, patience: Duration) -> io::Result<bool> {
    // The kernel knows no flock with a deadline, so this asks again: soon at first, as locks are
    // held for some 100 µs, then less often.
    let mut pause = Duration::from_micros(20);
    let begun = Instant::now();
    while !try_lock(file, kind)? {
        if begun.elapsed() > patience {
            return Ok(false);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
    }
    Ok(true)
}

/// Whether the path still leads to this open file.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
