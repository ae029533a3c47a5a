//! TLS over any [`Networker`].
//!
//! Owns when the handshake happens and which name a certificate must have. The user makes the two
//! configurations with [`rustls`]; they choose certificates and the cryptography provider. The
//! handshake of the accepting side is in `handshake`.

mod handshake;

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use self::handshake::{Handshake, Who};
use super::server_name::server_name;
use super::{NetListener, NetStream, Networker};
use crate::punycode::ascii;

pub use tokio_rustls::rustls;

/// TLS over another network.
///
/// `dial` completes the handshake and checks that the peer's certificate is valid for the dialed
/// host; see [`server_name_of`] for hosts whose name is not ASCII. `accept` returns before the
/// handshake: a task completes it in the background, so a silent peer does not block other
/// connections, and the dialing side does not wait for the first read of the accepting side.
///
/// Written bytes may stay in TLS's buffer until `flush`. Flush before you wait for an answer.
///
/// ```
/// # use std::sync::Arc;
/// use lonet::{Networker, Tls, rustls};
///
/// # fn example(network: impl Networker, client: rustls::ClientConfig, server: rustls::ServerConfig) {
/// let network = Tls::new(network)
///     .with_client(Arc::new(client))
///     .with_server(Arc::new(server));
/// # }
/// ```
#[derive(Clone)]
pub struct Tls<N> {
    inner: N,
    network: String,
    client: Option<Arc<ClientConfig>>,
    server: Option<Arc<ServerConfig>>,
}

/// A listener of [`Tls`].
#[must_use = "a listener closes when it is dropped"]
pub struct TlsListener<L> {
    inner: L,
    acceptor: TlsAcceptor,
}

/// A connection of [`Tls`].
///
/// `shutdown` sends TLS's `close_notify`. If the connection is dropped without it, the peer's read
/// returns an error of the kind `UnexpectedEof`.
#[must_use = "a connection closes when it is dropped"]
pub struct TlsStream<S> {
    state: State<S>,
    local: String,
    peer: String,
}

enum State<S> {
    /// Accepted; the result of the handshake is not known here yet.
    Accepting(Handshake<S>),
    Established(Box<tokio_rustls::TlsStream<S>>),
    /// The handshake failed, and the error has been returned.
    Failed,
}

impl<N: Networker> Tls<N> {
    /// TLS over `inner`. To dial, it needs a [client configuration](Tls::with_client); to listen, a
    /// [server configuration](Tls::with_server).
    pub fn new(inner: N) -> Tls<N> {
        let network = format!("tls+{}", inner.network());
        Tls {
            inner,
            network,
            client: None,
            server: None,
        }
    }

    /// Sets the configuration for dialing.
    #[must_use]
    pub fn with_client(mut self, config: Arc<ClientConfig>) -> Tls<N> {
        self.client = Some(config);
        self
    }

    /// Sets the configuration for listening.
    #[must_use]
    pub fn with_server(mut self, config: Arc<ServerConfig>) -> Tls<N> {
        self.server = Some(config);
        self
    }

    /// The network that carries the TLS connections.
    pub fn inner(&self) -> &N {
        &self.inner
    }
}

/// The name that a certificate must contain for a host: the host's name, or its Punycode form if the
/// name is not ASCII, for instance `xn--mxa` for `α`.
///
/// # Examples
///
/// ```
/// assert_eq!(lonet::server_name_of("α"), "xn--mxa");
/// assert_eq!(lonet::server_name_of("db-1"), "db-1");
/// ```
pub fn server_name_of(host: &str) -> String {
    ascii(host)
}

impl<N: Networker> Networker for Tls<N> {
    type Stream = TlsStream<N::Stream>;
    type Listener = TlsListener<N::Listener>;

    fn network(&self) -> &str {
        &self.network
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn listen(&self, addr: &str) -> io::Result<Self::Listener> {
        let config = self
            .server
            .clone()
            .ok_or_else(|| unconfigured("listen", "with_server"))?;
        let inner = self.inner.listen(addr).await?;
        Ok(TlsListener {
            inner,
            acceptor: TlsAcceptor::from(config),
        })
    }

    async fn dial(&self, addr: &str) -> io::Result<Self::Stream> {
        let config = self
            .client
            .clone()
            .ok_or_else(|| unconfigured("dial", "with_client"))?;
        let name = match server_name(addr) {
            // `:10` is this place's own port.
            name if name.is_empty() => ascii(self.inner.name()),
            name => name,
        };
        let name = ServerName::try_from(name.clone()).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} can't be a server name in TLS: {error}"),
            )
        })?;
        let inner = self.inner.dial(addr).await?;
        let (local, peer) = (inner.local_addr(), inner.peer_addr());
        let stream = TlsConnector::from(config).connect(name, inner).await?;
        Ok(TlsStream {
            state: State::Established(Box::new(stream.into())),
            local,
            peer,
        })
    }

    async fn close(&self) -> io::Result<()> {
        self.inner.close().await
    }
}

fn unconfigured(what: &str, how: &str) -> io::Error {
    let message = format!("TLS is not configured to {what}: give `Tls::{how}` a configuration");
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

impl<L: NetListener> NetListener for TlsListener<L> {
    type Stream = TlsStream<L::Stream>;

    fn addr(&self) -> String {
        self.inner.addr()
    }

    async fn accept(&self) -> io::Result<Self::Stream> {
        let inner = self.inner.accept().await?;
        let (local, peer) = (inner.local_addr(), inner.peer_addr());
        let state = State::Accepting(Handshake::begin(self.acceptor.accept(inner)));
        Ok(TlsStream { state, local, peer })
    }

    async fn close(&self) -> io::Result<()> {
        self.inner.close().await
    }
}

impl<S: NetStream> TlsStream<S> {
    /// The connection once its handshake is made.
    fn poll_established(
        &mut self,
        cx: &mut Context<'_>,
        who: Who,
    ) -> Poll<io::Result<Pin<&mut tokio_rustls::TlsStream<S>>>> {
        if let State::Accepting(handshake) = &mut self.state {
            self.state = match ready!(handshake.poll(cx, who)) {
                Ok(stream) => State::Established(Box::new(stream.into())),
                Err(error) => {
                    self.state = State::Failed;
                    return Poll::Ready(Err(error));
                }
            };
        }
        match &mut self.state {
            State::Established(stream) => Poll::Ready(Ok(Pin::new(&mut **stream))),
            _ => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the TLS handshake failed",
            ))),
        }
    }
}

impl<S: NetStream> NetStream for TlsStream<S> {
    fn local_addr(&self) -> String {
        self.local.clone()
    }

    fn peer_addr(&self) -> String {
        self.peer.clone()
    }
}

impl<S: NetStream> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_established(cx, Who::Reader))?.poll_read(cx, buf)
    }
}

impl<S: NetStream> AsyncWrite for TlsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_established(cx, Who::Writer))?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_established(cx, Who::Writer))?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_established(cx, Who::Writer))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that never makes the handshake must not keep us here.
        if let State::Accepting(handshake) = &mut self.state
            && let Some(ended) = handshake.poll_plain_shutdown(cx)
        {
            return ended;
        }
        ready!(self.poll_established(cx, Who::Writer))?.poll_shutdown(cx)
    }
}

impl<N: Networker> fmt::Debug for Tls<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({} on {})", self.inner.name(), self.network)
    }
}

impl<L: NetListener> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsListener({})", self.inner.addr())
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsStream({}->{})", self.local, self.peer)
    }
}
