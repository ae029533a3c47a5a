//! Hosts' names: who has them, who gets them, and what becomes of them.

use std::fs;
use std::net::SocketAddrV4;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::directory::PATIENCE;
use super::super::flock::{self, Kind};
use super::super::opened::OpenDir;
use super::super::{Liveness, Lookup, Registry};
use super::{Member, Tmp, entries, nobody};
use crate::error::Cause;

#[test]
fn a_name_is_found_until_it_is_withdrawn() {
    let tmp = Tmp::new();
    let (a, b) = (tmp.join("x"), tmp.join("x"));
    assert_eq!(b.registry.lookup("α"), Ok(Lookup::Never));
    a.announce("α").unwrap();
    for registry in [&a.registry, &b.registry] {
        assert_eq!(registry.lookup("α"), Ok(Lookup::At(a.osladdr)));
        assert_eq!(registry.try_lookup("α"), Some(Ok(Lookup::At(a.osladdr))));
        assert_eq!(registry.alive(a.osladdr), Liveness::Alive);
    }
    assert_eq!(a.announce("α"), Err(Cause::HostExists));
    assert_eq!(b.announce("α"), Err(Cause::HostExists));
    // Not ours to withdraw.
    b.withdraw("α");
    assert_eq!(b.registry.lookup("α"), Ok(Lookup::At(a.osladdr)));

    a.withdraw("α");
    assert_eq!(b.registry.lookup("α"), Ok(Lookup::Gone));
    assert_eq!(b.registry.lookup("β"), Ok(Lookup::Never));
    b.announce("α").unwrap();
    assert_eq!(a.registry.lookup("α"), Ok(Lookup::At(b.osladdr)));
}

#[test]
fn names_are_exact() {
    let tmp = Tmp::new();
    let (a, b) = (tmp.join("x"), tmp.join("y"));
    for name in ["a", "A", "é", "e\u{301}", "1", "01", "%", "a.b"] {
        a.announce(name).unwrap();
    }
    for name in ["a", "A", "é", "e\u{301}", "1", "01"] {
        assert_eq!(a.registry.lookup(name), Ok(Lookup::At(a.osladdr)));
        assert_eq!(b.registry.lookup(name), Ok(Lookup::Never));
    }
}

#[test]
fn closing_frees_the_names_and_the_lease() {
    let tmp = Tmp::new();
    let (a, b) = (tmp.join("x"), tmp.join("x"));
    a.announce("α").unwrap();
    a.announce("β").unwrap();
    a.registry.close();
    a.registry.close();
    assert_eq!(b.registry.lookup("α"), Ok(Lookup::Gone));
    assert_eq!(b.registry.alive(a.osladdr), Liveness::Unleased);
    b.announce("β").unwrap();
    assert_eq!(a.announce("γ"), Err(Cause::NetworkDown));
    assert_eq!(a.registry.lookup("α"), Err(Cause::NetworkDown));
    assert_eq!(a.registry.try_lookup("α"), Some(Err(Cause::NetworkDown)));
    a.withdraw("β");
    assert_eq!(b.registry.lookup("β"), Ok(Lookup::At(b.osladdr)));
    drop((a, b));
    assert_eq!(
        entries(&tmp.base().join("x")),
        ["here", "registry.db", "writer"]
    );
}

/// A program that has the registry to itself until the transaction ends.
fn holding_the_registry(tmp: &Tmp) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(tmp.base().join("x/registry.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    other
}

#[test]
fn a_name_that_cannot_be_withdrawn_now_is_free_soon() {
    let tmp = Tmp::new();
    let (a, b) = (tmp.join("x"), tmp.join("x"));
    for host in ["α", "β", "γ"] {
        a.announce(host).unwrap();
    }
    let other = holding_the_registry(&tmp);
    a.registry.give_back("α");
    a.registry.withdraw_at_once();
    a.registry.give_back("β");
    a.registry.withdraw_at_once();
    drop(other);
    // Whoever gave it back can have it at once, and keeps it; what was not given back stays.
    a.announce("α").unwrap();
    while b.registry.lookup("β") != Ok(Lookup::Gone) {
        thread::yield_now();
    }
    b.announce("β").unwrap();
    for host in ["α", "γ"] {
        assert_eq!(b.announce(host), Err(Cause::HostExists));
    }
}

#[test]
fn what_must_not_wait_gives_up_soon() {
    let tmp = Tmp::new();
    let (a, b) = (tmp.join("x"), tmp.join("x"));
    a.announce("α").unwrap();
    a.announce("β").unwrap();
    let other = holding_the_registry(&tmp);
    let begun = Instant::now();
    a.registry.give_back("α");
    a.registry.withdraw_at_once();
    assert!(!a.registry.close_at_once());
    assert_eq!(b.registry.alive(a.osladdr), Liveness::Alive);
    // With the lease, the rows count as gone.
    let osladdr = a.osladdr;
    drop(a);
    assert_eq!(b.registry.alive(osladdr), Liveness::Dead);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    drop(other);
    b.announce("α").unwrap();
    b.announce("β").unwrap();
}

/// What a killed process leaves: its rows, and its lease file with no lock on it.
fn killed(tmp: &Tmp, hosts: &[&str]) -> SocketAddrV4 {
    let (dir, osladdr) = (tmp.base().join("x"), nobody());
    if !dir.exists() {
        drop(tmp.join("x"));
    }
    fs::write(dir.join(format!("lease-{osladdr}")), "").unwrap();
    let rows = rusqlite::Connection::open(dir.join("registry.db")).unwrap();
    for host in hosts {
        rows.execute(
            "INSERT INTO hosts VALUES (?1, ?2)",
            [host, osladdr.to_string().as_str()],
        )
        .unwrap();
    }
    osladdr
}

#[test]
fn a_dead_process_gives_its_names_away() {
    let tmp = Tmp::new();
    let dead = killed(&tmp, &["α", "β"]);
    let a = tmp.join("x");
    assert_eq!(a.registry.lookup("α"), Ok(Lookup::At(dead)));
    assert_eq!(a.registry.alive(dead), Liveness::Dead);
    a.announce("α").unwrap();
    assert_eq!(a.registry.lookup("α"), Ok(Lookup::At(a.osladdr)));
    // With the process, all its hosts are dead, and nothing needs its lease any more.
    assert_eq!(a.registry.lookup("β"), Ok(Lookup::Gone));
    assert_eq!(a.registry.alive(dead), Liveness::Unleased);
}

#[test]
fn joins_remove_leases_of_killed_processes_without_a_host() {
    let tmp = Tmp::new();
    let living = tmp.join("x");
    let with_host = killed(&tmp, &["α"]);
    let dead: Vec<SocketAddrV4> = (0..20).map(|_| killed(&tmp, &[])).collect();
    let left = || {
        let is_there = |&&dead: &&SocketAddrV4| living.registry.alive(dead) == Liveness::Dead;
        dead.iter().filter(is_there).count()
    };
    drop(tmp.join("x"));
    assert!(left() > 0, "that takes too long for one");
    // Which ones a join looks at is left to chance.
    assert!((0..1000).any(|_| {
        drop(tmp.join("x"));
        left() == 0
    }));
    // The lease of the other dead process shows that its host is not an original.
    assert_eq!(living.registry.alive(with_host), Liveness::Dead);
    assert_eq!(living.registry.lookup("α"), Ok(Lookup::At(with_host)));
    assert_eq!(living.registry.alive(living.osladdr), Liveness::Alive);
}

#[test]
fn a_reused_address_does_not_revive_dead_hosts() {
    let tmp = Tmp::new();
    let dead = killed(&tmp, &["α"]);
    let again = Registry::open(tmp.dir("x"), dead).unwrap();
    assert_eq!(again.alive(dead), Liveness::Alive);
    assert_eq!(again.lookup("α"), Ok(Lookup::Gone));
    tmp.join("x").announce("α").unwrap();
}

#[test]
fn a_lease_can_be_had_once() {
    let tmp = Tmp::new();
    let a = tmp.join("x");
    let error = Registry::open(tmp.dir("x"), a.osladdr).unwrap_err();
    assert!(
        error.to_string().contains("held by another process"),
        "{error}"
    );
    assert_eq!(a.registry.alive(a.osladdr), Liveness::Alive);
}

/// A living host's name is never given away, so what can't be told is alive.
#[test]
fn a_lease_that_can_not_be_looked_at_is_alive() {
    let tmp = Tmp::new();
    let dead = killed(&tmp, &["α"]);
    let lease = tmp.base().join(format!("x/lease-{dead}"));
    let away = tmp.base().join("x/away");
    fs::rename(&lease, &away).unwrap();
    std::os::unix::fs::symlink(&away, &lease).unwrap();
    let a = tmp.join("x");
    assert_eq!(a.registry.alive(dead), Liveness::Alive);
    assert_eq!(a.announce("α"), Err(Cause::HostExists));
}

#[test]
fn only_loopback_is_listened_on() {
    let tmp = Tmp::new();
    for bad in ["10.0.0.1:80", "0.0.0.0:80", "127.0.0.1:0"] {
        let error = Registry::open(tmp.dir("x"), bad.parse().unwrap()).unwrap_err();
        assert!(matches!(error, Cause::Registry(_)), "{error}");
    }
}

#[test]
fn a_look_up_never_waits_for_a_writer() {
    let tmp = Tmp::new();
    let a = tmp.join("x");
    a.announce("α").unwrap();
    let other = rusqlite::Connection::open(tmp.base().join("x/registry.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = Instant::now();
    assert_eq!(a.registry.try_lookup("α"), None);
    // Who waits for the registry does so for 10 s.
    assert!(begun.elapsed() < Duration::from_secs(5));
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(a.registry.try_lookup("α"), Some(Ok(Lookup::At(a.osladdr))));

    // A change that another of our own is about to make must not delay this at all.
    let writer =
        flock::open_or_create(&OpenDir::open(&tmp.base().join("x")).unwrap(), "writer").unwrap();
    assert!(flock::try_lock(&writer, Kind::Exclusive).unwrap());
    assert_eq!(a.registry.lookup("α"), Ok(Lookup::At(a.osladdr)));
}

#[test]
fn first_joins_at_once_all_succeed() {
    for _ in 0..4 {
        let tmp = Tmp::new();
        let start = Barrier::new(64);
        let members: Vec<Member> = thread::scope(|scope| {
            let joins: Vec<_> = (0..64)
                .map(|i| {
                    let (tmp, start) = (&tmp, &start);
                    scope.spawn(move || {
                        start.wait();
                        let member = tmp.join("x");
                        member.announce(&format!("h{i}")).unwrap();
                        member
                    })
                })
                .collect();
            joins.into_iter().map(|join| join.join().unwrap()).collect()
        });
        for (i, member) in members.iter().enumerate() {
            for other in &members {
                let found = other.registry.lookup(&format!("h{i}"));
                assert_eq!(found, Ok(Lookup::At(member.osladdr)));
            }
        }
    }
}

#[test]
fn one_racer_for_a_name_wins() {
    let tmp = Tmp::new();
    let members: Vec<Member> = (0..8).map(|_| tmp.join("x")).collect();
    let start = Barrier::new(8);
    for round in 0..50 {
        // Every third name is that of a dead process.
        let name = format!("n{round}");
        if round % 3 == 0 {
            killed(&tmp, &[&name]);
        }
        let won: Vec<bool> = thread::scope(|scope| {
            let tries: Vec<_> = members
                .iter()
                .map(|member| {
                    let (name, start) = (&name, &start);
                    scope.spawn(move || {
                        start.wait();
                        match member.announce(name) {
                            Ok(()) => true,
                            Err(Cause::HostExists) => false,
                            Err(error) => panic!("{error}"),
                        }
                    })
                })
                .collect();
            tries.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(won.iter().filter(|&&won| won).count(), 1, "{name}: {won:?}");
        let winner = &members[won.iter().position(|&won| won).unwrap()];
        assert_eq!(
            winner.registry.lookup(&name),
            Ok(Lookup::At(winner.osladdr))
        );
    }
}

/// Probing takes the lock for a moment, which must not look like a living process, nor keep a
/// lease from being taken.
#[test]
fn probes_do_not_disturb() {
    let tmp = Tmp::new();
    let a = tmp.join("x");
    let dead = nobody();
    let lease = tmp.base().join(format!("x/lease-{dead}"));
    fs::write(&lease, "").unwrap();
    let registry = &a.registry;
    thread::scope(|scope| {
        let probes = || {
            for _ in 0..5000 {
                assert_eq!(registry.alive(dead), Liveness::Dead);
            }
        };
        scope.spawn(probes);
        scope.spawn(probes);
    });
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                registry.alive(dead);
            }
        });
        for _ in 0..200 {
            Registry::open(tmp.dir("x"), dead).unwrap().close();
        }
        done.store(true, Ordering::Relaxed);
    });
}
