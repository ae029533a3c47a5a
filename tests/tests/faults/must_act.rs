//! A fault that never acts fails its test, and says why.

use lonet_harness::{Result, Scenario, fault};

use crate::roles;

/// Why this fails.
macro_rules! failure {
    ($body:expr) => {
        lonet_harness::run("unacted", $body)
            .map_or_else(|error| error.to_string(), |()| "it passed".to_owned())
    };
}

#[test]
fn a_fault_that_nothing_met_fails_the_test() {
    let why = failure!(async |scenario: Scenario| -> Result<()> {
        scenario.host("n1").await?.mark("here");
        let partition = scenario.inject(fault::partition("n1", "_")).await?;
        partition.heal().await?;
        Ok(())
    });
    let why = why
        .strip_prefix("`! partition n1 _` was in force for ")
        .unwrap();
    assert!(why.ends_with(", but nothing tried to pass"), "{why}");
}

#[test]
fn a_host_that_never_was_is_named_with_the_nearest() {
    let why = failure!(async |scenario: Scenario| -> Result<()> {
        scenario.host("node1").await?.mark("here");
        let partition = scenario.inject(fault::partition("node2", "_")).await?;
        // Also when it lasts to the end.
        partition.fired().await?;
        std::mem::forget(partition);
        Ok(())
    });
    let end = ", but nothing tried to pass; there was no host node2 (nearest: node1)";
    assert!(why.ends_with(end), "{why}");
}

#[test]
fn a_fault_that_was_never_triggered_fails_the_test() {
    let why = failure!(async |scenario: Scenario| -> Result<()> {
        let s = scenario.host("s").await?;
        let cut = fault::partition("s", "c").at("s mark applied _");
        let cut = scenario.inject(cut).await?;
        s.mark("applies 3");
        s.mark("waits");
        scenario.until("s mark waits").await?;
        std::mem::forget(cut);
        Ok(())
    });
    assert_eq!(
        why,
        "`! partition s c` was armed, and never triggered: `s mark applied _` matched 0 events; \
         nearest: `s mark applies 3`, `s mark waits`"
    );
}

#[test]
fn an_event_before_inject_is_named() {
    let why = failure!(async |scenario: Scenario| -> Result<()> {
        scenario.host("s").await?.mark("applied 3");
        let kill = fault::partition("s", "c").at("s mark applied _");
        std::mem::forget(scenario.inject(kill).await?);
        Ok(())
    });
    assert_eq!(
        why,
        "`! partition s c` was armed, and never triggered: `s mark applied _` matched 0 events; \
         `s mark applied 3` had happened before `inject`, which looks at what comes after"
    );
}

#[test]
fn an_event_that_came_too_rarely_is_counted() {
    let why = failure!(async |scenario: Scenario| -> Result<()> {
        let kill = fault::kill("α").at("α mark waits").nth(2);
        let kill = scenario.inject(kill).await?;
        let _alpha = scenario.spawn("α", roles::waits()).await?;
        scenario.until("α mark waits").await?;
        std::mem::forget(kill);
        Ok(())
    });
    assert_eq!(
        why,
        "`! kill α` was armed, and never triggered: `α mark waits` matched 1 event; it waited for \
         number 2; nearest: `α up`"
    );
}

#[test]
fn who_disarms_or_allows_it_passes() {
    let why = failure!(async |scenario: Scenario| -> Result<()> {
        drop(
            scenario
                .inject(fault::partition("s", "c").at("s mark x"))
                .await?,
        );
        let perhaps = fault::partition("s", "c").may_not_fire();
        std::mem::forget(scenario.inject(perhaps).await?);
        let perhaps = fault::reset("s", "c").at("s mark x").may_not_fire();
        std::mem::forget(scenario.inject(perhaps).await?);
        Ok(())
    });
    assert_eq!(why, "it passed");
}

#[test]
fn the_tests_own_failure_comes_first() {
    let why = failure!(async |scenario: Scenario| -> Result<()> {
        std::mem::forget(scenario.inject(fault::partition("s", "c")).await?);
        Err("for another reason".into())
    });
    assert_eq!(why, "for another reason");
}

#[test]
fn a_reset_that_finds_no_connection_fails_the_test() {
    let why = failure!(async |scenario: Scenario| -> Result<()> {
        let s = scenario.host("s").await?;
        let reset = scenario
            .inject(fault::reset("s", "c").at("s mark x"))
            .await?;
        s.mark("x");
        let error = reset.fired().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`! reset s c` found no connection to reset"
        );
        Ok(())
    });
    assert_eq!(why, "`! reset s c` found no connection");
}
