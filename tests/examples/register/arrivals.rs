//! What orders the write and the read where both arrive: at the backup.

use lonet_harness::{Result, Scenario, fault};

use crate::replica::Acknowledges;
use crate::scene::a_read_after_a_write;

/// The arrivals at the backup.
const WRITE: &str = "b:1 recv p:1 _";
const READ: &str = "b:2 recv r:1 _";

#[lonet::test]
async fn a_read_sees_a_write_that_is_stored(scenario: Scenario) -> Result<()> {
    a_read_after_a_write(&scenario, Acknowledges::Stored).await
}

#[lonet::test]
async fn a_stored_write_comes_before_the_read(scenario: Scenario) -> Result<()> {
    scenario.record_data()?;
    a_read_after_a_write(&scenario, Acknowledges::Stored).await?;
    let trace = scenario.trace().with_data();
    let (write, read) = (trace.find(WRITE)?.unwrap(), trace.find(READ)?.unwrap());
    assert!(trace.happens_before(write, read), "{trace}");
    Ok(())
}

/// The bug. The read comes second in nearly every run, but nothing makes it so.
#[lonet::test]
async fn a_sent_write_and_the_read_race(scenario: Scenario) -> Result<()> {
    scenario.record_data()?;
    // In the rare run in which the read is first, it misses the write.
    let judged = a_read_after_a_write(&scenario, Acknowledges::Sent).await;
    // Nothing that was awaited says that the write has arrived.
    scenario.until(WRITE).await?;
    let trace = scenario.trace().with_data();
    let (write, read) = (trace.find(WRITE)?.unwrap(), trace.find(READ)?.unwrap());
    assert!(trace.concurrent(write, read), "{trace}");
    let missed = read.time_ns() < write.time_ns();
    assert_eq!(judged.is_err(), missed, "{judged:?}\n{trace}");
    Ok(())
}

/// The bug in the order that is rare, made by a fault at the one place where it matters.
#[lonet::test]
async fn a_read_misses_a_sent_write_that_is_late(scenario: Scenario) -> Result<()> {
    let late = fault::cut("p", "b")
        .at("p:1 send b:1")
        .until("r mark returns read _");
    let _late = scenario.inject(late).await?;
    let judged = a_read_after_a_write(&scenario, Acknowledges::Sent).await;
    let refused = judged.unwrap_err().to_string();
    let history = "c calls write 1, c returns write, r calls read, r returns read 0";
    assert_eq!(refused, format!("not linearizable: {history}"));
    Ok(())
}
