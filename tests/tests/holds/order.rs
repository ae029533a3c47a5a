//! Two events whose order a test chooses, and all of them, one by one.

use lonet::Host;
use lonet_harness::{ErrorKind, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Says in which order its two clients have spoken.
#[lonet::host]
async fn hears_two(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let (one, two) = (listener.accept().await?, listener.accept().await?);
    let hear = async |mut stream: lonet::Stream| -> Result<()> {
        let said = stream.read_u8().await?;
        host.mark(format!("hears {}", char::from(said)));
        stream.write_u8(said).await?;
        Ok(())
    };
    let (one, two) = tokio::join!(hear(one), hear(two));
    one.and(two)
}

#[lonet::host]
async fn speaks(host: Host, word: char) -> Result<()> {
    let mut stream = host.dial("s:10").await?;
    stream.write_u8(word as u8).await?;
    stream.read_u8().await?;
    Ok(())
}

async fn in_order(scenario: &Scenario, first: char, then: char) -> Result<()> {
    let order = scenario
        .order(
            &format!("s mark hears {first}"),
            &format!("s:_ recv {then}:_"),
        )
        .await?;
    let server = scenario.spawn("s", hears_two()).await?;
    scenario.until("s:10 listen").await?;
    // The one that is to be second has every chance to be first.
    let late = scenario.spawn(&then.to_string(), speaks(then)).await?;
    let early = scenario.spawn(&first.to_string(), speaks(first)).await?;
    early.join().await?;
    late.join().await?;
    server.join().await?;
    drop(order);
    scenario
        .trace()
        .assert_order(&format!("s mark hears {first}\ns mark hears {then}"));
    Ok(())
}

#[lonet::test(repeat = 5)]
async fn one_order(scenario: Scenario) -> Result<()> {
    in_order(&scenario, 'a', 'b').await
}

#[lonet::test(repeat = 5)]
async fn and_the_other(scenario: Scenario) -> Result<()> {
    in_order(&scenario, 'b', 'a').await
}

/// Only what is expected happens, and nothing else does.
#[lonet::test]
async fn lockstep_lets_one_event_happen_at_a_time(scenario: Scenario) -> Result<()> {
    let mut lockstep = scenario.lockstep().await?;
    let server = scenario.spawn("s", hears_two()).await?;
    let b = scenario.spawn("b", speaks('b')).await?;
    let a = scenario.spawn("a", speaks('a')).await?;
    for line in [
        "s:10 listen",
        "b:1 dial s:10",
        "a:1 dial s:10",
        "s:1 accept a:1",
        "s:2 accept b:1",
        "b:1 connect s:2",
        "b:1 send s:2 1",
        "a:1 connect s:1",
        "a:1 send s:1 1",
        "s:2 recv b:1",
        "s mark hears b",
        "s:1 recv a:1",
        "s mark hears a",
    ] {
        let event = lockstep.expect(line).await?;
        assert!(event.to_string().starts_with(line), "{event}");
    }
    lockstep.expect("s:1 send a:1").await?;
    lockstep.expect("s:2 send b:1").await?;
    lockstep.expect("a:1 recv s:1").await?;
    let held = loop {
        let held = lockstep.held();
        match held.is_empty() {
            true => tokio::task::yield_now().await,
            false => break held,
        }
    };
    assert_eq!(held[0].to_string(), "b:1 recv s:2 1");
    drop(lockstep);
    a.join().await?;
    b.join().await?;
    server.join().await?;
    let trace = scenario.trace();
    assert_eq!(
        trace
            .check_order("s mark hears b\ns mark hears a")
            .map_err(|e| e.to_string()),
        Ok(())
    );
    Ok(())
}

/// What a connection is orders its events in every run.
#[lonet::test]
async fn an_order_against_causality_is_refused_with_the_chain(scenario: Scenario) -> Result<()> {
    let error = scenario
        .order("c:1 connect s:1", "s:1 accept c:1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pattern);
    assert_eq!(
        error.to_string().lines().next().unwrap(),
        "`c:1 connect s:1` can't come before `s:1 accept c:1`: of one connection, \
         `accept` → `connect` happen in this order"
    );
    // Of two connections, nothing is known.
    let _fine = scenario.order("c:2 connect s:1", "s:1 accept c:1").await?;
    Ok(())
}
