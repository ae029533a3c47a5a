//! Faults that act on processes: kill and pause, at once and at an event.

use std::time::Duration;

use lonet_harness::{ErrorKind, Result, Scenario, fault};

use crate::roles;

#[lonet::test]
async fn a_kill_at_a_mark_is_exact(scenario: Scenario) -> Result<()> {
    let kill = fault::kill("α").at("α mark counted 3");
    let kill = scenario.inject(kill).await?;
    let alpha = scenario.spawn("α", roles::counts()).await?;
    let event = kill.fired().await?;
    assert_eq!(event.to_string(), "! kill α");
    assert_eq!(alpha.join().await.unwrap_err().kind(), ErrorKind::Killed);
    scenario.assert_trace(
        "
        α mark counted 1
        α mark counted 2
        α mark counted 3
        ! kill α
        ",
    );
    // What can't heal returns its own event.
    assert_eq!(kill.heal().await?.id(), event.id());
    Ok(())
}

#[lonet::test]
async fn the_nth_event_is_counted_in_one_process(scenario: Scenario) -> Result<()> {
    let kill = fault::kill("α").at("α mark counted _").nth(4);
    let kill = scenario.inject(kill).await?;
    let alpha = scenario.spawn("α", roles::counts()).await?;
    kill.fired().await?;
    assert_eq!(alpha.join().await.unwrap_err().kind(), ErrorKind::Killed);
    assert_eq!(scenario.trace().count("α mark counted _")?, 4);
    Ok(())
}

#[lonet::test]
async fn a_kill_is_armed_in_a_process_that_runs(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", roles::counts()).await?;
    let early = scenario.until("α mark counted 2").await?;
    let kill = fault::kill("α").at("α mark counted _").nth(1000);
    let kill = scenario.inject(kill).await?;
    kill.fired().await?;
    assert_eq!(alpha.join().await.unwrap_err().kind(), ErrorKind::Killed);
    let trace = scenario.trace();
    assert!(trace.count("α mark counted _")? > 1000);
    let kill = scenario.until("! kill α").await?;
    assert!(trace.happens_before(&early, &kill));
    Ok(())
}

#[lonet::test]
async fn a_kill_without_an_event_is_that_of_the_node(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", roles::waits()).await?;
    alpha.until("α mark waits").await?;
    let kill = scenario.inject(fault::kill("α")).await?;
    assert_eq!(kill.fired().await?.to_string(), "! kill α");
    assert_eq!(alpha.join().await.unwrap_err().kind(), ErrorKind::Killed);
    scenario.assert_trace("α mark waits\n ! kill α");
    Ok(())
}

#[lonet::test]
async fn who_was_killed_at_an_event_restarts(scenario: Scenario) -> Result<()> {
    let kill = fault::kill("α").at("α mark waits");
    let kill = scenario.inject(kill).await?;
    let alpha = scenario.spawn("α", roles::waits()).await?;
    kill.fired().await?;
    // It was set off once, and is not again.
    alpha.restart().await?;
    alpha.until("α mark waits").await?;
    alpha.terminate().await?;
    scenario.assert_trace(
        "
        α mark      waits
        ! kill      α
        ! restart   α
        α mark      waits
        ! terminate α
        ",
    );
    Ok(())
}

#[lonet::test]
async fn a_pause_at_a_mark_is_exact_and_heals(scenario: Scenario) -> Result<()> {
    let pause = fault::pause("α").at("α mark counted 3");
    let pause = scenario.inject(pause).await?;
    let _alpha = scenario.spawn("α", roles::counts()).await?;
    let stopped = pause.fired().await?;
    assert_eq!(stopped.to_string(), "! pause α");
    scenario.assert_order("α mark counted 3\n ! pause α");
    let next = scenario.until("α mark counted 4");
    let mut next = std::pin::pin!(next);
    let waited = tokio::time::timeout(Duration::from_millis(50), next.as_mut()).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!(pause.heal().await?.to_string(), "! resume α");
    next.await?;
    Ok(())
}

#[lonet::test]
async fn a_pause_ends_with_its_guard(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", roles::waits()).await?;
    alpha.until("α mark waits").await?;
    drop(scenario.inject(fault::pause("α")).await?);
    scenario.until("! resume α").await?;
    alpha.terminate().await?;
    Ok(())
}

#[lonet::test]
async fn a_paused_process_can_be_resumed_and_killed(scenario: Scenario) -> Result<()> {
    for at in [true, false] {
        let pause = match at {
            true => fault::pause("α").at("α mark counted 2"),
            false => fault::pause("β").at("β mark counted 2"),
        };
        let pause = scenario.inject(pause).await?;
        let node = scenario
            .spawn(if at { "α" } else { "β" }, roles::counts())
            .await?;
        pause.fired().await?;
        match at {
            true => {
                node.resume().await?;
                node.until("_ mark counted 5").await?;
                // It has ended; of itself it has no heal.
                assert_eq!(pause.heal().await?.to_string(), "! pause α");
            }
            false => node.kill().await?,
        }
    }
    Ok(())
}

#[lonet::test]
async fn nothing_passes_a_paused_process(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario
        .spawn("β", roles::asks("α:10".into(), "xyz".into()))
        .await?;
    scenario.until("β mark answered x").await?;
    for _ in 0..20 {
        beta.pause().await?;
        beta.resume().await?;
    }
    beta.join().await?;
    Ok(())
}

#[lonet::test]
async fn the_tests_own_process_is_neither_killed_nor_stopped(scenario: Scenario) -> Result<()> {
    let alpha = scenario.host("α").await?;
    alpha.mark("here");
    let error = scenario
        .inject(fault::kill("α").at("α mark here"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault);
    assert_eq!(
        error.to_string(),
        "`! kill α` would act on the test's own process, which plays α; spawn α to give it a process"
    );
    let error = scenario.inject(fault::pause("β")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Host);
    assert_eq!(
        error.to_string(),
        "`! pause β`: no running process of the scenario plays β; with `.at(pattern)` it may be \
         started later"
    );
    Ok(())
}
