//! axum, hyper and tonic over a lonet network or any other [`Networker`]. Each needs the feature
//! with its name.
//!
//! | feature | serves | dials |
//! |---|---|---|
//! | `axum` | `axum::serve(listener, app)` with a [`Listener`](crate::Listener) or an [`Incoming`] | |
//! | `hyper` | | [`Connector`], for a client of hyper-util; [`uri`] makes `http://α:10/` |
//! | `tonic` | `serve_with_incoming(Incoming::new(listener))` | `connect_with_connector(Connector::new(host))` |
//!
//! The examples of [`Incoming`] and [`Connector`] run in one process; the same code works between
//! processes. The adapters use only the public traits of those crates. A map of:
//!
//! - `incoming`: a listener of any [`Networker`], for a server; `axum`, `tonic`: their traits;
//! - `connector`: a [`Networker`], for a client; `authority`: which URI dials which address;
//! - `io`: a connection of any [`Networker`], as a type that implements those traits; `ends`: its
//!   two addresses.
//!
//! Those crates own the protocol, HTTP.

#![cfg_attr(
    not(all(feature = "axum", feature = "tonic")),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "the docs cover every feature, and some link to items of features that are off"
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
