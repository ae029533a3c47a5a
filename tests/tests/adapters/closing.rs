//! What a server does when its listener, or its host, is closed under it.

use axum::{Router, routing::get};
use lonet::adapters::{Incoming, uri};
use lonet::{Host, SubNetwork};
use lonet_harness::{Result, Scenario, until};
use tonic::transport::Server;

use super::{channel, fetch, health, http_client};

fn app() -> Router {
    Router::new().route("/", get(async || "here"))
}

async fn hosts(network: &SubNetwork) -> Result<(Host, Host)> {
    Ok((network.new_host("α").await?, network.new_host("β").await?))
}

/// With an open connection of a client, which would keep it from a graceful end, were that not
/// closed as well.
#[lonet::test]
async fn axum_ends_with_its_host(network: SubNetwork) -> Result<()> {
    let (alpha, beta) = hosts(&network).await?;
    let incoming = Incoming::new(alpha.listen(":10").await?);
    let closed = incoming.closed();
    let serving = tokio::spawn(
        axum::serve(incoming, app())
            .with_graceful_shutdown(closed)
            .into_future(),
    );
    let client = http_client(beta);
    let here = fetch(&client, uri("α:10", "/")?).await.unwrap();
    assert_eq!(here.0, "here");
    alpha.close().await?;
    serving.await??;
    Ok(())
}

/// `closed` does not promise that a listener is closed: it ends with what it belongs to.
#[lonet::test]
async fn what_is_dropped_is_closed(network: SubNetwork) -> Result<()> {
    let (alpha, _beta) = hosts(&network).await?;
    let incoming = Incoming::new(alpha.listen(":10").await?);
    let closed = incoming.closed();
    drop(incoming);
    closed.await;
    Ok(())
}

#[lonet::test]
async fn tonic_ends_with_its_host(network: SubNetwork) -> Result<()> {
    let (alpha, beta) = hosts(&network).await?;
    let (_reporter, service) = tonic_health::server::health_reporter();
    let incoming = Incoming::new(alpha.listen(":10").await?);
    let server = Server::builder().add_service(service);
    let serving = tokio::spawn(server.serve_with_incoming(incoming));
    let channel = channel(beta, uri("α:10", "/")?).await?;
    assert_eq!(health(channel, "").await?, "SERVING");
    alpha.close().await?;
    serving.await??;
    Ok(())
}

/// A server that nobody will end, on a host that closes.
#[lonet::host]
async fn forgets(host: Host, through_incoming: bool) -> Result<()> {
    let listener = host.listen(":10").await?;
    let closing = host.clone();
    tokio::spawn(async move {
        until("α mark close").await.unwrap();
        closing.close().await.unwrap();
    });
    host.mark("close");
    if through_incoming {
        axum::serve(Incoming::new(listener), app()).await?;
    } else {
        axum::serve(listener, app()).await?;
    }
    unreachable!("axum's server has no end but a graceful one");
}

/// It can only wait, but it says so.
#[lonet::test]
async fn axum_without_shutdown_prints_an_error(scenario: Scenario) -> Result<()> {
    for through_incoming in [false, true] {
        let alpha = scenario.spawn("α", forgets(through_incoming)).await?;
        while !alpha.log().contains('\n') {
            tokio::task::yield_now().await;
        }
        let line = format!(
            "lonet: axum no longer serves α:10: accept {} α:10: host is down; axum::serve can't \
             return this error and waits forever: end it with lonet::adapters::Incoming::closed\n",
            scenario.network()
        );
        assert_eq!(alpha.log(), line);
        alpha.terminate().await?;
    }
    Ok(())
}
