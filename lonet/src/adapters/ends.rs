//! Where the two ends of a connection are, as handlers and clients are told: [`Ends`].
//!
//! Owns the value; each framework has a place of its own for it.

use crate::NetStream;

/// The two addresses of a connection, as `host:port`.
///
/// A handler of axum has it as `ConnectInfo<Ends>`, one of tonic among the request's extensions,
/// and a client of hyper among the response's. An address of a lonet host parses as
/// [`Addr`](crate::Addr).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    local: String,
    peer: String,
}

impl Ends {
    /// Those of that connection.
    pub(super) fn of(stream: &impl NetStream) -> Ends {
        Ends {
            local: stream.local_addr(),
            peer: stream.peer_addr(),
        }
    }

    /// The address of this process's end.
    pub fn local_addr(&self) -> &str {
        &self.local
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> &str {
        &self.peer
    }
}
