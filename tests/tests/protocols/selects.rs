//! `select!`: of functions that mark and read, and of a read and a timer.
//!
//! Here time is what the programs are about; no timer orders anything for the test.

use std::time::Duration;

use lonet::{Host, Stream};
use lonet_harness::{Result, Scenario, expect_file, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{interval, timeout};

use super::{echo, play};

#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let conn = host.listen(":10").await?.accept().await?;
    echo(&host, conn).await
}

async fn reads(host: &Host, conn: &mut Stream, who: &str) -> Result<()> {
    host.mark(format!("waits for {who}"));
    let mut answer = [0; 3];
    conn.read_exact(&mut answer).await?;
    Ok(())
}

/// Answers on the second connection, once the client waits on both.
#[lonet::host]
async fn answers_one_of_two(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let _one = listener.accept().await?;
    let mut two = listener.accept().await?;
    until("a mark waits for one").await?;
    until("a mark waits for two").await?;
    two.write_all(b"two").await?;
    host.mark("answered");
    let mut rest = Vec::new();
    two.read_to_end(&mut rest).await?;
    Ok(())
}

/// Which branch is polled first is chance; only `two` is ever answered.
#[lonet::host]
async fn selects(host: Host) -> Result<()> {
    let mut one = host.dial("s:10").await?;
    let mut two = host.dial("s:10").await?;
    tokio::select! {
        one = reads(&host, &mut one, "one") => one?,
        two = reads(&host, &mut two, "two") => two?,
    }
    host.mark("one of them came");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn functions_that_mark_then_read(scenario: Scenario) -> Result<()> {
    play(&scenario, answers_one_of_two(), vec![selects()]).await?;
    scenario.assert_trace(expect_file!["texts/functions_that_mark_then_read.trace"]);
    Ok(())
}

/// Sends three heartbeats while it reads what comes back.
#[lonet::host]
async fn beats(host: Host, biased: bool) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let mut beat = interval(Duration::from_millis(2));
    let (mut sent, mut heard, mut answer) = (0, 0, [0; 16]);
    while heard < 9 {
        // The two arms stand in the order in which `biased` polls them.
        if biased {
            tokio::select! {
                biased;
                n = conn.read(&mut answer) => heard += n?,
                _ = beat.tick(), if sent < 3 => {
                    sent += 1;
                    conn.write_all(format!("b-{sent}").as_bytes()).await?;
                    host.mark(format!("beat {sent}"));
                }
            }
        } else {
            tokio::select! {
                n = conn.read(&mut answer) => heard += n?,
                _ = beat.tick(), if sent < 3 => {
                    sent += 1;
                    conn.write_all(format!("b-{sent}").as_bytes()).await?;
                    host.mark(format!("beat {sent}"));
                }
            }
        }
    }
    host.mark("alive");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn heartbeats(scenario: Scenario) -> Result<()> {
    play(&scenario, server(), vec![beats(false)]).await?;
    scenario.assert_trace(expect_file!["texts/heartbeats.trace"]);
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn biased_heartbeats(scenario: Scenario) -> Result<()> {
    play(&scenario, server(), vec![beats(true)]).await?;
    scenario.assert_trace(expect_file!["texts/biased_heartbeats.trace"]);
    Ok(())
}

/// Answers only once the client has given up, then goes on as ever.
#[lonet::host]
async fn answers_late(host: Host) -> Result<()> {
    let conn = host.listen(":10").await?.accept().await?;
    until("a mark gave up").await?;
    host.mark("answers at last");
    echo(&host, conn).await
}

#[lonet::host]
async fn gives_up(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    conn.write_all(b"one").await?;
    let mut answer = [0; 3];
    let read = timeout(Duration::from_millis(5), conn.read_exact(&mut answer)).await;
    assert!(read.is_err());
    host.mark("gave up");
    conn.write_all(b"two").await?;
    host.mark("asked again");
    for turn in 1..=2 {
        conn.read_exact(&mut answer).await?;
        host.mark(format!("heard {turn}"));
    }
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn a_read_that_timed_out(scenario: Scenario) -> Result<()> {
    play(&scenario, answers_late(), vec![gives_up()]).await?;
    scenario.assert_trace(expect_file!["texts/a_read_that_timed_out.trace"]);
    Ok(())
}
