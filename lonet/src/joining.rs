//! Joining a network: an open engine, served, makes a subnetwork.
//!
//! Owns which network a program joins, and as which host. What is served how is in `serve`.

mod serve;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::addr::check_name;
use crate::error::{Cause, Error, Result};
use crate::loopback::{Loopback, Opened};
use crate::virtnet::engine::Engine;
use crate::virtnet::{Host, Net, NetName, SubNetwork};
use serve::{Serving, serve};

/// What a network's full name begins with.
const PREFIX: &str = "lonet";

/// Joins the network of that name, or creates it. With `""`, creates a fresh network with a random
/// unique name. All processes of one user on one machine that join the same name share the network.
///
/// The runtime on which this is called serves the dials of other processes. When that runtime is
/// dropped, the subnetwork closes, as at the end of a process, even if other runtimes use it: its
/// operations then fail with [`Cause::NetworkDown`]. So join on a runtime that lives as long as the
/// hosts do.
///
/// An operation waits for files on the blocking threads of the runtime on which it is called. If
/// callers of `block_on` occupy all of these threads, the operation never ends.
///
/// # Errors
///
/// [`Cause::InvalidName`], [`Cause::Directory`], [`Cause::Registry`], [`Cause::Io`].
///
/// # Panics
///
/// If called outside of a tokio runtime, or on one without I/O. Dials panic on a runtime without
/// time.
///
/// # Cancel safety
///
/// If the future is dropped, nothing stays open.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = lonet::join("").await?; // or "x": what other processes join, too
/// let alpha = network.new_host("α").await?;
/// let listener = alpha.listen(":10").await?;
/// let (dialed, accepted) = tokio::join!(alpha.dial("α:10"), listener.accept());
/// assert_eq!(dialed?.peer_addr(), accepted?.local_addr());
/// # Ok(()) }
/// ```
pub async fn join(network: &str) -> Result<SubNetwork> {
    let failed = |cause| Error::new("join", NetName::new(PREFIX, network).full().clone(), cause);
    if !network.is_empty() {
        check_name(network).map_err(failed)?;
    }
    open(network, None).await.map_err(failed)
}

/// The same, for a process that this one carries: it has the number `process` in the scenario. Beside
/// others on the same network, it has a reporter and a connection to the collector of its own.
pub(crate) async fn join_carrying(network: &str, process: u64) -> Result<SubNetwork> {
    let failed = |cause| Error::new("join", NetName::new(PREFIX, network).full().clone(), cause);
    check_name(network).map_err(failed)?;
    open(network, Some(process)).await.map_err(failed)
}

async fn open(network: &str, carries: Option<u64>) -> Result<SubNetwork, Cause> {
    let Opened {
        loopback,
        name,
        tracing,
        listener,
    } = Loopback::open(network, carries).await?;
    let name = NetName::new(PREFIX, &name);
    let engine = Engine::Loopback(loopback.clone());
    let net = match carries {
        None => Net::new(name, engine, tracing),
        Some(_) => Net::carried(name, engine, tracing),
    };
    Ok(served(net, &loopback, listener))
}

/// Serves a network on the runtime that calls.
fn served(net: Arc<Net>, loopback: &Arc<Loopback>, listener: Arc<TcpListener>) -> SubNetwork {
    let runtime = Handle::current().id();
    let accepting = tokio::spawn(serve(listener, Serving::on(runtime, &net)));
    loopback.accepted_by(accepting.abort_handle());
    SubNetwork::of(net)
}

/// A fresh network without a trace, on which faults act all the same.
#[cfg(test)]
pub(crate) async fn join_behind(gate: Arc<crate::trace::Gate>) -> SubNetwork {
    let opened = Loopback::open("", None)
        .await
        .expect("a fresh network opens");
    let name = NetName::new(PREFIX, &opened.name);
    let net = Net::behind(gate, name, Engine::Loopback(opened.loopback.clone()));
    served(net, &opened.loopback, opened.listener)
}

/// Joins the network named in the environment variable `LONET_NETWORK`, as the host named in
/// `LONET_HOST`. A test sets both for the programs that it starts.
///
/// Further calls return the same host until it is closed. The host stays open for the rest of the
/// program, even if every handle is dropped, but, as with [`join`], not longer than the runtime of
/// the first call: after the end of a `#[tokio::test]`, another test in the same process gets a new
/// host of that name.
///
/// # Errors
///
/// [`Cause::InvalidName`] if one of the two is not set; otherwise the same as for [`join`] and
/// [`SubNetwork::new_host`].
///
/// # Panics
///
/// The same as for [`join`].
///
/// # Cancel safety
///
/// If the future is dropped, nothing stays open.
///
/// # Examples
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> lonet::Result<()> {
/// let host = lonet::from_env().await?; // in a program that a test has started
/// let _listener = host.listen(":10").await?;
/// # Ok(()) }
/// ```
pub async fn from_env() -> Result<Host> {
    static OPEN: tokio::sync::Mutex<BTreeMap<(String, String), Host>> =
        tokio::sync::Mutex::const_new(BTreeMap::new());
    let place = (variable("LONET_NETWORK")?, variable("LONET_HOST")?);
    // Held while joining: a concurrent call gets the same host.
    let mut open = OPEN.lock().await;
    if let Some(host) = open.get(&place).filter(|host| host.is_open()) {
        return Ok(host.clone());
    }
    let host = join(&place.0).await?.new_host(&place.1).await?;
    open.insert(place, host.clone());
    Ok(host)
}

fn variable(name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => {
            let why = format!("the environment variable {name} is not set to a name");
            Err(Error::new("join", PREFIX.into(), Cause::InvalidName(why)))
        }
    }
}
