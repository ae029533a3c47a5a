//! The programs of docs/search.md that order events by hand.

use lonet_harness::{Result, Scenario};

use crate::search::replica::Acknowledges;
use crate::search::scene::{backup, primary, reader, writer};

/// The primary with the bug and its backup; the reader has its connection.
async fn start(scenario: &Scenario) -> Result<lonet_harness::Node<u64>> {
    let bug = Acknowledges::Sent;
    scenario.spawn("b", backup()).await?;
    scenario.until("b:20 listen").await?;
    scenario.spawn("p", primary("b:20".into(), bug)).await?;
    scenario.until("p:10 listen").await?;
    let r = scenario.spawn("r", reader("b:20".into())).await?;
    scenario.until("r:1 connect b:2").await?;
    Ok(r)
}

#[lonet::test]
async fn a_write_is_held(scenario: Scenario) -> Result<()> {
    let r = start(&scenario).await?;
    let write = scenario.hold("b:_ recv p:_").await?;
    let c = scenario.spawn("c", writer("p:10".into())).await?;
    write.reached().await?; // it is there, and b does not read it

    assert_eq!(r.join().await?, 0); // the write has returned, and the read misses it
    write.release().await?;
    scenario.until("b:_ recv p:_ _").await?;
    c.join().await?;
    Ok(())
}

#[lonet::test]
async fn the_read_comes_first(scenario: Scenario) -> Result<()> {
    let r = start(&scenario).await?;
    let _ordered = scenario.order("b:_ recv r:_", "b:_ recv p:_").await?;
    let c = scenario.spawn("c", writer("p:10".into())).await?;
    c.join().await?;
    assert_eq!(r.join().await?, 0);
    Ok(())
}

#[lonet::test]
async fn one_event_at_a_time(scenario: Scenario) -> Result<()> {
    let r = start(&scenario).await?;
    let mut lockstep = scenario.lockstep().await?;
    let c = scenario.spawn("c", writer("p:10".into())).await?;
    for line in [
        "c:1 dial p:10",
        "p:2 accept c:1",
        "c:1 connect p:2",
        "c:1 send p:2",
        "p:2 recv c:1",
        "p:1 send b:1",
        "p:2 send c:1",
        "c:1 recv p:2", // the write has returned
        "r:1 send b:2",
        "b:2 recv r:1", // the read is before the write
        "b:2 send r:1",
        "r:1 recv b:2",
    ] {
        lockstep.expect(line).await?;
    }
    c.join().await?;
    assert_eq!(r.join().await?, 0);
    Ok(())
}
