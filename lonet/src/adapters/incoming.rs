//! [`Incoming`]: a listener of any [`Networker`](crate::Networker), for a server of axum or tonic.
//!
//! Owns what happens when accepting fails, since those servers can't return the error. Their traits
//! are in `axum` and `tonic`.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::watch;

use crate::{Cause, Error, NetListener};

/// The connections that a listener accepts, as a stream for a server.
///
/// The stream ends when the listener, its host or its network is closed. An error that affects only
/// one connection does not end it.
///
/// # axum
///
/// `axum::serve` accepts it as a listener. It also accepts a [`Listener`](crate::Listener) directly.
/// But axum has no way to report that a listener is closed: without a graceful shutdown, lonet then
/// prints one line to stderr and `axum::serve` waits forever. Pass [`closed`](Incoming::closed) to
/// axum's graceful shutdown to end the server.
///
/// A handler gets the address of its peer with `ConnectInfo<`[`Ends`](super::Ends)`>` or, on a lonet
/// network, `ConnectInfo<`[`Addr`](crate::Addr)`>`.
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use lonet::{Addr, adapters::Incoming};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let network = lonet::join("").await?;
/// # let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
/// let app = Router::new().route(
///     "/",
///     get(|ConnectInfo(peer): ConnectInfo<Addr>| async move { format!("hello, {peer}") }),
/// );
/// let incoming = Incoming::new(alpha.listen(":10").await?);
/// let closed = incoming.closed();
/// let server = tokio::spawn(async move {
///     axum::serve(incoming, app.into_make_service_with_connect_info::<Addr>())
///         .with_graceful_shutdown(closed)
///         .await
/// });
///
/// let mut conn = beta.dial("α:10").await?;
/// conn.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
/// let mut answer = String::new();
/// conn.read_to_string(&mut answer).await?;
/// assert!(answer.ends_with("hello, β:1"), "{answer}");
///
/// alpha.close().await?;
/// server.await??;
/// # Ok(())
/// # }
/// ```
///
/// # tonic
///
/// `serve_with_incoming` accepts it as a stream. The last item is the error that ended it; then the
/// server returns. A method finds the address of its peer in the [`Ends`](super::Ends) among the
/// request's extensions. The client's channel uses a [`Connector`](super::Connector):
///
#[cfg_attr(feature = "tonic", doc = "```")]
#[cfg_attr(not(feature = "tonic"), doc = "```ignore")]
/// use lonet::adapters::{Connector, Incoming, uri};
/// use tonic::transport::{Endpoint, Server};
/// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let network = lonet::join("").await?;
/// # let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
/// let (_reporter, health) = tonic_health::server::health_reporter();
/// let incoming = Incoming::new(alpha.listen(":10").await?);
/// let server = tokio::spawn(async move {
///     Server::builder().add_service(health).serve_with_incoming(incoming).await
/// });
///
/// let channel = Endpoint::from(uri("α:10", "/")?)
///     .connect_with_connector(Connector::new(beta))
///     .await?;
/// let whole_server = HealthCheckRequest { service: String::new() };
/// let answer = HealthClient::new(channel).check(whole_server).await?;
/// assert_eq!(answer.get_ref().status, 1, "serving");
///
/// alpha.close().await?;
/// server.await??;
/// # Ok(())
/// # }
/// ```
#[must_use = "the listener closes when this is dropped"]
pub struct Incoming<L: NetListener> {
    listener: Arc<L>,
    /// The accept that is under way.
    accepting: Option<Accepting<L::Stream>>,
    /// Whether the listener is closed, for the calls of `closed` that wait.
    closed: watch::Sender<bool>,
}

type Accepting<S> = Pin<Box<dyn Future<Output = io::Result<S>> + Send>>;

impl<L: NetListener> Incoming<L> {
    /// The connections of this listener.
    pub fn new(listener: L) -> Incoming<L> {
        Incoming {
            listener: Arc::new(listener),
            accepting: None,
            closed: watch::Sender::new(false),
        }
    }

    /// Waits until the listener is closed and the server has seen it, or until this is dropped.
    ///
    /// The future does not borrow from `self`: the server takes `self` by value, and the future is
    /// for its graceful shutdown.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static + use<L> {
        let mut closed = self.closed.subscribe();
        async move {
            // The error says that this is gone.
            let _ = closed.wait_for(|closed| *closed).await;
        }
    }

    /// The address it listens on.
    #[cfg(feature = "axum")]
    pub(super) fn addr(&self) -> String {
        self.listener.addr()
    }

    /// Whether a call of `closed` will see that this is closed.
    #[cfg(feature = "axum")]
    pub(super) fn is_watched(&self) -> bool {
        self.closed.receiver_count() > 0
    }

    /// The next connection; or the error that ended this, once, then nothing.
    pub(super) fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<L::Stream>>> {
        if *self.closed.borrow() {
            return Poll::Ready(None);
        }
        let accepting = self.accepting.get_or_insert_with(|| {
            let listener = Arc::clone(&self.listener);
            Box::pin(async move { next(&*listener).await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.accepting = None;
        if accepted.is_err() {
            self.closed.send_replace(true);
        }
        Poll::Ready(Some(accepted))
    }
}

impl<L: NetListener> fmt::Debug for Incoming<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({})", self.listener.addr())
    }
}

/// How long accepting rests when the process has run out of something, most likely descriptors.
const OUT_OF_SOMETHING: Duration = Duration::from_millis(50);

/// The next connection; an error only if there is none ever after.
pub(super) async fn next<L: NetListener>(listener: &L) -> io::Result<L::Stream> {
    loop {
        let error = match listener.accept().await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        match fate(&error) {
            Fate::Closed => return Err(error),
            Fate::OneDialer => {}
            Fate::Rest => tokio::time::sleep(OUT_OF_SOMETHING).await,
        }
    }
}

/// What an error of accepting is the end of.
#[derive(Debug, PartialEq)]
enum Fate {
    /// The listener.
    Closed,
    /// One connection, which came to nothing.
    OneDialer,
    /// Nothing, but to try again at once would be in vain.
    Rest,
}

fn fate(error: &io::Error) -> Fate {
    let ours = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(ours) = ours {
        return match ours.cause() {
            Cause::SocketDown | Cause::HostDown | Cause::NetworkDown => Fate::Closed,
            Cause::Io(..) => Fate::Rest,
            _ => Fate::OneDialer,
        };
    }
    use io::ErrorKind as K;
    match error.kind() {
        // The system's `accept` does not return this, so it comes from another kind of network.
        K::NotConnected => Fate::Closed,
        K::ConnectionRefused | K::ConnectionReset | K::ConnectionAborted => Fate::OneDialer,
        _ => Fate::Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_server() {
        let ours = |cause| io::Error::from(Error::new("accept", "lonetx".into(), cause));
        let io = |kind: io::ErrorKind| Cause::Io(kind, String::new());
        for (error, expected) in [
            (ours(Cause::SocketDown), Fate::Closed),
            (ours(Cause::HostDown), Fate::Closed),
            (ours(Cause::NetworkDown), Fate::Closed),
            (ours(Cause::PortsExhausted), Fate::OneDialer),
            (ours(Cause::ConnectionReset), Fate::OneDialer),
            (ours(io(io::ErrorKind::NotConnected)), Fate::Rest),
            (io::ErrorKind::NotConnected.into(), Fate::Closed),
            (io::ErrorKind::ConnectionAborted.into(), Fate::OneDialer),
            // accept(2) returns this when an interface is down; accepting continues.
            (io::ErrorKind::NetworkDown.into(), Fate::Rest),
            (io::Error::from_raw_os_error(24), Fate::Rest),
        ] {
            assert_eq!(fate(&error), expected, "{error:?}");
        }
    }
}
