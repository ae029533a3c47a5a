//! A host: its ports, what uses them, and its end.
//!
//! Owns the lock under which a port is taken or freed and its event gets its number. What a dial and
//! an accept do with a port is in their own files.

use std::fmt::{self, Display};
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use super::Net;
use super::connection::Conn;
use super::engine::Knock;
use super::happens::By;
use super::listener::{Listener, ListenerCore};
use super::lock::{Mutex, MutexGuard};
use super::port_table::PortTable;
use super::subnetwork::SubNetwork;
use crate::addr::{Addr, ToAddr, text_of};
use crate::error::{Cause, Result};
use crate::trace::What;

/// A host of a network: a name and the ports 1 to 65535.
///
/// A cheap handle: clones refer to the same host. Dropping it closes nothing while another handle of
/// its subnetwork exists.
#[derive(Clone)]
pub struct Host {
    pub(super) net: Arc<Net>,
    pub(super) core: Arc<HostCore>,
}

/// What all handles of a host share.
pub(crate) struct HostCore {
    name: Arc<str>,
    state: Mutex<HostState>,
    /// Wakes the dials that are under way when the host closes.
    pub(super) closing: Notify,
}

pub(super) struct HostState {
    /// Why nothing can be done here any more.
    pub(super) closed: Option<Cause>,
    pub(super) ports: PortTable<Occupant>,
    /// The lowest port that was free when the host closed.
    free_at_close: Option<u16>,
}

/// What has taken a port.
pub(super) enum Occupant {
    Dial(DialTold),
    Listener(Arc<ListenerCore>),
    Conn(Arc<Conn>),
}

impl Occupant {
    /// What a trace has to record when the host closes it.
    fn end(&self, a: Addr, why: &Cause) -> Option<What> {
        let (p, s, w) = match self {
            Occupant::Dial(told) => {
                return told.n.map(|d| What::Fail {
                    addr: a,
                    peer: told.dst.clone(),
                    dial: d,
                    text: why.to_string(),
                });
            }
            Occupant::Listener(listener) => (None, listener.socket(), 0),
            Occupant::Conn(conn) => (Some(conn.peer().clone()), conn.socket(), conn.written()),
        };
        Some(What::Close {
            addr: a,
            peer: p,
            socket: s,
            written: w,
        })
    }
}

/// What the trace knows of a dial in progress.
pub(super) struct DialTold {
    pub(super) dst: Addr,
    /// The number of its record, if the network is traced.
    pub(super) n: Option<u64>,
}

impl HostState {
    /// The port that a dial names which can't begin: the lowest free one, on a closed host the one
    /// of when it closed; 0 when all are taken.
    pub(super) fn source_port(&mut self) -> u16 {
        let port = match self.closed {
            Some(_) => self.free_at_close,
            None => self.ports.lowest_free(),
        };
        port.unwrap_or(0)
    }

    /// Whether that listener still has that port.
    pub(super) fn has_listener(&self, port: u16, listener: &Arc<ListenerCore>) -> bool {
        matches!(self.ports.occupant(port), Some(Occupant::Listener(own)) if Arc::ptr_eq(own, listener))
    }

    /// Whether that connection end still has that port.
    pub(super) fn has_conn(&self, port: u16, conn: &Arc<Conn>) -> bool {
        matches!(self.ports.occupant(port), Some(Occupant::Conn(own)) if Arc::ptr_eq(own, conn))
    }
}

impl HostCore {
    pub(super) fn new(name: Arc<str>) -> HostCore {
        let state = HostState {
            closed: None,
            ports: PortTable::new(),
            free_at_close: None,
        };
        HostCore {
            name,
            state: Mutex::new(state),
            closing: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn addr(&self, port: u16) -> Addr {
        Addr::known(self.name.clone(), port)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HostState> {
        // Nothing that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a dialer at the listener of that port, or gives it back.
    pub(super) fn knock(&self, port: u16, knock: Knock) -> std::result::Result<(), Knock> {
        let listener = match self.lock().ports.occupant(port) {
            Some(Occupant::Listener(listener)) => listener.clone(),
            _ => return Err(knock),
        };
        listener.push(knock)
    }

    /// Closes the host and all it has, which from then on fails with `why`. `false`: it was
    /// closed. Belongs to no task: lonet itself closes what the host had, and fails its dials.
    pub(super) fn close(&self, net: &Net, why: Cause) -> bool {
        let mut happened = Vec::new();
        let mut state = self.lock();
        if state.closed.is_some() {
            return false;
        }
        state.closed = Some(why.clone());
        state.free_at_close = state.ports.lowest_free();
        let occupants = state.ports.drain();
        for (&port, occupant) in &occupants {
            if let Occupant::Conn(conn) = occupant {
                conn.set_down(&why);
            }
            happened.push(net.happens(By::Lonet, || occupant.end(self.addr(port), &why)));
        }
        happened.push(net.happens(By::Lonet, || {
            Some(What::Down {
                host: self.name.to_string(),
            })
        }));
        drop(state);
        for occupant in occupants.values() {
            if let Occupant::Listener(listener) = occupant {
                listener.close(why.clone());
            }
        }
        for happened in happened {
            happened.tell();
        }
        for occupant in occupants.values() {
            if let Occupant::Conn(conn) = occupant {
                conn.io.shutdown();
            }
        }
        self.closing.notify_waiters();
        true
    }
}

impl Host {
    pub(crate) fn of(net: Arc<Net>, core: Arc<HostCore>) -> Host {
        Host { net, core }
    }

    /// The network's full name, for instance `lonetx`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// assert_eq!((alpha.network(), alpha.name()), ("pipex", "α"));
    /// # Ok(()) }
    /// ```
    pub fn network(&self) -> &str {
        self.net.network()
    }

    /// The host's name.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// assert_eq!(alpha.name(), "α");
    /// # Ok(()) }
    /// ```
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Listens on an address of this host: on α, `"α:10"`, `":10"` or `("α", 10)`. Port 0 or `""`
    /// takes the lowest free port, which [`Listener::local_addr`] returns. See [`ToAddr`] for all
    /// forms of an address.
    ///
    /// # Errors
    ///
    /// [`Cause::AddrInUse`] if the port is taken, [`Cause::AddrNotAvailable`] if the address belongs
    /// to another host, [`Cause::PortsExhausted`], [`Cause::InvalidAddr`], [`Cause::HostDown`],
    /// [`Cause::NetworkDown`].
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
    /// let any = alpha.listen("").await?;
    /// assert_eq!(any.local_addr().to_string(), "α:1"); // the lowest free port
    /// let ten = alpha.listen(":10").await?;
    /// assert_eq!(ten.local_addr().to_string(), "α:10");
    /// # Ok(()) }
    /// ```
    pub async fn listen(&self, laddr: impl ToAddr) -> Result<Listener> {
        self.listen_on(&text_of(&laddr))
    }

    fn listen_on(&self, laddr: &str) -> Result<Listener> {
        let text = if laddr.is_empty() { ":0" } else { laddr };
        let requested = match self.parse(text) {
            Ok(addr) => addr,
            Err(cause) => return Err(self.net.error("listen", cause).about(format!("{laddr:?}"))),
        };
        self.open_listener(&requested)
            .map_err(|cause| self.net.error("listen", cause).at(requested))
    }

    fn open_listener(&self, requested: &Addr) -> std::result::Result<Listener, Cause> {
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
        let core = Arc::new(ListenerCore::new(socket));
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

    /// The address that a text means on this host.
    pub(super) fn parse(&self, text: &str) -> std::result::Result<Addr, Cause> {
        Addr::parse_on(&self.core.name, text)
    }

    /// Records a `mark` event with your own text: `host.mark("leader term=3")` on α records
    /// `α mark leader term=3`.
    ///
    /// Each run of white space becomes one space. If the network is not traced, or the host is
    /// closed, this does nothing. A text of more than 1 MiB fails the test.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let term = 3;
    /// alpha.mark(format_args!("leader term={term}")); // α mark leader term=3
    /// # Ok(()) }
    /// ```
    pub fn mark(&self, text: impl Display) {
        if !self.net.is_traced() {
            return;
        }
        let text = text.to_string();
        // Nothing happens on a host that is down.
        let state = self.core.lock();
        if state.closed.is_some() {
            return;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let mark = self.net.happens(By::Task, || {
            Some(What::Mark {
                host: self.core.name.to_string(),
                text: words.join(" "),
            })
        });
        drop(state);
        mark.tell();
    }

    /// Closes the host and all its listeners and connections. Closing it again does nothing.
    ///
    /// The first poll of the future closes everything. The future then waits until the name is free
    /// for other processes. It waits for at most 10 s; if the name can't be freed by then, because
    /// there are no file descriptors or another program holds the registry, lonet frees it as soon
    /// as possible.
    ///
    /// # Errors
    ///
    /// None at present.
    ///
    /// # Cancel safety
    ///
    /// Once the future has been polled, the host closes even if the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = lonet::pipenet::network("x");
    /// let alpha = network.new_host("α").await?;
    /// let listener = alpha.listen(":10").await?;
    /// alpha.close().await?;
    /// let error = listener.accept().await.unwrap_err();
    /// assert_eq!(error.to_string(), "accept pipex α:10: host is down");
    /// let _again = network.new_host("α").await?; // the name is free
    /// # Ok(()) }
    /// ```
    pub async fn close(&self) -> Result<()> {
        if !self.core.close(&self.net, Cause::HostDown) {
            return Ok(());
        }
        let left = if self.net.remove(&self.core) {
            self.net.engine.leave().await
        } else {
            self.net.engine.withdraw(self.name()).await
        };
        left.map_err(|cause| self.net.error("close", cause).about(self.name()))
    }

    /// The subnetwork it is a host of.
    pub(crate) fn subnetwork(&self) -> SubNetwork {
        SubNetwork::of(self.net.clone())
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.core.lock().closed.is_none()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({} {})", self.network(), self.name())
    }
}
