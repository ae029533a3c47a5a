//! The programs of docs/faults.md.

use std::time::Duration;

use lonet::{Host, Stream};
use lonet_harness::{Result, Scenario, fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Applies each request, and acknowledges it; marks both.
#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut latest = 0;
    loop {
        let mut conn = listener.accept().await?;
        while let Ok(request) = conn.read_u8().await {
            if request > latest {
                latest = request;
                host.mark(format!("applied {request}"));
            }
            if conn.write_u8(request).await.is_err() {
                break;
            }
            host.mark(format!("answered {request}"));
        }
    }
}

/// Sends each request until it is acknowledged.
#[lonet::host]
async fn client(host: Host, requests: u8) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    for request in 1..=requests {
        while let Err(error) = ask(&host, &mut conn, request).await {
            host.mark(format!("lost {request} {:?}", error.kind()));
            conn = host.dial("s:10").await?;
        }
        host.mark(format!("acknowledged {request}"));
    }
    Ok(())
}

async fn ask(host: &Host, conn: &mut Stream, request: u8) -> std::io::Result<u8> {
    conn.write_u8(request).await?;
    host.mark(format!("asked {request}"));
    conn.read_u8().await
}

#[lonet::test]
async fn a_late_acknowledgement(scenario: Scenario) -> Result<()> {
    let partition = fault::partition("s", "c").at("s mark applied 2");
    let partition = scenario.inject(partition).await?; // armed
    let _s = scenario.spawn("s", server()).await?;
    scenario.until("s:10 listen").await?;
    let c = scenario.spawn("c", client(3)).await?;

    partition.fired().await?; // 2 is applied
    scenario.until("s mark answered 2").await?; // and acknowledged, which does not arrive
    partition.heal().await?;
    c.join().await?;
    scenario.trace().assert_contains(
        "
        s mark applied 2
        ! partition s c
        ! heal s c
        c mark acknowledged 2
        ",
    );
    Ok(())
}

#[lonet::test]
async fn a_lost_acknowledgement(scenario: Scenario) -> Result<()> {
    let reset = fault::reset("s", "c").at("s mark applied _").nth(2);
    let reset = scenario.inject(reset).await?;
    let _s = scenario.spawn("s", server()).await?;
    scenario.until("s:10 listen").await?;
    scenario.spawn("c", client(3)).await?.join().await?;

    reset.fired().await?;
    scenario.trace().assert_contains(
        "
        s mark applied 2
        ! reset s:1 c:1
        c mark lost 2 ConnectionReset
        c mark acknowledged 2
        ",
    );
    assert_eq!(scenario.trace().count("s mark applied 2")?, 1);
    Ok(())
}

#[lonet::test]
async fn a_partition_that_ends_at_an_event(scenario: Scenario) -> Result<()> {
    let partition = fault::partition("s", "c")
        .at("c mark acknowledged 1")
        .until("d mark acknowledged 3");
    let partition = scenario.inject(partition).await?;
    let _s = scenario.spawn("s", each_alone()).await?;
    scenario.until("s:10 listen").await?;
    let c = scenario.spawn("c", client(2)).await?;
    partition.fired().await?;
    scenario.until("c mark asked 2").await?;
    let d = scenario.spawn("d", client(3)).await?;
    d.join().await?; // served while c is cut off
    c.join().await?;
    scenario.assert_order("d mark acknowledged 3\n ! heal s c\n c mark acknowledged 2");
    Ok(())
}

/// As the server, but serves all connections at once, and knows of no request that comes twice.
#[lonet::host]
async fn each_alone(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    loop {
        let mut conn = listener.accept().await?;
        tokio::spawn(async move {
            while let Ok(request) = conn.read_u8().await {
                if conn.write_u8(request).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[lonet::test]
async fn a_writer_is_held_back(scenario: Scenario) -> Result<()> {
    let (a, b) = (scenario.host("a").await?, scenario.host("b").await?);
    let listener = b.listen(":10").await?;
    let (mut to_b, mut from_a) = tokio::try_join!(a.dial("b:10"), listener.accept())?;
    let partition = fault::partition("a", "b").window(4096);
    let partition = scenario.inject(partition).await?;

    let writing = to_b.write_all(&[0; 500_000]);
    assert!(
        tokio::time::timeout(Duration::from_millis(20), writing)
            .await
            .is_err()
    );
    partition.heal().await?;
    assert_ne!(from_a.read(&mut [0; 512]).await?, 0);
    Ok(())
}

#[lonet::test]
async fn other_faults(scenario: Scenario) -> Result<()> {
    let faults = [
        fault::partition("n1", "_"),                         // n1 and all others
        fault::partition(["n1", "n2"], ["n3", "n4", "n5"]),  // two sides
        fault::cut("n1", "n2"),                              // n2 receives nothing from n1
        fault::delay("n1", "n2", Duration::from_millis(40)), // 40 ms later, in order
        fault::slice("n1", "n2", 3),                         // at most 3 bytes at a time
        fault::limit("n1", "n2", 100),                       // 100 bytes, then EOF
        fault::limit("n1", "n2", 100).reset(),               // 100 bytes, then a reset
        fault::refuse("_", "n2"),                            // n2 can't be dialed
        fault::reset("n1", "n2"),                            // their connections are reset
    ];

    for fault in faults {
        let armed = scenario
            .inject(fault.at("n1 mark never").may_not_fire())
            .await?;
        drop(armed);
    }

    let five = ["n1", "n2", "n3", "n4", "n5"];
    let alone = fault::isolate("n1");
    let two_and_three = fault::halves(five);
    let n3_reaches_both = fault::bridge(five);
    let each_hears_another_majority = fault::majorities_ring(five); // several faults

    for fault in [alone, two_and_three, n3_reaches_both]
        .into_iter()
        .chain(each_hears_another_majority)
    {
        scenario.inject(fault.may_not_fire()).await?.heal().await?;
    }
    Ok(())
}
