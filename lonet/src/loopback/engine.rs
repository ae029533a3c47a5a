//! The engine: what a subnetwork has of the OS and of other processes.
//!
//! Owns the engine's parts and their end. What they do is in `dial` and `accept`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::TcpStreamExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::socket::sockopt::TcpNoDelay;
use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt,
    shutdown, socket,
};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::peer_uid::PeerCheck;
use super::slow::Slow;
use super::source;
use crate::error::Cause;
use crate::registry::{NetworkDir, Registry};
use crate::trace::Tracing;

/// The number of connections so far between two OS addresses.
type Uses = BTreeMap<(SocketAddrV4, SocketAddrV4), u64>;

/// The engine.
pub(crate) struct Loopback {
    pub(super) registry: Registry,
    pub(super) osladdr: SocketAddrV4,
    pub(super) peer_check: PeerCheck,
    pub(super) slow: Arc<Slow>,
    served: Mutex<Served>,
    /// Where hosts were served when last asked. A dial that fails there asks again.
    hosts: Mutex<BTreeMap<String, SocketAddrV4>>,
    accepted: Mutex<Uses>,
}

/// How a subnetwork is served.
struct Served {
    /// `None` once it is closed.
    listener: Option<Arc<TcpListener>>,
    accepting: Option<AbortHandle>,
}

impl Loopback {
    pub(crate) fn announce(&self, host: &str) -> Result<(), Cause> {
        self.registry.announce(host)
    }

    /// The names of all hosts that were ever announced, in order. May wait for other processes.
    pub(crate) fn names(&self) -> Result<Vec<String>, Cause> {
        self.registry.names()
    }

    /// A name is to be free for others, by [`Loopback::withdraw`].
    pub(crate) fn give_back(&self, host: &str) {
        self.registry.give_back(host);
    }

    /// Makes names free that were given back. May wait for other processes.
    pub(crate) fn withdraw(&self) {
        self.registry.withdraw();
    }

    /// Both, without waiting for others longer than a drop may.
    pub(crate) fn withdraw_now(&self, host: &str) {
        self.registry.give_back(host);
        self.registry.withdraw_at_once();
    }

    /// Closes the OS listener and refuses the connections that wait there.
    pub(crate) fn shut(&self) {
        let (listener, accepting) = {
            let mut served = self.served();
            (served.listener.take(), served.accepting.take())
        };
        if let Some(listener) = listener {
            // At once, whatever the runtime that serves the listener is busy with.
            let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
        }
        if let Some(accepting) = accepting {
            accepting.abort();
        }
        self.slow.clear();
        self.peer_check.close();
    }

    /// Which task serves the listener.
    pub(crate) fn accepted_by(&self, accepting: AbortHandle) {
        let mut served = self.served();
        if served.listener.is_some() {
            served.accepting = Some(accepting);
        } else {
            drop(served);
            accepting.abort();
        }
    }

    fn served(&self) -> MutexGuard<'_, Served> {
        // Nothing under this lock can leave it half changed.
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up this subnetwork's names and its lease. May wait for others.
    pub(crate) fn leave(&self) {
        self.registry.close();
    }

    /// The same, on a thread of its own if it has to wait for other processes: the caller must not
    /// block.
    pub(crate) fn leave_now(self: &Arc<Self>) {
        if self.registry.close_at_once() {
            return;
        }
        // It keeps the lease while the rows name its address. The OS listener is shut by now, which
        // frees a port that the kernel chose: until then another program could take it.
        let own = self.clone();
        // Without a thread, the lease is given up when the last handle is.
        let _ = thread::Builder::new()
            .name("lonet-leave".to_owned())
            .spawn(move || own.leave());
    }

    /// Where a host was served when last asked. Of one that was served here, the caller knows
    /// whether it still is.
    pub(crate) fn known(
        &self,
        host: &str,
        is_still_here: impl FnOnce() -> bool,
    ) -> Option<SocketAddrV4> {
        let known = self.hosts().get(host).copied();
        known.filter(|&at| at != self.osladdr || is_still_here())
    }

    /// Where this subnetwork listens.
    pub(crate) fn osladdr(&self) -> SocketAddrV4 {
        self.osladdr
    }

    pub(super) fn remember(&self, host: &str, at: SocketAddrV4) {
        self.hosts().insert(host.to_owned(), at);
    }

    pub(super) fn forget(&self, host: &str) {
        self.hosts().remove(host);
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, SocketAddrV4>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How-many-th connection from that address this subnetwork has taken.
    pub(crate) fn count_accepted(&self, peer: SocketAddrV4) -> u64 {
        count(&self.accepted, (peer, self.osladdr))
    }

    /// How-many-th connection between these addresses this process has made.
    pub(super) fn count_dialed(&self, pair: (SocketAddrV4, SocketAddrV4)) -> u64 {
        // Source addresses are the process's: its subnetworks may use the same one in turn.
        static DIALED: Mutex<Uses> = Mutex::new(BTreeMap::new());
        count(&DIALED, pair)
    }
}

fn count(uses: &Mutex<Uses>, pair: (SocketAddrV4, SocketAddrV4)) -> u64 {
    let mut uses = uses.lock().unwrap_or_else(PoisonError::into_inner);
    let nth = uses.entry(pair).or_default();
    *nth += 1;
    *nth
}

/// A connection's key in the trace.
pub(super) fn connection_key(dialer: SocketAddrV4, acceptor: SocketAddrV4, nth: u64) -> String {
    format!("{dialer}>{acceptor}#{nth}")
}

/// What opening a network gives.
pub(crate) struct Opened {
    pub(crate) loopback: Arc<Loopback>,
    /// The network's name.
    pub(crate) name: String,
    pub(crate) tracing: Option<Tracing>,
    /// The task that takes its connections is given to [`Loopback::accepted_by`].
    pub(crate) listener: Arc<TcpListener>,
}

impl Loopback {
    /// Opens the network of that name, or creates it; with `""`, a fresh one. Its events are those of
    /// this process, or of the process that this one carries: the number it has in the scenario.
    pub(crate) async fn open(network: &str, carries: Option<u64>) -> Result<Opened, Cause> {
        let name = network.to_owned();
        let (name, registry, listener, osladdr, tracing, peer_check) = blocking(move || {
            let dir = match &*name {
                "" => NetworkDir::random()?,
                name => NetworkDir::open(name)?,
            };
            let dir = Arc::new(dir);
            let (listener, osladdr) = listen_somewhere()?;
            let registry = Registry::open(dir.clone(), osladdr)?;
            let tracing = match carries {
                None => Tracing::of(dir.path())?,
                Some(process) => Tracing::carrying(dir.path(), process)?,
            };
            Ok::<_, Cause>((
                dir.name().to_owned(),
                registry,
                listener,
                osladdr,
                tracing,
                PeerCheck::probe(),
            ))
        })
        .await??;
        let listener = Arc::new(TcpListener::from_std(listener)?);
        let loopback = Arc::new(Loopback {
            registry,
            osladdr,
            peer_check,
            slow: Arc::default(),
            served: Mutex::new(Served {
                listener: Some(listener.clone()),
                accepting: None,
            }),
            hosts: Mutex::default(),
            accepted: Mutex::default(),
        });
        Ok(Opened {
            loopback,
            name,
            tracing,
            listener,
        })
    }
}

/// The one OS listener that serves all hosts of a subnetwork.
fn listen_somewhere() -> io::Result<(std::net::TcpListener, SocketAddrV4)> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    let wanted = SocketAddrV4::new(source::listening(), 0);
    bind(fd.as_raw_fd(), &SockaddrIn::from(wanted))?;
    // What it accepts inherits this.
    setsockopt(&fd, TcpNoDelay, &true)?;
    listen(&fd, Backlog::MAXCONN)?;
    // This, too: a request is acknowledged by its reply, which is a packet less. Listening resets
    // it, and the standard library has it for streams only.
    let fd = std::net::TcpStream::from(fd);
    fd.set_quickack(false)?;
    let listener = std::net::TcpListener::from(OwnedFd::from(fd));
    let osladdr = match listener.local_addr()? {
        std::net::SocketAddr::V4(osladdr) => osladdr,
        std::net::SocketAddr::V6(_) => unreachable!("it was bound to an IPv4 address"),
    };
    Ok((listener, osladdr))
}

/// Runs what may wait for a file's lock where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Cause> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let why = if error.is_cancelled() {
            "the tokio runtime is shutting down".to_owned()
        } else {
            error.to_string()
        };
        Cause::Io(io::ErrorKind::Other, why)
    })
}
