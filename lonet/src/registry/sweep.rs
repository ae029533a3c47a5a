//! Removing unused networks: by the last process that leaves, and, for what a SIGKILL left
//! behind, by later joins.
//!
//! Only what carries the mark of a random network goes. What removes a directory holds its presence
//! lock alone until that is done, and moves it out of the way first: a process that joins by name meanwhile
//! either finds nothing or finds it at another place, and starts afresh. The owner of the base
//! directory may rename what lies in it at any moment, so a name says nothing: all is judged, locked
//! and emptied through the directory that is open.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::unistd::geteuid;

use super::base::rename_without_replacing;
use super::directory::{MARK, PRESENCE};
use super::flock::{self, Kind};
use super::opened::OpenDir;
use super::random;

/// What is being removed has a name that no network can have.
const GONE: &str = ".gone-";
/// How many directories one sweep removes.
const AT_MOST: usize = 8;
/// How many directories one sweep looks at.
const LOOKS: usize = 256;

/// Removes a few dead random networks, on a thread of its own, unless this process is at it.
pub(super) fn sweep_aside(base: &Arc<OpenDir>) {
    static SWEEPING: AtomicBool = AtomicBool::new(false);
    if SWEEPING.swap(true, Ordering::Relaxed) {
        return;
    }
    let base = base.clone();
    let started = thread::Builder::new()
        .name("lonet-sweep".to_owned())
        .stack_size(128 * 1024)
        .spawn(move || {
            sweep(&base);
            SWEEPING.store(false, Ordering::Relaxed);
        });
    if started.is_err() {
        // No thread to be had: the next join sweeps.
        SWEEPING.store(false, Ordering::Relaxed);
    }
}

/// Removes a few dead random networks. What can't be removed is left to others.
pub(super) fn sweep(base: &OpenDir) {
    let Ok(mut names) = base.names() else {
        return;
    };
    // Directories that stay must not hide the ones behind them for ever.
    let begin = random::below(names.len());
    names.rotate_left(begin);
    names
        .iter()
        .take(LOOKS)
        .filter(|name| remove_if_dead(base, name))
        .take(AT_MOST)
        .for_each(drop);
}

fn remove_if_dead(base: &OpenDir, name: &OsStr) -> bool {
    let Ok(dir) = base.open_in(name) else {
        return false;
    };
    let ours = dir
        .metadata()
        .is_ok_and(|found| found.uid() == geteuid().as_raw());
    if !ours {
        return false;
    }
    if !is_marked(&dir) {
        // Its maker was killed before it could mark it, or is about to, and starts afresh; or its
        // remover was killed at the end. Only what is empty can go this way.
        let fresh = name
            .to_str()
            .is_some_and(|name| random::is_network_name(name) || name.starts_with(GONE));
        return fresh && fs::remove_dir(base.at(name)).is_ok();
    }
    let presence = match flock::open(&dir, PRESENCE) {
        // Its maker got no further than the mark, or its remover did not. Where there is more,
        // the lock of running processes may have been removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_mark_only(&dir) => {
            flock::open_or_create(&dir, PRESENCE)
        }
        opened => opened,
    };
    let Ok(presence) = presence else {
        return false;
    };
    remove_if_alone(base, name, &dir, &presence)
}

fn has_mark_only(dir: &OpenDir) -> bool {
    dir.names()
        .is_ok_and(|names| names.iter().all(|name| name == MARK))
}

/// Whether the directory carries the mark of a random network.
pub(super) fn is_marked(dir: &OpenDir) -> bool {
    fs::symlink_metadata(dir.at(MARK)).is_ok_and(|found| found.is_file())
}

/// Removes a random network's directory, which is `dir`, and in the base directory has that name,
/// if no other process holds its presence lock, which is `presence`, open. In any case whatever lock
/// `presence` held is given up.
pub(super) fn remove_if_alone(
    base: &OpenDir,
    name: &OsStr,
    dir: &OpenDir,
    presence: &fs::File,
) -> bool {
    let removed = flock::try_lock(presence, Kind::Exclusive).and_then(|alone| {
        if !alone || !flock::is_at(presence, dir, PRESENCE)? || !dir.is_at(&base.at(name))? {
            return Ok(false);
        }
        let gone = format!("{GONE}{}", random::word());
        fs::rename(base.at(name), base.at(&gone))?;
        if !dir.is_at(&base.at(&gone))? {
            // The base's owner has just put it there in place of ours.
            rename_without_replacing(&base.at(&gone), &base.at(name))?;
            return Ok(false);
        }
        // From here on no process finds it. One that has found it before waits for the lock.
        empty(dir)?;
        fs::remove_dir(base.at(&gone))?;
        Ok::<_, io::Error>(true)
    });
    // The explicit unlock matters: a child between fork and exec may hold the same open file.
    let _ = presence.unlock();
    removed.unwrap_or(false)
}

/// Removes what is in a directory that no other user can change. What says that it may go goes last:
/// if this is killed half way, others finish it.
fn empty(dir: &OpenDir) -> io::Result<()> {
    for name in dir.names()? {
        if name != PRESENCE && name != MARK {
            remove(&dir.at(name))?;
        }
    }
    remove(&dir.at(PRESENCE))?;
    remove(&dir.at(MARK))
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
