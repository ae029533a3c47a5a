//! A partition armed and healed thousands of times, around connections that go on: no gate stays
//! closed, no port and no descriptor leaks.

use lonet::{Host, Stream};
use lonet_harness::{Result, Scenario, fault, terminate_requested};
use lonet_tests::size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

/// The descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Answers every byte with the same byte, on each connection, until it is terminated and its peers
/// have hung up. The descriptors after the first connection and after the last, and the highest
/// port.
#[lonet::host]
async fn answers(host: Host) -> Result<(usize, usize, u16)> {
    let listener = host.listen(":10").await?;
    let mut finish = std::pin::pin!(terminate_requested());
    let (mut first, mut highest) = (None, 0);
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let mut conn = accepted?;
                highest = highest.max(conn.local_addr().port());
                served.spawn(async move {
                    while let Ok(byte) = conn.read_u8().await {
                        conn.write_u8(byte).await.unwrap();
                    }
                });
            }
            Some(ended) = served.join_next() => {
                ended?;
                first.get_or_insert_with(descriptors);
            }
            () = &mut finish => break,
        }
    }
    while let Some(ended) = served.join_next().await {
        ended?;
    }
    Ok((first.unwrap_or(0), descriptors(), highest))
}

async fn echoes(conn: &mut Stream) -> Result<()> {
    conn.write_u8(7).await?;
    assert_eq!(conn.read_u8().await?, 7);
    Ok(())
}

#[lonet::test(timeout = "10m")]
async fn a_partition_armed_and_healed_often_leaves_nothing(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("α", answers()).await?;
    scenario.until("α:10 listen").await?;
    let client = scenario.host("β").await?;
    echoes(&mut client.dial("α:10").await?).await?;

    let mut kept = client.dial("α:10").await?;
    let mut last = client.dial("α:10").await?;
    let before = descriptors();
    for _ in 0..size::of(10_000) {
        let partition = scenario.inject(fault::partition("α", "β")).await?;
        // It frees its port at once, and its descriptor with the heal.
        drop(last);
        let dialing = async {
            // The first thing that this does is withheld: the fault always acts.
            let conn = client.dial("α:10").await?;
            assert_eq!(conn.local_addr().port(), 2);
            Ok(conn)
        };
        let healing = async { Ok(partition.heal().await?) };
        let (conn, (), _) = tokio::try_join!(dialing, echoes(&mut kept), healing)?;
        last = conn;
        echoes(&mut last).await?;
    }
    assert!(descriptors() <= before, "{} > {before}", descriptors());

    drop((kept, last));
    server.terminate().await?;
    let (first, end, highest) = server.join().await?;
    assert!(end <= first, "α has {end} descriptors, and had {first}");
    // What closes and what is accepted next may overlap by a few.
    assert!(highest < 10, "α gave out port {highest}");
    Ok(())
}
