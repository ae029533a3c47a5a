//! The program under test: it keeps one value on a primary, p, and on its backup, b. And the test of
//! it, as one body for every fault that ends p.

use std::time::Duration;

use lonet::{Host, Stream};
use lonet_harness::{ErrorKind, Node, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Stores what the primary sends, until that is gone; what it has stored.
#[lonet::host]
pub async fn backup(host: Host) -> Result<Vec<u8>> {
    let mut primary = host.listen(":20").await?.accept().await?;
    let mut stored = Vec::new();
    while let Ok(value) = primary.read_u8().await {
        stored.push(value);
        host.mark(format!("stored {value}"));
        // A primary that is gone needs no answer.
        let _ = primary.write_u8(value).await;
    }
    Ok(stored)
}

/// Takes one value of a client, and acknowledges it once the backup has it; or `early`, before.
#[lonet::host]
pub async fn primary(host: Host, early: bool) -> Result<()> {
    let mut backup = host.dial("b:20").await?;
    let mut client = host.listen(":10").await?.accept().await?;
    let value = client.read_u8().await?;
    if early {
        acknowledge(&host, &mut client).await?;
    }
    backup.write_u8(value).await?;
    backup.read_u8().await?;
    if !early {
        acknowledge(&host, &mut client).await?;
    }
    Ok(())
}

async fn acknowledge(host: &Host, client: &mut Stream) -> Result<()> {
    client.write_u8(1).await?;
    host.mark("acknowledged");
    Ok(())
}

/// Sends a value; whether it was acknowledged, within so many milliseconds if given.
#[lonet::host]
pub async fn client(host: Host, patience: Option<u64>) -> bool {
    let asks = async {
        let mut primary = host.dial("p:10").await?;
        primary.write_u8(7).await?;
        Ok::<_, lonet_harness::Error>(primary.read_u8().await?)
    };
    let patience = patience.map_or(Duration::MAX, Duration::from_millis);
    tokio::time::timeout(patience, asks)
        .await
        .is_ok_and(|answer| answer.is_ok())
}

/// What is acknowledged is stored twice.
pub(crate) async fn acknowledged_is_stored(scenario: Scenario, early: bool) -> Result<()> {
    let backup = scenario.spawn("b", backup()).await?;
    backup.until("b:20 listen").await?;
    let primary = scenario.spawn("p", primary(early)).await?;
    // One that is killed before it listens never does.
    tokio::select! {
        listens = scenario.until("p:10 listen") => listens?,
        killed = scenario.until("! kill p") => killed?,
    };
    let acknowledged = scenario.spawn("c", client(None)).await?.join().await?;
    ended(&scenario, primary).await?;
    match acknowledged {
        true => assert_eq!(backup.join().await?, [7], "an acknowledged value is lost"),
        false => assert!(
            scenario.swept().is_some(),
            "not acknowledged, with nothing in the way"
        ),
    }
    Ok(())
}

/// A swept body says what it tolerates.
pub(crate) async fn ended(scenario: &Scenario, node: Node<()>) -> Result<()> {
    match node.join().await {
        Err(error) if error.kind() == ErrorKind::Killed && scenario.swept().is_some() => Ok(()),
        ended => Ok(ended?),
    }
}

/// Marks two things, or only one.
#[lonet::host]
pub async fn marks(host: Host, both: bool) {
    host.mark("one");
    if both {
        host.mark("two");
    }
}
