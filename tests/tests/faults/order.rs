//! What a fault orders, and what it does not, as the processes report it.

use lonet::Host;
use lonet_harness::{Event, Result, Scenario, fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Accepts and sends; once that fault has happened, says so and closes.
#[lonet::host]
async fn serves(host: Host, fault: String) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut conn = listener.accept().await?;
    conn.write_all(b"ping").await?;
    lonet_harness::until(&fault).await?;
    host.mark("late");
    drop(conn);
    Ok(())
}

/// Reads to the end, whatever that is.
#[lonet::host]
async fn reads(host: Host) -> Result<()> {
    let mut conn = host.dial("α:10").await?;
    conn.read_exact(&mut [0; 4]).await?;
    host.mark("read");
    let _ = conn.read(&mut [0]).await;
    host.mark("ended");
    Ok(())
}

/// The other side closes sooner or later: that is not a cause of the end that was read.
async fn is_not_the_other_sides(scenario: Scenario, limits: bool) -> Result<()> {
    let limit = match limits {
        true => Some(scenario.inject(fault::limit("α", "β", 4)).await?),
        false => None,
    };
    let line = if limits {
        "! limit _ _ _"
    } else {
        "! reset _ _"
    };
    let alpha = scenario.spawn("α", serves(line.to_owned())).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", reads()).await?;
    scenario.until("β mark read").await?;
    let fault = match limit {
        Some(limit) => limit,
        None => scenario.inject(fault::reset("α", "β")).await?,
    };
    let fired = fault.fired().await?;
    let late = scenario.until("α mark late").await?;
    let ended = scenario.until("β mark ended").await?;
    alpha.join().await?;
    beta.join().await?;
    let trace = scenario.trace();
    let is_close = |event: &&Event| event.to_string() == "α:1 close β:1";
    let close = trace.events().iter().find(is_close).unwrap();
    assert!(trace.happens_before(&fired, &ended), "{trace}");
    assert!(trace.concurrent(&late, &ended), "{trace}");
    assert!(trace.concurrent(close, &ended), "{trace}");
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
