//! [`Connector`]: a [`Networker`] for a client of hyper or tonic.
//!
//! Owns how such a client dials. `authority` maps URIs to hosts.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::authority::address;
use super::ends::Ends;
use super::io::NetIo;
use crate::{NetStream, Networker, Stream};

/// Dials for a client of hyper or tonic: a `tower` service from a URI to a connection.
///
/// It dials URIs of the form `http://host:port/…`. [`uri`](super::uri) writes the URI of a host whose
/// name is not ASCII. It dials as [`Networker::dial`] does: on a lonet network, it waits until the
/// other side accepts.
///
/// With hyper-util's client:
///
/// ```
/// use http_body_util::{BodyExt, Empty};
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use lonet::adapters::{Connector, Ends, uri};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let network = lonet::join("").await?;
/// # let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
/// # let listener = alpha.listen(":10").await?;
/// # tokio::spawn(async move {
/// #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// #     let mut conn = listener.accept().await.unwrap();
/// #     let _ = conn.read(&mut [0; 1000]).await.unwrap();
/// #     conn.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
/// # });
/// let client: Client<_, Empty<&[u8]>> =
///     Client::builder(TokioExecutor::new()).build(Connector::new(beta));
///
/// let response = client.get(uri("α:10", "/")?).await?;
/// let ends = response.extensions().get::<Ends>().cloned();
/// assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
/// assert_eq!(ends.map(|ends| ends.peer_addr().to_owned()), Some("α:1".into()));
/// # Ok(())
/// # }
/// ```
///
/// For tonic's channel (feature `tonic`), see [`Incoming`](super::Incoming).
///
/// # Errors
///
/// Those of [`Networker::dial`], and `InvalidInput` if the URI has no port, no host, or a scheme
/// other than `http`; the message says what is legal. The client wraps them: look for them among the
/// sources of its own error.
pub struct Connector<N> {
    network: Arc<N>,
    any_scheme: bool,
}

/// A dial of a [`Connector`]. Dropping it leaves no connection behind.
pub type Connecting<S> = Pin<Box<dyn Future<Output = io::Result<TokioIo<NetIo<S>>>> + Send>>;

impl<N: Networker> Connector<N> {
    /// Dials from this host: a [`Host`](crate::Host), [`Tcp`](crate::Tcp), or any other network.
    pub fn new(network: N) -> Connector<N> {
        Connector {
            network: Arc::new(network),
            any_scheme: false,
        }
    }

    /// Accepts URIs of any scheme, such as `https`, which it otherwise refuses because it does not
    /// encrypt. Use it on a network that encrypts, such as `Tls`, or below a connector that does.
    #[must_use]
    pub fn any_scheme(mut self) -> Connector<N> {
        self.any_scheme = true;
        self
    }
}

impl<N: Networker> Service<Uri> for Connector<N> {
    type Response = TokioIo<NetIo<N::Stream>>;
    type Error = io::Error;
    type Future = Connecting<N::Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let network = Arc::clone(&self.network);
        let addr = address(&uri, self.any_scheme);
        Box::pin(async move {
            let stream = network.dial(&addr?).await?;
            Ok(TokioIo::new(NetIo::new(stream)))
        })
    }
}

impl<N> Clone for Connector<N> {
    fn clone(&self) -> Connector<N> {
        Connector {
            network: Arc::clone(&self.network),
            any_scheme: self.any_scheme,
        }
    }
}

impl<N: Networker> fmt::Debug for Connector<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = &self.network;
        write!(f, "Connector({} on {})", network.name(), network.network())
    }
}

/// The response's extensions contain its [`Ends`].
impl<S: NetStream> Connection for NetIo<S> {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.ends())
    }
}

/// The response's extensions contain its [`Ends`].
impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(Ends::of(self))
    }
}
