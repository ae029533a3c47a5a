//! Each operation that can be held: it has had no effect while it was, and has its effect after.

use std::time::Duration;

use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What is to come, comes within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Accepts one connection after another: reads to the end, says what, and sends it back.
#[lonet::host]
async fn echoes(host: Host, connections: usize) -> Result<()> {
    let listener = host.listen(":10").await?;
    host.mark("listens");
    for _ in 0..connections {
        let mut stream = listener.accept().await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        host.mark(format!("read {text}"));
        stream.write_all(text.as_bytes()).await?;
    }
    Ok(())
}

/// Says that, and reads the answer.
#[lonet::host]
async fn says(host: Host, text: String) -> Result<String> {
    let mut stream = host.dial("s:10").await?;
    host.mark("connected");
    stream.write_all(text.as_bytes()).await?;
    host.mark("sent");
    stream.shutdown().await?;
    host.mark("shut");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Plays both with one event held: the events named first have happened by then, the others have not.
async fn holds(scenario: &Scenario, pattern: &str, event: &str, not_yet: &[&str]) -> Result<()> {
    let hold = scenario.hold(pattern).await?;
    let server = scenario.spawn("s", echoes(1)).await?;
    if !pattern.ends_with("listen") {
        scenario.until("s mark listens").await?;
    }
    let client = match pattern.ends_with("listen") {
        true => None,
        false => Some(scenario.spawn("c", says("hello".into())).await?),
    };
    let reached = tokio::time::timeout(PATIENCE, hold.reached())
        .await
        .unwrap()?;
    assert_eq!(reached.to_string(), event);
    let seen = seen(scenario);
    for line in not_yet {
        assert!(!seen.iter().any(|seen| seen == line), "{line}: {seen:?}");
    }
    hold.release().await?;
    let client = match client {
        Some(client) => client,
        None => {
            scenario.until("s mark listens").await?;
            scenario.spawn("c", says("hello".into())).await?
        }
    };
    assert_eq!(client.join().await?, "hello");
    server.join().await?;
    Ok(())
}

/// The lines of all that has happened so far, wherever.
fn seen(scenario: &Scenario) -> Vec<String> {
    let trace = scenario.trace().with_data();
    trace.events().iter().map(ToString::to_string).collect()
}

#[lonet::test]
async fn a_listen_is_held_before_its_port_is_open(scenario: Scenario) -> Result<()> {
    holds(
        &scenario,
        "s:10 listen",
        "s:10 listen",
        &["s:10 listen", "s mark listens"],
    )
    .await
}

#[lonet::test]
async fn a_dial_is_held_before_its_request(scenario: Scenario) -> Result<()> {
    let not_yet = ["s:1 accept c:1", "c mark connected"];
    holds(&scenario, "c:_ dial s:10", "c:1 dial s:10", &not_yet).await
}

#[lonet::test]
async fn an_accept_is_held_before_it_takes_its_dialer(scenario: Scenario) -> Result<()> {
    let not_yet = ["s:1 accept c:1", "c mark connected"];
    holds(&scenario, "s:_ accept c:_", "s:1 accept c:1", &not_yet).await
}

#[lonet::test]
async fn a_connect_is_held_before_it_returns(scenario: Scenario) -> Result<()> {
    let not_yet = ["c:1 connect s:1", "c mark connected"];
    holds(&scenario, "c:_ connect s:_", "c:1 connect s:1", &not_yet).await
}

#[lonet::test]
async fn a_send_is_held_before_a_byte_leaves(scenario: Scenario) -> Result<()> {
    let not_yet = ["c:1 send s:1 5", "c mark sent", "s:1 recv c:1 5"];
    holds(&scenario, "c:_ send s:_", "c:1 send s:1 5", &not_yet).await
}

#[lonet::test]
async fn a_shutdown_is_held_before_the_peer_reads_eof(scenario: Scenario) -> Result<()> {
    let not_yet = ["c:1 shutdown s:1", "c mark shut", "s mark read hello"];
    holds(&scenario, "c:_ shutdown s:_", "c:1 shutdown s:1", &not_yet).await
}

#[lonet::test]
async fn bytes_are_held_before_they_are_read(scenario: Scenario) -> Result<()> {
    let not_yet = ["s:1 recv c:1 5", "s mark read hello"];
    holds(&scenario, "s:_ recv c:_", "s:1 recv c:1 5", &not_yet).await
}

/// Sends, says so, and dies or closes.
#[lonet::host]
async fn sends_and_closes(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut stream = listener.accept().await?;
    stream.write_all(b"bye").await?;
    drop(stream);
    host.mark("closed");
    lonet_harness::until("c mark read").await?;
    Ok(())
}

/// Waits for the word, and then reads twice.
#[lonet::host]
async fn reads_twice(host: Host) -> Result<()> {
    let mut stream = host.dial("s:10").await?;
    let mut bytes = [0; 8];
    let first = stream.read(&mut bytes).await?;
    host.mark(format!("first {first}"));
    let second = stream.read(&mut bytes).await?;
    host.mark(format!("second {second}"));
    host.mark("read");
    Ok(())
}

#[lonet::test]
async fn an_eof_is_held_as_bytes_are(scenario: Scenario) -> Result<()> {
    let hold = scenario.hold("c:_ recv s:_").await?;
    let server = scenario.spawn("s", sends_and_closes()).await?;
    scenario.until("s:10 listen").await?;
    let client = scenario.spawn("c", reads_twice()).await?;
    scenario.until("s mark closed").await?;
    assert_eq!(hold.reached().await?.to_string(), "c:1 recv s:1 3");
    assert!(
        !seen(&scenario)
            .iter()
            .any(|line| line.contains("mark first"))
    );
    hold.release().await?;
    client.join().await?;
    let trace = scenario.trace();
    trace.assert_contains("c mark first 3\nc mark second 0");
    server.join().await?;
    Ok(())
}

/// Two clients; the first dialer is held in the queue, and the other one is accepted before it.
#[lonet::test]
async fn a_held_dialer_lets_others_pass_and_keeps_its_place(scenario: Scenario) -> Result<()> {
    let hold = scenario.hold("s:_ accept a:_").await?;
    let server = scenario.spawn("s", echoes(2)).await?;
    scenario.until("s:10 listen").await?;
    let a = scenario.spawn("a", says("a".into())).await?;
    hold.reached().await?;
    let b = scenario.spawn("b", says("b".into())).await?;
    assert_eq!(b.join().await?, "b");
    hold.release().await?;
    assert_eq!(a.join().await?, "a");
    server.join().await?;
    scenario
        .trace()
        .only_verbs(&[lonet_harness::Verb::Accept])
        .assert("s:1 accept b:1\ns:1 accept a:1");
    Ok(())
}

#[lonet::test]
async fn a_dropped_hold_lets_go(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("s", echoes(1)).await?;
    scenario.until("s:10 listen").await?;
    let hold = scenario.hold("s:_ recv _:_").await?;
    let client = scenario.spawn("c", says("hello".into())).await?;
    hold.reached().await?;
    drop(hold);
    assert_eq!(client.join().await?, "hello");
    server.join().await?;
    Ok(())
}

/// Two holds of one event: it happens once both are gone.
#[lonet::test]
async fn two_holds_of_one_event_add_up(scenario: Scenario) -> Result<()> {
    let first = scenario.hold("s:_ accept c:_").await?;
    let second = scenario.hold("s:1 accept _:_").await?;
    let server = scenario.spawn("s", echoes(1)).await?;
    scenario.until("s:10 listen").await?;
    let client = scenario.spawn("c", says("hello".into())).await?;
    first.reached().await?;
    second.reached().await?;
    first.release().await?;
    assert!(!seen(&scenario).iter().any(|line| line == "s:1 accept c:1"));
    second.release().await?;
    assert_eq!(client.join().await?, "hello");
    server.join().await?;
    Ok(())
}

/// Gives up a dial that is held, and dials again.
#[lonet::host]
async fn gives_up(host: Host) -> Result<()> {
    let given_up = tokio::time::timeout(Duration::from_millis(50), host.dial("s:10")).await;
    assert!(given_up.is_err());
    host.mark("gave up");
    drop(host.dial("s:10").await?);
    Ok(())
}

#[lonet::test]
async fn what_is_given_up_while_it_is_held_has_done_nothing(scenario: Scenario) -> Result<()> {
    let hold = scenario.hold("c:_ dial s:10").await?;
    let server = scenario.spawn("s", echoes(1)).await?;
    scenario.until("s:10 listen").await?;
    let client = scenario.spawn("c", gives_up()).await?;
    scenario.until("c mark gave up").await?;
    hold.release().await?;
    client.join().await?;
    server.join().await?;
    let trace = scenario.trace();
    assert_eq!(trace.to_string().matches("accept").count(), 1, "{trace}");
    Ok(())
}

/// A process that is killed while something is held in it, leaves nothing behind.
#[lonet::test]
async fn a_killed_process_holds_nothing(scenario: Scenario) -> Result<()> {
    let hold = scenario.hold("c:_ send s:_").await?;
    let server = scenario.spawn("s", echoes(1)).await?;
    scenario.until("s:10 listen").await?;
    let client = scenario.spawn("c", says("hello".into())).await?;
    hold.reached().await?;
    client.kill().await?;
    hold.release().await?;
    server.join().await?;
    Ok(())
}
