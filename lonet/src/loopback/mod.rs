//! The engine over kernel TCP on loopback: a map.
//!
//! - [`engine`]: directory, registry and OS listener of a subnetwork, and their end;
//! - [`dial`]: from a host's name to an answered connection;
//! - [`accept`]: from an OS connection to a dialer; [`slow`]: peers that owe their request;
//! - [`handshake`]: the lines of the wire, pure; [`line`]: one of them, read exactly;
//! - [`source`]: which OS addresses this process dials from;
//! - [`socket`]: the system calls of an established connection;
//! - [`peer_uid`]: whose process is at the other end.
//!
//! Names belong to `registry`. Knows nothing of `virtnet`, whose the ports are; `joining` puts both
//! together.

mod accept;
mod dial;
mod engine;
pub(crate) mod handshake;
mod line;
pub(crate) mod peer_uid;
mod slow;
pub(crate) mod socket;
mod source;

pub(crate) use accept::{Arrival, Caller, answer};
pub(crate) use dial::Answered;
pub(crate) use engine::{Loopback, Opened, blocking};
pub(crate) use line::Progress;
