//! Protocols of lines: through a BufReader, pipelined over split halves, through a proxy.

use lonet::Host;
use lonet_harness::{Result, Scenario, expect_file};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};

use super::play;

/// Greets, tells news, and marks between the two; then answers line by line.
#[lonet::host]
async fn greeter(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let (reads, mut writes) = listener.accept().await?.into_split();
    writes.write_all(b"welcome\n").await?;
    host.mark("serving");
    writes.write_all(b"news\n").await?;
    let mut lines = BufReader::new(reads).lines();
    while let Some(line) = lines.next_line().await? {
        host.mark(format!("got {line}"));
        writes.write_all(format!("ok {line}\n").as_bytes()).await?;
        host.mark(format!("answered {line}"));
    }
    Ok(())
}

#[lonet::host]
async fn asks_in_turn(host: Host, to: String) -> Result<()> {
    let (reads, mut writes) = host.dial(&to).await?.into_split();
    let mut lines = BufReader::new(reads).lines();
    for _ in 0..2 {
        let line = lines.next_line().await?.unwrap();
        host.mark(format!("heard {line}"));
    }
    for request in ["one", "two", "three"] {
        writes.write_all(format!("{request}\n").as_bytes()).await?;
        let line = lines.next_line().await?.unwrap();
        host.mark(format!("heard {line}"));
    }
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn through_a_buf_reader(scenario: Scenario) -> Result<()> {
    play(&scenario, greeter(), vec![asks_in_turn("s:10".into())]).await?;
    scenario.assert_trace(expect_file!["texts/through_a_buf_reader.trace"]);
    Ok(())
}

/// Writes all requests in one task while another reads the answers.
#[lonet::host]
async fn asks_ahead(host: Host) -> Result<()> {
    let (reads, mut writes) = host.dial("s:10").await?.into_split();
    let writer = host.clone();
    let writing = tokio::spawn(async move {
        for request in ["one", "two", "three", "four"] {
            writer.mark(format!("asks {request}"));
            writes.write_all(format!("{request}\n").as_bytes()).await?;
        }
        writes.shutdown().await
    });
    let mut lines = BufReader::new(reads).lines();
    while let Some(line) = lines.next_line().await? {
        host.mark(format!("heard {line}"));
    }
    writing.await??;
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn pipelined_over_split_halves(scenario: Scenario) -> Result<()> {
    play(&scenario, greeter(), vec![asks_ahead()]).await?;
    scenario.assert_trace(expect_file!["texts/pipelined_over_split_halves.trace"]);
    Ok(())
}

#[lonet::host]
async fn proxy(host: Host) -> Result<()> {
    let listener = host.listen(":20").await?;
    let mut client = listener.accept().await?;
    let mut server = host.dial("s:10").await?;
    host.mark("proxying");
    copy_bidirectional(&mut client, &mut server).await?;
    host.mark("proxied");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn through_a_proxy(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("s", greeter()).await?;
    scenario.until("s:10 listen").await?;
    let proxy = scenario.spawn("p", proxy()).await?;
    scenario.until("p:20 listen").await?;
    let client = scenario.spawn("a", asks_in_turn("p:20".into())).await?;
    client.join().await?;
    proxy.join().await?;
    server.join().await?;
    scenario.assert_trace(expect_file!["texts/through_a_proxy.trace"]);
    Ok(())
}
