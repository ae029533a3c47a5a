//! axum, hyper and tonic over a lonet network, or over any other [`Networker`], each behind a
//! feature of its name.
//!
//! | feature | serves | dials |
//! |---|---|---|
//! | `axum` | `axum::serve(listener, app)` with a [`Listener`](crate::Listener) or an [`Incoming`] | |
//! | `hyper` | | [`Connector`], for a client of hyper-util; [`uri`] makes `http://α:10/` |
//! | `tonic` | `serve_with_incoming(Incoming::new(listener))` | `connect_with_connector(Connector::new(host))` |
//!
//! What the examples of [`Incoming`] and of [`Connector`] do in one process does the same between
//! several. All they use are those crates' own traits. A map of:
//!
//! - `incoming`: what a listener of any [`Networker`] is for a server; `axum`, `tonic`: the traits;
//! - `connector`: what a [`Networker`] is for a client; `authority`: which URI dials what;
//! - `io`: a connection of any [`Networker`], of a type for which those traits can be had.
//!
//! Owns no protocol: HTTP is those crates' business.

#[cfg(feature = "axum")]
mod axum;
mod incoming;
mod io;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "hyper")]
mod authority;
#[cfg(feature = "hyper")]
mod connector;

#[cfg(doc)]
use crate::Networker;

#[cfg(feature = "hyper")]
pub use authority::uri;
#[cfg(feature = "hyper")]
pub use connector::{Connecting, Connector};
pub use incoming::Incoming;
pub use io::{Ends, NetIo};
