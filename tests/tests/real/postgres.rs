//! postgres: many processes behind one port, killed and recovered; its clients are a program and a
//! role.

use std::path::Path;

use lonet::Networker;

use super::*;

const PSQL: Needed = ("psql", "postgresql");
const INITDB: Needed = ("initdb", "postgresql");
const POSTGRES: Needed = ("postgres", "postgresql");

/// A program of postgres. It does not run as root.
fn of_postgres(name: &Path) -> Program {
    match nix::unistd::getuid().is_root() {
        true => Program::new("setpriv")
            .args(["--reuid=daemon", "--regid=daemon", "--clear-groups", "--"])
            .arg(name),
        false => Program::new(name),
    }
}

/// Debian keeps them out of PATH.
fn find(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut places: Vec<_> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|program| program.is_file())
        .collect();
    places.sort();
    places.pop().or_else(|| in_path(name))
}

/// Asks over any network, as a service would.
async fn sum(network: &impl Networker, store: &str) -> Result<i64> {
    let stream = network.dial(store).await?;
    let mut config = tokio_postgres::Config::new();
    config.user("me").dbname("postgres");
    let (client, connection) = config.connect_raw(stream, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    let row = client.query_one("select sum(n) from t", &[]).await?;
    drop(client);
    connection.await??;
    Ok(row.get(0))
}

#[lonet::host]
async fn asks(host: Host, store: String) -> Result<i64> {
    sum(&host, &store).await
}

#[lonet::test(timeout = "120s")]
async fn postgres_recovers_from_a_kill(scenario: Scenario) -> Result<()> {
    let (Some(initdb), Some(postgres)) = (find("initdb"), find("postgres")) else {
        are_here(&[INITDB, POSTGRES]);
        return Ok(());
    };
    if !are_here(&[PSQL]) {
        return Ok(());
    }
    // Directories of the scenario belong to root.
    let tmp = lonet_tests::tmp::Tmp::new()?;
    let data = tmp.path().join("data");
    let initdb = of_postgres(&initdb)
        .args(["--no-sync", "--auth=trust", "--username=me", "-D"])
        .arg(&data);
    printed(&scenario, "db", initdb.env("LC_ALL", "C")).await?;
    let mut all = std::fs::OpenOptions::new()
        .append(true)
        .open(data.join("pg_hba.conf"))?;
    std::io::Write::write_all(&mut all, b"host all all 198.18.0.0/15 trust\n")?;
    let server = of_postgres(&postgres)
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=*", "-c", "unix_socket_directories="])
        .env("LC_ALL", "C");
    let db = scenario.spawn("store", server).await?;
    scenario.until("store:5432 listen").await?;
    let ready = "until psql -h store -U me -d postgres -Atqc \"$1\"; do sleep 0.1; done 2>&1";
    let psql = |command: &str| Program::new("sh").args(["-c", ready, "sh", command]);
    let made = "create table t (n int); insert into t values (1), (2); select sum(n) from t";
    let made = printed(&scenario, "c1", psql(made)).await?;
    assert!(made.ends_with("3\n"), "{made}");
    let role = scenario.spawn("r1", asks("store:5432".into())).await?;
    assert_eq!(role.await?, 3);
    db.kill().await?;
    let killed = scenario.until("! kill store").await?;
    db.restart().await?;
    scenario.until_after(&killed, "store:5432 listen").await?;
    let kept = printed(&scenario, "c2", psql("select sum(n) from t")).await?;
    assert!(kept.ends_with("3\n"), "{kept}");
    let role = scenario.spawn("r2", asks("store:5432".into())).await?;
    assert_eq!(role.await?, 3);
    db.terminate().await?;
    assert!(db.await?.success());
    Ok(())
}
