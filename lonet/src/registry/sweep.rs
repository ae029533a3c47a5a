//! Removing networks that nobody uses any more: by the last one out, and, for what a SIGKILL left
//! behind, by later joins.
//!
//! Only what carries the mark of a random network goes. Whoever removes a directory holds its
//! presence lock alone, and moves it out of the way first: who comes by path meanwhile either
//! finds nothing or finds the lock file at another place, and starts afresh.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::unistd::geteuid;

use super::directory::{MARK, PRESENCE};
use super::flock::{self, Kind};
use super::random;

/// What is being removed has a name that no network can have.
const GONE: &str = ".gone-";
/// How many directories one sweep removes.
const AT_MOST: usize = 8;
/// How many directories one sweep looks at.
const LOOKS: usize = 256;

/// Removes a few dead random networks, on a thread of its own, unless this process is at it.
pub(super) fn sweep_aside(base: &Path) {
    static SWEEPING: AtomicBool = AtomicBool::new(false);
    if SWEEPING.swap(true, Ordering::Relaxed) {
        return;
    }
    let base = base.to_owned();
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
pub(super) fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // Directories that stay must not hide the ones behind them for ever.
    let begin = random::below(paths.len());
    paths.rotate_left(begin);
    paths
        .iter()
        .take(LOOKS)
        .filter(|path| remove_if_dead(path))
        .take(AT_MOST)
        .for_each(drop);
}

fn remove_if_dead(dir: &Path) -> bool {
    let ours = fs::symlink_metadata(dir)
        .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
    if !ours {
        return false;
    }
    let put_aside = dir
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(GONE.as_bytes()));
    if put_aside {
        // Nobody can be in there: its remover was killed, or is at it, which does no harm.
        return fs::remove_dir_all(dir).is_ok();
    }
    if !is_marked(dir) {
        // Its maker was killed before it could mark it, or is about to, and starts afresh. Only
        // what is empty can go this way.
        let fresh = dir
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(random::is_network_name);
        return fresh && fs::remove_dir(dir).is_ok();
    }
    let lock = dir.join(PRESENCE);
    let presence = match flock::open(&lock) {
        // Its maker got no further than the mark. Where there is more, somebody may have removed
        // the lock of those who live.
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_mark_only(dir) => {
            flock::open_or_create(&lock)
        }
        opened => opened,
    };
    let Ok(presence) = presence else {
        return false;
    };
    remove_if_alone(dir, &presence)
}

fn has_mark_only(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == MARK))
    })
}

/// Whether the directory carries the mark of a random network.
pub(super) fn is_marked(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(MARK)).is_ok_and(|found| found.is_file())
}

/// Removes a random network's directory if nobody else holds its presence lock, which is
/// `presence`, open. In any case whatever lock `presence` held is given up.
pub(super) fn remove_if_alone(dir: &Path, presence: &fs::File) -> bool {
    let removed = flock::try_lock(presence, Kind::Exclusive).and_then(|alone| {
        if !alone || !flock::is_at(presence, &dir.join(PRESENCE))? {
            return Ok(false);
        }
        let Some(base) = dir.parent() else {
            return Ok(false);
        };
        let gone = base.join(format!("{GONE}{}", random::word()));
        fs::rename(dir, &gone)?;
        // From here on nobody finds it: those who wait for the lock may go on.
        presence.unlock()?;
        fs::remove_dir_all(&gone)?;
        Ok::<_, io::Error>(true)
    });
    // The explicit unlock matters: a child between fork and exec may hold the same open file.
    let _ = presence.unlock();
    removed.unwrap_or(false)
}
