//! Real TCP as a [`Networker`].
//!
//! Owns what lonet's rules need beside tokio's sockets: addresses that stay known when the peer is
//! gone, and a listener that can be closed during a call of `accept`.

use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::{NetListener, NetStream, Networker};
use crate::error::{Cause, Error};
use crate::punycode::ascii;

/// Real TCP, on this machine.
///
/// An address is `host:port`, where the host is an IP address or a name to resolve. Listening on
/// `:80` listens on all IPv4 addresses of the machine; dialing `:80` connects to the machine itself.
/// A name that is not ASCII is resolved as an internationalized domain name. TCP_NODELAY is on, as
/// for lonet's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp;

/// A connection over real TCP.
#[derive(Debug)]
#[must_use = "a connection closes when it is dropped"]
pub struct TcpStream {
    socket: tokio::net::TcpStream,
    local: SocketAddr,
    peer: SocketAddr,
}

/// A listener of real TCP.
#[derive(Debug)]
#[must_use = "a listener closes when it is dropped"]
pub struct TcpListener {
    /// Taken out when it is closed.
    socket: Mutex<Option<Arc<tokio::net::TcpListener>>>,
    /// Whether it is closed; a change wakes pending calls.
    closed: watch::Sender<bool>,
    addr: SocketAddr,
}

impl Networker for Tcp {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn network(&self) -> &str {
        "tcp"
    }

    /// The machine's host name.
    fn name(&self) -> &str {
        static NAME: OnceLock<String> = OnceLock::new();
        NAME.get_or_init(|| {
            nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_else(|| String::from("localhost"))
        })
    }

    async fn listen(&self, addr: &str) -> io::Result<TcpListener> {
        let addr = with_host(addr, "0.0.0.0");
        let socket = tokio::net::TcpListener::bind(&*addr).await?;
        Ok(TcpListener {
            addr: socket.local_addr()?,
            socket: Mutex::new(Some(Arc::new(socket))),
            closed: watch::Sender::new(false),
        })
    }

    async fn dial(&self, addr: &str) -> io::Result<TcpStream> {
        let addr = with_host(addr, "127.0.0.1");
        let socket = tokio::net::TcpStream::connect(&*addr).await?;
        // Without a peer, it was reset since.
        let peer = socket
            .peer_addr()
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))?;
        if socket.local_addr()? == peer {
            // A port of this machine where nothing listens, which the kernel has just picked as
            // the source: the socket is connected to itself.
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        TcpStream::new(socket, peer)
    }

    async fn close(&self) -> io::Result<()> {
        Ok(())
    }
}

impl TcpListener {
    fn socket(&self) -> Option<Arc<tokio::net::TcpListener>> {
        // A panic elsewhere can't have left an `Option` half written.
        self.socket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn down(&self) -> io::Error {
        Error::new("accept", Arc::from("tcp"), Cause::SocketDown)
            .about(self.addr.to_string())
            .into()
    }
}

impl NetListener for TcpListener {
    type Stream = TcpStream;

    fn addr(&self) -> String {
        self.addr.to_string()
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        let mut closed = self.closed.subscribe();
        let socket = self.socket().ok_or_else(|| self.down())?;
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(self.down()),
            accepted = socket.accept() => {
                let (socket, peer) = accepted?;
                TcpStream::new(socket, peer)
            }
        }
    }

    async fn close(&self) -> io::Result<()> {
        drop(
            self.socket
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        self.closed.send_replace(true);
        Ok(())
    }
}

impl TcpStream {
    fn new(socket: tokio::net::TcpStream, peer: SocketAddr) -> io::Result<TcpStream> {
        socket.set_nodelay(true)?;
        Ok(TcpStream {
            local: socket.local_addr()?,
            peer,
            socket,
        })
    }

    /// The underlying tokio socket, for its other methods.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use lonet::{NetListener, Networker, Tcp};
    ///
    /// let listener = Tcp.listen("127.0.0.1:0").await?;
    /// let socket = Tcp.dial(&listener.addr()).await?.into_inner();
    /// socket.set_ttl(8)?;
    /// # Ok(()) }
    /// ```
    pub fn into_inner(self) -> tokio::net::TcpStream {
        self.socket
    }
}

impl AsRef<tokio::net::TcpStream> for TcpStream {
    fn as_ref(&self) -> &tokio::net::TcpStream {
        &self.socket
    }
}

impl NetStream for TcpStream {
    fn local_addr(&self) -> String {
        self.local.to_string()
    }

    fn peer_addr(&self) -> String {
        self.peer.to_string()
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The address with this host, where it names none, and in ASCII, as resolvers want it.
fn with_host<'a>(addr: &'a str, host: &str) -> Cow<'a, str> {
    if !addr.is_ascii() {
        let (host, port) = addr.rsplit_once(':').unwrap_or((addr, ""));
        Cow::Owned(format!("{}:{port}", ascii(host)))
    } else if addr.is_empty() {
        Cow::Owned(format!("{host}:0"))
    } else if addr.starts_with(':') {
        Cow::Owned(format!("{host}{addr}"))
    } else {
        Cow::Borrowed(addr)
    }
}

#[cfg(test)]
mod tests {
    use super::with_host;

    #[test]
    fn an_address_without_a_host_is_of_this_machine() {
        assert_eq!(with_host("", "0.0.0.0"), "0.0.0.0:0");
        assert_eq!(with_host(":0", "0.0.0.0"), "0.0.0.0:0");
        assert_eq!(with_host(":80", "127.0.0.1"), "127.0.0.1:80");
        assert_eq!(with_host("localhost:80", "0.0.0.0"), "localhost:80");
        assert_eq!(with_host("[::1]:80", "0.0.0.0"), "[::1]:80");
        assert_eq!(with_host("bücher.test:80", ""), "xn--bcher-kva.test:80");
    }
}
