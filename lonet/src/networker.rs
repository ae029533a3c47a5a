//! The network that production code is written against: [`Networker`], whatever is under it.
//!
//! Code that takes a `N: Networker` runs unchanged over real TCP ([`Tcp`]), over TLS (`Tls`, with
//! the feature `tls`), on a lonet network and on a pipenet ([`Host`](crate::Host)). Where a type
//! parameter is in the way, [`AnyNetwork`] is any of them. A map of:
//!
//! - `tcp`: real TCP;
//! - `host`: lonet's own hosts;
//! - `any`: the erased form;
//! - `tls`: TLS over any of them; `server_name`: what a certificate calls a host.
//!
//! Owns no rule of the lonet network: those are in `virtnet`.
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

/// A place on a network from which one dials, and on which one listens: a host.
///
/// Addresses are strings, `host:port`. Everywhere `:10` is port 10 of this place itself, and
/// listening on `""` or `":0"` takes a free port, which [`NetListener::addr`] tells.
///
/// Errors are `io::Error`s; those of a lonet host downcast to [`lonet::Error`](crate::Error).
/// To stop waiting, drop the future.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lonet::{AnyNetwork, NetListener, NetStream, Networker, Tcp};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// /// Production code: it does not say which network.
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
    /// A socket that takes connections.
    type Listener: NetListener<Stream = Self::Stream>;

    /// The name of the network: `tcp`, `tls+tcp`, or the full name of a lonet network.
    fn network(&self) -> &str;

    /// The name of this place on the network: the host's.
    fn name(&self) -> &str;

    /// Listens on an address of this place.
    ///
    /// # Errors
    /// The address is taken, is not one, or belongs to another place; or this place is closed.
    ///
    /// # Cancel safety
    /// Dropped, it either listens nowhere, or has stopped to.
    fn listen(&self, addr: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to an address.
    ///
    /// # Errors
    /// Nothing listens there, or the address is not one; or this place is closed.
    ///
    /// # Cancel safety
    /// Dropped, it leaves no connection behind.
    fn dial(&self, addr: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Leaves the network. Of a lonet host, all that is open is closed, and whatever waits wakes
    /// up; real TCP has nothing that would have to be left.
    ///
    /// # Errors
    /// It was not possible to leave in good order.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not have left; it can be called again.
    fn close(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// An established connection of a [`Networker`]: bytes both ways, between two addresses.
///
/// Dropping it closes it; `shutdown` gives the peer EOF and leaves the other direction open.
pub trait NetStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The address of this end, as `host:port`.
    fn local_addr(&self) -> String;

    /// The address of the other end, as `host:port`.
    fn peer_addr(&self) -> String;
}

/// A socket of a [`Networker`] that takes connections. Dropping it closes it.
pub trait NetListener: Send + Sync + 'static {
    /// What it takes.
    type Stream: NetStream;

    /// Where it listens, as `host:port`.
    fn addr(&self) -> String;

    /// The same as [`addr`](NetListener::addr), as tokio names it.
    fn local_addr(&self) -> String {
        self.addr()
    }

    /// The next connection.
    ///
    /// # Errors
    /// The listener is closed, or what it listens on. Of real TCP any error of `accept(2)`, after
    /// which it may be called again.
    ///
    /// # Cancel safety
    /// Dropped, it has taken no connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Stops listening; whoever waits in [`accept`](NetListener::accept) gets an error.
    ///
    /// # Errors
    /// The listener is already closed, for networks that tell.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not have stopped; it can be called again.
    fn close(&self) -> impl Future<Output = io::Result<()>> + Send;
}
