//! The network at work on both engines: addresses, ports, bytes, errors, the ends of things.
//!
//! One body a test, run over loopback TCP and in memory. Closing is in `close_matrix.rs`.

use lonet::{Cause, Error, Result, SubNetwork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Runs a test on a fresh network of each engine.
async fn on_both<F: Future<Output = Result<()>>>(test: impl Fn(SubNetwork) -> F) -> Result<()> {
    test(lonet::pipenet::network("x")).await?;
    test(lonet::join("").await?).await
}

#[tokio::test]
async fn ping_pong() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        assert_eq!(listener.addr().to_string(), "α:10");
        let server = async {
            let mut conn = listener.accept().await?;
            assert_eq!(conn.local_addr().to_string(), "α:1");
            assert_eq!(conn.peer_addr().to_string(), "β:1");
            let mut buf = [0; 4];
            conn.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"ping");
            conn.write_all(b"pong").await.unwrap();
            Result::Ok(())
        };
        let client = async {
            let mut conn = beta.dial("α:10").await?;
            assert_eq!(conn.local_addr().to_string(), "β:1");
            assert_eq!(conn.peer_addr().to_string(), "α:1");
            conn.write_all(b"ping").await.unwrap();
            let mut answer = String::new();
            conn.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "pong");
            Result::Ok(())
        };
        tokio::try_join!(server, client)?;
        Ok(())
    })
    .await
}
