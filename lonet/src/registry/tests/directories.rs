//! Where networks lie: what is made, repaired and refused, and what is removed when.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use super::super::flock::{self, Kind};
use super::super::opened::OpenDir;
use super::super::{NetworkDir, sweep};
use super::{Member, Tmp, entries};
use crate::error::Cause;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn directories_have_their_modes() {
    let tmp = Tmp::new();
    let dir = tmp.dir("x");
    assert_eq!(dir.path(), tmp.base().join("x"));
    assert_eq!(dir.name(), "x");
    assert_eq!((mode(&tmp.base()), mode(dir.path())), (0o1777, 0o700));
    drop(dir);
    // A named network stays, and so does what was tidied up.
    assert_eq!(entries(&tmp.base()), ["x"]);
    assert_eq!(entries(&tmp.0), ["lonet"]);
}

#[test]
fn ours_are_repaired_where_that_opens_nothing() {
    for base in [0o755, 0o700, 0o777, 0o1700, 0o0] {
        let tmp = Tmp::new();
        fs::create_dir(tmp.base()).unwrap();
        chmod(&tmp.base(), base);
        drop(tmp.dir("x"));
        assert_eq!(mode(&tmp.base()), 0o1777);
    }
    for network in [0o500, 0o300, 0o0, 0o1700, 0o2700, 0o4700] {
        let tmp = Tmp::new();
        let path = tmp.dir("x").path().to_owned();
        chmod(&path, network);
        drop(tmp.join("x"));
        assert_eq!(mode(&path), 0o700);
    }
}

#[test]
fn lock_files_are_for_their_owner() {
    let tmp = Tmp::new();
    let member = Member::of(NetworkDir::random_in(&tmp.0).unwrap().into());
    member.announce("α").unwrap();
    let dir = tmp.base().join(&entries(&tmp.base())[0]);
    for file in entries(&dir) {
        // The registry's mode is SQLite's business.
        if file != "registry.db" {
            assert_eq!(mode(&dir.join(&file)), 0o600, "{file}");
        }
    }
}

/// Each makes something bad, and says what the message must tell.
type Layout = (&'static str, fn(&Path));

/// In the place of the network's directory.
const NETWORKS: [Layout; 10] = [
    ("symbolic link", |path| {
        let mine = path.with_file_name("mine");
        fs::create_dir(&mine).unwrap();
        chmod(&mine, 0o700);
        symlink(mine, path).unwrap();
    }),
    ("symbolic link", |path| {
        symlink("/nowhere/at/all", path).unwrap();
    }),
    ("symbolic link", |path| symlink(path, path).unwrap()),
    ("not a directory", |path| fs::write(path, "").unwrap()),
    ("not a directory", |path| {
        mkfifo(path, Mode::S_IRWXU).unwrap();
    }),
    ("mode 0777", |path| open_to_others(path, 0o777)),
    ("mode 0750", |path| open_to_others(path, 0o750)),
    ("mode 0701", |path| open_to_others(path, 0o701)),
    ("mode 1777", |path| open_to_others(path, 0o1777)),
    ("mode 0720", |path| open_to_others(path, 0o720)),
];

fn open_to_others(path: &Path, mode: u32) {
    fs::create_dir(path).unwrap();
    chmod(path, mode);
}

#[test]
fn hostile_network_directories_are_refused() {
    for (told, make) in NETWORKS {
        let tmp = Tmp::new();
        drop(tmp.dir("other"));
        let path = tmp.base().join("x");
        make(&path);
        refuses(&tmp, &path, told);
    }
}

#[test]
fn hostile_base_directories_are_refused() {
    let layouts: [Layout; 4] = [
        ("symbolic link", |path| {
            fs::create_dir(path.with_file_name("mine")).unwrap();
            symlink(path.with_file_name("mine"), path).unwrap();
        }),
        ("symbolic link", |path| symlink("/nowhere", path).unwrap()),
        ("not a directory", |path| fs::write(path, "").unwrap()),
        ("not a directory", |path| {
            mkfifo(path, Mode::S_IRWXU).unwrap();
        }),
    ];
    for (told, make) in layouts {
        let tmp = Tmp::new();
        make(&tmp.base());
        refuses(&tmp, &tmp.base(), told);
    }
}

/// Only root can make a file that belongs to another user.
#[test]
fn what_belongs_to_another_user_is_refused_by_its_owner() {
    if !geteuid().is_root() {
        return;
    }
    let tmp = Tmp::new();
    drop(tmp.dir("other"));
    let path = tmp.base().join("x");
    fs::create_dir(&path).unwrap();
    chmod(&path, 0o700);
    chown(&path, Some(54321), None).unwrap();
    refuses(&tmp, &path, "uid 54321");

    chown(tmp.base(), Some(54322), None).unwrap();
    chmod(&tmp.base(), 0o755);
    refuses(&tmp, &tmp.base(), "uid 54322");
    // Theirs, but as it should be: anybody may use it.
    chmod(&tmp.base(), 0o1777);
    drop(tmp.dir("mine"));
}

fn refuses(tmp: &Tmp, path: &Path, told: &str) {
    let before = entries(&tmp.0);
    let error = NetworkDir::open_in(&tmp.0, "x").unwrap_err();
    assert!(matches!(error, Cause::Directory(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(told), "{text}");
    assert!(text.starts_with(path.to_str().unwrap()), "{text}");
    assert_eq!(entries(&tmp.0), before);
}

#[test]
fn hostile_names_make_no_file() {
    let tmp = Tmp::new();
    let alphabet = [
        '/', '.', '\0', ':', '"', '`', ' ', '\n', '\\', 'a', 'α', '\u{202e}', '*', '½',
    ];
    let mut names: Vec<String> = [
        "",
        ".",
        "..",
        "_",
        "/",
        "../../x",
        "/etc/passwd",
        "a/b",
        ".x",
        "a\0b",
        "x:1",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(300));
    names.push("東".repeat(60));
    for i in 0..1000_usize {
        // Every word over the alphabet that has something illegal in it.
        let letters = [i % 14, i / 14 % 14, i / 196 % 14];
        let name: String = letters.map(|l| alphabet[l]).iter().collect();
        if !name.chars().all(|c| matches!(c, 'a' | 'α' | '.')) || name.starts_with('.') {
            names.push(name);
        }
    }
    for name in names {
        let error = NetworkDir::open_in(&tmp.0, &name).unwrap_err();
        assert!(
            matches!(error, Cause::InvalidName(_)),
            "{name:?}: {error:?}"
        );
    }
    assert_eq!(entries(&tmp.0), [""; 0]);
}

#[test]
fn a_missing_temporary_directory_is_reported() {
    let tmp = Tmp::new();
    let nowhere = tmp.0.join("no/where");
    let error = NetworkDir::open_in(&nowhere, "x").unwrap_err();
    let told = format!(
        "cannot find the directory for temporary files {}: ",
        nowhere.display()
    );
    assert!(error.to_string().starts_with(&told), "{error}");
}

#[test]
fn the_last_one_out_removes_a_random_network() {
    let tmp = Tmp::new();
    let first = NetworkDir::random_in(&tmp.0).unwrap();
    let (name, path) = (first.name().to_owned(), first.path().to_owned());
    let second = Member::of(tmp.dir(&name));
    second.announce("α").unwrap();
    fs::create_dir(path.join("data")).unwrap();
    fs::write(path.join("data/file"), "x").unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert_eq!(entries(&tmp.base()), [""; 0]);
}

#[test]
fn random_networks_differ() {
    let tmp = Tmp::new();
    let dirs: Vec<NetworkDir> = (0..50)
        .map(|_| NetworkDir::random_in(&tmp.0).unwrap())
        .collect();
    assert_eq!(entries(&tmp.base()).len(), 50);
    drop(dirs);
    assert_eq!(entries(&tmp.base()), [""; 0]);
}

/// What a killed process leaves of a random network.
fn leftover(tmp: &Tmp, name: &str) {
    let path = tmp.base().join(name);
    fs::create_dir(&path).unwrap();
    chmod(&path, 0o700);
    for file in ["here", "random", "registry.db", "lease-127.0.0.1:1"] {
        fs::write(path.join(file), "").unwrap();
    }
}

#[test]
fn a_sweep_removes_what_is_marked_and_dead() {
    let tmp = Tmp::new();
    let live = NetworkDir::random_in(&tmp.0).unwrap();
    let named = tmp.dir("named");
    drop(tmp.dir("empty"));
    for i in 0..4 {
        leftover(&tmp, &format!("r-00000000000{i}"));
    }
    leftover(&tmp, "unmarked");
    fs::remove_file(tmp.base().join("unmarked/random")).unwrap();
    leftover(&tmp, "unlockable");
    fs::remove_file(tmp.base().join("unlockable/here")).unwrap();
    // Makers that were killed half way: before the mark, and before the lock.
    fs::create_dir(tmp.base().join("r-00000000000a")).unwrap();
    fs::create_dir(tmp.base().join("r-00000000000b")).unwrap();
    fs::write(tmp.base().join("r-00000000000b/random"), "").unwrap();
    // A remover that was killed half way.
    fs::create_dir_all(tmp.base().join(".gone-abc/deep")).unwrap();
    fs::write(tmp.base().join(".gone-abc/random"), "").unwrap();
    fs::write(tmp.base().join(".gone-abc/here"), "").unwrap();
    fs::create_dir(tmp.base().join(".gone-abd")).unwrap();
    fs::write(tmp.base().join(".gone-abd/random"), "").unwrap();
    fs::create_dir(tmp.base().join(".gone-abe")).unwrap();
    fs::write(tmp.base().join("file"), "").unwrap();
    symlink(live.path(), tmp.base().join("link")).unwrap();

    for _ in 0..2 {
        sweep::sweep(&OpenDir::open(&tmp.base()).unwrap());
    }
    let mut expected = [
        "empty",
        "file",
        "link",
        "named",
        live.name(),
        "unlockable",
        "unmarked",
    ];
    expected.sort_unstable();
    assert_eq!(entries(&tmp.base()), expected);
    drop(named);
}

/// What a link leads to lies elsewhere, and what is another user's is theirs to sweep.
#[test]
fn a_sweep_leaves_links_and_what_belongs_to_others() {
    let tmp = Tmp::new();
    drop(tmp.dir("named"));
    leftover(&tmp, "r-000000000001");
    fs::rename(tmp.base().join("r-000000000001"), tmp.0.join("away")).unwrap();
    symlink(tmp.0.join("away"), tmp.base().join("r-000000000001")).unwrap();
    let mut expected = vec!["named", "r-000000000001"];
    // Only root can make a file that belongs to another user.
    if geteuid().is_root() {
        leftover(&tmp, "r-000000000002");
        chown(tmp.base().join("r-000000000002"), Some(54321), None).unwrap();
        expected.push("r-000000000002");
    }
    sweep::sweep(&OpenDir::open(&tmp.base()).unwrap());
    assert_eq!(entries(&tmp.base()), expected);
}

#[test]
fn what_is_kept_is_not_swept() {
    let tmp = Tmp::new();
    let dir = NetworkDir::random_in(&tmp.0).unwrap();
    let name = dir.name().to_owned();
    dir.keep().unwrap();
    sweep::sweep(&OpenDir::open(&tmp.base()).unwrap());
    assert_eq!(entries(&tmp.base()), [name]);
}

#[test]
fn repeated_sweeps_remove_all_dead_networks() {
    let tmp = Tmp::new();
    drop(tmp.dir("named"));
    for i in 10..40 {
        leftover(&tmp, &format!("r-0000000000{i}"));
    }
    sweep::sweep(&OpenDir::open(&tmp.base()).unwrap());
    assert_eq!(entries(&tmp.base()).len(), 1 + 30 - 8);
    for _ in 0..3 {
        sweep::sweep(&OpenDir::open(&tmp.base()).unwrap());
    }
    assert_eq!(entries(&tmp.base()), ["named"]);
}

/// Joiners, the last ones out, and sweepers of one and the same random network: who has joined has
/// a directory that stays until they leave.
#[test]
fn joining_and_sweeping_at_once_is_safe() {
    let tmp = Tmp::new();
    let name = "r-abcdefabcdef";
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Ok(base) = OpenDir::open(&tmp.base()) {
                    sweep::sweep(&base);
                }
            }
        });
        let joiners: Vec<_> = (0..4)
            .map(|i| {
                let tmp = &tmp;
                scope.spawn(move || {
                    for round in 0..100 {
                        let member = tmp.join(name);
                        let mine = tmp.base().join(name).join(format!("mine-{i}"));
                        fs::write(&mine, "").unwrap();
                        member.announce(&format!("h{i}")).unwrap();
                        let found = member.registry.lookup(&format!("h{i}")).unwrap();
                        assert_eq!(found, super::super::Lookup::At(member.osladdr), "{round}");
                        fs::remove_file(&mine).unwrap();
                    }
                })
            })
            .collect();
        let joined: Vec<_> = joiners.into_iter().map(|joiner| joiner.join()).collect();
        done.store(true, Ordering::Relaxed);
        sweeper.join().unwrap();
        joined.into_iter().for_each(|joined| joined.unwrap());
    });
    // A sweeper that probes the lease as the last one leaves keeps it from removing the directory;
    // then the next sweep does.
    sweep::sweep(&OpenDir::open(&tmp.base()).unwrap());
    assert_eq!(entries(&tmp.base()), [""; 0]);
}

/// How often this process has that file open.
fn times_open(path: &Path) -> usize {
    fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter(|fd| {
            let fd = fd.as_ref().unwrap().path();
            fs::read_link(fd).is_ok_and(|open| open == path)
        })
        .count()
}

#[test]
fn a_join_during_removal_creates_the_network_again() {
    let tmp = Tmp::new();
    drop(tmp.dir("other"));
    leftover(&tmp, "r-abcdefabcdef");
    let dir = tmp.base().join("r-abcdefabcdef");
    let presence = dir.join("here");
    let remover = flock::open(&OpenDir::open(&dir).unwrap(), "here").unwrap();
    assert!(flock::try_lock(&remover, Kind::Exclusive).unwrap());
    thread::scope(|scope| {
        let joiner = scope.spawn(|| tmp.join("r-abcdefabcdef"));
        while times_open(&presence) < 2 {
            thread::yield_now();
        }
        // What the remover does, step by step.
        fs::rename(&dir, tmp.base().join(".gone-x")).unwrap();
        remover.unlock().unwrap();
        let joined = joiner.join().unwrap();
        joined.announce("α").unwrap();
        assert_eq!(entries(&dir).len(), 5, "{:?}", entries(&dir));
        assert!(entries(&tmp.base().join(".gone-x")).contains(&"here".to_owned()));
    });
}
