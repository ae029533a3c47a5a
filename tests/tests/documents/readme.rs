//! The programs of the README that need a test to run; the first is `first_light`.

use lonet_harness::{Result, Scenario};

#[lonet::host]
async fn member(host: lonet::Host, leads: bool) {
    if leads {
        host.mark("leader term=1");
    }
}

#[lonet::test(timeout = "10s")]
async fn someone_leads(scenario: Scenario) -> Result<()> {
    let a = scenario.spawn("a", member(false)).await?;
    let b = scenario.spawn("b", member(true)).await?;
    scenario.until("_ mark leader _").await?;
    a.join().await?;
    b.join().await?;
    scenario.assert_trace("$who mark leader term=_");
    Ok(())
}
