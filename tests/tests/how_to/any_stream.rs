//! A crate that takes any `AsyncRead + AsyncWrite`: tokio-tungstenite.

use futures_util::{SinkExt, StreamExt};
use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio_tungstenite::tungstenite::Message;

#[lonet::host]
async fn echo(host: Host) -> Result<()> {
    let conn = host.listen(":80").await?.accept().await?;
    let mut socket = tokio_tungstenite::accept_async(conn).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() {
            host.mark(format_args!("echoes {message}"));
            socket.send(message).await?;
        }
    }
    Ok(())
}

#[lonet::host]
async fn asks(host: Host) -> Result<String> {
    let conn = host.dial("echo:80").await?;
    let (mut socket, _) = tokio_tungstenite::client_async("ws://echo/", conn).await?;
    socket.send(Message::text("hello")).await?;
    let answer = socket.next().await.ok_or("no answer")??;
    socket.close(None).await?;
    while socket.next().await.is_some() {}
    Ok(answer.into_text()?.to_string())
}

#[lonet::test]
async fn a_web_socket_echoes(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("echo", echo()).await?;
    scenario.until("echo:80 listen").await?;
    let client = scenario.spawn("client", asks()).await?;

    assert_eq!(client.join().await?, "hello");
    server.join().await?;
    scenario
        .trace()
        .assert_contains("client:1 dial echo:80\necho mark echoes hello");
    Ok(())
}
