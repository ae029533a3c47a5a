//! The programs of docs/programs.md.

use lonet::Host;
use lonet_harness::{Program, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) fn redis() -> Program {
    Program::new("redis-server")
        .args(["--port", "6379", "--protected-mode", "no"])
        .args(["--save", ""])
}

/// Counts a visit in redis.
#[lonet::host]
async fn app(host: Host, store: String) -> Result<u8> {
    let mut store = host.dial(&store).await?;
    store.write_all(b"INCR visits\r\n").await?;
    let mut answer = [0; 4];
    store.read_exact(&mut answer).await?; // ":1\r\n"
    host.mark("counted");
    Ok(answer[1] - b'0')
}

#[lonet::test]
async fn a_visit_is_counted(scenario: Scenario) -> Result<()> {
    if !lonet_tests::has("redis-server", "redis-server") {
        return Ok(());
    }
    let db = scenario.spawn("db", redis()).await?; // the process has started
    scenario.until("db:6379 listen").await?; // and listens
    let app = scenario.spawn("app", app("db:6379".into())).await?;
    assert_eq!(app.join().await?, 1);
    db.terminate().await?; // SIGTERM; returns once it has ended
    assert!(db.join().await?.success());

    scenario.assert_trace(
        "
        db:6379 listen
        app:1   dial      db:6379
        db:1    accept    app:1
        app:1   connect   db:1
        app     mark      counted
        app:1   close     db:1
        db:1    close     app:1
        db:6379 close
        !       terminate db
        ",
    );
    Ok(())
}

#[lonet::test]
async fn a_visit_survives_a_kill(scenario: Scenario) -> Result<()> {
    if !lonet_tests::has("redis-server", "redis-server") {
        return Ok(());
    }
    let keeps = redis().args(["--appendonly", "yes", "--appendfsync", "always"]);
    let keeps = keeps.current_dir(scenario.data_dir("db"));
    let db = scenario.spawn("db", keeps).await?;
    let listens = scenario.until("db:6379 listen").await?;
    let first = scenario.spawn("app", app("db:6379".into())).await?;
    assert_eq!(first.join().await?, 1);

    db.kill().await?; // SIGKILL, to all its processes
    db.restart().await?; // the same program with the same arguments
    scenario.until_after(&listens, "db:6379 listen").await?;
    let ping = Program::new("redis-cli").args(["-e", "-h", "db", "PING"]);
    while !scenario
        .spawn("probe", ping.clone())
        .await?
        .join()
        .await?
        .success()
    {} // it loads its data

    let second = scenario.spawn("app", app("db:6379".into())).await?;
    assert_eq!(second.join().await?, 2);
    Ok(())
}

#[lonet::test]
async fn a_replica_comes_first(scenario: Scenario) -> Result<()> {
    if !lonet_tests::has("redis-server", "redis-server") {
        return Ok(());
    }
    scenario.names(&["primary", "replica"])?; // before the first program

    let replica = redis().args(["--replicaof", "primary", "6379"]);
    let replica = replica.current_dir(scenario.data_dir("replica"));
    let _replica = scenario.spawn("replica", replica).await?; // its first dials are refused
    let primary = redis().current_dir(scenario.data_dir("primary"));
    let _primary = scenario.spawn("primary", primary).await?;
    scenario.until("replica:_ connect primary:_").await?;
    Ok(())
}
