//! Subnetworks of processes that this one carries: what the harness needs for programs that know
//! nothing of lonet. Promises nothing.
//!
//! Owns the interface only: a listener that says what could be accepted before it is, a reset, and a
//! reporter for each process. What they do is in `virtnet`, `joining` and `trace`.

use std::task::{Context, Poll};

use crate::joining::join_carrying;
use crate::{Addr, Host, Listener, Result, Stream, SubNetwork};

/// Joins the network of that name for the process of that number in the scenario. As [`crate::join`],
/// but with a connection to the collector and a reporter of its own, whose `hello` has the number.
///
/// # Errors
///
/// As for [`crate::join`]; a network has to have a name here.
pub async fn join(network: &str, process: u64) -> Result<SubNetwork> {
    join_carrying(network, process).await
}

/// Listens on that port of the host; with 0, on the lowest free one. With `only_own`, dials of other
/// hosts are refused, as if nothing listened there.
///
/// # Errors
///
/// As for [`Host::listen`].
pub async fn listen(host: &Host, port: u16, only_own: bool) -> Result<Listener> {
    host.listen_as(&format!(":{port}"), only_own).await
}

/// From now on other hosts may dial a listener that only its own host might.
pub fn open_to_all(listener: &Listener) {
    listener.open_to_all();
}

/// Dials as [`Host::dial`] does, from that port; with 0, from the lowest free one. Before the dial
/// leaves, `began` gets the address that it comes from.
///
/// # Errors
///
/// As for [`Host::dial`]; [`Cause::AddrInUse`](crate::Cause::AddrInUse).
pub async fn dial(host: &Host, addr: &str, port: u16, began: impl FnOnce(&Addr)) -> Result<Stream> {
    host.dial_from(addr, port, began).await
}

/// Whether nothing has that port of the host now.
pub fn is_free(host: &Host, port: u16) -> bool {
    host.is_free(port)
}

/// A name as the DNS has it, where that is another: `xn--mxa` for `α`.
pub fn ascii_name(name: &str) -> Option<String> {
    let ascii = crate::punycode::ascii(name);
    (ascii != name).then_some(ascii)
}

/// Ready once for each dial that [`Listener::accept`] would accept now, with where it comes from: it
/// has arrived, and neither a fault nor a hold keeps it back. The dial may be gone by the time it is
/// accepted. If an accept finds that a dial is kept back meanwhile, that dial is announced again. Only
/// the waker of the latest call is woken.
///
/// # Errors
///
/// As for [`Listener::accept`], once the listener is closed.
pub fn poll_dialed(listener: &Listener, cx: &mut Context<'_>) -> Poll<Result<Addr>> {
    listener.poll_dialed(cx)
}

/// Accepts as [`Listener::accept`] does, without waiting. `None`: there is nothing to accept now.
///
/// # Errors
///
/// As for [`Listener::accept`].
pub fn try_accept(listener: &Listener) -> Option<Result<Stream>> {
    listener.try_accept()
}

/// Closes a connection so that the other end learns of it by a reset, after it has read all that had
/// arrived there. What is still on its way is lost.
pub fn reset(stream: Stream) {
    stream.reset();
}

/// Whether the host's process may learn of what has just happened. If that event has ended it: false,
/// once the fault is in force.
pub async fn settled(host: &Host) -> bool {
    host.settled().await
}

/// The names of all hosts that have ever been on the network, in order.
///
/// # Errors
///
/// [`Cause::NetworkDown`](crate::Cause::NetworkDown), [`Cause::Registry`](crate::Cause::Registry).
pub async fn hosts(network: &SubNetwork) -> Result<Vec<String>> {
    network.names().await
}
