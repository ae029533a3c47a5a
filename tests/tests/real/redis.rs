//! redis: a store that roles and its own tools dial, that is ended and comes again.

use super::*;

pub(super) const SERVER: Needed = ("redis-server", "redis-server");
pub(super) const CLI: Needed = ("redis-cli", "redis-tools");

pub(super) fn server() -> Program {
    Program::new("redis-server").args(["--port", "6379", "--protected-mode", "no", "--save", ""])
}

pub(super) fn cli(host: &str, command: &[&str]) -> Program {
    Program::new("redis-cli").args(["-h", host]).args(command)
}

#[lonet::host]
async fn cache(host: Host, store: String) -> Result<String> {
    let mut store = host.dial(store).await?;
    store.write_all(b"SET k v\r\nGET k\r\n").await?;
    let mut answer = [0; 12];
    store.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[lonet::test]
async fn a_role_dials_a_real_redis(scenario: Scenario) -> Result<()> {
    if !are_here(&[SERVER, CLI]) {
        return Ok(());
    }
    let db = scenario.spawn("db", server()).await?;
    scenario.until("db:6379 listen").await?;
    let app = returned(&scenario, "app", cache("db:6379".into())).await?;
    assert_eq!(app, "+OK\r\n$1\r\nv\r\n");
    scenario.until("db:1 close app:1").await?;
    let got = printed(&scenario, "cli", cli("db", &["GET", "k"])).await?;
    assert_eq!(got, "v\n");
    scenario.until("db:1 close cli:1").await?;
    db.terminate().await?;
    assert!(db.await?.success());
    scenario.assert_trace(
        "
        db:6379 listen
        app:1 dial db:6379
        db:1 accept app:1
        app:1 connect db:1
        app:1 close db:1
        db:1 close app:1
        cli:1 dial db:6379
        db:1 accept cli:1
        cli:1 connect db:1
        cli:1 close db:1
        db:1 close cli:1
        ! terminate db
        db:6379 close
        ",
    );
    Ok(())
}

/// What a store has written, it has again when it comes again, at the same port.
#[lonet::test]
async fn a_killed_redis_keeps_its_data(scenario: Scenario) -> Result<()> {
    if !are_here(&[SERVER, CLI]) {
        return Ok(());
    }
    let dir = scenario.data_dir("db");
    let keeps = ["--appendonly", "yes", "--appendfsync", "always", "--dir"];
    let db = scenario.spawn("db", server().args(keeps).arg(&dir)).await?;
    scenario.until("db:6379 listen").await?;
    let set = printed(&scenario, "c1", cli("db", &["SET", "k", "kept"])).await?;
    assert_eq!(set, "OK\n");
    scenario.until("db:1 close c1:1").await?;
    db.kill().await?;
    let refused = scenario.spawn("c2", cli("db", &["GET", "k"])).await?;
    refused.until("c2 exit 1").await?;
    assert_eq!(
        refused.log(),
        "Could not connect to Redis at db:6379: Connection refused\n"
    );
    let killed = scenario.until("! kill db").await?;
    db.restart().await?;
    scenario.until_after(&killed, "db:6379 listen").await?;
    let got = printed(&scenario, "c3", cli("db", &["GET", "k"])).await?;
    assert_eq!(got, "kept\n");
    // Its client tries twice.
    assert_eq!(
        scenario
            .trace()
            .count("c2:1 fail db:6379 connection refused")?,
        2
    );
    scenario.trace().only_hosts(&["db", "c1", "c3"]).assert(
        "
        db:6379 listen
        c1:1 dial db:6379
        db:1 accept c1:1
        c1:1 connect db:1
        c1:1 close db:1
        db:1 close c1:1
        db:6379 close
        ! kill db
        ! restart db
        db:6379 listen
        c3:1 dial db:6379
        db:1 accept c3:1
        c3:1 connect db:1
        c3:1 close db:1
        ",
    );
    Ok(())
}

/// A replica follows a primary that is cut off, and dies.
#[lonet::test]
async fn a_replica_loses_its_primary_and_finds_it_again(scenario: Scenario) -> Result<()> {
    use lonet_harness::fault::partition;
    if !are_here(&[SERVER, CLI]) {
        return Ok(());
    }
    let primary = scenario.spawn("primary", server()).await?;
    scenario.until("primary:6379 listen").await?;
    let replicates = [
        "--replicaof",
        "primary",
        "6379",
        "--repl-diskless-sync-delay",
        "0",
    ];
    let replica = server()
        .args(replicates)
        .arg("--dir")
        .arg(scenario.data_dir("replica"));
    let _replica = scenario.spawn("replica", replica).await?;
    scenario.until("replica:_ connect primary:_").await?;
    let set = printed(&scenario, "c1", cli("primary", &["SET", "k", "1"])).await?;
    assert_eq!(set, "OK\n");
    // Waits until one replica has it.
    let wait = printed(&scenario, "c2", cli("primary", &["WAIT", "1", "0"])).await;
    let _ = wait?;
    let cut = scenario.inject(partition("primary", "replica")).await?;
    let set = printed(&scenario, "c3", cli("primary", &["SET", "k", "2"])).await?;
    assert_eq!(set, "OK\n");
    let got = printed(&scenario, "c4", cli("replica", &["GET", "k"])).await?;
    assert_eq!(got, "1\n");
    let healed = cut.heal().await?;
    let got = printed(&scenario, "c5", cli("primary", &["SET", "k", "3"])).await?;
    assert_eq!(got, "OK\n");
    let mut n = 0;
    loop {
        n += 1;
        let host = format!("reader{n}");
        if printed(&scenario, &host, cli("replica", &["GET", "k"])).await? == "3\n" {
            break;
        }
    }
    let _ = healed;
    primary.kill().await?;
    let got = printed(&scenario, "c6", cli("replica", &["GET", "k"])).await?;
    assert_eq!(got, "3\n");
    primary.restart().await?;
    let restarted = scenario.until("! restart primary").await?;
    scenario
        .until_after(&restarted, "replica:_ connect primary:_")
        .await?;
    Ok(())
}
