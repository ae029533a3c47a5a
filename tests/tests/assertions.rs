//! An expected trace with one thing wrong fails, and the message names the line and the cause; one
//! that differs only in what was concurrent holds.

use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const EXPECTED: [&str; 7] = [
    "α:10 listen",
    "β:1 dial α:10",
    "α:1 accept β:1",
    "β:1 connect α:1",
    "α:1 close β:1",
    "α:10 close",
    "β:1 close α:1",
];

#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut conn = listener.accept().await?;
    let mut ping = [0; 4];
    conn.read_exact(&mut ping).await?;
    conn.write_all(b"pong").await?;
    Ok(())
}

#[lonet::host]
async fn client(host: Host) -> Result<()> {
    let mut conn = host.dial("α:10").await?;
    conn.write_all(b"ping").await?;
    conn.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Plays ping-pong to its end, so that all of it is in the past of what follows.
async fn ping_pong(scenario: &Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", server()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", client()).await?;
    beta.join().await?;
    alpha.join().await?;
    scenario.check_trace(EXPECTED.join("\n"))?;
    Ok(())
}

/// The message of the expectation that must not hold.
#[track_caller]
fn refused(scenario: &Scenario, lines: &[&str]) -> String {
    let text = lines.join("\n");
    match scenario.check_trace(&text) {
        Ok(()) => panic!("should not hold:\n{text}"),
        Err(mismatch) => mismatch.to_string(),
    }
}

#[track_caller]
fn assert_names(message: &str, words: &[&str]) {
    for word in words {
        assert!(
            message.contains(word),
            "{word:?} is not named in:\n{message}"
        );
    }
}

#[lonet::test]
async fn a_dropped_line(scenario: Scenario) -> Result<()> {
    ping_pong(&scenario).await?;
    for dropped in 0..EXPECTED.len() {
        let mut lines = EXPECTED.to_vec();
        let line = lines.remove(dropped);
        assert_names(&refused(&scenario, &lines), &[line]);
    }
    Ok(())
}

#[lonet::test]
async fn a_doubled_line(scenario: Scenario) -> Result<()> {
    ping_pong(&scenario).await?;
    for (at, line) in EXPECTED.iter().enumerate() {
        let mut lines = EXPECTED.to_vec();
        lines.insert(at, line);
        assert_names(&refused(&scenario, &lines), &[line]);
    }
    Ok(())
}

#[lonet::test]
async fn a_changed_address(scenario: Scenario) -> Result<()> {
    ping_pong(&scenario).await?;
    let mut lines = EXPECTED.to_vec();
    lines[3] = "β:1 connect α:2";
    assert_names(
        &refused(&scenario, &lines),
        &["β:1 connect α:2", "β:1 connect α:1"],
    );
    Ok(())
}

#[lonet::test]
async fn an_effect_above_its_cause(scenario: Scenario) -> Result<()> {
    ping_pong(&scenario).await?;
    // Every neighbour but the last is the effect of the line above it.
    for first in 0..EXPECTED.len() - 2 {
        let mut lines = EXPECTED.to_vec();
        lines.swap(first, first + 1);
        let message = refused(&scenario, &lines);
        assert_names(
            &message,
            &[EXPECTED[first], EXPECTED[first + 1], "happens before"],
        );
    }
    Ok(())
}

#[lonet::test]
async fn concurrent_lines_in_any_order(scenario: Scenario) -> Result<()> {
    ping_pong(&scenario).await?;
    let mut lines = EXPECTED.to_vec();
    lines.swap(5, 6);
    scenario.assert_trace(lines.join("\n"));
    // The client's close is an effect of the server's, through the EOF it read.
    let trace = scenario.trace();
    let event = |line: &str| {
        let found = trace.events().iter().find(|e| e.to_string() == line);
        found.unwrap_or_else(|| panic!("no {line}")).clone()
    };
    let (server, client) = (event("α:1 close β:1"), event("β:1 close α:1"));
    assert!(trace.happens_before(&server, &client));
    assert!(trace.concurrent(&client, &event("α:10 close")));
    Ok(())
}

#[lonet::test]
#[should_panic(expected = "happens before")]
async fn assert_trace_panics_with_the_page(scenario: Scenario) {
    ping_pong(&scenario).await.unwrap();
    let mut lines = EXPECTED.to_vec();
    lines.swap(2, 3);
    scenario.assert_trace(lines.join("\n"));
}

#[lonet::test(trace = "
    α:10 listen
    β:1  dial    α:10
    α:1  accept  β:1
    β:1  connect α:1
    α:1  close   β:1
    α:10 close
    β:1  close   α:1
")]
async fn a_trace_on_the_attribute(scenario: Scenario) -> Result<()> {
    ping_pong(&scenario).await
}

#[lonet::test(trace = "α:10 listen")]
#[should_panic]
async fn a_wrong_trace_on_the_attribute(scenario: Scenario) -> Result<()> {
    ping_pong(&scenario).await
}
