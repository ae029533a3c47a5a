//! The production code of the guide: a register of one value with a backup, on any network.
//!
//! Knows nothing of tests, nor of lonet's hosts: `Networker` is all that it is given.

use std::io;

use lonet::{NetListener, Networker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Takes one value from a client, gives it to the backup, and only then acknowledges it.
///
/// # Errors
///
/// The network's.
pub async fn primary(network: &impl Networker, backup: &str) -> io::Result<()> {
    let listener = network.listen(":10").await?;
    let mut client = listener.accept().await?;
    let mut value = String::new();
    client.read_to_string(&mut value).await?;
    let answer = set(network, backup, &value).await?;
    client.write_all(answer.as_bytes()).await
}

/// Takes one value and stores it.
///
/// # Errors
///
/// The network's, or what `store` says.
pub async fn backup(
    network: &impl Networker,
    store: impl Fn(&str) -> io::Result<()>,
) -> io::Result<()> {
    let listener = network.listen(":20").await?;
    let mut primary = listener.accept().await?;
    let mut value = String::new();
    primary.read_to_string(&mut value).await?;
    store(&value)?;
    primary.write_all(b"ok").await
}

/// Sends a value to that address, and returns the answer.
///
/// # Errors
///
/// The network's.
pub async fn set(network: &impl Networker, to: &str, value: &str) -> io::Result<String> {
    let mut conn = network.dial(to).await?;
    conn.write_all(value.as_bytes()).await?;
    conn.shutdown().await?; // the end of the value
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    Ok(answer)
}
