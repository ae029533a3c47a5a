//! What lonet's own harness needs of lonet, and users do not. Promises nothing.

pub use crate::quote::unquote_text;
pub use crate::registry::NetworkDir;
pub use crate::trace::Tracing;

use std::net::SocketAddr;

use crate::loopback::peer_uid::PeerCheck;
use crate::{Host, SubNetwork};

/// This process's reporter on the network, and where it reports, if the network is traced.
pub fn tracing_of(network: &SubNetwork) -> Option<Tracing> {
    network.tracing().cloned()
}

/// The subnetwork that a host belongs to.
pub fn subnetwork_of(host: &Host) -> SubNetwork {
    host.subnetwork()
}

/// Whether the process at the other end of a loopback connection is of this user, or root's. A doubt
/// is a no.
pub fn is_of_this_user(conn: &tokio::net::TcpStream) -> bool {
    match (conn.local_addr(), conn.peer_addr()) {
        (Ok(SocketAddr::V4(local)), Ok(SocketAddr::V4(peer))) => {
            PeerCheck::probe().allows_half_closed(local, peer)
        }
        _ => false,
    }
}
