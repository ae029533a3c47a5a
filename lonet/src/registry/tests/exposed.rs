//! A base directory that belongs to another user, who may rename what lies in it at any moment.
//!
//! Only root can make a directory that belongs to another user: others show nothing here.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use super::super::opened::OpenDir;
use super::super::sqlite::Database;
use super::super::{Lookup, NetworkDir, Registry, random, sweep};
use super::{Tmp, entries, listening};

/// A network `x`, what a careless process would write to in place of it, and what is in that now.
/// The base directory is another user's from now on.
fn exposed(tmp: &Tmp) -> (PathBuf, Vec<(String, Vec<u8>)>) {
    drop(tmp.join("x"));
    let outside = tmp.0.join("outside");
    fs::create_dir(&outside).unwrap();
    for file in ["here", "writer", "random"] {
        fs::write(outside.join(file), "").unwrap();
    }
    fs::copy(
        tmp.base().join("x/registry.db"),
        outside.join("registry.db"),
    )
    .unwrap();
    chown(tmp.base(), Some(54321), None).unwrap();
    let before = look(&outside);
    (outside, before)
}

fn look(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| (name.clone(), fs::read(dir.join(name)).unwrap());
    entries(dir).into_iter().map(read).collect()
}

/// The journal is a file that SQLite opens by its path, each time.
#[test]
fn a_network_whose_path_leads_elsewhere_goes_on() {
    if !geteuid().is_root() {
        return;
    }
    let tmp = Tmp::new();
    let (outside, before) = exposed(&tmp);
    let member = tmp.join("x");
    let (path, aside) = (tmp.base().join("x"), tmp.base().join("aside"));
    fs::rename(&path, &aside).unwrap();
    symlink(&outside, &path).unwrap();
    member.announce("α").unwrap();
    let found = member.registry.lookup("α").unwrap();
    assert_eq!(found, Lookup::At(member.osladdr));
    assert_eq!(look(&outside), before);
    drop(member);
    assert_eq!(look(&outside), before);
    assert_eq!(entries(&aside), ["here", "registry.db", "writer"]);
}

/// What the kernel says of a removed directory is a path that somebody else can make.
#[test]
fn a_registry_elsewhere_is_not_taken_for_ours() {
    if !geteuid().is_root() {
        return;
    }
    let tmp = Tmp::new();
    let (outside, before) = exposed(&tmp);
    let path = tmp.base().join("y");
    fs::create_dir(&path).unwrap();
    let dir = OpenDir::open(&path).unwrap();
    fs::remove_dir(&path).unwrap();
    symlink(&outside, tmp.base().join("y (deleted)")).unwrap();
    let opened = Database::open(&dir, true, Instant::now() + Duration::from_millis(5));
    assert!(opened.is_err());
    assert_eq!(look(&outside), before);
}

/// What the owner of the base directory can do to what lies in it: swap it with a link to elsewhere.
fn swap(tmp: &Tmp, outside: &Path, done: &AtomicBool) {
    let (here, aside) = (tmp.base().join("x"), tmp.base().join(".aside"));
    while !done.load(Ordering::Relaxed) {
        if fs::rename(&here, &aside).is_ok() {
            let _ = symlink(outside, &here);
            for _ in 0..random::below(300) {
                std::hint::spin_loop();
            }
            let _ = fs::remove_file(&here);
            let _ = fs::rename(&aside, &here);
        }
    }
}

/// The same: rename it.
fn rename(tmp: &Tmp, done: &AtomicBool) {
    let base = tmp.base();
    while !done.load(Ordering::Relaxed) {
        // As what a killed remover left behind.
        let _ = fs::rename(base.join("live"), base.join(".gone-abcdefabcdef"));
        thread::yield_now();
        let _ = fs::rename(base.join(".gone-abcdefabcdef"), base.join("live"));
        // In place of another, which is removed as the last one leaves it.
        for name in entries(&base).iter().filter(|name| name.starts_with("r-")) {
            if fs::rename(base.join(name), base.join(".theirs")).is_ok() {
                let _ = fs::rename(base.join("live"), base.join(name));
                thread::yield_now();
                let _ = fs::rename(base.join(name), base.join("live"));
                let _ = fs::rename(base.join(".theirs"), base.join(name));
            }
        }
    }
}

/// A join may fail there. It does no harm.
#[test]
fn the_owner_of_the_base_directory_cannot_harm_us() {
    if !geteuid().is_root() {
        return;
    }
    let tmp = Tmp::new();
    let live = tmp.join("live");
    fs::write(tmp.base().join("live/precious"), "data").unwrap();
    let held = fs::File::open(tmp.base().join("live")).unwrap();
    let (outside, before) = exposed(&tmp);

    let full = std::env::var_os("LONET_FULL").is_some_and(|full| full == "1");
    let done = AtomicBool::new(false);
    let joined = thread::scope(|scope| {
        scope.spawn(|| swap(&tmp, &outside, &done));
        scope.spawn(|| rename(&tmp, &done));
        let mut joined = 0;
        let rounds = if full { 1000 } else { 100 };
        for round in 0..100 * rounds {
            // How often the directory is in its place is a matter of time.
            if round >= rounds && joined > 0 {
                break;
            }
            let dir = if round % 4 == 0 {
                NetworkDir::random_in(&tmp.0)
            } else {
                NetworkDir::open_in(&tmp.0, "x")
            };
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let member = dir.and_then(|dir| Registry::open(dir.into(), listening(&listener)));
            if let Ok(member) = member {
                joined += usize::from(member.announce("β").is_ok());
            }
            sweep::sweep(&OpenDir::open(&tmp.base()).unwrap());
        }
        done.store(true, Ordering::Relaxed);
        joined
    });
    assert_eq!(look(&outside), before, "written or removed elsewhere");
    // Wherever it is by now.
    let held = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    assert_eq!(fs::read(held.join("precious")).unwrap(), b"data");
    assert_eq!(fs::read(held.join("here")).unwrap(), b"");
    assert!(joined > 0);
    drop(live);
}
