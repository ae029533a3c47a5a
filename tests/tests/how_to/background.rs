//! A crate with a task in the background.

use lonet::Host;
use lonet_harness::{Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// A client whose connection belongs to a task of its own.
struct Client {
    requests: mpsc::Sender<(u8, oneshot::Sender<u8>)>,
}

impl Client {
    fn over(mut conn: lonet::Stream) -> Client {
        let (requests, mut queue) = mpsc::channel::<(u8, oneshot::Sender<u8>)>(8);
        tokio::spawn(async move {
            while let Some((request, reply)) = queue.recv().await {
                conn.write_u8(request).await?;
                // One that does not wait any more needs no answer.
                let _ = reply.send(conn.read_u8().await?);
            }
            std::io::Result::Ok(())
        });
        Client { requests }
    }

    async fn double(&self, n: u8) -> Result<u8> {
        let (reply, answer) = oneshot::channel();
        self.requests.send((n, reply)).await?;
        Ok(answer.await?)
    }
}

#[lonet::host]
async fn doubles(host: Host) -> Result<()> {
    let mut conn = host.listen(":10").await?.accept().await?;
    while let Ok(n) = conn.read_u8().await {
        conn.write_u8(2 * n).await?;
    }
    Ok(())
}

#[lonet::host]
async fn asks_twice(host: Host) -> Result<u8> {
    let client = Client::over(host.dial("s:10").await?);
    let four = client.double(2).await?;
    host.mark(format_args!("got {four}"));
    client.double(four).await
}

#[lonet::test]
async fn answers_come_through_a_task(scenario: Scenario) -> Result<()> {
    let server = scenario.spawn("s", doubles()).await?;
    scenario.until("s:10 listen").await?;
    let client = scenario.spawn("c", asks_twice()).await?;

    assert_eq!(client.join().await?, 8);
    server.join().await?;
    // The mark belongs to the role's task, the connection's close to the client's: no rule of the
    // network orders them, so each is asserted by itself.
    scenario
        .trace()
        .assert_contains("c:1 dial s:10\nc:1 close s:1");
    scenario.trace().assert_contains("c mark got 4");
    Ok(())
}
