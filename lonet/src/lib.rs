//! A TCP network simulated over loopback: named hosts, predictable ports, shared by any number of
//! processes of one user on one machine.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> lonet::Result<()> {
//! let network = lonet::join("").await?; // a fresh one; join("x") is the one that others join, too
//! let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
//!
//! let listener = alpha.listen(":10").await?; // "α:10"
//! let (accepted, dialed) = tokio::try_join!(listener.accept(), beta.dial("α:10"))?;
//! assert_eq!(accepted.local_addr().to_string(), "α:1");
//! assert_eq!(dialed.local_addr().to_string(), "β:1");
//! # Ok(()) }
//! ```
//!
//! A [`SubNetwork`] is one process's part of a network, a [`Host`] an access point with ports of
//! its own, [`Listener`] and [`Stream`] are what their names say; the bytes are carried by kernel
//! TCP. [`pipenet`] is the same network in memory. Code that takes a [`Networker`] runs over real TCP
//! or TLS as well. What happens on a network can be traced: the crate `lonet-harness` asserts such
//! traces.
//!
//! # Start here
//!
//! - To test several processes: the attributes [`macro@host`], [`macro@test`] and [`macro@main`], with
//!   the crate `lonet-harness`; the guide (`docs/guide.md` in the project) leads from the first test
//!   to CI.
//! - To use the network alone: [`join`], or [`from_env`] in a program that a test starts.
//! - To write code that runs on any network: [`Networker`].
//!
//! Linux only. Networks lie in the platform's temporary directory, under `lonet/`; only processes of
//! the same user, or root, get in.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `tls`: TLS over any [`Networker`], with rustls: `Tls`. Cryptography comes with its configurations.
//! - `axum`: `axum::serve` takes a [`Listener`], or one of any other [`Networker`].
//! - `hyper`: a connector with which hyper-util's client speaks to `http://α:10/`.
//! - `tonic`: tonic serves on a [`Networker`]'s listener, and its channels connect over one. Brings
//!   `hyper`.
//!
//! What the last three are made of is in `adapters`.
//!
//! # To read the code
//!
//! Start at `virtnet`, where ports, closing and the order of events are decided; then `loopback`,
//! which carries the bytes, `registry`, which knows who is where, and `joining`, which puts them
//! together. Each module stands above all that it imports.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod addr;
mod error;
mod punycode;

mod call;
mod happens;
mod loopback;
mod pipes;
mod registry;
mod virtnet;

mod joining;
pub mod pipenet;

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
