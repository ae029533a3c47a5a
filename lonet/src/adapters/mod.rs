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
//! - `io`: a connection of any [`Networker`], of a type for which those traits can be had; `ends`:
//!   its two addresses.
//!
//! Owns no protocol: HTTP is those crates' business.

#![cfg_attr(
    not(all(feature = "axum", feature = "tonic")),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "these pages tell of every feature, and some link to what is not there"
    )
)]

#[cfg(feature = "axum")]
mod axum;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod incoming;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "hyper")]
mod authority;
#[cfg(feature = "hyper")]
mod connector;

mod ends;
#[cfg(feature = "hyper")]
mod io;

#[cfg(doc)]
use crate::Networker;

#[cfg(feature = "hyper")]
pub use authority::uri;
#[cfg(feature = "hyper")]
pub use connector::{Connecting, Connector};
pub use ends::Ends;
#[cfg(any(feature = "axum", feature = "tonic"))]
pub use incoming::Incoming;
#[cfg(feature = "hyper")]
pub use io::NetIo;
