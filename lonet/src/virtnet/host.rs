//! A host: its ports, who has them, and its end.
//!
//! Owns the lock under which a port changes hands and its event gets its number. What a dial and
//! an accept do with a port is in their own files.

use std::fmt::{self, Display};
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use super::Net;
use super::connection::Conn;
use super::engine::Knock;
use super::listener::{Listener, ListenerCore};
use super::lock::{Mutex, MutexGuard};
use super::port_table::PortTable;
use super::subnetwork::SubNetwork;
use crate::addr::Addr;
use crate::error::{Cause, Result};
use crate::trace::{Reporter, TaskKey, What};

/// A named access point of a network, with ports 1 to 65535.
///
/// A cheap handle: clones are the same host. Dropping one closes nothing while another handle of
/// its subnetwork lives.
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
}

/// What has taken a port.
pub(super) enum Occupant {
    Dial(DialTold),
    Listener(Arc<ListenerCore>),
    Conn(Arc<Conn>),
}

impl Occupant {
    /// What a trace has to be told when the host closes it.
    fn end(&self, a: Addr, why: &Cause) -> Option<What> {
        let (p, s, w) = match self {
            Occupant::Dial(told) => {
                return told.n.map(|d| What::Fail {
                    a,
                    p: told.dst.clone(),
                    d,
                    x: why.to_string(),
                });
            }
            Occupant::Listener(listener) => (None, listener.socket(), 0),
            Occupant::Conn(conn) => (Some(conn.peer().clone()), conn.socket(), conn.written()),
        };
        Some(What::Close { a, p, s, w })
    }
}

/// What a trace has been told of a dial that is under way.
pub(super) struct DialTold {
    pub(super) dst: Addr,
    /// The number of its record, if the network is traced.
    pub(super) n: Option<u64>,
}

impl HostState {
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
        Addr::new(self.name.clone(), port)
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
    pub(super) fn close(&self, reporter: Option<&Arc<Reporter>>, why: Cause) -> bool {
        let mut numbered = Vec::new();
        let mut state = self.lock();
        if state.closed.is_some() {
            return false;
        }
        state.closed = Some(why.clone());
        let occupants = state.ports.drain();
        for (&port, occupant) in &occupants {
            if let Occupant::Conn(conn) = occupant {
                conn.set_down(&why);
            }
            let told = reporter.and_then(|_| occupant.end(self.addr(port), &why));
            if let (Some(reporter), Some(told)) = (reporter, told) {
                numbered.push(reporter.number(None, told));
            }
        }
        if let Some(reporter) = reporter {
            let h = self.name.to_string();
            numbered.push(reporter.number(None, What::Down { h }));
        }
        drop(state);
        for occupant in occupants.values() {
            if let Occupant::Listener(listener) = occupant {
                listener.close(why.clone());
            }
        }
        for record in numbered {
            record.write();
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
    pub fn network(&self) -> &str {
        self.net.network()
    }

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Listens on an address of this host: `"α:10"` or `":10"` on α. With port 0, or `""`, on the
    /// lowest free port.
    ///
    /// # Errors
    ///
    /// [`Cause::AddrInUse`] if the port is taken, [`Cause::AddrNotAvailable`] if the address is
    /// another host's, [`Cause::PortsExhausted`], [`Cause::InvalidAddr`], [`Cause::HostDown`],
    /// [`Cause::NetworkDown`].
    ///
    /// # Cancel safety
    ///
    /// Never pends.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let any = alpha.listen("").await?;
    /// assert_eq!(any.addr().to_string(), "α:1"); // the lowest free port
    /// let ten = alpha.listen(":10").await?;
    /// assert_eq!(ten.addr().to_string(), "α:10");
    /// # Ok(()) }
    /// ```
    pub async fn listen(&self, laddr: &str) -> Result<Listener> {
        self.net.engine.used_here();
        let text = if laddr.is_empty() { ":0" } else { laddr };
        let requested = match self.parse(text) {
            Ok(addr) => addr,
            Err(cause) => return Err(self.net.error("listen", cause).about(format!("{laddr:?}"))),
        };
        self.open_listener(&requested)
            .map_err(|cause| self.net.error("listen", cause).at(requested))
    }

    fn open_listener(&self, requested: &Addr) -> std::result::Result<Listener, Cause> {
        let reporter = self.net.reporter();
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
        let socket = reporter.map_or(0, |reporter| reporter.socket());
        let core = Arc::new(ListenerCore::new(socket));
        if !state.ports.take(port, Occupant::Listener(core.clone())) {
            return Err(Cause::AddrInUse);
        }
        let addr = self.core.addr(port);
        let opened = reporter.map(|reporter| {
            let a = addr.clone();
            let (s, auto) = (socket, requested.port() == 0);
            reporter.number(Some(TaskKey::current()), What::Listen { a, s, auto })
        });
        drop(state);
        if let Some(opened) = opened {
            opened.write();
        }
        Ok(Listener::of(self.clone(), core, addr))
    }

    /// The address that a text means on this host.
    pub(super) fn parse(&self, text: &str) -> std::result::Result<Addr, Cause> {
        Addr::parse_on(&self.core.name, text)
    }

    /// Emits an event of the user's: `α mark leader term=3` for `host.mark("leader term=3")`.
    /// White space is folded. Without a trace, or once the host is closed, it does nothing. With one,
    /// a text of more than 1 MiB fails the test.
    pub fn mark(&self, text: impl Display) {
        let Some(reporter) = self.net.reporter() else {
            return;
        };
        let text = text.to_string();
        // Nothing happens on a host that is down.
        let state = self.core.lock();
        if state.closed.is_some() {
            return;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let mark = What::Mark {
            h: self.core.name.to_string(),
            x: words.join(" "),
        };
        let mark = reporter.number(Some(TaskKey::current()), mark);
        drop(state);
        mark.write();
    }

    /// Closes the host and all its listeners and connections. Closing twice is no error.
    ///
    /// Everything is closed when the future is first polled; what it waits for is that others can
    /// have the name. Where that can't be brought about within 10 s, as there are no descriptors or
    /// another program holds the registry, it is done as soon as it can be.
    ///
    /// # Errors
    ///
    /// None at present.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it happens, even if the future is dropped.
    pub async fn close(&self) -> Result<()> {
        if !self.core.close(self.net.reporter(), Cause::HostDown) {
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

    /// Whether nobody has closed it.
    pub(crate) fn is_open(&self) -> bool {
        self.core.lock().closed.is_none()
    }

    /// The runtime that calls uses it.
    pub(crate) fn used_here(&self) {
        self.net.engine.used_here();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({} {})", self.network(), self.name())
    }
}
