//! A registry that is shared with the originals, or that is none any more.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use rusqlite::Connection;

use super::super::{Lookup, Registry};
use super::{Member, Tmp, listening, nobody};
use crate::error::Cause;

/// A registry as an original makes it, in a network that none of ours has joined.
fn original(tmp: &Tmp, journal: &str, meta: &[(&str, &str)]) -> (PathBuf, Connection) {
    drop(tmp.dir("x"));
    let path = tmp.base().join("x/registry.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = {journal};
             CREATE TABLE hosts (hostname TEXT PRIMARY KEY, osladdr TEXT);
             CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT);"
        ))
        .unwrap();
    for (name, value) in meta {
        connection
            .execute("INSERT INTO meta VALUES (?1, ?2)", [name, value])
            .unwrap();
    }
    (path, connection)
}

const META: [(&str, &str); 2] = [("schemaver", "lonet.1"), ("network", "x")];

fn put(connection: &Connection, host: &str, osladdr: &str) {
    connection
        .execute("INSERT INTO hosts VALUES (?1, ?2)", [host, osladdr])
        .unwrap();
}

fn refused(tmp: &Tmp) -> String {
    let error = Registry::open(tmp.dir("x"), nobody()).unwrap_err();
    assert!(matches!(error, Cause::Registry(_)), "{error:?}");
    error.to_string()
}

#[test]
fn registries_of_originals_are_joined() {
    for journal in ["delete", "wal"] {
        let tmp = Tmp::new();
        let (_, theirs) = original(&tmp, journal, &META);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (live, dead) = (listening(&listener), nobody());
        put(&theirs, "α", &live.to_string());
        put(&theirs, "β", &dead.to_string());

        let a = tmp.join("x");
        assert_eq!(a.registry.lookup("α"), Ok(Lookup::At(live)));
        assert_eq!(a.registry.lookup("β"), Ok(Lookup::At(dead)));
        // Their rows carry no lease: who answers is alive.
        assert_eq!(a.announce("α"), Err(Cause::HostExists));
        a.announce("β").unwrap();

        // They see ours, and what they add and remove afterwards is known and remembered.
        let seen: String = theirs
            .query_row(
                "SELECT osladdr FROM hosts WHERE hostname = 'β'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(seen, a.osladdr.to_string());
        put(&theirs, "γ", &live.to_string());
        assert_eq!(a.registry.lookup("γ"), Ok(Lookup::At(live)));
        theirs
            .execute("DELETE FROM hosts WHERE hostname IN ('α', 'γ')", [])
            .unwrap();
        for gone in ["α", "γ"] {
            assert_eq!(a.registry.lookup(gone), Ok(Lookup::Gone));
        }
        // A remembered name does not hinder them, whichever way they write it.
        for (host, or) in [
            ("α", "FAIL"),
            ("γ", "ABORT"),
            ("γ", "REPLACE"),
            ("α", "IGNORE"),
        ] {
            theirs
                .execute(
                    &format!("INSERT OR {or} INTO hosts VALUES (?1, ?2)"),
                    [host, &live.to_string()],
                )
                .unwrap();
        }
    }
}

#[test]
fn a_registry_of_ours_reads_as_theirs() {
    let tmp = Tmp::new();
    let a = tmp.join("x");
    a.announce("α").unwrap();
    let theirs = Connection::open(tmp.base().join("x/registry.db")).unwrap();
    let rows = |sql: &str| -> Vec<(String, String)> {
        let mut statement = theirs.prepare(sql).unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.map(Result::unwrap).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        rows("SELECT * FROM hosts"),
        [pair("α", &a.osladdr.to_string())]
    );
    assert_eq!(
        rows("SELECT * FROM meta ORDER BY name"),
        [pair("network", "x"), pair("schemaver", "lonet.1")]
    );
}

#[test]
fn an_original_may_switch_the_registry_to_wal() {
    let tmp = Tmp::new();
    let a = tmp.join("x");
    a.announce("α").unwrap();
    let theirs = Connection::open(tmp.base().join("x/registry.db")).unwrap();
    theirs.execute_batch("PRAGMA journal_mode = wal").unwrap();
    a.announce("β").unwrap();
    let b = tmp.join("x");
    b.announce("γ").unwrap();
    drop(theirs);
    assert_eq!(b.registry.lookup("β"), Ok(Lookup::At(a.osladdr)));
    assert_eq!(a.registry.lookup("γ"), Ok(Lookup::At(b.osladdr)));
}

#[test]
fn another_version_or_network_is_refused_and_left_alone() {
    for (meta, told) in [
        (
            [("schemaver", "lonet.2"), ("network", "x")],
            [r#""lonet.2""#, r#""lonet.1""#],
        ),
        (
            [("schemaver", "lonet.1"), ("network", "y")],
            [r#""y""#, r#""x""#],
        ),
    ] {
        let tmp = Tmp::new();
        let (path, theirs) = original(&tmp, "delete", &meta);
        drop(theirs);
        let before = fs::read(&path).unwrap();
        let text = refused(&tmp);
        assert!(told.iter().all(|told| text.contains(told)), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn missing_meta_rows_are_filled_in() {
    let tmp = Tmp::new();
    let (_, theirs) = original(&tmp, "delete", &[]);
    tmp.join("x").announce("α").unwrap();
    let count: i64 = theirs
        .query_row("SELECT count(*) FROM meta", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 2);
}

#[test]
fn addresses_beyond_loopback_are_refused() {
    for bad in [
        "10.0.0.1:80",
        "128.0.0.1:80",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.0:80",
        "127.255.255.255:80",
        "127.0.0.1:080",
        "127.0.0.1:99999",
        "localhost:80",
        "[::1]:80",
        "0127.0.0.1:80",
        "",
        " 127.0.0.1:80",
    ] {
        let tmp = Tmp::new();
        let (path, theirs) = original(&tmp, "delete", &META);
        put(&theirs, "α", bad);
        let a = tmp.join("x");
        for error in [
            a.registry.lookup("α").unwrap_err(),
            a.announce("α").unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, Cause::Registry(_)), "{error:?}");
            assert!(
                text.contains(path.to_str().unwrap()) && text.contains("127.x.y.z:port"),
                "{text}"
            );
        }
    }
}

/// Both constraint codes mean that the name is taken: who wrote the schema decides which it is.
#[test]
fn every_constraint_reports_a_taken_name() {
    for hosts in [
        "CREATE TABLE hosts (hostname TEXT PRIMARY KEY, osladdr TEXT)",
        "CREATE TABLE hosts (hostname TEXT UNIQUE, osladdr TEXT)",
        "CREATE TABLE hosts (hostname TEXT COLLATE NOCASE UNIQUE, osladdr TEXT)",
        "CREATE TABLE hosts (hostname TEXT COLLATE NOCASE PRIMARY KEY, osladdr TEXT)",
    ] {
        let tmp = Tmp::new();
        let (_, theirs) = original(&tmp, "delete", &META);
        theirs
            .execute_batch(&format!(
                "DROP TABLE hosts; {hosts}; CREATE UNIQUE INDEX lower ON hosts (lower(hostname));"
            ))
            .unwrap();
        let (a, b) = (tmp.join("x"), tmp.join("x"));
        a.announce("a").unwrap();
        assert_eq!(b.announce("a"), Err(Cause::HostExists), "{hosts}");
        assert_eq!(b.announce("A"), Err(Cause::HostExists), "{hosts}");
    }
}

#[test]
fn damage_errors_name_the_file_and_the_remedy() {
    type Harm = fn(&PathBuf);
    let harms: [(&str, Harm); 5] = [
        ("garbage", |path| fs::write(path, vec![7; 9000]).unwrap()),
        ("garbage in the middle", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[100..].fill(0xee);
            fs::write(path, bytes).unwrap();
        }),
        ("truncated", |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(1500).unwrap();
        }),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a symbolic link", |path| {
            let away = path.with_file_name("away");
            fs::rename(path, &away).unwrap();
            std::os::unix::fs::symlink(&away, path).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let tmp = Tmp::new();
        let (path, theirs) = original(&tmp, "delete", &META);
        drop(theirs);
        fs::write(path.with_file_name("other"), "kept").unwrap();
        harm(&path);
        let text = refused(&tmp);
        assert!(text.contains(path.to_str().unwrap()), "{what}: {text}");
        assert!(text.contains("remove"), "{what}: {text}");
        assert_eq!(fs::read(path.with_file_name("other")).unwrap(), b"kept");
    }
}

#[test]
fn a_vanished_registry_is_an_error() {
    let tmp = Tmp::new();
    let a = tmp.join("x");
    let path = tmp.base().join("x/registry.db");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    let error = a.announce("α").unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    // An empty file is a new registry to the next one who joins.
    let b: Member = tmp.join("x");
    b.announce("α").unwrap();
}
