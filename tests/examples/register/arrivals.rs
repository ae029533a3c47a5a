//! What orders the write and the read where both arrive: at the backup.

use lonet_harness::{Event, Result, Scenario, Trace, Verb, fault};

use crate::replica::Acknowledges;
use crate::scene::a_read_after_a_write;

/// The arrivals at the backup.
const WRITE: &str = "b:1 recv p:1 _";
const READ: &str = "b:2 recv r:1 _";

#[lonet::test]
async fn a_read_sees_a_write_that_is_stored(scenario: Scenario) -> Result<()> {
    a_read_after_a_write(&scenario, Acknowledges::Stored).await
}

/// Arrivals at one host, at two of its ports, that nothing orders.
fn races(trace: &Trace) -> Vec<(&Event, &Event)> {
    let arrivals = trace.events().iter();
    let arrivals = arrivals.filter(|event| matches!(event.verb(), Verb::Accept | Verb::Recv));
    let arrivals: Vec<_> = arrivals.collect();
    let mut races = Vec::new();
    for (place, &one) in arrivals.iter().enumerate() {
        for &other in &arrivals[place + 1..] {
            let elsewhere = one.host() == other.host() && one.addr() != other.addr();
            if elsewhere && trace.concurrent(one, other) {
                races.push((one, other));
            }
        }
    }
    races
}

#[lonet::test]
async fn no_arrivals_race_if_the_primary_waits(scenario: Scenario) -> Result<()> {
    scenario.record_data()?;
    a_read_after_a_write(&scenario, Acknowledges::Stored).await?;
    let trace = scenario.trace().with_data();
    let (write, read) = (trace.find(WRITE)?.unwrap(), trace.find(READ)?.unwrap());
    assert!(trace.happens_before(write, read), "{trace}");
    assert_eq!(races(&trace), []);
    Ok(())
}

/// The bug. The read comes second in nearly every run, but nothing makes it so.
#[lonet::test]
async fn the_write_and_the_read_race_if_it_does_not(scenario: Scenario) -> Result<()> {
    scenario.record_data()?;
    // In the rare run in which the read is first, it misses the write.
    let judged = a_read_after_a_write(&scenario, Acknowledges::Sent).await;
    // Nothing that was awaited says that the write has arrived.
    scenario.until(WRITE).await?;
    let trace = scenario.trace().with_data();
    let (write, read) = (trace.find(WRITE)?.unwrap(), trace.find(READ)?.unwrap());
    let missed = read.time_ns() < write.time_ns();
    assert_eq!(judged.is_err(), missed, "{judged:?}\n{trace}");
    let races = races(&trace);
    assert_eq!(races.len(), 1, "{races:?}");
    assert!(
        races == [(write, read)] || races == [(read, write)],
        "{races:?}"
    );
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
