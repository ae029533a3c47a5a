//! A listener: its queue of dialers, the pending calls of `accept`, and accepting.
//!
//! Owns which call of `accept` gets which dialer. The host chooses the port of an accepted
//! connection.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::connection::End;
use super::connection_core::Conn;
use super::gate::Admission;
use super::host::Host;
use super::host_core::Occupant;
use super::io::Knock;
use super::listener_core::{ListenerCore, Queued, refuse};
use super::stream::Stream;
use crate::addr::{Addr, ToAddr, text_of};
use crate::error::{Cause, Result};
use crate::happens::By;
use crate::trace::{Gate, Verb, Waits, What};

/// Says of a dialer in the queue whether it may be accepted now.
type Admits<'a> = &'a mut dyn FnMut(&mut Queued) -> bool;

/// Accepts connections to one address of a host. Dropping it closes it.
#[must_use = "a listener closes when it is dropped"]
pub struct Listener {
    host: Host,
    core: Arc<ListenerCore>,
    addr: Addr,
}

impl Host {
    /// Listens on an address of this host: `"α:10"`, `":10"` or `("α", 10)` on α. With port 0 or
    /// `""`, listens on the lowest free port, which [`Listener::local_addr`] returns. [`ToAddr`] lists
    /// all forms of an address.
    ///
    /// # Errors
    ///
    /// [`Cause::AddrInUse`] if the port is taken, [`Cause::AddrNotAvailable`] if the address is
    /// another host's, [`Cause::PortsExhausted`], [`Cause::InvalidAddr`], [`Cause::HostDown`],
    /// [`Cause::NetworkDown`].
    ///
    /// # Cancel safety
    ///
    /// The future completes when it is first polled, unless a test holds it. Dropped before that, it
    /// has done nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let any = alpha.listen("").await?;
    /// assert_eq!(any.local_addr().to_string(), "α:1"); // the lowest free port
    /// let ten = alpha.listen(":10").await?;
    /// assert_eq!(ten.local_addr().to_string(), "α:10");
    /// # Ok(()) }
    /// ```
    pub async fn listen(&self, laddr: impl ToAddr) -> Result<Listener> {
        self.listen_as(&text_of(&laddr), false).await
    }

    /// The same; if it is for its own host only, dials of other hosts are refused.
    pub(crate) async fn listen_as(&self, laddr: &str, only_own: bool) -> Result<Listener> {
        if let Some(gate) = self.net.events.gate().filter(|gate| gate.holds_any()) {
            self.may_listen(gate, laddr).await;
        }
        self.listen_on(laddr, only_own)
    }

    /// Waits while the test holds this. The port is the one that is free now.
    async fn may_listen(&self, gate: &Arc<Gate>, laddr: &str) {
        let text = if laddr.is_empty() { ":0" } else { laddr };
        let Ok(requested) = self.parse(text) else {
            return;
        };
        // Made before it looks: from here on no close goes unnoticed.
        let mut closing = std::pin::pin!(self.core.closing.notified());
        if !self.is_open() {
            return;
        }
        let addr = match requested.port() {
            0 => self
                .core
                .addr(self.core.lock().ports.lowest_free().unwrap_or(0)),
            _ => requested,
        };
        let mut held = std::pin::pin!(gate.may_go(Verb::Listen, &addr, None, None));
        let held = std::future::poll_fn(|cx| match held.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            // Why, is found under the lock.
            Poll::Pending => closing.as_mut().poll(cx),
        });
        self.net.watch(Waits::Other, held).await;
    }

    fn listen_on(&self, laddr: &str, only_own: bool) -> Result<Listener> {
        let text = if laddr.is_empty() { ":0" } else { laddr };
        let requested = match self.parse(text) {
            Ok(addr) => addr,
            Err(cause) => return Err(self.net.error("listen", cause).about(format!("{laddr:?}"))),
        };
        self.open_listener(&requested, only_own)
            .map_err(|cause| self.net.error("listen", cause).at(requested))
    }

    fn open_listener(
        &self,
        requested: &Addr,
        only_own: bool,
    ) -> std::result::Result<Listener, Cause> {
        let mut state = self.core.lock();
        if let Some(why) = &state.closed {
            return Err(why.clone());
        }
        if requested.host() != self.name() {
            return Err(Cause::AddrNotAvailable);
        }
        let port = match requested.port() {
            0 => state.ports.lowest_free().ok_or(Cause::PortsExhausted)?,
            port => port,
        };
        let socket = self.net.socket();
        let core = Arc::new(ListenerCore::new(socket, only_own));
        if let Some(gate) = self.net.events.gate() {
            let weak = Arc::downgrade(&core);
            gate.enter(weak);
        }
        if !state.ports.take(port, Occupant::Listener(core.clone())) {
            return Err(Cause::AddrInUse);
        }
        let addr = self.core.addr(port);
        let opened = self.net.happens(By::Task, || {
            Some(What::Listen {
                addr: addr.clone(),
                socket,
                auto: requested.port() == 0,
            })
        });
        drop(state);
        opened.tell();
        Ok(Listener::of(self.clone(), core, addr))
    }
}

/// One call of `accept` that waits.
struct Turn<'a> {
    core: &'a ListenerCore,
    ticket: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.core.give_up(self.ticket);
    }
}

impl Listener {
    pub(super) fn of(host: Host, core: Arc<ListenerCore>, addr: Addr) -> Listener {
        Listener { host, core, addr }
    }

    /// The address it listens on. The same as [`addr`](Listener::addr), under tokio's name.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> lonet::Result<()> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let listener = alpha.listen("").await?;
    /// assert_eq!(listener.local_addr().to_string(), "α:1"); // the lowest free port
    /// # Ok(()) }
    /// ```
    pub fn local_addr(&self) -> &Addr {
        &self.addr
    }

    /// The address it listens on. The same as [`local_addr`](Listener::local_addr).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let listener = alpha.listen(":10").await?;
    /// assert_eq!((listener.addr().host(), listener.addr().port()), ("α", 10));
    /// # Ok(()) }
    /// ```
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// Accepts the next connection. Its local end gets the lowest free port of the host.
    ///
    /// Several tasks may call this at once; the call that has waited longest is served first.
    ///
    /// # Errors
    ///
    /// [`Cause::SocketDown`] if the listener is closed, [`Cause::HostDown`],
    /// [`Cause::NetworkDown`]; [`Cause::PortsExhausted`], in which case that dialer is refused.
    ///
    /// # Cancel safety
    ///
    /// Safe: a connection is accepted only by the poll that returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = lonet::pipenet::network("x");
    /// let (alpha, beta) = (network.new_host("α").await?, network.new_host("β").await?);
    /// let listener = alpha.listen(":10").await?;
    /// let (accepted, dialed) = tokio::try_join!(listener.accept(), beta.dial("α:10"))?;
    /// assert_eq!(accepted.local_addr().to_string(), "α:1");
    /// assert_eq!(dialed.peer_addr().to_string(), "α:1");
    /// # Ok(()) }
    /// ```
    pub async fn accept(&self) -> Result<Stream> {
        let ticket = {
            let mut state = self.core.lock();
            state.tickets += 1;
            state.tickets
        };
        let turn = Turn {
            core: &self.core,
            ticket,
        };
        let accepted = std::future::poll_fn(|cx| self.poll_turn(cx, turn.ticket));
        let waits = Waits::Accept(self.core.socket());
        self.host.net.watch(waits, accepted).await
    }

    /// Polls for the next connection. Only the waker of the latest call is woken.
    ///
    /// # Errors
    ///
    /// The same as for [`accept`](Listener::accept).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let listener = alpha.listen(":10").await?;
    /// let accept = std::future::poll_fn(|cx| listener.poll_accept(cx));
    /// let (accepted, dialed) = tokio::try_join!(accept, alpha.dial(":10"))?;
    /// assert_eq!(accepted.peer_addr(), dialed.local_addr());
    /// # Ok(()) }
    /// ```
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Stream>> {
        self.poll_turn(cx, 0)
    }

    fn poll_turn(&self, cx: &mut Context<'_>, ticket: u64) -> Poll<Result<Stream>> {
        self.poll_next(Some((cx, ticket)))
    }

    /// Accepts the next connection, if a dialer is there that may be accepted now.
    pub(crate) fn try_accept(&self) -> Option<Result<Stream>> {
        match self.poll_next(None) {
            Poll::Ready(accepted) => Some(accepted),
            Poll::Pending => None,
        }
    }

    /// From now on other hosts may dial it, if only its own might.
    pub(crate) fn open_to_all(&self) {
        self.core.open_to_all();
    }

    /// Polls for a dialer that an accept would get now, once for each. It is announced again if an
    /// accept has found meanwhile that it may not have it. Only the waker of the latest call is woken.
    pub(crate) fn poll_dialed(&self, cx: &mut Context<'_>) -> Poll<Result<Addr>> {
        self.poll_admitted(|admits| self.core.poll_announce(cx, admits))
    }

    /// The next connection; without one, the waker is kept under that ticket, if there is one.
    fn poll_next(&self, waiting: Option<(&Context<'_>, u64)>) -> Poll<Result<Stream>> {
        loop {
            let next = self.poll_admitted(|admits| self.core.poll_pop(waiting, admits));
            let Queued { knock, held, .. } = ready!(next)?;
            if !knock.gone() {
                self.host.net.events.learn_faults(&held);
                let taken = self.take(knock).map_err(|cause| self.error(cause));
                return Poll::Ready(taken);
            }
        }
    }

    /// Looks at the queue; what it is given says which dialers may be accepted now.
    fn poll_admitted<T>(
        &self,
        mut look: impl FnMut(Admits<'_>) -> Poll<std::result::Result<T, Cause>>,
    ) -> Poll<Result<T>> {
        loop {
            let gate = self.host.net.events.gate().filter(|gate| gate.is_busy());
            // Under the host's lock, which is never taken under the queue's.
            let local = gate.map(|_| {
                let free = self.host.core.lock().ports.lowest_free();
                self.host.core.addr(free.unwrap_or(0))
            });
            // The orders are looked up under the queue's lock, where the waker is kept: a heal that
            // comes after that wakes.
            let mut orders = None;
            let mut comes_late = false;
            let mut admits = |queued: &mut Queued| {
                let gate = self.host.net.events.gate().filter(|gate| gate.is_busy());
                let admission =
                    orders.get_or_insert_with(|| gate.map(|gate| Admission::at(gate, &self.addr)));
                match admission {
                    None => true,
                    Some(None) => false,
                    Some(Some(admission)) => {
                        // What has not arrived can't be held.
                        if !admission.admits(queued.knock.src(), &mut queued.held) {
                            return false;
                        }
                        let lets = local.as_ref().map(|local| admission.lets(queued, local));
                        comes_late |= lets.is_none();
                        lets == Some(true)
                    }
                }
            };
            match look(&mut admits) {
                // There was nothing to ask before.
                Poll::Pending if comes_late => {}
                poll => return poll.map_err(|cause| self.error(cause)),
            }
        }
    }

    /// Makes a connection of a dialer: port, event, reply, with nothing awaited in between.
    fn take(&self, knock: Knock) -> std::result::Result<Stream, Cause> {
        let Host { net, core: host } = &self.host;
        let peer = knock.src().clone();
        let key = net.is_traced().then(|| knock.key());
        let mut state = host.lock();
        let refused = if let Some(why) = &state.closed {
            Some(why.clone())
        } else if !state.has_listener(self.addr.port(), &self.core) {
            Some(Cause::SocketDown)
        } else {
            match state.ports.lowest_free() {
                Some(_) => None,
                None => Some(Cause::PortsExhausted),
            }
        };
        if let Some(cause) = refused {
            drop(state);
            // Why, is the acceptor's business: the wire has no word for it.
            knock.refuse(&Cause::ConnectionRefused);
            return Err(cause);
        }
        drop(state);
        // Registering with the runtime is a system call: not under the lock.
        let (io, answer) = knock.open().map_err(Cause::from)?;
        let mut state = host.lock();
        if let Some(why) = &state.closed {
            return Err(why.clone());
        }
        if !state.has_listener(self.addr.port(), &self.core) {
            return Err(Cause::SocketDown);
        }
        let port = state.ports.lowest_free().ok_or(Cause::PortsExhausted)?;
        let local = host.addr(port);
        let conn = Arc::new(Conn::new(io, local.clone(), peer.clone(), &net.events));
        conn.enter();
        let free = state.ports.take(port, Occupant::Conn(conn.clone()));
        debug_assert!(free, "the lowest free port is free");
        let accepted = net.happens(By::Task, || {
            self.core.lock().users.used_here();
            Some(What::Accept {
                addr: local.clone(),
                peer,
                listener: self.core.socket(),
                socket: conn.socket(),
                key: key?,
            })
        });
        drop(state);
        accepted.tell();
        let (answers, network) = (conn.clone(), net.network().clone());
        net.effect(move || answers.io.answer(answer, &network, &answers.local));
        Ok(Stream::of(End::new(self.host.clone(), conn)))
    }

    fn error(&self, cause: Cause) -> crate::Error {
        self.host.net.error("accept", cause).at(self.addr.clone())
    }

    /// Closes the listener. Pending calls of `accept` return an error, and dials that were not yet
    /// accepted are refused. Closing it again does nothing.
    ///
    /// # Errors
    ///
    /// None at present.
    ///
    /// # Cancel safety
    ///
    /// The future completes when it is first polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let listener = alpha.listen(":10").await?;
    /// listener.close().await?;
    /// let error = listener.accept().await.unwrap_err();
    /// assert_eq!(error.to_string(), "accept pipex α:10: socket is down");
    /// # Ok(()) }
    /// ```
    pub async fn close(&self) -> Result<()> {
        self.close_as(By::Task);
        Ok(())
    }

    fn close_as(&self, by: By) {
        let mut state = self.host.core.lock();
        if !state.has_listener(self.addr.port(), &self.core) {
            return;
        }
        state.ports.free(self.addr.port());
        let closed = self.host.net.happens(by, || {
            Some(What::Close {
                addr: self.addr.clone(),
                peer: None,
                socket: self.core.socket(),
                written: 0,
            })
        });
        drop(state);
        let refused = self.core.close(Cause::SocketDown);
        self.host.net.effect(move || refuse(refused));
        closed.tell();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The tasks that used it are kept only where they are recorded.
        let is_ours = self.host.net.is_traced() && self.core.lock().users.only_here();
        self.close_as(By::Drop { is_ours });
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({} {})", self.host.network(), self.addr)
    }
}
