//! The program under test: a server, s, stores what its clients write, in the order in which it arrives.

use lonet::{Host, Stream};
use lonet_harness::{Result, Scenario};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// How the server reads what its two clients write.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reads {
    /// Each client in a task of its own.
    AsTheyCome,
    /// The same, but the second client's task waits for the first one's.
    InOrder,
}

#[lonet::host]
pub(crate) async fn server(host: Host, reads: Reads) -> Result<Vec<u8>> {
    let listener = host.listen(":10").await?;
    let (first, second) = (listener.accept().await?, listener.accept().await?);
    let (stores, mut stored) = mpsc::channel(2);
    let (is_read, others) = oneshot::channel();
    let others = (reads == Reads::InOrder).then_some(others);
    let one = store(first, None, stores.clone());
    tokio::spawn(async move {
        let one = one.await;
        let _ = is_read.send(());
        one
    });
    tokio::spawn(store(second, others, stores));
    let mut all = Vec::new();
    while let Some(value) = stored.recv().await {
        all.push(value);
    }
    Ok(all)
}

/// Stores one value.
async fn store(
    mut client: Stream,
    after: Option<oneshot::Receiver<()>>,
    stores: mpsc::Sender<u8>,
) -> Result<()> {
    if let Some(after) = after {
        let _ = after.await;
    }
    let value = client.read_u8().await?;
    let _ = stores.send(value).await;
    Ok(())
}

/// Serves two clients, one after the other; what they wrote.
#[lonet::host]
pub(crate) async fn in_turn(host: Host) -> Result<Vec<u8>> {
    let listener = host.listen(":10").await?;
    let mut all = Vec::new();
    for _ in 0..2 {
        let mut client = listener.accept().await?;
        all.push(client.read_u8().await?);
    }
    Ok(all)
}

/// Writes a value, after that event if one is given, and does not wait for an answer.
#[lonet::host]
pub(crate) async fn client(host: Host, value: u8, after: Option<String>) -> Result<()> {
    host.mark("dials");
    let mut server = host.dial("s:10").await?;
    if let Some(after) = after {
        lonet_harness::until(&after).await?;
    }
    server.write_u8(value).await?;
    host.mark("has written");
    Ok(())
}

/// What the server has stored, after c has written 1, and then d 2. What c has written may arrive
/// later than what d has.
pub(crate) async fn stored(scenario: &Scenario, reads: Reads) -> Result<Vec<u8>> {
    let server = scenario.spawn("s", server(reads)).await?;
    scenario.until("s:10 listen").await?;
    let d_has_dialed = "d:1 connect s:2";
    let c = client(1, Some(d_has_dialed.into()));
    let c = scenario.spawn("c", c).await?;
    scenario.until("c:1 connect s:1").await?;
    let d = client(2, Some("c mark has written".into()));
    scenario.spawn("d", d).await?.join().await?;
    c.join().await?;
    Ok(server.join().await?)
}
