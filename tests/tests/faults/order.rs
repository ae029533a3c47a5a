//! What a fault orders, and what it does not, as the processes report it.

use lonet::{Host, Listener};
use lonet_harness::{Result, Scenario, fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// Accepts; once it is told to go on, says so and closes. How it is told is in no trace.
async fn serves(host: Host, mut listener: Listener, go: oneshot::Receiver<()>) {
    let mut conn = listener.accept().await.unwrap();
    conn.write_all(b"ping").await.unwrap();
    host.mark("wrote");
    go.await.unwrap();
    host.mark("late");
    drop(conn);
}

/// Reads to the end, whatever that is.
async fn reads(host: Host) {
    let mut conn = host.dial("α:10").await.unwrap();
    conn.read_exact(&mut [0; 4]).await.unwrap();
    host.mark("read");
    let _ = conn.read(&mut [0]).await;
    host.mark("ended");
}

/// The other side closes later: nothing of that is a cause.
async fn is_not_the_other_sides(scenario: Scenario, limits: bool) -> Result<()> {
    let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    let listener = alpha.listen(":10").await?;
    let limit = match limits {
        true => Some(scenario.inject(fault::limit("α", "β", 4)).await?),
        false => None,
    };
    let (go, goes) = oneshot::channel();
    let serves = tokio::spawn(serves(alpha, listener, goes));
    let reads = tokio::spawn(reads(beta));
    scenario.until("β mark read").await?;
    let fault = match limit {
        Some(limit) => limit,
        None => scenario.inject(fault::reset("α", "β")).await?,
    };
    let fired = fault.fired().await?;
    let ended = scenario.until("β mark ended").await?;
    go.send(()).unwrap();
    let late = scenario.until("α mark late").await?;
    let close = scenario.until("α:1 close β:1").await?;
    reads.await.unwrap();
    serves.await.unwrap();
    let trace = scenario.trace();
    assert!(trace.happens_before(&fired, &ended), "{trace}");
    assert!(trace.concurrent(&late, &ended), "{trace}");
    assert!(trace.concurrent(&close, &ended), "{trace}");
    Ok(())
}

#[lonet::test]
async fn the_end_of_a_limit_is_not_the_other_sides(scenario: Scenario) -> Result<()> {
    is_not_the_other_sides(scenario, true).await
}

#[lonet::test]
async fn the_end_of_a_reset_is_not_the_other_sides(scenario: Scenario) -> Result<()> {
    is_not_the_other_sides(scenario, false).await
}
