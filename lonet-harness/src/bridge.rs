//! [`Bridge`]: between a lonet address and a real address of 127.0.0.1, for crates that need a
//! `TcpListener` or a `SocketAddr`.
//!
//! Owns the copying of bytes. Only the lonet side of a connection appears in the trace.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lonet::{Host, Listener, Stream, ToAddr};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::error::Error;

/// Forwards connections between a lonet address and a real address, until it is dropped.
///
/// lonet does not see the real side of a connection. The trace contains only the lonet side, and
/// what a program does after a read through a bridge is not ordered after that read. Use `host.mark`
/// in the program to record what matters.
///
/// EOF on one side ends the same direction of the other side. A reset on either side closes both.
#[must_use = "a bridge forwards nothing once it is dropped"]
#[derive(Debug)]
pub struct Bridge {
    local_addr: SocketAddr,
    carries: AbortHandle,
}

impl Bridge {
    /// Listens on `addr` on the lonet network and forwards every connection to the real address
    /// `server`. Use it for a server that needs its own `tokio::net::TcpListener`.
    ///
    /// # Errors
    ///
    /// The same as for [`Host::listen`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing stays open.
    ///
    /// # Examples
    ///
    /// ```
    /// use lonet_harness::{Bridge, Result};
    /// use tokio::io::AsyncWriteExt;
    /// use tokio::net::TcpListener;
    ///
    /// #[lonet::host]
    /// async fn server(host: lonet::Host) -> Result<()> {
    ///     let real = TcpListener::bind("127.0.0.1:0").await?;
    ///     let _bridge = Bridge::to_server(&host, ":80", real.local_addr()?).await?;
    ///     let (mut conn, _) = real.accept().await?;
    ///     conn.write_all(b"welcome").await?;
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    pub async fn to_server(
        host: &Host,
        addr: impl ToAddr,
        server: SocketAddr,
    ) -> Result<Bridge, Error> {
        let listener = host.listen(addr).await?;
        let carries = tokio::spawn(inward(listener, server)).abort_handle();
        Ok(Bridge {
            local_addr: server,
            carries,
        })
    }

    /// Listens on a free port of 127.0.0.1 and forwards every connection to `to` on the lonet
    /// network. Use it for a client that needs a `SocketAddr`: pass it
    /// [`local_addr`](Bridge::local_addr).
    ///
    /// Connections from processes of other users are closed at once. If the dial to `to` fails, the
    /// client's connection is closed.
    ///
    /// # Errors
    ///
    /// The system has no free port or file descriptor.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing stays open.
    ///
    /// # Examples
    ///
    /// ```
    /// use lonet_harness::{Bridge, Result};
    /// use tokio::io::AsyncReadExt;
    /// use tokio::net::TcpStream;
    ///
    /// #[lonet::host]
    /// async fn client(host: lonet::Host) -> Result<String> {
    ///     let bridge = Bridge::to_lonet(&host, "server:80").await?;
    ///     let mut conn = TcpStream::connect(bridge.local_addr()).await?;
    ///     let mut answer = String::new();
    ///     conn.read_to_string(&mut answer).await?;
    ///     Ok(answer)
    /// }
    /// # fn main() {}
    /// ```
    pub async fn to_lonet(host: &Host, to: &str) -> Result<Bridge, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let local_addr = listener.local_addr()?;
        let outward = outward(listener, host.clone(), to.to_owned());
        let carries = tokio::spawn(outward).abort_handle();
        Ok(Bridge {
            local_addr,
            carries,
        })
    }

    /// The real address: the server's address, or the address that a client connects to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.carries.abort();
    }
}

/// Accepts on the lonet network until the listener is closed. Its connections end with it.
async fn inward(listener: Listener, server: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok(conn) = accepted else { return };
                connections.spawn(async move {
                    if let Ok(real) = TcpStream::connect(server).await {
                        carry(conn, real).await;
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Accepts on the real network. Its connections end with it.
async fn outward(listener: TcpListener, host: Host, to: String) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((real, _)) if lonet::__private::is_of_this_user(&real) => {
                    let (host, to) = (host.clone(), to.clone());
                    connections.spawn(async move {
                        if let Ok(conn) = host.dial(&to).await {
                            carry(conn, real).await;
                        }
                    });
                }
                Ok(_) => {}
                // No descriptor is left. Nothing tells when there is one.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries the bytes of one connection, both ways, to its end.
async fn carry(mut conn: Stream, mut real: TcpStream) {
    let _ = real.set_nodelay(true);
    // A reset of one side: dropping both closes the other.
    let _ = copy_bidirectional(&mut conn, &mut real).await;
}
