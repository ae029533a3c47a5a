//! Crates that insist on a `TcpListener` or a `SocketAddr`: mini-redis.

use std::io::Write;

use lonet::Host;
use lonet_harness::{Bridge, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[lonet::host]
async fn redis(host: Host) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let _bridge = Bridge::to_server(&host, ":6379", listener.local_addr()?).await?;
    let served = mini_redis::server::run(listener, lonet_harness::terminate_requested()).await;
    served.map_err(|error| error.to_string())?;
    Ok(())
}

#[lonet::host]
async fn writer(host: Host) -> Result<()> {
    let bridge = Bridge::to_lonet(&host, "redis:6379").await?;
    let mut client = mini_redis::client::connect(bridge.local_addr()).await?;
    client.set("greeting", "hello".into()).await?;
    Ok(())
}

#[lonet::host]
async fn reader(host: Host) -> Result<String> {
    let bridge = Bridge::to_lonet(&host, "redis:6379").await?;
    let mut client = mini_redis::client::connect(bridge.local_addr()).await?;
    let value = client.get("greeting").await?.ok_or("nothing is stored")?;
    Ok(String::from_utf8(value.to_vec())?)
}

#[lonet::test]
async fn what_was_written_is_read(scenario: Scenario) -> Result<()> {
    let redis = scenario.spawn("redis", redis()).await?;
    scenario.until("redis:6379 listen").await?;
    scenario.spawn("w", writer()).await?.join().await?;
    let reader = scenario.spawn("r", reader()).await?;

    assert_eq!(reader.join().await?, "hello");
    redis.terminate().await?;
    scenario
        .trace()
        .assert_contains("w:1 dial redis:6379\nr:1 dial redis:6379");
    Ok(())
}

/// Writes, and has no more to write, before the bridge has looked at the connection.
#[lonet::host]
async fn writes_at_once(host: Host, to: String) -> Result<String> {
    let bridge = Bridge::to_lonet(&host, &to).await?;
    let address = bridge.local_addr();
    let answer = tokio::task::spawn_blocking(move || {
        let mut conn = std::net::TcpStream::connect(address)?;
        conn.write_all(b"all")?;
        conn.shutdown(std::net::Shutdown::Write)?;
        std::io::read_to_string(conn)
    });
    Ok(answer.await??)
}

#[lonet::host]
async fn echoes(host: Host) -> Result<()> {
    let mut conn = host.listen(":10").await?.accept().await?;
    let mut all = Vec::new();
    conn.read_to_end(&mut all).await?;
    conn.write_all(&all).await?;
    Ok(())
}

#[lonet::test]
async fn a_half_closed_client_is_carried(scenario: Scenario) -> Result<()> {
    let echo = scenario.spawn("e", echoes()).await?;
    scenario.until("e:10 listen").await?;
    let client = scenario.spawn("c", writes_at_once("e:10".into())).await?;

    assert_eq!(client.join().await?, "all");
    Ok(echo.join().await?)
}
