//! What stands in the trace of a fault, and what its guard does.

use lonet_harness::{ErrorKind, Result, Scenario, fault};

use crate::roles;

#[lonet::test]
async fn a_fault_and_its_heal_are_events_of_their_task(scenario: Scenario) -> Result<()> {
    let partition = fault::partition(["α", "β"], "_").may_not_fire();
    let partition = scenario.inject(partition).await?;
    let fired = partition.fired().await?;
    assert_eq!(fired.to_string(), "! partition α,β _");
    let heal = partition.heal().await?;
    assert_eq!(heal.to_string(), "! heal α,β _");
    assert!(scenario.trace().happens_before(&fired, &heal));
    Ok(())
}

#[lonet::test]
async fn a_dropped_guard_heals_once(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", roles::waits()).await?;
    let slow = fault::delay("α", "β", std::time::Duration::from_millis(5)).may_not_fire();
    let slow = scenario.inject(slow).await?;
    drop(slow);
    let heal = scenario.until("! heal α β").await?;
    let begin = scenario.until("! delay α β 5000us").await?;
    let trace = scenario.trace();
    assert!(trace.happens_before(&begin, &heal));
    assert_eq!(
        trace
            .events()
            .iter()
            .filter(|event| event.verb() == lonet_harness::Verb::Heal)
            .count(),
        1
    );
    Ok(())
}

#[lonet::test]
async fn a_fault_at_an_event_comes_after_it(scenario: Scenario) -> Result<()> {
    let cut = fault::cut("α", "_").at("α mark counted 3").may_not_fire();
    let cut = scenario.inject(cut).await?;
    let _alpha = scenario.spawn("α", roles::counts()).await?;
    let fired = cut.fired().await?;
    assert_eq!(fired.to_string(), "! cut α _");
    let third = scenario.until("α mark counted 3").await?;
    assert!(scenario.trace().happens_before(&third, &fired));
    cut.heal().await?;
    scenario.until("α mark counted 20").await?;
    Ok(())
}

#[lonet::test]
async fn a_fault_of_the_tests_own_host_is_set_off_there(scenario: Scenario) -> Result<()> {
    let _beta = scenario.spawn("β", roles::waits()).await?;
    let alpha = scenario.host("α").await?;
    let partition = fault::partition("α", "β")
        .at("α mark now _")
        .nth(2)
        .may_not_fire();
    let partition = scenario.inject(partition).await?;
    alpha.mark("now 1");
    alpha.mark("now 2");
    partition.fired().await?;
    scenario.trace().assert_contains(
        "
        α mark      now 1
        α mark      now 2
        ! partition α β
        ",
    );
    assert_eq!(partition.heal().await?.to_string(), "! heal α β");
    Ok(())
}

#[lonet::test]
async fn a_fault_ends_at_an_event(scenario: Scenario) -> Result<()> {
    let alpha = scenario.host("α").await?;
    let cut = fault::cut("α", "β").until("α mark enough").may_not_fire();
    let cut = scenario.inject(cut).await?;
    alpha.mark("more");
    alpha.mark("enough");
    let enough = scenario.until("α mark enough").await?;
    let heal = scenario.until("! heal α β").await?;
    assert!(scenario.trace().happens_before(&enough, &heal));
    // It is not healed again.
    assert_eq!(cut.heal().await?.id(), heal.id());
    Ok(())
}

#[lonet::test]
async fn a_guard_dropped_before_its_event_disarms(scenario: Scenario) -> Result<()> {
    let partition = fault::partition("α", "_").at("α mark waits");
    drop(scenario.inject(partition.clone()).await?);
    let kill = scenario.inject(fault::kill("α").at("α mark waits")).await?;
    let error = kill.heal().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misplaced);
    assert_eq!(
        error.to_string(),
        "`! kill α` can't heal: it was never triggered: `α mark waits` matched 0 events; there was no host α"
    );
    let alpha = scenario.spawn("α", roles::waits()).await?;
    alpha.until("α mark waits").await?;
    alpha.terminate().await?;
    scenario.assert_trace("α mark waits\n ! terminate α");
    Ok(())
}

#[lonet::test]
async fn an_invalid_fault_is_refused_before_it_is_recorded(scenario: Scenario) -> Result<()> {
    let error = scenario
        .inject(fault::slice("α", "β", 0))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault);
    let error = scenario.inject(fault::reset("α", "β")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`! reset α β`: there is no connection to reset"
    );
    scenario.assert_trace("");
    Ok(())
}
