//! Roles that are asked to finish: those that want to know drain what is in flight.
#![forbid(unsafe_code)]

use axum::Router;
use axum::routing::get;
use lonet::Host;
use lonet_harness::{ErrorKind, Result, Scenario, terminate_requested};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers only after it has been asked to finish.
#[lonet::host]
async fn server(host: Host) -> Result<String> {
    let handling = host.clone();
    let handler = async move || {
        handling.mark("handling");
        terminate_requested().await;
        "drained"
    };
    let app = Router::new().route("/", get(handler));
    axum::serve(host.listen(":80").await?, app)
        .with_graceful_shutdown(terminate_requested())
        .await?;
    Ok("all served".into())
}

#[lonet::host]
async fn client(host: Host) -> Result<String> {
    let mut conn = host.dial("s:80").await?;
    conn.write_all(b"GET / HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[lonet::test]
async fn a_server_drains_requests_in_flight(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("s", server()).await?;
    scenario.until("s:80 listen").await?;
    let client = scenario.spawn("c", client()).await?;
    server.until("s mark handling").await?;
    server.terminate().await?;
    let answer = client.join().await?;
    assert!(answer.ends_with("\r\n\r\ndrained"), "{answer}");
    assert_eq!(server.join().await?, "all served");
    Ok(())
}

#[lonet::host]
async fn never_asks(host: Host) {
    host.mark("waits");
    std::future::pending::<()>().await;
}

#[lonet::test]
async fn a_role_that_never_asks_is_dropped(scenario: Scenario) -> Result<()> {
    let node = scenario.spawn("a", never_asks()).await?;
    node.until("a mark waits").await?;
    node.terminate().await?;
    assert_eq!(node.join().await.unwrap_err().kind(), ErrorKind::Killed);
    Ok(())
}

/// It hears of the request and goes on: it is killed, not waited for.
#[lonet::host]
async fn ignores(host: Host) {
    let mut requested = std::pin::pin!(terminate_requested());
    // Polled once before the mark, so that the request can't come before it is wanted.
    tokio::select! {
        biased;
        () = &mut requested => {}
        () = std::future::ready(()) => {}
    }
    host.mark("waits");
    requested.await;
    host.mark("asked");
    std::future::pending::<()>().await;
}

#[lonet::test]
async fn a_role_that_asks_and_stays_is_killed(scenario: Scenario) -> Result<()> {
    let node = scenario.spawn("a", ignores()).await?;
    node.until("a mark waits").await?;
    node.terminate().await?;
    scenario.until("a mark asked").await?;
    assert_eq!(node.join().await.unwrap_err().kind(), ErrorKind::Killed);
    Ok(())
}
