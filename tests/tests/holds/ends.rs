//! Holds that meet each other, and what ends while something is held.

use std::time::Duration;

use lonet::Host;
use lonet_harness::{ErrorKind, Result, Scenario, fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::python::python;

/// What is to come, comes within this.
const PATIENCE: Duration = Duration::from_secs(20);

#[lonet::host]
async fn listens(host: Host) -> Result<()> {
    host.mark("starts");
    let _listener = host.listen(":10").await?;
    host.mark("listens");
    Ok(())
}

/// Sends a byte to who dials, and closes.
#[lonet::host]
async fn sends(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut stream = listener.accept().await?;
    stream.write_all(b"x").await?;
    Ok(())
}

/// Reads to the end.
#[lonet::host]
async fn reads(host: Host) -> Result<()> {
    let mut stream = host.dial("s:10").await?;
    stream.read_to_end(&mut Vec::new()).await?;
    host.mark("read");
    Ok(())
}

#[lonet::test]
async fn an_order_that_is_over_has_held_nothing(scenario: Scenario) -> Result<()> {
    let order = scenario.order("a mark starts", "b:_ listen").await?;
    scenario.spawn("a", listens()).await?.join().await?;
    let error = timeout(PATIENCE, order.reached()).await.unwrap();
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fault);
    let first =
        "`order a mark starts before b:_ listen` held nothing: `a mark starts` has happened";
    assert_eq!(error.to_string().lines().next().unwrap(), first);
    scenario.spawn("b", listens()).await?.join().await?;
    Ok(())
}

#[lonet::test]
async fn one_lockstep_at_a_time(scenario: Scenario) -> Result<()> {
    let lockstep = scenario.lockstep().await?;
    let error = scenario.lockstep().await.unwrap_err();
    assert_eq!(
        error.to_string().lines().next().unwrap(),
        "a lockstep stands, which holds everything: drop it first"
    );
    drop(lockstep);
    drop(scenario.lockstep().await?);
    Ok(())
}

/// What a hold holds, too, waits for both.
#[lonet::test]
async fn a_lockstep_passes_no_other_hold(scenario: Scenario) -> Result<()> {
    let hold = scenario.hold("s:10 listen").await?;
    let mut lockstep = scenario.lockstep().await?;
    let s = scenario.spawn("s", listens()).await?;
    hold.reached().await?;
    let refused = lockstep.expect("s:10 listen").await.unwrap_err();
    let said = "held: `s:10 listen` (also by `hold s:10 listen`)";
    assert!(refused.to_string().contains(said), "{refused}");
    assert_eq!(scenario.trace().count("s:10 listen")?, 0);
    let expecting = async { tokio::join!(lockstep.expect("s:10 listen"), hold.release()) };
    let (event, released) = timeout(PATIENCE, expecting).await.unwrap();
    assert_eq!(event?.to_string(), "s:10 listen");
    released?;
    drop(lockstep);
    s.join().await?;
    Ok(())
}

/// An EOF is an arrival as any other, which has no record.
#[lonet::test]
async fn an_eof_can_be_expected(scenario: Scenario) -> Result<()> {
    let mut lockstep = scenario.lockstep().await?;
    let s = scenario.spawn("s", sends()).await?;
    lockstep.expect("s:10 listen").await?;
    let c = scenario.spawn("c", reads()).await?;
    for line in [
        "c:1 dial s:10",
        "s:1 accept c:1",
        "s:1 send c:1",
        "c:1 connect s:1",
        "s:1 close c:1",
        "c:1 recv s:1 1",
    ] {
        lockstep.expect(line).await?;
    }
    assert_eq!(scenario.trace().count("c mark read")?, 0);
    let end = lockstep.expect("c:1 recv s:1 0").await?;
    assert_eq!(end.to_string(), "c:1 recv s:1 0");
    lockstep.expect("c mark read").await?;
    drop(lockstep);
    s.join().await?;
    c.join().await?;
    Ok(())
}

/// A process that is started later obeys from its first operation on, and so does the next one.
#[lonet::test]
async fn who_comes_later_is_held_from_the_beginning(scenario: Scenario) -> Result<()> {
    let hold = scenario.hold("s:10 listen").await?;
    let s = scenario.spawn("s", listens()).await?;
    hold.reached().await?;
    s.kill().await?;
    let again = scenario.hold("s:10 listen").await?;
    s.restart().await?;
    again.reached().await?;
    again.release().await?;
    // The hold of before holds it still.
    assert_eq!(scenario.trace().count("s:10 listen")?, 0);
    hold.release().await?;
    s.join().await?;
    Ok(())
}

/// A kill at an event, and a pause, do not wait for what is held in that process.
#[lonet::test]
async fn a_process_that_is_held_can_be_stopped_and_killed(scenario: Scenario) -> Result<()> {
    let hold = scenario.hold("s:10 listen").await?;
    let s = scenario.spawn("s", listens()).await?;
    hold.reached().await?;
    timeout(PATIENCE, s.pause()).await.unwrap()?;
    timeout(PATIENCE, s.resume()).await.unwrap()?;
    let killed = scenario.inject(fault::kill("s")).await?;
    timeout(PATIENCE, killed.fired()).await.unwrap()?;
    hold.release().await?;
    Ok(())
}

/// Holds that nobody ends do not keep the test from ending.
#[test]
fn a_test_ends_though_something_is_held() {
    let began = std::time::Instant::now();
    lonet_harness::run("held", async |scenario: Scenario| -> Result<()> {
        let hold = scenario.hold("s:_ listen").await?;
        let s = scenario.spawn("s", listens()).await?;
        hold.reached().await?;
        std::mem::forget(hold);
        std::mem::forget(s);
        Ok(())
    })
    .unwrap();
    let why = lonet_harness::run("panics", async |scenario: Scenario| -> Result<()> {
        let hold = scenario.hold("s:_ listen").await?;
        let _s = scenario.spawn("s", listens()).await?;
        hold.reached().await?;
        std::mem::forget(hold);
        Err("on purpose".into())
    });
    assert!(why.unwrap_err().to_string().contains("on purpose"));
    assert!(began.elapsed() < PATIENCE);
}

#[lonet::test]
async fn who_obeys_nothing_is_not_held(scenario: Scenario) -> Result<()> {
    let gamma = scenario.spawn("γ", python()).await?;
    for refused in [
        scenario.hold("γ:_ send _:_").await.map(drop),
        scenario.lockstep().await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fault);
        let said = "(γ) reports events and does not obey faults";
        assert!(error.to_string().contains(said), "{error}");
    }
    gamma.kill().await?;
    Ok(())
}

#[test]
fn who_joins_later_and_obeys_nothing_fails_the_test() {
    let why = lonet_harness::run("joins", async |scenario: Scenario| -> Result<()> {
        let _hold = scenario.hold("γ:_ send _:_").await?;
        let gamma = scenario.spawn("γ", python()).await?;
        gamma.until("γ mark here").await?;
        Ok(())
    });
    let why = why.unwrap_err().to_string();
    let end = "(γ) joined the network as γ, and does not obey `hold γ:_ send _:_`";
    assert!(why.ends_with(end), "{why}");
}

/// Takes the socket of its connection.
#[lonet::host]
async fn takes(host: Host) -> Result<()> {
    let stream = host.dial("s:10").await?;
    let _ = stream.socket();
    host.mark("took");
    lonet_harness::until("t mark end").await?;
    Ok(())
}

#[lonet::host]
async fn accepts(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let _stream = listener.accept().await?;
    lonet_harness::until("t mark end").await?;
    Ok(())
}

#[lonet::test]
async fn a_socket_that_was_taken_is_not_held(scenario: Scenario) -> Result<()> {
    let own = scenario.host("t").await?;
    let s = scenario.spawn("s", accepts()).await?;
    scenario.until("s:10 listen").await?;
    let c = scenario.spawn("c", takes()).await?;
    let _taken = scenario.until("c mark took").await?;
    let refused = scenario.hold("c:_ recv s:_").await.map(drop);
    if let Err(error) = refused {
        let said = "`hold c:_ recv s:_` can't act on c:1: its program has taken the socket";
        assert!(error.to_string().starts_with(said), "{error}");
    } else {
        panic!("it is held");
    }
    // Of others, all can be held.
    drop(scenario.hold("c:2 recv s:_").await?);
    own.mark("end");
    s.join().await?;
    c.join().await?;
    Ok(())
}
