//! What the processes of these tests do.

use lonet::Host;
use lonet_harness::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Marks `counted 1`, `counted 2`, …, without end.
#[lonet::host]
pub async fn counts(host: Host) {
    for n in 1.. {
        host.mark(format!("counted {n}"));
        tokio::task::yield_now().await;
    }
}

/// Waits until it is terminated.
#[lonet::host]
pub async fn waits(host: Host) {
    host.mark("waits");
    lonet_harness::terminate_requested().await;
}

/// Answers every byte of one connection with the same byte, and marks it before.
#[lonet::host]
pub async fn echoes(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    loop {
        let mut conn = listener.accept().await?;
        let own = host.clone();
        tokio::spawn(async move {
            let mut byte = [0];
            while let Ok(1) = conn.read(&mut byte).await {
                own.mark(format!("got {}", char::from(byte[0])));
                if conn.write_all(&byte).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Sends these letters one by one, each once the one before was answered.
#[lonet::host]
pub async fn asks(host: Host, to: String, letters: String) -> Result<()> {
    let mut conn = host.dial(&to).await?;
    for letter in letters.bytes() {
        conn.write_all(&[letter]).await?;
        let mut answer = [0];
        conn.read_exact(&mut answer).await?;
        host.mark(format!("answered {}", char::from(answer[0])));
    }
    Ok(())
}

/// The same as [`asks`], until a letter gets no answer; then marks `lost`. The letters that got one.
#[lonet::host]
pub async fn tries(host: Host, to: String, letters: String) -> Result<String> {
    let mut conn = host.dial(&to).await?;
    let mut answered = String::new();
    for letter in letters.bytes() {
        let mut answer = [0];
        if conn.write_all(&[letter]).await.is_err() || conn.read_exact(&mut answer).await.is_err() {
            host.mark("lost");
            break;
        }
        answered.push(char::from(answer[0]));
    }
    Ok(answered)
}

/// Marks every letter that arrives on a connection.
#[lonet::host]
pub async fn reads(host: Host, to: String) -> Result<()> {
    let mut conn = host.dial(&to).await?;
    let mut byte = [0];
    while conn.read(&mut byte).await? > 0 {
        host.mark(format!("read {}", char::from(byte[0])));
    }
    Ok(())
}
