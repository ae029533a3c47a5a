//! A lost acknowledgement: the client can't know whether its request was applied and asks again, and
//! the request is applied once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use lonet::{Host, Stream};
use lonet_harness::{Result, Scenario, fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Applies each request once, by its number, and acknowledges it as often as it is asked.
#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let applied = Arc::new(Mutex::new(BTreeSet::new()));
    let listener = host.listen(":10").await?;
    loop {
        let conn = listener.accept().await?;
        tokio::spawn(serve(host.clone(), conn, applied.clone()));
    }
}

async fn serve(host: Host, mut conn: Stream, applied: Arc<Mutex<BTreeSet<u8>>>) -> Result<()> {
    loop {
        let request = conn.read_u8().await?;
        match applied.lock().unwrap().insert(request) {
            true => host.mark(format!("applied {request}")),
            false => host.mark(format!("knew {request}")),
        }
        conn.write_u8(request).await?;
    }
}

/// Sends requests 1, 2 and 3, each until it is acknowledged.
#[lonet::host]
async fn client(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    for request in 1..=3 {
        while let Err(error) = ask(&mut conn, request).await {
            host.mark(format!("lost {request} {:?}", error.kind()));
            conn = host.dial("s:10").await?;
        }
        host.mark(format!("acknowledged {request}"));
    }
    Ok(())
}

async fn ask(conn: &mut Stream, request: u8) -> std::io::Result<()> {
    conn.write_u8(request).await?;
    assert_eq!(conn.read_u8().await?, request);
    Ok(())
}

/// The second acknowledgement is lost, by a reset at that event.
async fn loses(scenario: &Scenario, at: &str) -> Result<()> {
    let reset = fault::reset("s", "c").at(at).nth(2);
    let reset = scenario.inject(reset).await?;
    let _server = scenario.spawn("s", server()).await?;
    scenario.until("s:10 listen").await?;
    scenario.spawn("c", client()).await?.join().await?;
    assert_eq!(reset.fired().await?.to_string(), "! reset s:1 c:1");
    scenario.trace().assert_contains(
        "
        s mark applied 1
        c mark acknowledged 1
        s mark applied 2
        ! reset s:1 c:1
        c mark lost 2 ConnectionReset
        s mark knew 2
        c mark acknowledged 2
        s mark applied 3
        c mark acknowledged 3
        ",
    );
    assert_eq!(scenario.trace().count("s mark applied _")?, 3);
    assert_eq!(scenario.trace().count("s mark knew _")?, 1);
    Ok(())
}

#[lonet::test]
async fn an_acknowledgement_lost_before_its_send(scenario: Scenario) -> Result<()> {
    loses(&scenario, "s mark applied _").await
}

#[lonet::test]
async fn an_acknowledgement_lost_at_its_send(scenario: Scenario) -> Result<()> {
    loses(&scenario, "s:_ send c:_").await
}
