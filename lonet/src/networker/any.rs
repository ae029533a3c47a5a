//! Any [`Networker`] behind one type.
//!
//! Owns the type erasure: each call allocates one box instead of needing a type parameter.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{NetListener, NetStream, Networker};

/// Any [`Networker`], type-erased and cheap to clone. It is a [`Networker`] itself.
#[derive(Clone)]
pub struct AnyNetwork(Arc<dyn ErasedNetwork>);

/// A connection of an [`AnyNetwork`].
#[must_use = "a connection closes when it is dropped"]
pub struct AnyStream(Box<dyn NetStream>);

/// A listener of an [`AnyNetwork`].
#[must_use = "a listener closes when it is dropped"]
pub struct AnyListener(Box<dyn ErasedListener>);

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

trait ErasedNetwork: Send + Sync {
    fn network(&self) -> &str;
    fn name(&self) -> &str;
    fn listen<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, AnyListener>;
    fn dial<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, AnyStream>;
    fn close(&self) -> BoxFuture<'_, ()>;
}

trait ErasedListener: Send + Sync {
    fn addr(&self) -> String;
    fn accept(&self) -> BoxFuture<'_, AnyStream>;
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl AnyNetwork {
    /// Erases the type of a network.
    ///
    /// # Examples
    ///
    /// ```
    /// use lonet::{AnyNetwork, Networker, Tcp};
    ///
    /// let network = AnyNetwork::new(Tcp);
    /// assert_eq!(network.network(), "tcp");
    /// ```
    pub fn new(network: impl Networker) -> AnyNetwork {
        AnyNetwork(Arc::new(network))
    }
}

impl<N: Networker> ErasedNetwork for N {
    fn network(&self) -> &str {
        Networker::network(self)
    }

    fn name(&self) -> &str {
        Networker::name(self)
    }

    fn listen<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, AnyListener> {
        Box::pin(async move {
            let listener = Networker::listen(self, addr).await?;
            Ok(AnyListener(Box::new(listener)))
        })
    }

    fn dial<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, AnyStream> {
        Box::pin(async move {
            let stream = Networker::dial(self, addr).await?;
            Ok(AnyStream(Box::new(stream)))
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(Networker::close(self))
    }
}

impl<L: NetListener> ErasedListener for L {
    fn addr(&self) -> String {
        NetListener::addr(self)
    }

    fn accept(&self) -> BoxFuture<'_, AnyStream> {
        Box::pin(async move {
            let stream = NetListener::accept(self).await?;
            Ok(AnyStream(Box::new(stream)))
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(NetListener::close(self))
    }
}

impl Networker for AnyNetwork {
    type Stream = AnyStream;
    type Listener = AnyListener;

    fn network(&self) -> &str {
        self.0.network()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    async fn listen(&self, addr: &str) -> io::Result<AnyListener> {
        self.0.listen(addr).await
    }

    async fn dial(&self, addr: &str) -> io::Result<AnyStream> {
        self.0.dial(addr).await
    }

    async fn close(&self) -> io::Result<()> {
        self.0.close().await
    }
}

impl NetListener for AnyListener {
    type Stream = AnyStream;

    fn addr(&self) -> String {
        self.0.addr()
    }

    async fn accept(&self) -> io::Result<AnyStream> {
        self.0.accept().await
    }

    async fn close(&self) -> io::Result<()> {
        self.0.close().await
    }
}

impl NetStream for AnyStream {
    fn local_addr(&self) -> String {
        self.0.local_addr()
    }

    fn peer_addr(&self) -> String {
        self.0.peer_addr()
    }
}

impl AsyncRead for AnyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for AnyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

impl fmt::Debug for AnyNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyNetwork({} on {})", self.0.name(), self.0.network())
    }
}

impl fmt::Debug for AnyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "AnyStream({}->{})",
            self.0.local_addr(),
            self.0.peer_addr()
        )
    }
}

impl fmt::Debug for AnyListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyListener({})", self.0.addr())
    }
}
