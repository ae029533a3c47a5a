//! One server of each kind and one client of each kind, written once, over every network that a
//! `Networker` can be.

use axum::extract::ConnectInfo;
use axum::{Router, routing::get};
use lonet::adapters::{Ends, Incoming, uri};
use lonet::{AnyNetwork, Host, NetListener, Networker, SubNetwork, Tcp, pipenet};
use tokio::sync::oneshot;
use tonic::transport::Server;

use super::{channel, fetch, health, http_client};

/// axum answers hyper: both ends see one and the same connection.
async fn http<N: Networker>(server: &N, client: N, addr: &str) {
    let listener = server.listen(addr).await.unwrap();
    let addr = listener.addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn({
        let addr = addr.clone();
        let who = |ConnectInfo(ends): ConnectInfo<Ends>| async move {
            format!("{}->{}", ends.peer_addr(), ends.local_addr())
        };
        let app = Router::new().route("/", get(who));
        async move {
            let serve = axum::serve(
                Incoming::new(listener),
                app.into_make_service_with_connect_info::<Ends>(),
            );
            assert_eq!(serve.local_addr().unwrap(), addr);
            let stopped = async { stopped.await.unwrap() };
            serve.with_graceful_shutdown(stopped).await
        }
    });

    let client = http_client(client);
    let (answer, ends) = fetch(&client, uri(&addr, "/").unwrap()).await.unwrap();
    assert_eq!(
        answer,
        format!("{}->{}", ends.local_addr(), ends.peer_addr())
    );

    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

/// tonic answers tonic.
async fn grpc<N: Networker>(server: &N, client: N, addr: &str) {
    let listener = server.listen(addr).await.unwrap();
    let addr = listener.addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let (_reporter, health) = tonic_health::server::health_reporter();
        let stopped = async { stopped.await.unwrap() };
        Server::builder()
            .add_service(health)
            .serve_with_incoming_shutdown(Incoming::new(listener), stopped)
            .await
    });

    let channel = channel(client, uri(&addr, "/").unwrap()).await.unwrap();
    assert_eq!(health(channel.clone(), "").await.unwrap(), "SERVING");
    let unknown = health(channel, "nobody").await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);

    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

async fn both<N: Networker + Clone>(server: N, client: N, addr: &str) {
    http(&server, client.clone(), addr).await;
    grpc(&server, client, addr).await;
}

async fn hosts(network: SubNetwork) -> (Host, Host) {
    (
        network.new_host("α").await.unwrap(),
        network.new_host("β").await.unwrap(),
    )
}

#[tokio::test]
async fn over_lonet() {
    let (alpha, beta) = hosts(lonet::join("").await.unwrap()).await;
    both(alpha, beta, ":10").await;
}

#[tokio::test]
async fn over_pipenet() {
    let (alpha, beta) = hosts(pipenet::network("x")).await;
    both(alpha, beta, ":10").await;
}

#[tokio::test]
async fn over_tcp() {
    both(Tcp, Tcp, "127.0.0.1:0").await;
}

#[tokio::test]
async fn over_any_network() {
    let (alpha, beta) = hosts(pipenet::network("x")).await;
    both(AnyNetwork::new(alpha), AnyNetwork::new(beta), ":10").await;
    both(AnyNetwork::new(Tcp), AnyNetwork::new(Tcp), "127.0.0.1:0").await;
}
