//! Tests that fail, for the pages that they leave: `.ci/screenshot` takes pictures of those.

use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[lonet::host]
async fn listens(host: Host) -> Result<()> {
    println!("about to listen");
    let _listener = host.listen(":10").await?;
    std::future::pending().await
}

/// Answers each who connects, in a task of its own.
#[lonet::host]
async fn serves(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    loop {
        let mut conn = listener.accept().await?;
        println!("{} has come", conn.peer_addr());
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            conn.read_to_end(&mut bytes).await?;
            conn.write_all(&bytes).await
        });
    }
}

/// Connects, says and hears something, time and again.
#[lonet::host]
async fn calls(host: Host, times: usize) -> Result<()> {
    for round in 0..times {
        let mut conn = host.dial("α:10").await?;
        conn.write_all(b"hello").await?;
        conn.shutdown().await?;
        conn.read_to_end(&mut Vec::new()).await?;
        if round % 20 == 0 {
            host.mark(format_args!("round n={round} of a rather long story"));
            eprintln!("round {round} <done> & dusted");
        }
    }
    Ok(())
}

#[lonet::test]
#[ignore = "fails, for its page"]
async fn three_events(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", listens()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.host("β").await?;
    drop(beta.dial("α:11").await);
    scenario.assert_trace(
        "
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        ",
    );
    Ok(())
}

#[lonet::test(timeout = "120s")]
#[ignore = "fails, for its page"]
async fn thousands_of_events(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", serves()).await?;
    scenario.until("α:10 listen").await?;
    let mut callers = Vec::new();
    for host in ["β", "γ", "東京", "db-replica-with-a-long-name.eu-central"] {
        callers.push(scenario.spawn(host, calls(150)).await?);
    }
    for caller in callers {
        caller.join().await?;
    }
    alpha.kill().await?;
    let happened = scenario.trace().to_string();
    // One line in the middle goes below the next one that it causes.
    let mut lines: Vec<&str> = happened.lines().collect();
    let accept = lines
        .iter()
        .rposition(|line| line.contains(" accept "))
        .unwrap_or(0);
    let moved = lines.remove(accept);
    lines.push(moved);
    scenario.assert_trace(lines.join("\n"));
    Ok(())
}
