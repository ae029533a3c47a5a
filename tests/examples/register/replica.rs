//! The program under test: a register on a primary, and a copy of it on a backup.
//!
//! Clients write at the primary, which passes each value on to the backup. They may read at either.
//! A message is a line of text: `write 1` is answered by `ok`, `read` by the value. Knows nothing of
//! tests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lonet::{NetListener, Networker};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

/// When the primary acknowledges a write.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Acknowledges {
    /// Once the backup has stored the value.
    Stored,
    /// Once the value is on its way to the backup: the wait is missing, a bug.
    Sent,
}

/// Takes writes, and passes each on to the backup. Serves one client after the other.
pub(crate) async fn primary(
    network: &impl Networker,
    backup: &str,
    acknowledges: Acknowledges,
) -> io::Result<()> {
    let mut backup = Lines::over(network.dial(backup).await?);
    let mut register = 0;
    let listener = network.listen(":10").await?;
    loop {
        let mut client = Lines::over(listener.accept().await?);
        while let Some(request) = client.receive().await? {
            let Some(value) = written(&request)? else {
                client.send(&register.to_string()).await?;
                continue;
            };
            register = value;
            backup.send(&request).await?;
            if acknowledges == Acknowledges::Stored {
                backup.answer().await?;
            }
            client.send("ok").await?;
        }
    }
}

/// Stores what the primary passes on, and answers reads. Serves all of them at once.
pub(crate) async fn backup(network: &impl Networker) -> io::Result<()> {
    let register = Arc::new(AtomicU64::new(0));
    let listener = network.listen(":20").await?;
    loop {
        let client = Lines::over(listener.accept().await?);
        let register = Arc::clone(&register);
        tokio::spawn(async move {
            if let Err(error) = serve(client, &register).await {
                eprintln!("a connection ends: {error}");
            }
        });
    }
}

async fn serve<S>(mut client: Lines<S>, register: &AtomicU64) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(request) = client.receive().await? {
        if let Some(value) = written(&request)? {
            register.store(value, Ordering::SeqCst);
            client.send("ok").await?;
        } else {
            let value = register.load(Ordering::SeqCst);
            client.send(&value.to_string()).await?;
        }
    }
    Ok(())
}

/// The value of a write; none of a read.
fn written(request: &str) -> io::Result<Option<u64>> {
    let value = request.strip_prefix("write ").map(str::parse);
    match value {
        Some(Ok(value)) => Ok(Some(value)),
        None if request == "read" => Ok(None),
        _ => Err(io::Error::other(format!("not a request: {request}"))),
    }
}

/// Messages over a connection, each a line.
pub(crate) struct Lines<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    pub(crate) fn over(connection: S) -> Lines<S> {
        Lines(BufReader::new(connection))
    }

    pub(crate) async fn send(&mut self, message: &str) -> io::Result<()> {
        self.0.write_all(format!("{message}\n").as_bytes()).await
    }

    /// The next message; none if the other end has hung up.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        let received = self.0.read_line(&mut line).await?;
        Ok((received > 0).then(|| line.trim_end().to_owned()))
    }

    /// The answer to what was sent.
    pub(crate) async fn answer(&mut self) -> io::Result<String> {
        let answer = self.receive().await?;
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
