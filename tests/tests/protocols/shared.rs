//! What several share: a stream by tasks, a server by clients.

use std::sync::Arc;

use lonet::Host;
use lonet_harness::{Result, Scenario, expect_file};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{echo, play};

#[lonet::host]
async fn collects(host: Host) -> Result<()> {
    let mut conn = host.listen(":10").await?.accept().await?;
    let mut all = Vec::new();
    conn.read_to_end(&mut all).await?;
    host.mark(format!("read {} bytes", all.len()));
    Ok(())
}

/// Each task writes once and marks; the last that drops its share closes the stream.
#[lonet::host(worker_threads = 2)]
async fn shares(host: Host) -> Result<()> {
    let conn = Arc::new(Mutex::new(host.dial("s:10").await?));
    let mut writing = JoinSet::new();
    for who in ["one", "two", "thr"] {
        let (conn, host) = (Arc::clone(&conn), host.clone());
        writing.spawn(async move {
            host.mark(format!("{who} begins"));
            conn.lock().await.write_all(who.as_bytes()).await?;
            host.mark(format!("{who} has written"));
            Ok::<_, std::io::Error>(())
        });
    }
    drop(conn);
    while let Some(written) = writing.join_next().await {
        written??;
    }
    host.mark("all written");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn a_stream_of_several_tasks(scenario: Scenario) -> Result<()> {
    play(&scenario, collects(), vec![shares()]).await?;
    scenario.assert_trace(expect_file!["texts/a_stream_of_several_tasks.trace"]);
    Ok(())
}

/// All in one task: who comes first is a race, and is served first.
#[lonet::host]
async fn serves_in_turn(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    for _ in 0..3 {
        let conn = listener.accept().await?;
        echo(&host, conn).await?;
    }
    Ok(())
}

#[lonet::host]
async fn asks_twice(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    for turn in 1..=2 {
        let request = format!("{}-{turn}", host.name());
        conn.write_all(request.as_bytes()).await?;
        let mut answer = [0; 3];
        conn.read_exact(&mut answer).await?;
        host.mark(format!("answered {turn}"));
    }
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn one_client_after_the_other(scenario: Scenario) -> Result<()> {
    let clients = vec![asks_twice(), asks_twice(), asks_twice()];
    play(&scenario, serves_in_turn(), clients).await?;
    scenario.assert_trace(expect_file!["texts/one_client_after_the_other.trace"]);
    Ok(())
}
