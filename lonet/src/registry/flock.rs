//! Advisory locks on files, held by an open file: taken within bounds, and re-checked against the
//! path, because a file may be unlinked while one waits for it.
//!
//! Does not know what is locked, nor why.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
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

/// What the owner must be allowed, whatever the umask of who makes a file.
const MODE: u32 = 0o600;

/// Opens a file that is only there to be locked, or makes it.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    let file = open_by(path, options().create(true).mode(MODE))?;
    if !is_permitted(&file.metadata()?) {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

/// Opens a file that is only there to be locked.
pub(super) fn open(path: &Path) -> io::Result<File> {
    open_by(path, &options())
}

fn open_by(path: &Path, options: &OpenOptions) -> io::Result<File> {
    match options.open(path) {
        // Its maker has not put the mode right yet, or was killed before.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let found = fs::symlink_metadata(path)?;
            // By its path, which is safe: nobody else can put a link into the network's directory.
            if found.is_file() && !is_permitted(&found) {
                fs::set_permissions(path, Permissions::from_mode(MODE))?;
            }
            options.open(path)
        }
        opened => opened,
    }
}

fn is_permitted(found: &Metadata) -> bool {
    found.mode() & MODE == MODE
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

/// Locks the file, waiting at most that long: a holder may be a process that is stopped. `None`:
/// in vain.
pub(super) fn lock_within(file: File, kind: Kind, patience: Duration) -> io::Result<Option<File>> {
    // The kernel has no flock with a deadline, so this asks again: the later the longer it has
    // waited, after half of that and at most 4 ms, so that little more time is lost than passes anyway. Of 64
    // processes that join a new network at once, those who wait would else take the processors
    // from the one that has the lock. The kernel's queue would be no faster: handing the lock on
    // in turn costs a switch of processes each time.
    let mut pause = Duration::from_micros(20);
    let begun = Instant::now();
    while !try_lock(&file, kind)? {
        if begun.elapsed() > patience {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(4));
    }
    Ok(Some(file))
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// Three open files of one path.
    fn files() -> [File; 3] {
        let path =
            std::env::temp_dir().join(format!("lonet-test-{}", super::super::random::word()));
        let files = [open_or_create, open, open].map(|open| open(&path).unwrap());
        assert!(is_at(&files[0], &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&files[0], &path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(!is_at(&files[0], &path).unwrap());
        fs::remove_file(&path).unwrap();
        files
    }

    #[test]
    fn waiting_ends_with_the_lock_or_with_patience() {
        let [a, b, c] = files();
        assert!(try_lock(&a, Kind::Exclusive).unwrap());
        assert!(!try_lock(&b, Kind::Shared).unwrap());
        let in_vain = lock_within(b, Kind::Exclusive, Duration::from_millis(1));
        assert!(in_vain.unwrap().is_none());
        let ready = Barrier::new(2);
        let c = thread::scope(|scope| {
            scope.spawn(|| {
                ready.wait();
                a.unlock().unwrap();
            });
            ready.wait();
            let got = lock_within(c, Kind::Exclusive, Duration::from_secs(60));
            got.unwrap().unwrap()
        });
        assert!(!try_lock(&a, Kind::Shared).unwrap());
        c.unlock().unwrap();
        let a = lock_within(a, Kind::Shared, Duration::from_secs(60));
        assert!(a.unwrap().is_some());
        assert!(try_lock(&c, Kind::Shared).unwrap());
    }
}
