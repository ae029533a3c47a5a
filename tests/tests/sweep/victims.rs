//! Tests that others run, for what they print: most of them fail.

use lonet_harness::{Result, Scenario};

use crate::program::{acknowledged_is_stored, ended, marks};

#[lonet::test(sweep = "kill p")]
#[ignore = "is run by another test"]
async fn late(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, false).await
}

#[lonet::test(sweep = "kill p")]
#[ignore = "fails"]
async fn early(scenario: Scenario) -> Result<()> {
    if let Some(event) = scenario.swept() {
        println!("swept: {event}");
    }
    acknowledged_is_stored(scenario, true).await
}

#[lonet::test(schedule = "kill p at p mark acknowledged")]
#[ignore = "fails"]
async fn early_at_one_point(scenario: Scenario) -> Result<()> {
    println!("swept: {}", scenario.swept().unwrap());
    acknowledged_is_stored(scenario, true).await
}

#[lonet::test(schedule = "kill p at p:1 send b:1")]
#[ignore = "is run by another test"]
async fn late_at_one_point(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, false).await
}

#[lonet::test(schedule = "kill p at p:1 send b:1 #2")]
#[ignore = "fails"]
async fn happens_once(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, false).await
}

#[lonet::test(schedule = "kill p at p:3 listen")]
#[ignore = "fails"]
async fn does_not_happen(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, false).await
}

#[lonet::test(schedule = "kill p at p mark three")]
#[ignore = "fails"]
async fn fails_and_does_not_reach_its_schedule(scenario: Scenario) -> Result<()> {
    scenario.spawn("p", marks(true)).await?.join().await?;
    Err("as ever".into())
}

#[lonet::test(schedule = "kill q at up")]
#[ignore = "fails"]
async fn has_no_such_host(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, false).await
}

#[lonet::test(sweep = "kill q")]
#[ignore = "fails"]
async fn sweeps_no_such_host(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, false).await
}

#[lonet::test(sweep = "kill p")]
#[ignore = "fails"]
async fn fails_without_a_fault(scenario: Scenario) -> Result<()> {
    scenario.spawn("p", marks(true)).await?.join().await?;
    println!("a run");
    Err("as ever".into())
}

#[lonet::test(sweep = "kill p")]
#[ignore = "is run by another test"]
async fn marks_less_when_swept(scenario: Scenario) -> Result<()> {
    println!("a run");
    let node = scenario
        .spawn("p", marks(scenario.swept().is_none()))
        .await?;
    ended(&scenario, node).await
}

#[lonet::test(sweep = "kill p")]
#[ignore = "fails"]
async fn does_nothing_when_swept(scenario: Scenario) -> Result<()> {
    if scenario.swept().is_none() {
        scenario.spawn("p", marks(true)).await?.join().await?;
    }
    Ok(())
}

#[lonet::test(sweep = "kill p")]
#[ignore = "fails"]
async fn fails_when_swept(scenario: Scenario) -> Result<()> {
    if scenario.swept().is_some() {
        return Err("in any case".into());
    }
    Ok(scenario.spawn("p", marks(true)).await?.join().await?)
}

#[lonet::test(sweep = "kill p", trace = "p mark one\np mark two")]
#[ignore = "is run by another test"]
async fn has_a_trace_without_a_fault(scenario: Scenario) -> Result<()> {
    let node = scenario.spawn("p", marks(true)).await?;
    ended(&scenario, node).await
}

#[lonet::test(sweep = "kill p", trace = "p mark one\np mark three")]
#[ignore = "fails"]
async fn has_another_trace(scenario: Scenario) -> Result<()> {
    let node = scenario.spawn("p", marks(true)).await?;
    ended(&scenario, node).await
}

#[lonet::test(sweep = "kill p", timeout = "1s")]
#[ignore = "is run by another test"]
async fn has_a_deadline_for_each_point(scenario: Scenario) -> Result<()> {
    let node = scenario.spawn("p", marks(true)).await?;
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    ended(&scenario, node).await
}

#[lonet::test(sweep = "kill p q")]
#[ignore = "fails"]
async fn sweeps_what_is_illegal(_: Scenario) {}

#[lonet::test(schedule = "kill p at p sings")]
#[ignore = "fails"]
async fn schedules_what_is_illegal(_: Scenario) {}

#[lonet::test(schedule = "p up before p mark one")]
#[ignore = "fails"]
async fn orders_what_cannot_be_held(_: Scenario) {}

/// Passes as it is, and fails where p is killed in time.
#[lonet::test(search = "10s")]
#[ignore = "is run by another test"]
async fn searches(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, true).await
}

#[lonet::test]
#[ignore = "is run by another test"]
async fn plain(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, true).await
}

/// The host is in the test's own process.
#[lonet::test(schedule = "kill p at p mark one")]
#[ignore = "fails"]
async fn kills_the_tests_own_host(scenario: Scenario) -> Result<()> {
    scenario.host("p").await?.mark("one");
    Ok(())
}

#[lonet::test(sweep = "kill p")]
#[ignore = "fails"]
async fn sweeps_the_tests_own_host(scenario: Scenario) -> Result<()> {
    scenario.host("p").await?.mark("one");
    Ok(())
}

#[lonet::test(sweep = "partition p _")]
#[ignore = "is run by another test"]
async fn cuts_off_the_tests_own_host(scenario: Scenario) -> Result<()> {
    scenario.host("p").await?.mark("one");
    Ok(())
}
