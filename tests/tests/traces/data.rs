//! What is sent and read: in a trace on request, and outside the default view.

use lonet::Host;
use lonet::trace::Verb;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{asks, echo, names, refused};

/// Takes a request of four bytes, one by one, and answers it at once.
#[lonet::host]
async fn answers(host: Host) -> Result<()> {
    let mut conn = host.listen(":10").await?.accept().await?;
    for _ in 0..4 {
        conn.read_u8().await?;
    }
    conn.write_all(b"pong!").await?;
    Ok(())
}

#[lonet::test]
async fn data_is_recorded_on_request(scenario: Scenario) -> Result<()> {
    let alpha = scenario.host("α").await?;
    scenario.record_data()?;
    let beta = scenario.spawn("β", answers()).await?;
    scenario.until("β:10 listen").await?;
    let mut conn = alpha.dial("β:10").await?;
    conn.write_all(b"ping").await?;
    let mut answer = [0; 5];
    conn.read_exact(&mut answer).await?;
    conn.close().await?;
    beta.join().await?;
    // What is sent in one piece and read in one piece may still come in several.
    let trace = scenario.trace().with_data();
    trace.assert_contains(
        "
        α:1 dial β:10
        α:1 connect β:1
        α:1 send β:1 4
        β:1 recv α:1 1
        β:1 recv α:1 1
        β:1 recv α:1 1
        β:1 recv α:1 1
        β:1 send α:1 5
        α:1 recv β:1 _
        α:1 close β:1
        ",
    );
    let message = refused(
        &trace.only_verbs(&[Verb::Send]),
        "β:1 send α:1 5\nα:1 send β:1 4",
    );
    names(&message, &["α:1 send β:1 4", "happens before"]);
    // Outside the default view they are never seen.
    scenario.trace().only_hosts(&["α"]).assert(
        "α:1 dial β:10
         α:1 connect β:1
         α:1 close β:1",
    );
    Ok(())
}

#[lonet::test]
async fn data_is_not_recorded_unasked(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", echo(1)).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", asks("α:10".into())).await?;
    beta.join().await?;
    alpha.join().await?;
    let data = scenario.trace().with_data();
    data.only_verbs(&[Verb::Send, Verb::Recv]).assert("");
    Ok(())
}
