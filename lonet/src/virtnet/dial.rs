//! One dial: its port, its events, and how it ends.
//!
//! Owns the rule that a dial which fails, or is dropped at any await, frees its port and reports
//! that. The engine carries the dial to the other side.

use std::task::Poll;

use super::carry::Carried;
use super::connection::End;
use super::connection_core::Conn;
use super::gate::{answer_may_come, dial_may_go};
use super::host::Host;
use super::host_core::{DialTold, Occupant};
use super::stream::Stream;
use crate::addr::{Addr, ToAddr, text_of};
use crate::call::Call;
use crate::error::{Cause, Error, Result};
use crate::happens::By;
use crate::trace::{TaskKey, Verb, Waits, What};

use std::sync::Arc;

/// A dial under way: it has a port. Dropped before its end, it is cancelled.
struct Dialing<'a> {
    host: &'a Host,
    src: Addr,
    dst: Addr,
    /// The number of its record, if the network is traced.
    n: Option<u64>,
    /// The task that began it, likewise.
    task: Option<TaskKey>,
    ended: bool,
}

impl Host {
    /// Connects to an address: `"α:10"` or `("α", 10)`, or `":10"` for a port of this host itself.
    /// See [`ToAddr`] for all forms of an address.
    ///
    /// The connection's local end gets the lowest free port of this host. The call returns when
    /// `accept` on the other side has taken the connection. It waits for that as long as the other
    /// host is open; use a timeout to limit it.
    ///
    /// # Errors
    ///
    /// [`Cause::ConnectionRefused`] if nothing listens there, or the host is closed or its process
    /// is dead; [`Cause::NoSuchHost`] if no host of that name has ever been on this network;
    /// [`Cause::HostDown`], [`Cause::NetworkDown`], [`Cause::PortsExhausted`],
    /// [`Cause::InvalidAddr`], [`Cause::Protocol`], [`Cause::Registry`]. [`Cause::TimedOut`] after
    /// one minute if the host belongs to the Go or Python lonet and does not answer.
    ///
    /// # Panics
    ///
    /// On a network that [`join`](crate::join) returned, if called outside of a tokio runtime with
    /// I/O and time enabled.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped dial frees its port and closes the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let network = lonet::pipenet::network("x");
    /// let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
    /// let error = beta.dial("α:10").await.unwrap_err();
    /// assert_eq!(error.to_string(), "dial pipex β:1->α:10: connection refused");
    ///
    /// // α listens, but does not accept.
    /// let _listener = alpha.listen(":10").await?;
    /// let dialing = tokio::time::timeout(Duration::from_millis(10), beta.dial("α:10"));
    /// assert!(dialing.await.is_err());
    /// # Ok(()) }
    /// ```
    pub async fn dial(&self, addr: impl ToAddr) -> Result<Stream> {
        let addr = &*text_of(&addr);
        match self.net.is_traced() {
            // As it is, without the room that being watched takes.
            false => self.dial_watched(addr, 0, |_| {}).await,
            true => {
                let dialed = self.dial_watched(addr, 0, |_| {});
                self.net.watch(Waits::Dial, dialed).await
            }
        }
    }

    /// Dials from that port, or, with 0, from the lowest free one; says from where, once it has it.
    pub(crate) async fn dial_from(
        &self,
        addr: &str,
        port: u16,
        began: impl FnOnce(&Addr),
    ) -> Result<Stream> {
        let dialed = self.dial_watched(addr, port, began);
        self.net.watch(Waits::Dial, dialed).await
    }

    async fn dial_watched(
        &self,
        addr: &str,
        port: u16,
        began: impl FnOnce(&Addr),
    ) -> Result<Stream> {
        // Made before the port is taken: from here on no close goes unnoticed.
        let mut closing = std::pin::pin!(self.core.closing.notified());
        let dialing = Dialing::begin(self, addr, port)?;
        began(&dialing.src);
        let call = Call {
            network: self.net.network(),
            src: &dialing.src,
            dst: &dialing.dst,
            dial: dialing.n,
            events: &self.net.events,
        };
        let carried = {
            let mut carry = std::pin::pin!(self.carry_gated(&call));
            std::future::poll_fn(|cx| match carry.as_mut().poll(cx) {
                Poll::Ready(carried) => Poll::Ready(carried),
                // The true cause is found under the lock.
                Poll::Pending => closing.as_mut().poll(cx).map(|()| Err(Cause::HostDown)),
            })
            .await
        };
        match carried {
            Ok(carried) => dialing.connect(carried),
            Err(cause) => Err(dialing.fail(cause)),
        }
    }
}

impl Host {
    /// Carries a dial, once it may go; its answer is known once that may come in.
    async fn carry_gated(&self, call: &Call<'_>) -> std::result::Result<Carried, Cause> {
        let Some(gate) = self.net.events.gate() else {
            return self.net.carry(call).await;
        };
        gate.may_go(Verb::Dial, call.src, Some(call.dst), call.dial)
            .await;
        dial_may_go(call, gate).await?;
        let carried = self.net.carry(call).await;
        answer_may_come(call, gate).await;
        if let Ok(Carried { peer, .. }) = &carried {
            gate.may_go(Verb::Connect, call.src, Some(peer), None).await;
        }
        carried
    }
}

impl<'a> Dialing<'a> {
    /// Takes that port, or, with 0, the lowest free one.
    fn begin(host: &'a Host, text: &str, wanted: u16) -> Result<Dialing<'a>> {
        let Host { net, core } = host;
        let dst = host.parse(text);
        let mut state = core.lock();
        let free = match &state.closed {
            Some(why) => Err(why.clone()),
            None if wanted == 0 => state.ports.lowest_free().ok_or(Cause::PortsExhausted),
            None if state.ports.occupant(wanted).is_some() => Err(Cause::AddrInUse),
            None => Ok(wanted),
        };
        let src = match wanted {
            0 => core.addr(state.source_port()),
            wanted => core.addr(wanted),
        };
        let dst = match dst {
            Ok(dst) => dst,
            Err(cause) => {
                let error = net.error("dial", cause).with_source(src);
                return Err(error.about(format!("{text:?}")));
            }
        };
        let port = match free {
            Ok(port) => port,
            Err(cause) => return Err(net.error("dial", cause).with_source(src).at(dst)),
        };
        let begun = net.happens(By::Task, || {
            Some(What::Dial {
                addr: src.clone(),
                peer: dst.clone(),
            })
        });
        let n = begun.n();
        let task = n.map(|_| TaskKey::current());
        let told = DialTold {
            dst: dst.clone(),
            n,
        };
        let taken = state.ports.take(port, Occupant::Dial(told));
        debug_assert!(taken, "it was found to be free");
        drop(state);
        begun.tell();
        Ok(Dialing {
            host,
            src,
            dst,
            n,
            task,
            ended: false,
        })
    }

    /// The other side has taken it.
    fn connect(mut self, carried: Carried) -> Result<Stream> {
        let Host { net, core } = self.host;
        let Carried { io, peer, key } = carried;
        let conn = Arc::new(Conn::new(io, self.src.clone(), peer, &net.events));
        conn.enter();
        let mut state = core.lock();
        if state.closed.is_some() {
            drop(state);
            return Err(self.fail(Cause::HostDown));
        }
        let ours = state
            .ports
            .replace(self.src.port(), Occupant::Conn(conn.clone()));
        debug_assert!(ours, "a dial of an open host has its port until it ends");
        self.ended = true;
        let connected = net.happens(By::Task, || {
            Some(What::Connect {
                addr: conn.local().clone(),
                peer: conn.peer().clone(),
                dial: self.n?,
                socket: conn.socket(),
                key: key.unwrap_or_default(),
            })
        });
        drop(state);
        connected.tell();
        Ok(Stream::of(End::new(self.host.clone(), conn)))
    }

    /// It ends without a connection.
    fn fail(mut self, cause: Cause) -> Error {
        let cause = self.end(cause, |cause| cause.to_string(), true);
        self.host
            .net
            .error("dial", cause)
            .with_source(self.src.clone())
            .at(self.dst.clone())
    }

    /// Frees the port and reports the end. The cause is that the host is closed, if it is: then the
    /// host has reported it. `is_ours`: no other task could have let go of it.
    fn end(&mut self, cause: Cause, text: impl FnOnce(&Cause) -> String, is_ours: bool) -> Cause {
        self.ended = true;
        let mut state = self.host.core.lock();
        if let Some(why) = &state.closed {
            return why.clone();
        }
        state.ports.free(self.src.port());
        let ended = self.host.net.happens(By::Drop { is_ours }, || {
            Some(What::Fail {
                addr: self.src.clone(),
                peer: self.dst.clone(),
                dial: self.n?,
                text: text(&cause),
            })
        });
        drop(state);
        ended.tell();
        cause
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Another task may let go of it, as time has it.
            let is_ours = self.task.is_some_and(|task| task == TaskKey::current());
            self.end(Cause::SocketDown, |_| "cancelled".to_owned(), is_ours);
        }
    }
}
