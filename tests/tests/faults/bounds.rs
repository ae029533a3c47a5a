//! What can't be acted on, and what must not stay behind.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use lonet::Host;
use lonet_harness::{ErrorKind, Result, Scenario, fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::python::python;
use crate::roles;

#[lonet::test]
async fn a_process_that_obeys_nothing_is_named(scenario: Scenario) -> Result<()> {
    let gamma = scenario.spawn("γ", python()).await?;
    let refused = |error: lonet_harness::Error, line: &str| {
        assert_eq!(error.kind(), ErrorKind::Fault);
        assert_eq!(
            error.to_string(),
            format!(
                "`{line}` can't act on γ: process {} (γ) reports events and does not obey faults; roles \
                 and programs that use the crate lonet do",
                gamma.pid()
            )
        );
    };
    let error = scenario
        .inject(fault::partition("γ", "α"))
        .await
        .unwrap_err();
    refused(error, "! partition γ α");
    let error = scenario.inject(fault::refuse("_", "α")).await.unwrap_err();
    refused(error, "! refuse _ α");
    let error = scenario
        .inject(fault::vanish("α").at("α mark x"))
        .await
        .unwrap_err();
    refused(error, "! vanish α");
    let error = scenario
        .inject(fault::kill("γ").at("γ mark x"))
        .await
        .unwrap_err();
    refused(error, "! kill γ");
    // Others can be acted on, and it can be killed from outside.
    let others = scenario.inject(fault::cut("α", "β").may_not_fire()).await?;
    others.heal().await?;
    scenario.inject(fault::kill("γ")).await?.fired().await?;
    scenario
        .trace()
        .assert_contains("! cut α β\n ! heal α β\n ! kill γ");
    Ok(())
}

#[test]
fn who_joins_and_obeys_nothing_fails_the_test() {
    let why = lonet_harness::run("joins", async |scenario: Scenario| -> Result<()> {
        let _cut = scenario.inject(fault::cut("α", "γ").may_not_fire()).await?;
        let gamma = scenario.spawn("γ", python()).await?;
        gamma.until("γ mark here").await?;
        Ok(())
    });
    let why = why.unwrap_err().to_string();
    let end = "(γ) joined the network as γ, and does not obey `! cut α γ`";
    assert!(why.ends_with(end), "{why}");
}

#[lonet::test]
async fn a_socket_that_was_taken_is_named(scenario: Scenario) -> Result<()> {
    let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    let listener = alpha.listen(":10").await?;
    let (dialed, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
    let (dialed, _accepted) = (dialed?, accepted?);
    let _ = dialed.socket();
    let error = scenario
        .inject(fault::partition("α", "_"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`! partition α _` can't act on β:1: its program has taken the socket of this connection to \
         α:1 (with `socket`), and reads and writes it without lonet"
    );
    // Closed, it is in the way of nothing.
    drop(dialed);
    let partition = scenario
        .inject(fault::partition("α", "_").may_not_fire())
        .await?;
    partition.heal().await?;
    Ok(())
}

/// Marks, and goes as fast as it can.
#[lonet::host]
async fn says_and_returns(host: Host, to: String) -> Result<()> {
    let mut conn = host.dial(&to).await?;
    conn.write_all(b"x").await?;
    host.mark("said");
    Ok(())
}

#[lonet::test(repeat = 20)]
async fn an_end_waits_until_others_obey(scenario: Scenario) -> Result<()> {
    let alpha = scenario.host("α").await?;
    let listener = alpha.listen(":10").await?;
    let partition = scenario
        .inject(fault::partition("α", "β").at("β mark said"))
        .await?;
    let beta = scenario.spawn("β", says_and_returns("α:10".into())).await?;
    let mut conn = listener.accept().await?;
    let mut bytes = [0; 8];
    assert_eq!(conn.read(&mut bytes).await?, 1);
    partition.fired().await?;
    // Its process has ended, and its peers don't see that.
    beta.join().await?;
    let end = timeout(Duration::from_millis(5), conn.read(&mut bytes)).await;
    assert!(end.is_err(), "{end:?}");
    partition.heal().await?;
    let _ = timeout(Duration::from_secs(5), conn.read(&mut bytes)).await?;
    Ok(())
}

#[lonet::test(repeat = 20)]
async fn a_kill_waits_until_others_obey(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.host("β").await?;
    let mut conn = beta.dial("α:10").await?;
    let partition = scenario
        .inject(fault::partition("α", "β").at("α mark got y"))
        .await?;
    conn.write_all(b"xy").await?;
    let mut bytes = [0; 8];
    assert_eq!(conn.read(&mut bytes).await?, 1);
    scenario.until("α mark got y").await?;
    alpha.kill().await?;
    let end = timeout(Duration::from_millis(5), conn.read(&mut bytes)).await;
    assert!(end.is_err(), "{end:?}");
    partition.heal().await?;
    Ok(())
}

/// What stays behind of a test that ends so.
fn leaves_nothing(body: impl AsyncFn(Scenario) -> Result<()>) {
    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| {
        lonet_harness::run("leaves", |scenario: Scenario| body(scenario))
    }));
    // The next one in this process begins with nothing in force.
    lonet_harness::run("begins", async |scenario: Scenario| -> Result<()> {
        let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
        let listener = alpha.listen(":10").await?;
        let (dialed, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
        let _both = (dialed?, accepted?);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_leaked_guard_heals_with_the_test() {
    leaves_nothing(async |scenario: Scenario| {
        let alpha = scenario.spawn("α", roles::echoes()).await?;
        scenario.until("α:10 listen").await?;
        let beta = scenario
            .spawn("β", roles::asks("α:10".into(), "x".into()))
            .await?;
        std::mem::forget(scenario.inject(fault::partition("α", "β")).await?);
        std::mem::forget((alpha, beta));
        Ok(())
    });
}

#[test]
fn a_panic_heals() {
    leaves_nothing(async |scenario: Scenario| {
        let _partition = scenario.inject(fault::partition("α", "_")).await?;
        let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
        let _listener = alpha.listen(":10").await?;
        tokio::spawn(async move { beta.dial("α:10").await });
        panic!("in the middle");
    });
}

#[test]
fn a_fault_after_the_test_is_refused() {
    let kept = std::sync::Mutex::new(None);
    lonet_harness::run("kept", async |scenario: Scenario| -> Result<()> {
        *kept.lock().unwrap() = Some(scenario);
        Ok(())
    })
    .unwrap();
    let scenario = kept.into_inner().unwrap().unwrap();
    let late = async {
        scenario
            .inject(fault::partition("α", "β"))
            .await
            .unwrap_err()
    };
    let late = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(late);
    assert_eq!(late.kind(), ErrorKind::Misplaced);
    assert_eq!(late.to_string(), "the scenario is over");
}

/// How many descriptors a process has open.
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

#[lonet::test(timeout = "60s")]
async fn thousands_of_faults_leave_nothing(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", roles::echoes()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.host("β").await?;
    let mut conn = beta.dial("α:10").await?;
    let mut byte = [0];
    let mut before = 0;
    for round in 0..2_000 {
        // The guard's drop ends it, or disarms it, while the next one comes.
        let fault = match round % 4 {
            0 => fault::partition("α", "β").at("α mark never"),
            1 => fault::cut("β", "_"),
            2 => fault::delay("α", "β", Duration::from_micros(1)),
            _ => fault::partition("α", "β"),
        };
        let injected = scenario.inject(fault.may_not_fire()).await?;
        match round % 4 {
            0 | 1 => drop(injected),
            _ => drop(injected.heal().await?),
        }
        if round % 100 == 99 {
            conn.write_all(b"x").await?;
            conn.read_exact(&mut byte).await?;
        }
        if round == 99 {
            before = descriptors(alpha.pid());
        }
    }
    assert_eq!(descriptors(alpha.pid()), before);
    drop(beta.dial("α:10").await?);
    Ok(())
}
