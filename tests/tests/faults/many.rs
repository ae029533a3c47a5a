//! A partition armed and healed thousands of times, around connections that come and go: no gate stays
//! closed, no port and no descriptor leaks.

use std::time::Duration;

use lonet::Host;
use lonet_harness::{Result, Scenario, fault, terminate_requested};
use lonet_tests::size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::puppet::Stage;

/// Answers every byte with the same byte, on each connection, until it is terminated; the highest port
/// that it gave out.
#[lonet::host]
async fn answers(host: Host) -> Result<u16> {
    let listener = host.listen(":10").await?;
    let mut finish = std::pin::pin!(terminate_requested());
    let mut highest = 0;
    loop {
        let mut conn = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut finish => return Ok(highest),
        };
        highest = highest.max(conn.local_addr().port());
        tokio::spawn(async move {
            while let Ok(byte) = conn.read_u8().await {
                if conn.write_u8(byte).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn descriptors(pid: u32) -> usize {
    let listed = std::fs::read_dir(format!("/proc/{pid}/fd"));
    listed.unwrap().count()
}

#[lonet::test(timeout = "10m")]
async fn a_partition_armed_and_healed_often_leaves_nothing(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("α", answers()).await?;
    scenario.until("α:10 listen").await?;
    let stage = Stage::new(&scenario).await?;
    let mut client = stage.puppet("β").await?;
    let pids = [server.pid(), client.node.pid()];

    // Port 1 is that of the orders.
    client.does("dial α:10", "β:2").await;
    let before = pids.map(descriptors);
    for _ in 0..size::of(10_000) {
        let partition = scenario.inject(fault::partition("α", "β")).await?;
        // Its port is free at once; its end is withheld.
        client.does("close", "closed").await;
        let dialing = client.begins("dial α:10").await;
        partition.heal().await?;
        dialing.is("β:2").await;
        client.does("write x", "wrote 1").await;
        client.does("read", "x").await;
    }
    // α closes a connection a little after β has.
    let settled = async {
        while pids.map(descriptors) != before {
            tokio::task::yield_now().await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(20), settled).await;
    settled.map_err(|_| format!("{before:?} descriptors became {:?}", pids.map(descriptors)))?;

    server.terminate().await?;
    let highest = server.join().await?;
    // What closes and what is accepted next may overlap by a few.
    assert!(highest < 10, "α gave out port {highest}");
    Ok(())
}
