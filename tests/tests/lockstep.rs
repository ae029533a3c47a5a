//! Lockstep, as a test first meets it: two processes, one event at a time, and what is said when the
//! next event is not the one that was expected.
//!
//! Owns no rule of what can be held; for that, see the tests of holds.

// A register with a race, between two clients, a primary and a backup.
#[path = "../examples/register/client.rs"]
mod client;
#[path = "../examples/register/history.rs"]
mod history;
#[path = "../examples/register/replica.rs"]
mod replica;

use lonet::Host;
use lonet_harness::{Lockstep, Node, Result, Scenario};
use lonet_tests::victim;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use client::Client;
use replica::Acknowledges;

/// Two processes, each with a sequence of events of its own: they open listeners.
#[lonet::host]
async fn listens(host: Host, ports: Vec<u16>) -> Result<()> {
    let mut listeners = Vec::new();
    for port in ports {
        let addr = format!(":{port}");
        listeners.push(host.listen(addr.as_str()).await?);
    }
    Ok(())
}

/// Two processes, in lockstep from their beginning.
async fn two(scenario: &Scenario) -> Result<(Lockstep, Node<()>, Node<()>)> {
    let lockstep = scenario.lockstep().await?;
    let x = scenario.spawn("x", listens(vec![1, 2])).await?;
    let y = scenario.spawn("y", listens(vec![11, 12])).await?;
    Ok((lockstep, x, y))
}

fn lines(lockstep: &Lockstep) -> Vec<String> {
    lockstep.held().iter().map(ToString::to_string).collect()
}

/// Two threads, ok. Of the six orders that two sequences of two events have, the one that is asked for.
async fn in_that_order(scenario: Scenario, order: [&str; 4]) -> Result<()> {
    let (mut lockstep, x, y) = two(&scenario).await?;
    for line in order {
        let event = lockstep.expect(line).await?;
        assert_eq!(event.to_string(), line);
    }
    assert_eq!(lines(&lockstep), [""; 0]);
    drop(lockstep);
    x.join().await?;
    y.join().await?;
    // Nothing but the clock orders events of x and of y: it must have been just this order.
    scenario.assert_order(&order.join("\n"));
    Ok(())
}

#[lonet::test]
async fn one_process_after_the_other(scenario: Scenario) -> Result<()> {
    let order = ["x:1 listen", "x:2 listen", "y:11 listen", "y:12 listen"];
    in_that_order(scenario, order).await
}

#[lonet::test]
async fn the_later_process_first(scenario: Scenario) -> Result<()> {
    let order = ["y:11 listen", "y:12 listen", "x:1 listen", "x:2 listen"];
    in_that_order(scenario, order).await
}

#[lonet::test]
async fn in_turns(scenario: Scenario) -> Result<()> {
    let order = ["y:11 listen", "x:1 listen", "y:12 listen", "x:2 listen"];
    in_that_order(scenario, order).await
}

/// What was not expected does not happen meanwhile.
#[lonet::test]
async fn only_the_expected_event_happens(scenario: Scenario) -> Result<()> {
    let (mut lockstep, _x, _y) = two(&scenario).await?;
    lockstep.expect("y:11 listen").await?;
    lockstep.expect("y:12 listen").await?;
    // By now x has reached its first event, or will: it waits there.
    let refused = lockstep.expect("x:2 listen").await.unwrap_err().to_string();
    assert!(refused.contains("x:1 listen"), "{refused}");
    assert_eq!(scenario.trace().count("x:_ listen")?, 0);
    assert_eq!(lines(&lockstep), ["x:1 listen"]);
    // A refused expectation lets nothing go on, and spoils nothing.
    lockstep.expect("x:1 listen").await?;
    lockstep.expect("x:2 listen").await?;
    Ok(())
}

/// Expected is an event of another kind than the one that is next.
#[lonet::test]
async fn a_wrong_verb_shows_what_waits(scenario: Scenario) -> Result<()> {
    let mut lockstep = scenario.lockstep().await?;
    let _x = scenario.spawn("x", listens(vec![1])).await?;
    let refused = lockstep.expect("x:1 dial y:1").await.unwrap_err();
    let refused = refused.to_string();
    for said in ["x:1 dial y:1", "x:1 listen"] {
        assert!(refused.contains(said), "{said:?} is not in: {refused}");
    }
    Ok(())
}

/// The event that is next is of the right kind, and has another value.
#[lonet::test]
async fn a_wrong_port_shows_what_waits(scenario: Scenario) -> Result<()> {
    let mut lockstep = scenario.lockstep().await?;
    let _x = scenario.spawn("x", listens(vec![7])).await?;
    let refused = lockstep.expect("x:8 listen").await.unwrap_err().to_string();
    for said in ["x:8 listen", "x:7 listen"] {
        assert!(refused.contains(said), "{said:?} is not in: {refused}");
    }
    // With the value left open, it is right.
    let event = lockstep.expect("x:_ listen").await?;
    assert_eq!(event.to_string(), "x:7 listen");
    Ok(())
}

/// A line that is none is refused at once.
#[lonet::test]
async fn what_can_not_be_expected(scenario: Scenario) -> Result<()> {
    let mut lockstep = scenario.lockstep().await?;
    for line in ["x:1 listens", "", "_"] {
        assert!(lockstep.expect(line).await.is_err(), "{line:?}");
    }
    Ok(())
}

/// When the lockstep is dropped, all that it held goes on.
#[lonet::test]
async fn a_drop_lets_everything_go_on(scenario: Scenario) -> Result<()> {
    let (mut lockstep, x, y) = two(&scenario).await?;
    lockstep.expect("x:1 listen").await?;
    drop(lockstep);
    x.join().await?;
    y.join().await?;
    assert_eq!(scenario.trace().count("_ listen")?, 4);
    Ok(())
}

/// x can open its listener only after y has. Expecting them the other way round is a deadlock that the
/// test itself makes.
#[lonet::host]
async fn listens_later(host: Host) -> Result<()> {
    lonet_harness::until("y:11 listen").await?;
    drop(host.listen(":1").await?);
    Ok(())
}

#[lonet::test]
async fn an_order_that_can_not_be_shows_what_waits(scenario: Scenario) -> Result<()> {
    let mut lockstep = scenario.lockstep().await?;
    let x = scenario.spawn("x", listens_later()).await?;
    let y = scenario.spawn("y", listens(vec![11])).await?;
    let refused = lockstep.expect("x:1 listen").await.unwrap_err().to_string();
    assert!(refused.contains("y:11 listen"), "{refused}");
    lockstep.expect("y:11 listen").await?;
    lockstep.expect("x:1 listen").await?;
    drop(lockstep);
    x.join().await?;
    y.join().await?;
    Ok(())
}

/// Reads before it writes.
#[lonet::host]
async fn waits_for_the_dialer(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut conn = listener.accept().await?;
    conn.read_u8().await?;
    Ok(conn.write_u8(1).await?)
}

/// As well.
#[lonet::host]
async fn waits_for_the_listener(host: Host) -> Result<()> {
    let mut conn = host.dial("x:10").await?;
    conn.read_u8().await?;
    Ok(conn.write_u8(1).await?)
}

/// The race of the register, found by delaying one event. The primary acknowledges a write before the
/// backup has it.
async fn two_replicas(scenario: &Scenario, acknowledges: Acknowledges) -> Result<()> {
    #[lonet::host]
    async fn backup(host: Host) -> Result<()> {
        Ok(replica::backup(&host).await?)
    }

    #[lonet::host]
    async fn primary(host: Host, acknowledges: Acknowledges) -> Result<()> {
        Ok(replica::primary(&host, "b:20", acknowledges).await?)
    }

    // Dropped nodes go on until the test ends.
    scenario.spawn("b", backup()).await?;
    scenario.until("b:20 listen").await?;
    scenario.spawn("p", primary(acknowledges)).await?;
    scenario.until("p:10 listen").await?;
    Ok(())
}

#[lonet::host]
async fn writer(host: Host) -> Result<()> {
    Client::of(host, "p:10").await?.write(1).await
}

#[lonet::host]
async fn reader(host: Host) -> Result<u64> {
    Client::of(host, "b:20").await?.read().await
}

/// Up to where the primary has the write, and passes it on.
const WRITE: [&str; 6] = [
    "c:1 dial p:10",
    "p:2 accept c:1",
    "c:1 connect p:2",
    "c:1 send p:2",
    "p:2 recv c:1",
    "p:1 send b:1",
];

const ACKNOWLEDGED: [&str; 2] = ["p:2 send c:1", "c:1 recv p:2"];

const READ: [&str; 7] = [
    "r:1 dial b:20",
    "b:2 accept r:1",
    "r:1 connect b:2",
    "r:1 send b:2",
    "b:2 recv r:1",
    "b:2 send r:1",
    "r:1 recv b:2",
];

async fn expect(lockstep: &mut Lockstep, lines: &[&str]) -> Result<()> {
    for line in lines {
        lockstep.expect(line).await?;
    }
    Ok(())
}

fn is_linearizable(scenario: &Scenario) -> bool {
    history::assert_linearizable(&history::marks(&scenario.trace())).is_ok()
}

#[lonet::test]
async fn a_delayed_write_is_overtaken(scenario: Scenario) -> Result<()> {
    two_replicas(&scenario, Acknowledges::Sent).await?;
    let mut lockstep = scenario.lockstep().await?;
    let c = scenario.spawn("c", writer()).await?;
    expect(&mut lockstep, &WRITE).await?;
    expect(&mut lockstep, &ACKNOWLEDGED).await?;
    c.join().await?;
    let r = scenario.spawn("r", reader()).await?;
    // The write is there meanwhile, and waits to be let in.
    expect(&mut lockstep, &READ).await?;
    assert_eq!(r.join().await?, 0);
    assert!(!is_linearizable(&scenario));
    let held = lines(&lockstep);
    let write = held.iter().any(|line| line.starts_with("b:1 recv p:1"));
    assert!(write, "{held:?}");
    lockstep.expect("b:1 recv p:1").await?;
    Ok(())
}

/// The same program, and the order that every other run shows.
#[lonet::test]
async fn a_write_that_is_not_delayed_is_read(scenario: Scenario) -> Result<()> {
    two_replicas(&scenario, Acknowledges::Sent).await?;
    let mut lockstep = scenario.lockstep().await?;
    let c = scenario.spawn("c", writer()).await?;
    expect(&mut lockstep, &WRITE).await?;
    lockstep.expect("b:1 recv p:1").await?;
    expect(&mut lockstep, &ACKNOWLEDGED).await?;
    c.join().await?;
    let r = scenario.spawn("r", reader()).await?;
    expect(&mut lockstep, &READ).await?;
    assert_eq!(r.join().await?, 1);
    assert!(is_linearizable(&scenario));
    Ok(())
}

/// With the wait, the acknowledgement can't come before the write has arrived.
#[lonet::test]
async fn with_the_wait_nothing_overtakes(scenario: Scenario) -> Result<()> {
    two_replicas(&scenario, Acknowledges::Stored).await?;
    let mut lockstep = scenario.lockstep().await?;
    let c = scenario.spawn("c", writer()).await?;
    expect(&mut lockstep, &WRITE).await?;
    let refused = lockstep.expect("p:2 send c:1").await.unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("b:1 recv p:1"), "{refused}");
    expect(
        &mut lockstep,
        &["b:1 recv p:1", "b:1 send p:1", "p:1 recv b:1"],
    )
    .await?;
    expect(&mut lockstep, &ACKNOWLEDGED).await?;
    c.join().await?;
    let r = scenario.spawn("r", reader()).await?;
    expect(&mut lockstep, &READ).await?;
    assert_eq!(r.join().await?, 1);
    assert!(is_linearizable(&scenario));
    Ok(())
}

// What fails the test itself: each is a process of its own.

/// One event more than was expected: the test waits for the process, and the process for the test.
#[lonet::test(timeout = "3s")]
#[ignore = "fails"]
async fn an_extra_event(scenario: Scenario) -> Result<()> {
    let mut lockstep = scenario.lockstep().await?;
    let x = scenario.spawn("x", listens(vec![1, 2, 3])).await?;
    expect(&mut lockstep, &["x:1 listen", "x:2 listen"]).await?;
    Ok(x.join().await?)
}

#[test]
fn an_extra_event_is_named() {
    // Before that event, not in an operation of its own making.
    victim::run("an_extra_event").says(false, &["`x:3 listen`: held by `lockstep` for "]);
}

/// Both wait for each other's first byte; nothing is held, and nothing can come.
#[lonet::test(timeout = "3s")]
#[ignore = "fails"]
async fn a_deadlock(scenario: Scenario) -> Result<()> {
    let mut lockstep = scenario.lockstep().await?;
    let _x = scenario.spawn("x", waits_for_the_dialer()).await?;
    lockstep.expect("x:10 listen").await?;
    let _y = scenario.spawn("y", waits_for_the_listener()).await?;
    expect(
        &mut lockstep,
        &["y:1 dial x:10", "x:1 accept y:1", "y:1 connect x:1"],
    )
    .await?;
    lockstep.expect("x:1 send y:1").await?;
    Ok(())
}

#[test]
fn a_deadlock_shows_who_waits_for_whom() {
    victim::run("a_deadlock").says(
        false,
        &[
            "x:1 send y:1",
            "waits in read y:1->x:1",
            "waits in read x:1->y:1",
            "each waits for the next: x → y → x",
        ],
    );
}

/// The same as `an_order_that_can_not_be_shows_what_waits`, where the body gives up.
#[lonet::test(timeout = "3s")]
#[ignore = "fails"]
async fn a_wrong_event(scenario: Scenario) -> Result<()> {
    let (mut lockstep, _x, _y) = two(&scenario).await?;
    expect(&mut lockstep, &["x:1 listen", "x:9 listen"]).await
}

#[test]
fn a_wrong_event_is_shown_beside_those_that_wait() {
    victim::run("a_wrong_event").says(false, &["x:9 listen", "x:2 listen", "y:11 listen"]);
}

/// A race found without saying where: each arrival is delayed in turn.
#[lonet::test(search = "10s")]
#[ignore = "fails"]
async fn a_race(scenario: Scenario) -> Result<()> {
    two_replicas(&scenario, Acknowledges::Sent).await?;
    scenario.spawn("c", writer()).await?.join().await?;
    scenario.spawn("r", reader()).await?.join().await?;
    history::assert_linearizable(&history::marks(&scenario.trace()))
}

#[test]
fn a_race_is_found_by_delaying() {
    victim::run("a_race").says(false, &["not linearizable", "b:1 recv p:1", "schedule = "]);
}
