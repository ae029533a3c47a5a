//! Crates that insist on a `TcpListener` or a `SocketAddr`: mini-redis.

use lonet::Host;
use lonet_harness::{Bridge, Result, Scenario};
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
