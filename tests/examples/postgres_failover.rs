//! A service in Rust writes to a real postgres, which has a standby. The primary is killed once
//! a write is acknowledged; the service has the standby promoted and goes on. Nothing acknowledged is
//! lost.
//!
//! Run it with `cargo run --example postgres_failover`. It needs postgres.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lonet::{Host, Networker};
use lonet_harness::{Program, Result, Scenario, until};
use tokio_postgres::{Client, NoTls};

/// Connects to a store over any network, once it is ready.
async fn connect(network: &impl Networker, store: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.user("me").dbname("postgres");
    loop {
        // A program that listens need not be ready.
        if let Ok(stream) = network.dial(store).await
            && let Ok((client, connection)) = config.connect_raw(stream, NoTls).await
        {
            tokio::spawn(connection);
            return client;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Writes five entries, and returns what the store has in the end.
#[lonet::host]
async fn service(host: Host) -> Result<Vec<i32>> {
    let mut store = connect(&host, "primary:5432").await;
    for n in 1..=5 {
        let insert = "insert into entries values ($1) on conflict do nothing";
        if store.execute(insert, &[&n]).await.is_err() {
            host.mark("fails over");
            store = connect(&host, "standby:5432").await;
            store.execute("select pg_promote()", &[]).await?;
            // Else it would wait for a standby of its own.
            store
                .batch_execute("alter system reset synchronous_standby_names")
                .await?;
            store.execute("select pg_reload_conf()", &[]).await?;
            store.execute(insert, &[&n]).await?;
        }
        host.mark(format_args!("acknowledged {n}"));
        if n == 3 {
            until("! kill primary").await?;
        }
    }
    let rows = store.query("select n from entries order by n", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A program of postgres. None of them runs as root.
fn postgres(name: &str) -> Result<Program> {
    let found = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<PathBuf> = found
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|program| program.is_file())
        .collect();
    found.sort();
    let program = found
        .pop()
        .ok_or("this example needs postgres: Debian's package is postgresql")?;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let program = match is_root {
        true => Program::new("setpriv")
            .args(["--reuid=daemon", "--regid=daemon", "--clear-groups", "--"])
            .arg(program),
        false => Program::new(program),
    };
    Ok(program.env("LC_ALL", "C"))
}

/// A server with its data there.
fn server(data: &Path) -> Result<Program> {
    let server = postgres("postgres")?.arg("-D").arg(data);
    Ok(server.args(["-c", "listen_addresses=*", "-c", "unix_socket_directories="]))
}

/// Runs a program on that host to its end.
async fn runs(scenario: &Scenario, host: &str, program: Program) -> Result<()> {
    let node = scenario.spawn(host, program).await?;
    let status = node.join().await?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{host}: {status}").into()),
    }
}

/// A directory that is removed with this. Those of the scenario belong to its user alone, and postgres
/// runs as another one if that is root.
struct Place(PathBuf);

impl Place {
    fn new() -> std::io::Result<Place> {
        let name = format!("postgres_failover.{}", std::process::id());
        let place = Place(std::env::temp_dir().join(name));
        std::fs::create_dir(&place.0)?;
        std::fs::set_permissions(&place.0, PermissionsExt::from_mode(0o777))?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[lonet::main]
async fn main(scenario: Scenario) -> Result<()> {
    scenario.keep_artifacts();
    scenario.names(&["primary", "standby", "service"])?;
    let place = Place::new()?;
    let (data, copy) = (place.0.join("data"), place.0.join("copy"));

    let initdb = postgres("initdb")?.args(["--no-sync", "--auth=trust", "--username=me", "-D"]);
    runs(&scenario, "primary", initdb.arg(&data)).await?;
    let mut rules = std::fs::OpenOptions::new()
        .append(true)
        .open(data.join("pg_hba.conf"))?;
    rules.write_all(b"host all,replication all 198.18.0.0/15 trust\n")?;
    let primary = scenario.spawn("primary", server(&data)?).await?;
    primary.until("primary:5432 listen").await?;

    let admin = scenario.host("admin").await?;
    let store = connect(&admin, "primary:5432").await;
    store
        .batch_execute("create table entries (n int primary key)")
        .await?;
    let copies = postgres("pg_basebackup")?.args([
        "-h",
        "primary",
        "-U",
        "me",
        "-R",
        "--no-sync",
        "-c",
        "fast",
        "-D",
    ]);
    runs(&scenario, "standby", copies.arg(&copy)).await?;
    let standby = scenario.spawn("standby", server(&copy)?).await?;
    standby.until("standby:5432 listen").await?;
    // From here on, what is acknowledged is on the standby, too.
    store
        .batch_execute("alter system set synchronous_standby_names = '*'")
        .await?;
    store.execute("select pg_reload_conf()", &[]).await?;

    let service = scenario.spawn("service", service()).await?;
    service.until("service mark acknowledged 3").await?;
    primary.kill().await?;
    let entries = service.join().await?;
    println!("the standby has: {entries:?}");
    assert_eq!(entries, [1, 2, 3, 4, 5]);
    scenario.trace().assert_order(
        "
        service mark acknowledged 3
        ! kill primary
        service mark fails over
        service mark acknowledged 5
        ",
    );
    standby.terminate().await?;
    let report = scenario.artifacts_dir().join("report.html");
    println!("What happened, for a browser: {}", report.display());
    Ok(())
}
