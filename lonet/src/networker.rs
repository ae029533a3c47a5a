//! [`Networker`]: the trait that lets production code run on any network.
//!
//! Code that takes a `N: Networker` runs unchanged over real TCP ([`Tcp`]), over TLS (`Tls`, with
//! the feature `tls`), on a lonet network and on a pipenet ([`Host`](crate::Host)). [`AnyNetwork`]
//! holds any of them without a type parameter. A map of:
//!
//! - `tcp`: real TCP;
//! - `host`: lonet's own hosts;
//! - `any`: the erased form;
//! - `tls`: TLS over any of them; `server_name`: the name of a host in a certificate.
//!
//! The rules of the lonet network are in `virtnet`.
//!
//! ```
//! use lonet::{NetListener, NetStream, Networker};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! async fn answer_once(net: impl Networker, addr: &str) -> std::io::Result<()> {
//!     let listener = net.listen(addr).await?;
//!     let mut conn = listener.accept().await?;
//!     conn.write_all(conn.peer_addr().as_bytes()).await?;
//!     conn.shutdown().await
//! }
//!
//! async fn ask(net: impl Networker, addr: &str) -> std::io::Result<String> {
//!     let mut answer = String::new();
//!     net.dial(addr).await?.read_to_string(&mut answer).await?;
//!     Ok(answer)
//! }
//! ```

mod any;
mod host;
#[cfg(feature = "tls")]
mod server_name;
mod tcp;
#[cfg(feature = "tls")]
pub(crate) mod tls;

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

pub use any::{AnyListener, AnyNetwork, AnyStream};
pub use tcp::{Tcp, TcpListener, TcpStream};

/// A host on some network: it can dial and listen.
///
/// Addresses are strings, `host:port`. On every network `:10` is port 10 of the host itself, and
/// listening on `""` or `":0"` takes a free port, which [`NetListener::addr`] returns.
///
/// Errors are `io::Error`s; those of a lonet host downcast to [`lonet::Error`](crate::Error).
/// To cancel an operation, drop its future.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lonet::{AnyNetwork, NetListener, NetStream, Networker, Tcp};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// /// Production code: it does not name a network.
/// async fn greets(network: &impl Networker, addr: &str) -> std::io::Result<String> {
///     let listener = network.listen(addr).await?;
///     let addr = listener.addr();
///     let serve = async { listener.accept().await?.write_all(b"hello").await };
///     let ask = async {
///         let mut answer = String::new();
///         network.dial(&addr).await?.read_to_string(&mut answer).await?;
///         Ok(answer)
///     };
///     tokio::try_join!(serve, ask).map(|((), answer)| answer)
/// }
///
/// assert_eq!(greets(&Tcp, "127.0.0.1:0").await?, "hello");
/// let host = lonet::pipenet::network("x").new_host("α").await?;
/// assert_eq!(greets(&host, ":10").await?, "hello");
/// assert_eq!(greets(&AnyNetwork::new(host), ":10").await?, "hello");
/// # Ok(()) }
/// ```
pub trait Networker: Send + Sync + 'static {
    /// An established connection.
    type Stream: NetStream;
    /// A listener.
    type Listener: NetListener<Stream = Self::Stream>;

    /// The name of the network: `tcp`, `tls+tcp`, or the full name of a lonet network.
    fn network(&self) -> &str;

    /// The name of this host on the network.
    fn name(&self) -> &str;

    /// Listens on an address of this host.
    ///
    /// # Errors
    /// The address is taken or illegal, or it belongs to another host; or this host is closed.
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing listens.
    fn listen(&self, addr: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to an address.
    ///
    /// # Errors
    /// Nothing listens there, or the address is illegal; or this host is closed.
    ///
    /// # Cancel safety
    /// If the future is dropped, no connection is left.
    fn dial(&self, addr: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Leaves the network. A lonet host closes its listeners and connections, and its pending
    /// operations return. On real TCP this does nothing.
    ///
    /// # Errors
    /// The host could not leave the network cleanly.
    ///
    /// # Cancel safety
    /// If the future is dropped, the host may or may not have left. Calling it again is safe.
    fn close(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// An established connection of a [`Networker`].
///
/// Dropping it closes it. `shutdown` sends EOF to the peer and leaves the other direction open.
pub trait NetStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The address of this end, as `host:port`.
    fn local_addr(&self) -> String;

    /// The address of the other end, as `host:port`.
    fn peer_addr(&self) -> String;
}

/// A listener of a [`Networker`]. Dropping it closes it.
pub trait NetListener: Send + Sync + 'static {
    /// An accepted connection.
    type Stream: NetStream;

    /// The address it listens on, as `host:port`.
    fn addr(&self) -> String;

    /// The same as [`addr`](NetListener::addr), under tokio's name.
    fn local_addr(&self) -> String {
        self.addr()
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// The listener, its host or its network is closed. On real TCP, any error of `accept(2)`; the
    /// call may be repeated.
    ///
    /// # Cancel safety
    /// If the future is dropped, no connection is accepted.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Stops listening. Pending calls of [`accept`](NetListener::accept) return an error.
    ///
    /// # Errors
    /// Some networks return an error if the listener is already closed.
    ///
    /// # Cancel safety
    /// If the future is dropped, the listener may or may not have closed. Calling it again is safe.
    fn close(&self) -> impl Future<Output = io::Result<()>> + Send;
}
