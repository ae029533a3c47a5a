//! Two processes, one connection: the smallest scenario, with its trace, sequence diagram and report.
//!
//! Run it with `cargo run -p lonet-harness --example ping_pong`.

use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Plays one host, in a process of its own: answers one ping.
#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut conn = listener.accept().await?;
    let mut ping = [0; 4];
    conn.read_exact(&mut ping).await?;
    conn.write_all(b"pong").await?;
    Ok(())
}

/// Plays another: sends a ping, returns what came back.
#[lonet::host]
async fn client(host: Host, to: String) -> Result<String> {
    let mut conn = host.dial(&to).await?;
    conn.write_all(b"ping").await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[lonet::main]
async fn main(scenario: Scenario) -> Result<()> {
    // A failed scenario leaves a report; this one is to leave its report in any case.
    scenario.keep_artifacts();
    let alpha = scenario.spawn("α", server()).await?;
    println!(
        "α is process {}, on the network {}",
        alpha.pid(),
        scenario.network()
    );
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", client("α:10".into())).await?;
    println!("β is process {}", beta.pid());

    println!("β was answered {:?}\n", beta.join().await?);
    alpha.join().await?;

    // Which network events must happen, each below its causes. What is concurrent, as the last
    // two lines are, may stand in any order.
    scenario.assert_trace(
        "
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        α:1  close   β:1
        α:10 close
        β:1  close   α:1
        ",
    );

    let trace = scenario.trace();
    println!("The trace, as asserted:\n\n{trace}");
    println!("The same as a sequence diagram:\n\n{}", trace.diagram());
    let report = scenario.artifacts_dir().join("report.html");
    println!("The same for a browser: {}", report.display());
    Ok(())
}
