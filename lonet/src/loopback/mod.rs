//! The engine over kernel TCP on loopback: a map.
//!
//! - [`join`]: directory, registry and OS listener make a subnetwork;
//! - [`dial`]: from a host's name to an answered connection;
//! - [`accept`]: from an OS connection to the queue of a listener;
//! - [`handshake`]: the lines of the wire, pure; [`line`]: one of them, read exactly;
//! - [`source`]: which OS addresses this process dials from;
//! - [`socket`]: the system calls of an established connection;
//! - [`peer_uid`]: whose process is at the other end.
//!
//! Names belong to `registry`, ports to `virtnet`.

mod accept;
mod dial;
pub(crate) mod handshake;
mod join;
mod line;
pub(crate) mod peer_uid;
pub(crate) mod socket;
mod source;

pub(crate) use accept::{Caller, answer};
pub(crate) use join::Loopback;
pub use join::{from_env, join};
