//! Processes that the harness did not start, and what they may send to a trace socket: what makes no
//! sense fails the test with the process's name, and the others' trace is kept.

use std::io::Write;
use std::os::unix::net::UnixStream;

use lonet_harness::{Result, Scenario};

const HELLO: &[u8] = b"{\"hello\":{\"version\":1,\"nonce\":1}}\n";

/// A reporter of this test's own, and a host whose trace must not suffer.
async fn reported(scenario: &Scenario, bytes: &[u8]) -> Result<()> {
    let name = scenario.network().trim_start_matches("lonet");
    let socket = std::env::temp_dir()
        .join("lonet")
        .join(name)
        .join("trace.sock");
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(bytes)?;
    drop(stream);
    let host = scenario.host("α").await?;
    host.mark("kept");
    scenario.until("α mark kept").await?;
    scenario.assert_trace("α mark kept");
    Ok(())
}

#[lonet::test]
#[should_panic(expected = "sent a line to the trace socket that is none of the trace protocol")]
async fn garbage_is_named(scenario: Scenario) -> Result<()> {
    reported(&scenario, &[HELLO, b"220 smtp ready\n"].concat()).await
}

#[lonet::test]
#[should_panic(expected = "did not begin with a `hello`")]
async fn no_hello(scenario: Scenario) -> Result<()> {
    reported(
        &scenario,
        b"{\"ev\":{\"n\":1,\"t\":1,\"e\":{\"up\":{\"h\":\"x\"}}}}\n",
    )
    .await
}

#[lonet::test]
#[should_panic(expected = "speaks version 7 of the trace protocol")]
async fn another_version(scenario: Scenario) -> Result<()> {
    reported(&scenario, b"{\"hello\":{\"version\":7,\"nonce\":1}}\n").await
}

/// As of a process that is killed while it writes: that is no fault, and no event.
#[lonet::test]
async fn half_a_line_is_no_event(scenario: Scenario) -> Result<()> {
    reported(
        &scenario,
        &[HELLO, b"{\"ev\":{\"n\":1,\"t\":1,\"e\":{\"mark\""].concat(),
    )
    .await
}
