//! Joining: directory, registry and OS listener make a subnetwork.
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
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::accept::{Serving, Slow, serve};
use super::peer_uid::PeerCheck;
use super::source;
use crate::addr::check_name;
use crate::error::{Cause, Error, Result};
use crate::registry::{NetworkDir, Registry};
use crate::trace::Tracing;
use crate::virtnet::engine::{Engine, blocking};
use crate::virtnet::{Host, Net, NetName, SubNetwork};

/// What a network's full name begins with.
const PREFIX: &str = "lonet";

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

    /// The task that serves the listener.
    fn accepted_by(&self, accepting: AbortHandle) {
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

    pub(super) fn known(&self, host: &str) -> Option<SocketAddrV4> {
        self.hosts().get(host).copied()
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

    /// How-many-th connection between these addresses this subnetwork has taken.
    pub(super) fn count_accepted(&self, pair: (SocketAddrV4, SocketAddrV4)) -> u64 {
        count(&self.accepted, pair)
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

/// Joins the network with this name, or creates it. `""` creates a network with a random unique
/// name. All processes of one user on one machine that join the same name share the network.
///
/// The runtime that calls `join` accepts the connections from other processes. When that runtime is
/// dropped, the subnetwork closes, even if other runtimes still use it: operations then fail with
/// [`Cause::NetworkDown`]. So join on a runtime that lives as long as the hosts do.
///
/// Operations that wait for files use the blocking threads of the runtime that they are called on.
/// If callers of `block_on` occupy all of these threads, such an operation never ends.
///
/// # Errors
///
/// [`Cause::InvalidName`], [`Cause::Directory`], [`Cause::Registry`], [`Cause::Io`].
///
/// # Panics
///
/// If called outside of a tokio runtime, or on a runtime without I/O. Dials also need the runtime's
/// time driver, and panic without it.
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
    open(network).await.map_err(failed)
}

async fn open(network: &str) -> Result<SubNetwork, Cause> {
    let name = network.to_owned();
    let (name, registry, listener, osladdr, tracing, peer_check) = blocking(move || {
        let dir = match &*name {
            "" => NetworkDir::random()?,
            name => NetworkDir::open(name)?,
        };
        let dir = Arc::new(dir);
        let (listener, osladdr) = listen_somewhere()?;
        let registry = Registry::open(dir.clone(), osladdr)?;
        let tracing = Tracing::of(dir.path())?;
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
    let runtime = Handle::current().id();
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
    let name = NetName::new(PREFIX, &name);
    let net = Net::new(name, Engine::Loopback(loopback.clone()), tracing);
    let accepting = tokio::spawn(serve(listener, Serving::on(runtime, &net)));
    loopback.accepted_by(accepting.abort_handle());
    Ok(SubNetwork::of(net))
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

/// Joins the network named by `LONET_NETWORK` as the host named by `LONET_HOST`. The harness sets
/// both variables for the programs it starts.
///
/// Further calls return the same host until it is closed. The host stays open until the program
/// ends, even if every handle is dropped, but not longer than the runtime of the first call, as with
/// [`join`]: after the end of a `#[tokio::test]`, another test in the same process gets a new host
/// with that name.
///
/// # Errors
///
/// [`Cause::InvalidName`] if one of the two variables is not set; otherwise those of [`join`] and
/// [`SubNetwork::new_host`].
///
/// # Panics
///
/// The same as for [`join`].
///
/// # Cancel safety
///
/// If the future is dropped, nothing stays open.
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
