//! A crate that takes any `AsyncRead + AsyncWrite` in a transport of its own: tarpc.

use futures_util::StreamExt;
use lonet::Host;
use lonet_harness::{Result, Scenario};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Json;
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, context};

#[tarpc::service]
trait Sum {
    async fn add(a: i32, b: i32) -> i32;
}

#[derive(Clone)]
struct Server;

impl Sum for Server {
    async fn add(self, _: context::Context, a: i32, b: i32) -> i32 {
        a + b
    }
}

#[lonet::host]
async fn serves(host: Host) -> Result<()> {
    let conn = host.listen(":10").await?.accept().await?;
    let framed = LengthDelimitedCodec::builder().new_framed(conn);
    let transport = tarpc::serde_transport::new(framed, Json::default());
    let channel = BaseChannel::with_defaults(transport);
    channel
        .execute(Server.serve())
        .for_each(|answer| answer)
        .await;
    Ok(())
}

#[lonet::host]
async fn adds(host: Host) -> Result<i32> {
    let conn = host.dial("server:10").await?;
    let framed = LengthDelimitedCodec::builder().new_framed(conn);
    let transport = tarpc::serde_transport::new(framed, Json::default());
    let client = SumClient::new(client::Config::default(), transport).spawn();
    Ok(client.add(context::current(), 20, 22).await?)
}

#[lonet::test]
async fn a_remote_call(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("server", serves()).await?;
    scenario.until("server:10 listen").await?;
    let client = scenario.spawn("client", adds()).await?;

    assert_eq!(client.join().await?, 42);
    server.join().await?;
    Ok(())
}
