//! A TCP network simulated over loopback: named hosts, predictable ports, shared by any number of
//! processes of one user on one machine.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> lonet::Result<()> {
//! let network = lonet::join("").await?; // a fresh network; join("x") joins the network named x
//! let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
//!
//! let listener = alpha.listen(":10").await?; // "α:10"
//! let (accepted, dialed) = tokio::try_join!(listener.accept(), beta.dial("α:10"))?;
//! assert_eq!(accepted.local_addr().to_string(), "α:1");
//! assert_eq!(dialed.local_addr().to_string(), "β:1");
//! # Ok(()) }
//! ```
//!
//! A [`SubNetwork`] is one process's part of a network. A [`Host`] has a name and its own ports. A
//! [`Listener`] accepts connections, and a [`Stream`] is a connection. Kernel TCP carries the bytes;
//! [`pipenet`] is the same network in memory. Code that takes a [`Networker`] also runs over real
//! TCP and TLS. The crate `lonet-harness` records the events of a network and asserts their order.
//!
//! # Start here
//!
//! - To test several processes, use the attributes [`macro@host`], [`macro@test`] and
//!   [`macro@main`] with the crate `lonet-harness`. The guide (`docs/guide.md` in the repository)
//!   starts with a first test and ends with CI.
//! - To use the network alone, call [`join`], or [`from_env`] in a program that a test starts.
//! - To write code that runs on any network, take a [`Networker`].
//!
//! lonet runs on Linux only. Networks are directories under `lonet/` in the system's temporary
//! directory. Only processes of the same user, or of root, can join.
//!
//! # Features
//!
//! All features are off by default.
//!
//! - `tls`: `Tls` runs TLS over any [`Networker`], with rustls. The rustls configurations that you
//!   pass choose the cryptography provider.
//! - `axum`: `axum::serve` accepts a [`Listener`], or the listener of any other [`Networker`].
//! - `hyper`: a connector for hyper-util's client, for URIs such as `http://α:10/`.
//! - `tonic`: tonic serves on the listener of a [`Networker`], and its channels connect over one.
//!   Enables `hyper`.
//!
//! The last three are in the module `adapters`.
//!
//! # To read the code
//!
//! Start with `virtnet`, which decides about ports, closing and the order of events. Then read
//! `loopback`, which carries the bytes, and `registry`, which stores where each host is.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod addr;
mod error;
mod lock;
mod punycode;

mod call;
mod happens;
mod loopback;
mod pipes;
mod registry;
mod virtnet;

mod joining;
pub mod pipenet;

#[doc(hidden)]
pub mod carried;

#[cfg(any(feature = "axum", feature = "hyper"))]
pub mod adapters;
mod networker;

mod quote;
#[doc(hidden)]
pub mod trace;

#[path = "private.rs"]
#[doc(hidden)]
pub mod __private;

#[cfg(fuzzing)]
#[path = "fuzz.rs"]
#[doc(hidden)]
pub mod __fuzz;

// The public interface is:
pub use addr::{Addr, ToAddr, check_name, parse_port};
pub use error::{Cause, Error, Result};
pub use joining::{from_env, join};
pub use lonet_macros::{before_role, host, main, test};
#[cfg(feature = "tls")]
pub use networker::tls::{Tls, TlsListener, TlsStream, rustls, server_name_of};
pub use networker::{
    AnyListener, AnyNetwork, AnyStream, NetListener, NetStream, Networker, Tcp, TcpListener,
    TcpStream,
};
pub use virtnet::{
    Host, Listener, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, Stream, SubNetwork,
    WriteHalf,
};
