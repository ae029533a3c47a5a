//! The network in memory, for one process: the same types and rules, no sockets.
//!
//! Owns how such a network is made. What carries it is in `pipes`; ports and closing are `virtnet`'s.

use std::sync::Arc;

use crate::pipes::Pipes;
use crate::virtnet::engine::Engine;
use crate::virtnet::{Net, NetName, SubNetwork};

/// A fresh network in memory. Its full name is "pipe" and `name`, which is only for display: two
/// calls make two networks that know nothing of each other.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let net = lonet::pipenet::network("x");
/// let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
/// let listener = alpha.listen(":10").await?;
/// let (accepted, dialed) = tokio::join!(listener.accept(), beta.dial("α:10"));
/// assert_eq!(accepted?.peer_addr(), dialed?.local_addr());
/// # Ok::<(), lonet::Error>(()) }).unwrap();
/// ```
pub fn network(name: &str) -> SubNetwork {
    let engine = Engine::Pipes(Arc::new(Pipes::default()));
    SubNetwork::of(Net::new(NetName::new("pipe", name), engine, None))
}
