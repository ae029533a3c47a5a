//! Races that lonet can't see: channels, timers, tasks that wait for each other.

use std::time::Duration;

use futures_executor::LocalPool;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use futures_util::task::LocalSpawnExt;
use lonet::Host;
use lonet_harness::{Result, Scenario, expect_file};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::{echo, play};

#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let conn = host.listen(":10").await?.accept().await?;
    echo(&host, conn).await
}

/// An actor that serves a channel and a connection, whichever has something first.
#[lonet::host(worker_threads = 2)]
async fn actor(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let (commands, mut inbox) = mpsc::channel(1);
    let (go, gone) = oneshot::channel();
    let commanding = tokio::spawn(async move {
        gone.await.unwrap();
        commands.send("flush").await.unwrap();
    });
    conn.write_all(b"one").await?;
    go.send(()).unwrap();
    let (mut answer, mut left) = ([0; 3], 2);
    while left > 0 {
        tokio::select! {
            Some(command) = inbox.recv() => host.mark(format!("command {command}")),
            n = conn.read(&mut answer) => host.mark(format!("bytes {}", n?)),
        }
        left -= 1;
    }
    commanding.await?;
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn an_actor(scenario: Scenario) -> Result<()> {
    play(&scenario, server(), vec![actor()]).await?;
    scenario.assert_trace(expect_file!["texts/an_actor.trace"]);
    Ok(())
}

/// Three timers of about the same length.
#[lonet::host]
async fn waits(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let wait = |micros: u64, who: &'static str| {
        let host = &host;
        async move {
            host.mark(format!("{who} begins"));
            sleep(Duration::from_micros(micros)).await;
            host.mark(format!("{who} is over"));
        }
    };
    tokio::join!(wait(900, "one"), wait(1000, "two"), wait(1100, "three"));
    conn.write_all(b"end").await?;
    conn.read_exact(&mut [0; 3]).await?;
    host.mark("end");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn timers(scenario: Scenario) -> Result<()> {
    play(&scenario, server(), vec![waits()]).await?;
    scenario.assert_trace(expect_file!["texts/timers.trace"]);
    Ok(())
}

/// Three threads of the runtime answer by oneshots.
#[lonet::host(worker_threads = 3)]
async fn awaits_oneshots(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let mut answers = FuturesUnordered::new();
    for who in ["one", "two", "three"] {
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move { answer.send(who) });
        answers.push(answered);
    }
    while let Some(who) = answers.next().await {
        host.mark(format!("answer of {}", who?));
    }
    conn.write_all(b"end").await?;
    conn.read_exact(&mut [0; 3]).await?;
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn oneshots(scenario: Scenario) -> Result<()> {
    play(&scenario, server(), vec![awaits_oneshots()]).await?;
    scenario.assert_trace(expect_file!["texts/oneshots.trace"]);
    Ok(())
}

/// Tasks of one thread, which another thread wakes.
#[lonet::host(worker_threads = 2)]
async fn in_a_local_set(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let local = LocalSet::new();
    for who in ["one", "two", "three"] {
        let (wake, woken) = oneshot::channel::<()>();
        tokio::spawn(async move { wake.send(()) });
        let host = host.clone();
        local.spawn_local(async move {
            host.mark(format!("{who} begins"));
            woken.await.unwrap();
            host.mark(format!("{who} woke"));
        });
    }
    local.await;
    host.mark("all woke");
    conn.write_all(b"end").await?;
    conn.read_exact(&mut [0; 3]).await?;
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn a_local_set(scenario: Scenario) -> Result<()> {
    play(&scenario, server(), vec![in_a_local_set()]).await?;
    scenario.assert_trace(expect_file!["texts/a_local_set.trace"]);
    Ok(())
}

/// Tasks of an executor that is not tokio's, on a thread of its own: lonet takes them for one, the thread.
#[lonet::host(worker_threads = 2)]
async fn in_a_local_pool(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let (mut wakes, mut waits) = (Vec::new(), Vec::new());
    for who in ["one", "two", "three"] {
        let (wake, woken) = oneshot::channel::<()>();
        wakes.push(wake);
        waits.push((who, woken));
    }
    let of_pool = host.clone();
    let pool = tokio::task::spawn_blocking(move || {
        let mut pool = LocalPool::new();
        for (who, woken) in waits {
            let host = of_pool.clone();
            let waits = async move {
                host.mark(format!("{who} begins"));
                woken.await.unwrap();
                host.mark(format!("{who} woke"));
            };
            pool.spawner().spawn_local(waits).unwrap();
        }
        pool.run();
        of_pool.mark("all woke");
    });
    for wake in wakes {
        tokio::spawn(async move { wake.send(()) });
    }
    pool.await?;
    conn.write_all(b"end").await?;
    conn.read_exact(&mut [0; 3]).await?;
    host.mark("end");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn a_local_pool(scenario: Scenario) -> Result<()> {
    play(&scenario, server(), vec![in_a_local_pool()]).await?;
    scenario.assert_trace(expect_file!["texts/a_local_pool.trace"]);
    Ok(())
}

type Request = ([u8; 3], oneshot::Sender<[u8; 3]>);

/// Two users of one client, whose task owns the connection.
#[lonet::host(worker_threads = 2)]
async fn uses_a_client(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let (requests, mut asked) = mpsc::channel::<Request>(4);
    let client = tokio::spawn(async move {
        while let Some((request, answer)) = asked.recv().await {
            conn.write_all(&request).await?;
            let mut bytes = [0; 3];
            conn.read_exact(&mut bytes).await?;
            let _ = answer.send(bytes);
        }
        Ok::<_, std::io::Error>(())
    });
    let ask = |request: &'static [u8; 3]| {
        let (requests, host) = (requests.clone(), host.clone());
        tokio::spawn(async move {
            let (answer, answered) = oneshot::channel();
            requests.send((*request, answer)).await.unwrap();
            let bytes = answered.await.unwrap();
            host.mark(format!("answered {}", String::from_utf8_lossy(&bytes)));
        })
    };
    let (one, two) = (ask(b"one"), ask(b"two"));
    one.await?;
    two.await?;
    drop(requests);
    client.await??;
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn a_client_behind_a_task(scenario: Scenario) -> Result<()> {
    play(&scenario, server(), vec![uses_a_client()]).await?;
    scenario.assert_trace(expect_file!["texts/a_client_behind_a_task.trace"]);
    Ok(())
}
