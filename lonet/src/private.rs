//! What lonet's own harness needs of lonet, and users do not. Promises nothing.

pub use crate::quote::unquote_text;
pub use crate::registry::NetworkDir;
pub use crate::trace::Tracing;

use crate::{Host, SubNetwork};

/// This process's reporter on the network, and where it reports, if the network is traced.
pub fn tracing_of(network: &SubNetwork) -> Option<Tracing> {
    network.tracing().cloned()
}

/// The subnetwork that a host belongs to.
pub fn subnetwork_of(host: &Host) -> SubNetwork {
    host.subnetwork()
}
