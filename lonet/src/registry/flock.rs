//! Advisory locks on files, held by an open file: taken within bounds, and re-checked against
//! their name, because a file may be unlinked while one waits for it.
//!
//! Does not know what is locked, nor why.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};

use super::opened::OpenDir;

/// How a file is locked: by many at once, or by one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Shared,
    Exclusive,
}

/// What the owner must be allowed, whatever the umask of the process that makes a file.
const MODE: u32 = 0o600;

/// Opens a file of this directory that is only there to be locked, or makes it.
pub(super) fn open_or_create(dir: &OpenDir, name: &str) -> io::Result<File> {
    let file = open_with(dir, name, OFlag::O_CREAT)?;
    if !is_permitted(&file.metadata()?) {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

/// Opens a file that is only there to be locked.
pub(super) fn open(dir: &OpenDir, name: &str) -> io::Result<File> {
    open_with(dir, name, OFlag::empty())
}

fn open_with(dir: &OpenDir, name: &str, more: OFlag) -> io::Result<File> {
    // Whatever may be there: no link is followed, no FIFO waited for.
    let flags = more
        | OFlag::O_RDWR
        | OFlag::O_CLOEXEC
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY;
    let open = || loop {
        match openat(dir, name, flags, Mode::from_bits_truncate(MODE)) {
            Err(Errno::EINTR) => {}
            opened => return Ok(opened.map(File::from)?),
        }
    };
    match open() {
        // Its maker has not put the mode right yet, or was killed before.
        Err(error) if io::Error::kind(&error) == io::ErrorKind::PermissionDenied => {
            let path = dir.at(name);
            let found = fs::symlink_metadata(&path)?;
            // By its name, which is safe: no other user can put a link into the network's directory.
            if found.is_file() && !is_permitted(&found) {
                fs::set_permissions(&path, Permissions::from_mode(MODE))?;
            }
            open()
        }
        opened => opened,
    }
}

fn is_permitted(found: &Metadata) -> bool {
    found.mode() & MODE == MODE
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
    // processes that join a new network at once, the waiting ones would otherwise take the processors
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

/// Whether the directory still has this open file under that name.
pub(super) fn is_at(file: &File, dir: &OpenDir, name: &str) -> io::Result<bool> {
    let held = file.metadata()?;
    match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (held.dev(), held.ino())),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// Three open files of one name.
    fn files() -> [File; 3] {
        let dir = OpenDir::open(&std::env::temp_dir()).unwrap();
        let name = format!("lonet-test-{}", super::super::random::word());
        let files = [open_or_create, open, open].map(|open| open(&dir, &name).unwrap());
        assert!(is_at(&files[0], &dir, &name).unwrap());
        fs::remove_file(dir.at(&name)).unwrap();
        assert!(!is_at(&files[0], &dir, &name).unwrap());
        fs::write(dir.at(&name), "").unwrap();
        assert!(!is_at(&files[0], &dir, &name).unwrap());
        fs::remove_file(dir.at(&name)).unwrap();
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
