//! The scenario: one value is written at the primary, and then read at the backup.

use lonet::Host;
use lonet_harness::{Result, Scenario};

use super::client::Client;
use super::history;
use super::replica::{self, Acknowledges};

#[lonet::host]
pub(crate) async fn primary(host: Host, backup: String, acknowledges: Acknowledges) -> Result<()> {
    Ok(replica::primary(&host, &backup, acknowledges).await?)
}

#[lonet::host]
pub(crate) async fn backup(host: Host) -> Result<()> {
    Ok(replica::backup(&host).await?)
}

#[lonet::host]
pub(crate) async fn writer(host: Host, replica: String) -> Result<()> {
    Client::of(host, &replica).await?.write(1).await
}

/// Reads once the write has returned.
#[lonet::host]
pub(crate) async fn reader(host: Host, replica: String) -> Result<u64> {
    let mut client = Client::of(host, &replica).await?;
    lonet_harness::until("c mark returns write").await?;
    client.read().await
}

pub(crate) async fn a_read_after_a_write(
    scenario: &Scenario,
    acknowledges: Acknowledges,
) -> Result<()> {
    let _b = scenario.spawn("b", backup()).await?;
    scenario.until("b:20 listen").await?;
    let _p = scenario
        .spawn("p", primary("b:20".into(), acknowledges))
        .await?;
    scenario.until("p:10 listen").await?; // and has its connection to the backup
    let r = scenario.spawn("r", reader("b:20".into())).await?;
    scenario.until("r:1 connect b:2").await?;
    let c = scenario.spawn("c", writer("p:10".into())).await?;

    c.join().await?;
    r.join().await?;
    history::assert_linearizable(&history::marks(&scenario.trace()))
}
