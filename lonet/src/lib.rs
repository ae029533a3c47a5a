//! A TCP network simulated over loopback: named hosts, predictable ports, shared by any number of
//! processes of one user on one machine.
//!
//! ```no_run
//! # async fn example() -> lonet::Result<()> {
//! let network = lonet::join("x").await?; // here, and in any other process
//! let alpha = network.new_host("α").await?;
//! let listener = alpha.listen(":10").await?; // "α:10"
//! let connection = listener.accept().await?; // local "α:1", peer for instance "β:1"
//! # let _ = connection; Ok(()) }
//! ```
//!
//! A [`SubNetwork`] is one process's part of a network, a [`Host`] an access point with ports of
//! its own, [`Listener`] and [`Stream`] are what their names say; the bytes are carried by kernel
//! TCP. [`pipenet`] is the same network in memory. Code that takes a [`Networker`] runs over real TCP
//! or TLS as well. What happens on a network can be traced: see
//! [`trace`], and the harness that asserts such traces, `lonet-harness`.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `tls`: TLS over any [`Networker`], with rustls: `Tls`.
//! - `axum`: `axum::serve` takes a [`Listener`], or one of any other [`Networker`].
//! - `hyper`: a connector with which hyper-util's client speaks to `http://α:10/`.
//! - `tonic`: tonic serves on a [`Networker`]'s listener, and its channels connect over one. Brings
//!   `hyper`.
//!
//! What the last three are made of is in `adapters`.
//!
//! To read the code, start at `virtnet`, where ports, closing and the order of events are decided;
//! then `loopback`, which carries the bytes, and `registry`, which knows who is where.

mod addr;
mod error;
mod punycode;
mod virtnet;

mod loopback;
pub mod pipenet;
mod registry;

#[cfg(any(feature = "axum", feature = "hyper"))]
pub mod adapters;
pub mod networker;

mod quote;
pub mod trace;

#[path = "private.rs"]
#[doc(hidden)]
pub mod __private;

#[cfg(fuzzing)]
#[path = "fuzz.rs"]
#[doc(hidden)]
pub mod __fuzz;

// The public interface is:
pub use addr::{Addr, check_name, parse_port};
pub use error::{Cause, Error, Result};
pub use lonet_macros::{host, main, test};
pub use loopback::{from_env, join};
#[cfg(feature = "tls")]
pub use networker::Tls;
pub use networker::{AnyNetwork, NetListener, NetStream, Networker, Tcp};
pub use virtnet::{
    Host, Listener, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, Stream, SubNetwork,
    WriteHalf,
};
