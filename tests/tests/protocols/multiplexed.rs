//! Protocols of libraries: WebSocket and HTTP/2.

use futures_util::{SinkExt, StreamExt};
use lonet::Host;
use lonet::adapters::{Connector, Incoming, uri};
use lonet_harness::{Result, Scenario, expect_file, until};
use tokio_tungstenite::tungstenite::Message;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use super::play;

#[lonet::host]
async fn chat_server(host: Host) -> Result<()> {
    let conn = host.listen(":10").await?.accept().await?;
    let mut socket = tokio_tungstenite::accept_async(conn).await?;
    for text in ["welcome", "news"] {
        socket.send(Message::text(text)).await?;
        host.mark(format!("sent {text}"));
    }
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message? {
            host.mark(format!("got {text}"));
            socket.send(Message::text(format!("ok {text}"))).await?;
        }
    }
    Ok(())
}

#[lonet::host]
async fn chat_client(host: Host) -> Result<()> {
    let conn = host.dial("s:10").await?;
    let (mut socket, _) = tokio_tungstenite::client_async("ws://s:10/", conn).await?;
    host.mark("open");
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await?;
    }
    for _ in 0..4 {
        let message = socket.next().await.unwrap()?;
        host.mark(format!("heard {message}"));
    }
    socket.close(None).await?;
    while let Some(Ok(_)) = socket.next().await {}
    host.mark("closed");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn web_socket(scenario: Scenario) -> Result<()> {
    play(&scenario, chat_server(), vec![chat_client()]).await?;
    scenario.assert_trace(expect_file!["texts/web_socket.trace"]);
    Ok(())
}

#[lonet::host]
async fn healthy(host: Host) -> Result<()> {
    let (reporter, _) = tonic_health::server::health_reporter();
    let incoming = Incoming::new(host.listen(":10").await?);
    let asked = host.clone();
    let tell = move |request: Request<()>| -> std::result::Result<_, Status> {
        let turn = request.metadata().get("turn").unwrap();
        asked.mark(format!("asked {}", turn.to_str().unwrap()));
        Ok(request)
    };
    let service = HealthService::from_health_reporter(reporter);
    let stopped = async { drop(until("a mark done").await) };
    Server::builder()
        .add_service(HealthServer::with_interceptor(service, tell))
        .serve_with_incoming_shutdown(incoming, stopped)
        .await?;
    Ok(())
}

#[lonet::host]
async fn asks(host: Host) -> Result<()> {
    let connector = Connector::new(host.clone());
    let channel = Endpoint::from(uri("s:10", "/")?)
        .connect_with_connector(connector)
        .await?;
    let mut client = HealthClient::new(channel);
    for turn in ["one", "two", "three"] {
        let service = String::new();
        let mut request = Request::new(HealthCheckRequest { service });
        request.metadata_mut().insert("turn", turn.parse()?);
        client.check(request).await?;
        host.mark(format!("heard {turn}"));
    }
    host.mark("done");
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn http2(scenario: Scenario) -> Result<()> {
    play(&scenario, healthy(), vec![asks()]).await?;
    scenario.assert_trace(expect_file!["texts/http2.trace"]);
    Ok(())
}
