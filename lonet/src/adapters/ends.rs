//! [`Ends`]: the two addresses of a connection, for handlers and clients.
//!
//! Owns the value; each framework has a place of its own for it.

use crate::NetStream;

/// The two addresses of a connection, as `host:port`.
///
/// An axum handler gets it as `ConnectInfo<Ends>`, a tonic method from the request's extensions, and
/// a hyper client from the response's extensions. The address of a lonet host parses as
/// [`Addr`](crate::Addr).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    local: String,
    peer: String,
}

impl Ends {
    /// The addresses of this connection.
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
