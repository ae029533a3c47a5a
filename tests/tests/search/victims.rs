//! Tests that others run, for what they print.

use std::time::SystemTime;

use lonet_harness::{Result, Scenario};

use crate::program::{Reads, client, in_turn, stored};

#[lonet::test(search = "20s")]
#[ignore = "fails"]
async fn first_written_is_stored_first(scenario: Scenario) -> Result<()> {
    let stored = stored(&scenario, Reads::AsTheyCome, false).await?;
    assert!(stored == [1, 2], "stored first: {}", stored[0]);
    Ok(())
}

#[lonet::test(search = "20s")]
#[ignore = "is run by another test"]
async fn either_is_stored_first(scenario: Scenario) -> Result<()> {
    stored(&scenario, Reads::AsTheyCome, false).await?;
    Ok(())
}

#[lonet::test(search = "20s")]
#[ignore = "is run by another test"]
async fn waits_for_the_answer(scenario: Scenario) -> Result<()> {
    let stored = stored(&scenario, Reads::AsTheyCome, true).await?;
    assert_eq!(stored, [1, 2]);
    Ok(())
}

#[lonet::test(search = "20s")]
#[ignore = "is run by another test"]
async fn reads_one_after_the_other(scenario: Scenario) -> Result<()> {
    let stored = stored(&scenario, Reads::InOrder, false).await?;
    assert_eq!(stored, [1, 2]);
    Ok(())
}

#[lonet::test(search = "20s")]
#[ignore = "is run by another test"]
async fn serves_in_turn(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("s", in_turn()).await?;
    scenario.until("s:10 listen").await?;
    let c = scenario.spawn("c", client(1, None, true)).await?;
    // It is accepted at about this time.
    scenario.until("c mark dials").await?;
    let d = scenario.spawn("d", client(2, None, true)).await?;
    c.join().await?;
    d.join().await?;
    let mut stored = server.join().await?;
    stored.sort();
    assert_eq!(stored, [1, 2]);
    Ok(())
}

#[lonet::test(search = "20s")]
#[ignore = "fails"]
async fn fails_by_itself(scenario: Scenario) -> Result<()> {
    stored(&scenario, Reads::AsTheyCome, false).await?;
    Err("as ever".into())
}

#[lonet::test(search = "20s")]
#[ignore = "is run by another test"]
async fn marks_something_else_each_time(scenario: Scenario) -> Result<()> {
    stored(&scenario, Reads::AsTheyCome, false).await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let host = scenario.host("t").await?;
    host.mark(format!("run {}", now.as_nanos()));
    Ok(())
}
