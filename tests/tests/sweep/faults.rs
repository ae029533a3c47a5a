//! Every fault that can be swept, against a primary that acknowledges nothing too early: every point
//! passes.

use lonet_harness::{Result, Scenario};

use crate::program::{acknowledged_is_stored, backup, client, primary};

#[lonet::test(sweep = "kill p", timeout = "10s")]
async fn late_acknowledgements_survive_every_kill(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, false).await
}

/// The primary goes on when the body has seen that it was stopped.
#[lonet::test(sweep = "pause p")]
async fn late_acknowledgements_survive_every_pause(scenario: Scenario) -> Result<()> {
    let backup = scenario.spawn("b", backup()).await?;
    backup.until("b:20 listen").await?;
    let primary = scenario.spawn("p", primary(false)).await?;
    let acknowledged = async {
        scenario.until("p:10 listen").await?;
        scenario.spawn("c", client(None)).await?.join().await
    };
    let goes_on = async {
        scenario.until("! pause p").await?;
        primary.resume().await?;
        std::future::pending().await
    };
    let acknowledged: Result<bool> = tokio::select! {
        acknowledged = acknowledged => Ok(acknowledged?),
        never = goes_on => never,
    };
    assert!(acknowledged?);
    assert_eq!(scenario.trace().count("b mark stored 7")?, 1);
    Ok(())
}

/// Its connections end, so it fails where it still needs one.
#[lonet::test(sweep = "reset p _")]
async fn late_acknowledgements_survive_every_reset(scenario: Scenario) -> Result<()> {
    let backup = scenario.spawn("b", backup()).await?;
    backup.until("b:20 listen").await?;
    let primary = scenario.spawn("p", primary(false)).await?;
    scenario.until("p:10 listen").await?;
    let acknowledged = scenario.spawn("c", client(None)).await?.join().await?;
    let ended = primary.join().await;
    assert!(acknowledged && ended.is_ok() || scenario.swept().is_some());
    if acknowledged {
        assert_eq!(scenario.trace().count("b mark stored 7")?, 1);
    }
    Ok(())
}

/// Nobody hears of the primary from then on, so a client gives up.
async fn acknowledged_was_stored(scenario: Scenario, fault: &str) -> Result<()> {
    let backup = scenario.spawn("b", backup()).await?;
    backup.until("b:20 listen").await?;
    let _primary = scenario.spawn("p", primary(false)).await?;
    tokio::select! {
        listens = scenario.until("p:10 listen") => listens?,
        gone = scenario.until(fault) => gone?,
    };
    let patience = scenario.swept().map(|_| 200);
    let acknowledged = scenario.spawn("c", client(patience)).await?.join().await?;
    assert!(acknowledged || scenario.swept().is_some());
    if acknowledged {
        assert_eq!(scenario.trace().count("b mark stored 7")?, 1);
    }
    Ok(())
}

#[lonet::test(sweep = "partition p _")]
async fn late_acknowledgements_survive_every_partition(scenario: Scenario) -> Result<()> {
    acknowledged_was_stored(scenario, "! partition p _").await
}

#[lonet::test(sweep = "vanish p")]
async fn late_acknowledgements_survive_every_power_loss(scenario: Scenario) -> Result<()> {
    acknowledged_was_stored(scenario, "! vanish p").await
}
