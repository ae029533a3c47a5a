//! Each fault that plain sockets can show, too, side by side with them: what the ends of a lonet
//! connection see is what the ends of a kernel connection see.
//!
//! Delays and slices have no counterpart here: the kernel makes them only as root.

use lonet::{Host, Stream};
use lonet_harness::{Result, Scenario, fault};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBuf, SndBuf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A connection of each kind, each with its dialing end first.
struct Both {
    scenario: Scenario,
    hosts: (Host, Host),
    lonet: (Stream, Stream),
    kernel: (TcpStream, TcpStream),
}

async fn kernel() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let dialing = TcpStream::connect(listener.local_addr()?);
    let (dialed, accepted) = tokio::try_join!(dialing, listener.accept())?;
    Ok((dialed, accepted.0))
}

async fn both(scenario: Scenario) -> Result<Both> {
    let (a, b) = (scenario.host("a").await?, scenario.host("b").await?);
    let listener = b.listen(":10").await?;
    let lonet = tokio::try_join!(a.dial("b:10"), listener.accept())?;
    Ok(Both {
        scenario,
        hosts: (a, b),
        lonet,
        kernel: kernel().await?,
    })
}

impl Both {
    /// Both dialing ends have sent these bytes, and both other ends have them.
    async fn sends(&mut self, bytes: &[u8]) -> Result<()> {
        self.lonet.0.write_all(bytes).await?;
        self.kernel.0.write_all(bytes).await?;
        let mut peeked = vec![0; bytes.len()];
        while self.lonet.1.peek(&mut peeked).await? < bytes.len() {}
        while self.kernel.1.peek(&mut peeked).await? < bytes.len() {}
        Ok(())
    }
}

/// What these operations of an end come to, one after the other: `read`, `write`, or `fill`, which
/// writes until that fails.
async fn sees(mut conn: impl AsyncRead + AsyncWrite + Unpin, operations: &str) -> String {
    let mut seen = Vec::new();
    for operation in operations.split(' ') {
        let mut bytes = [0; 64];
        let result = match operation {
            "read" => conn.read(&mut bytes).await.map(|read| match read {
                0 => "end".to_owned(),
                read => String::from_utf8_lossy(&bytes[..read]).into_owned(),
            }),
            "write" => conn.write(b"x").await.map(|_| "wrote".to_owned()),
            "fill" => loop {
                if let Err(error) = conn.write(b"x").await {
                    break Err(error);
                }
                tokio::task::yield_now().await;
            },
            other => unreachable!("{other}"),
        };
        seen.push(result.unwrap_or_else(|error| format!("{:?}", error.kind())));
    }
    seen.join(" ")
}

/// Resets a kernel connection from this end.
fn reset(conn: TcpStream) -> Result<()> {
    conn.set_zero_linger()?;
    Ok(())
}

#[lonet::test]
async fn a_reader_sees_a_reset_after_what_had_arrived(scenario: Scenario) -> Result<()> {
    let mut both = both(scenario).await?;
    both.sends(b"before").await?;
    both.scenario
        .inject(fault::reset("a", "b"))
        .await?
        .fired()
        .await?;
    reset(both.kernel.0)?;
    let script = "read read read read write write";
    let seen = "before ConnectionReset end end BrokenPipe BrokenPipe";
    assert_eq!(sees(both.kernel.1, script).await, seen);
    assert_eq!(sees(both.lonet.1, script).await, seen);
    Ok(())
}

#[lonet::test]
async fn a_writer_learns_of_a_reset_once(scenario: Scenario) -> Result<()> {
    let mut both = both(scenario).await?;
    both.sends(b"before").await?;
    both.scenario
        .inject(fault::reset("a", "b"))
        .await?
        .fired()
        .await?;
    reset(both.kernel.0)?;
    let script = "write write read read";
    let seen = "ConnectionReset BrokenPipe before end";
    assert_eq!(sees(both.kernel.1, script).await, seen);
    assert_eq!(sees(both.lonet.1, script).await, seen);
    Ok(())
}

#[lonet::test]
async fn the_end_that_resets_sees_it_as_well(scenario: Scenario) -> Result<()> {
    let (a, b) = (scenario.host("a").await?, scenario.host("b").await?);
    let listener = b.listen(":10").await?;
    for (script, lonet, plain) in [
        // A kernel socket that was disconnected says so; an end of lonet is at its end.
        (
            "read read write",
            "ConnectionReset end BrokenPipe",
            "ConnectionReset NotConnected BrokenPipe",
        ),
        (
            "write write read",
            "ConnectionReset BrokenPipe end",
            "ConnectionReset BrokenPipe NotConnected",
        ),
    ] {
        let (dialed, accepted) = tokio::try_join!(a.dial("b:10"), listener.accept())?;
        let reset = scenario.inject(fault::reset("a", "b")).await?;
        reset.fired().await?;
        assert_eq!(sees(dialed, script).await, lonet);
        assert_eq!(sees(accepted, script).await, lonet);

        let (dialed, accepted) = kernel().await?;
        rustix::net::connect_unspec(&dialed)?;
        assert_eq!(sees(dialed, script).await, plain);
        // The other end sees what an end of lonet sees.
        assert_eq!(sees(accepted, script).await, lonet);
    }
    Ok(())
}

#[lonet::test]
async fn a_limit_is_a_peer_that_closes_there(scenario: Scenario) -> Result<()> {
    let mut both = both(scenario).await?;
    let limit = both.scenario.inject(fault::limit("a", "b", 4)).await?;
    both.sends(b"four").await?;
    both.lonet.0.write_all(b"more").await?;
    both.kernel.0.shutdown().await?;
    assert_eq!(
        sees(&mut both.kernel.1, "read read read").await,
        "four end end"
    );
    assert_eq!(
        sees(&mut both.lonet.1, "read read read").await,
        "four end end"
    );
    // The writer, as after a close of its peer.
    drop(kernel().await?);
    let (dialed, accepted) = kernel().await?;
    drop(accepted);
    let script = "read fill write read";
    let seen = "end BrokenPipe BrokenPipe end";
    assert_eq!(sees(dialed, script).await, seen);
    assert_eq!(sees(both.lonet.0, script).await, seen);
    // The reader's own writes, as after a close of its peer.
    let (dialed, accepted) = kernel().await?;
    drop(accepted);
    assert_eq!(sees(dialed, "fill write").await, "BrokenPipe BrokenPipe");
    assert_eq!(
        sees(both.lonet.1, "fill write").await,
        "BrokenPipe BrokenPipe"
    );
    limit.heal().await?;
    Ok(())
}

#[lonet::test]
async fn a_limit_with_a_reset_is_a_peer_that_resets_there(scenario: Scenario) -> Result<()> {
    let mut both = both(scenario).await?;
    let limit = fault::limit("a", "b", 4).reset();
    let limit = both.scenario.inject(limit).await?;
    both.sends(b"four").await?;
    both.lonet.0.write_all(b"more").await?;
    reset(both.kernel.0)?;
    let script = "read read read write";
    let seen = "four ConnectionReset end BrokenPipe";
    assert_eq!(sees(both.kernel.1, script).await, seen);
    assert_eq!(sees(both.lonet.1, script).await, seen);
    limit.heal().await?;
    Ok(())
}

#[lonet::test]
async fn a_refused_dial_is_one_without_a_listener(scenario: Scenario) -> Result<()> {
    let mut both = both(scenario).await?;
    let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let plain = TcpStream::connect(free).await.unwrap_err().kind();
    let refuse = both.scenario.inject(fault::refuse("a", "b")).await?;
    let error = both.hosts.0.dial("b:10").await.unwrap_err();
    assert_eq!(error.kind(), plain);
    // Open connections stay.
    both.sends(b"x").await?;
    assert_eq!(sees(both.lonet.1, "read").await, "x");
    refuse.heal().await?;
    Ok(())
}

#[lonet::test]
async fn a_partition_delays_a_close_and_changes_nothing_of_it(scenario: Scenario) -> Result<()> {
    let mut both = both(scenario).await?;
    let partition = both.scenario.inject(fault::partition("a", "b")).await?;
    both.lonet.0.write_all(b"before").await?;
    both.kernel.0.write_all(b"before").await?;
    drop((both.lonet.0, both.kernel.0));
    partition.heal().await?;
    let script = "read read fill write read";
    let seen = "before end BrokenPipe BrokenPipe end";
    assert_eq!(sees(both.kernel.1, script).await, seen);
    assert_eq!(sees(both.lonet.1, script).await, seen);
    Ok(())
}

#[lonet::test]
async fn a_window_holds_a_writer_back_as_small_buffers_do(scenario: Scenario) -> Result<()> {
    /// With default buffers, all of it goes in.
    const ALL: usize = 1 << 20;
    /// Small buffers are slow.
    const MORE: usize = 60_000;
    let mut both = both(scenario).await?;
    let partition = fault::partition("a", "b").window(4096);
    let partition = both.scenario.inject(partition).await?;
    setsockopt(&both.kernel.0, SndBuf, &4096)?;
    setsockopt(&both.kernel.1, RcvBuf, &4096)?;

    /// How much goes in before a write would wait.
    fn fits(mut write: impl FnMut(&[u8]) -> std::io::Result<usize>) -> usize {
        let mut bytes = 0;
        while let Ok(written) = write(&[0; 512]) {
            bytes += written;
        }
        bytes
    }
    both.lonet.0.writable().await?;
    both.kernel.0.writable().await?;
    let (lonet, plain) = (&both.lonet.0, &both.kernel.0);
    let held = fits(|bytes| lonet.try_write(bytes));
    assert!(held < ALL / 2, "{held}");
    let plain = fits(|bytes| plain.try_write(bytes));
    assert!(plain < ALL / 2, "{plain}");

    let writing = async {
        both.lonet.0.write_all(&vec![0; MORE]).await.unwrap();
        Ok::<_, lonet_harness::Error>(())
    };
    let reading = async {
        partition.heal().await?;
        let mut all = vec![0; held + MORE];
        both.lonet.1.read_exact(&mut all).await.unwrap();
        Ok(())
    };
    tokio::try_join!(writing, reading)?;
    Ok(())
}
