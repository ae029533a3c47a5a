//! The program of the design, word for word; rustfmt would move its comments.

use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[lonet::host]                                   // plays one host, in a process of its own
async fn server(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;    // "α:10"
    let mut conn = listener.accept().await?;     // local "α:1", peer "β:1"
    let mut buf = [0; 4];
    conn.read_exact(&mut buf).await?;
    conn.write_all(b"pong").await?;
    Ok(())
}

#[lonet::host]
async fn client(host: Host, to: String) -> Result<String> {
    let mut conn = host.dial(&to).await?;        // local "β:1", peer "α:1"
    conn.write_all(b"ping").await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[lonet::test]                                   // a fresh random network for every test
async fn ping_pong(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", server()).await?;
    scenario.until("α:10 listen").await?;        // no sleeps, ever
    let beta = scenario.spawn("β", client("α:10".into())).await?;
    assert_eq!(beta.join().await?, "pong");
    alpha.join().await?;
    scenario.assert_trace("
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        α:1  close   β:1
        α:10 close
        β:1  close   α:1
    ");
    Ok(())
}
