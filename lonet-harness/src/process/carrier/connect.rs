//! `connect` of a carried program: its dial.
//!
//! Owns when the program's socket connects, and to what. It is connected to the carrier, at the
//! joint, once the dial is decided; refused at the dead end; and where the program does not wait and
//! the dial is not decided, it goes on trying at a waiting point. The dial itself is the network's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use lonet::{Addr, Stream};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::net::sockopt::{self, Timeout};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::bytes;
use super::carried::{Carried, as_errno};
use super::names::{Meaning, in_family};
use super::place::local;
use super::socket::{Cookie, Link};
use super::sockets::Socket;
use super::trap::{Sockaddr, Trap, errno, is_v6};
use super::waiting::{Over, Waiting, watched_for};

/// So long a program that does not want to wait waits all the same: most dials are decided by then.
const AT_ONCE: Duration = Duration::from_millis(5);

/// Where a program dials.
struct Dialed {
    /// As the network has it; `None`: nowhere.
    to: Option<String>,
    /// As the program sees it.
    peer: SocketAddr,
    is_loopback: bool,
}

/// What a `connect` is for its socket.
enum Begun {
    /// It is done.
    Done,
    /// The socket has been connecting already, or is connected.
    Before(OwnedFd, Cookie),
    /// It begins to connect there; `None`: nowhere.
    Now(Connecting, Option<String>),
}

/// A socket that connects.
struct Connecting {
    socket: OwnedFd,
    cookie: Cookie,
    is_v6: bool,
    /// The port of the network that it is bound to; 0: none.
    from: u16,
    link: Rc<Link>,
}

impl Carried {
    /// `connect`.
    pub(super) async fn connect(self: Rc<Self>, mut trap: Trap, socket: OwnedFd) {
        match self.connecting(&mut trap, socket) {
            Ok(Begun::Done) => trap.value(0),
            Ok(Begun::Before(socket, cookie)) => self.goes_on(trap, socket, cookie).await,
            Ok(Begun::Now(connecting, Some(to))) => self.dial(trap, connecting, to).await,
            Ok(Begun::Now(connecting, None)) => {
                self.fails(trap, &connecting, Errno::ECONNREFUSED);
            }
            Err(error) => trap.error(error),
        }
    }

    /// What is to be connected, and where.
    fn connecting(&self, trap: &mut Trap, socket: OwnedFd) -> Result<Begun, Errno> {
        let is_v6 = is_v6(&socket);
        let cookie = sockopt::socket_cookie(&socket).map_err(errno)?;
        let asked = match trap.address(1, 2)? {
            Sockaddr::Inet(asked) if asked.is_ipv6() == is_v6 => asked,
            Sockaddr::Unspec => {
                rustix::net::connect_unspec(&socket).map_err(errno)?;
                self.listens_no_more(cookie);
                self.is_unconnected(cookie);
                return Ok(Begun::Done);
            }
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let bound = match self.sockets.get(cookie) {
            Some(Socket::Connected(_)) => return Ok(Begun::Before(socket, cookie)),
            Some(Socket::Listening(..)) => return Err(Errno::EISCONN),
            Some(Socket::Bound(bound)) => Some(bound),
            None => None,
        };
        let seen = bound.map(|bound| bound.seen);
        let dialed = self.dialed(asked);
        let own = match (dialed.is_loopback, dialed.peer.ip().to_canonical()) {
            (true, IpAddr::V6(_)) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            (true, IpAddr::V4(_)) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            (false, _) => SocketAddr::from((self.own_address(), 0)),
        };
        let local = match seen {
            Some(seen) if !seen.ip().to_canonical().is_unspecified() => seen,
            // By connecting it gets the address that leads there.
            seen => SocketAddr::new(own.ip(), seen.map_or(0, |seen| seen.port())),
        };
        let link = Link::new(in_family(local, is_v6), dialed.peer, bound);
        let connecting = Connecting {
            socket,
            cookie,
            is_v6,
            from: seen.map_or(0, |seen| seen.port()),
            link,
        };
        Ok(Begun::Now(connecting, dialed.to))
    }

    /// Where that address leads.
    fn dialed(&self, peer: SocketAddr) -> Dialed {
        let port = peer.port();
        let meaning = self.names.meaning(self.name(), peer.ip());
        let is_loopback = meaning == Meaning::Loopback;
        let to = match meaning {
            _ if port == 0 => None,
            Meaning::Loopback | Meaning::Own => Some(format!("{}:{port}", self.name())),
            Meaning::Host(host) => Some(format!("{host}:{port}")),
            Meaning::Nowhere => None,
        };
        Dialed {
            to,
            peer,
            is_loopback,
        }
    }

    async fn dial(self: Rc<Self>, trap: Trap, connecting: Connecting, to: String) {
        let link = connecting.link.clone();
        self.sockets.set(connecting.cookie, Socket::Connected(link));
        let mut waiting = Waiting::of(&connecting.socket, Timeout::Send);
        let mut dialing = Dialing::begin(&self, &connecting, to);
        let (trap, decided) = if waiting.is_nonblocking() {
            (
                trap,
                tokio::time::timeout(AT_ONCE, dialing.decided()).await.ok(),
            )
        } else {
            match waiting.wait(trap, Box::pin(dialing.decided())).await {
                Ok((trap, decided)) => (trap, Some(decided)),
                Err(Over::Gone(_)) => return self.is_unconnected(connecting.cookie),
                // The call ends, and its connecting does not: another call may wait for it.
                Err(over) => return self.undecided(over, connecting, dialing).await,
            }
        };
        match decided {
            Some(Ok(())) => self.connects(trap, connecting, dialing, &waiting).await,
            Some(Err(error)) => {
                // That it failed is an event, too.
                if !lonet::carried::settled(self.host()).await {
                    return trap.abandon();
                }
                self.fails(trap, &connecting, error);
            }
            None => self.undecided(Over::Late(trap), connecting, dialing).await,
        }
    }

    /// The dial has failed.
    fn fails(&self, trap: Trap, connecting: &Connecting, error: Errno) {
        // The kernel's own refusal, so that the socket is as it is after one.
        let refused = match error {
            Errno::ECONNREFUSED => connecting.to(self.place.dead_end()).err().unwrap_or(error),
            error => error,
        };
        // A non-blocking program may ask by another `connect`, which must not dial again.
        match refused {
            Errno::EINPROGRESS => {
                let link = connecting.link.clone();
                self.sockets.set(connecting.cookie, Socket::Connected(link));
            }
            _ => self.is_unconnected(connecting.cookie),
        }
        trap.error(refused);
    }

    /// The other side is there: so is the carrier.
    async fn connects(
        self: Rc<Self>,
        trap: Trap,
        connecting: Connecting,
        dialing: Dialing,
        waiting: &Waiting,
    ) {
        if !lonet::carried::settled(self.host()).await {
            return trap.abandon();
        }
        let met = match connecting.begins(self.place.joint()) {
            Ok(from) => self.place.expect(from),
            Err(error) => {
                self.is_unconnected(connecting.cookie);
                return trap.error(error);
            }
        };
        let Connecting {
            socket,
            cookie,
            link,
            ..
        } = connecting;
        let trap = match waiting.is_nonblocking() {
            true => {
                trap.error(Errno::EINPROGRESS);
                None
            }
            false => Some(trap),
        };
        drop(socket);
        let Ok(ours) = met.await else {
            if let Some(trap) = trap {
                trap.error(Errno::ECONNABORTED);
            }
            return;
        };
        if let Some(trap) = trap {
            trap.value(0);
        }
        self.joins(cookie, link, ours, dialing).await;
    }

    /// The socket has been connecting already, or is connected. How far it is, the kernel knows.
    async fn goes_on(self: Rc<Self>, mut trap: Trap, socket: OwnedFd, cookie: Cookie) {
        // It leads nowhere else.
        let to = in_family(SocketAddr::V4(self.place.dead_end()), is_v6(&socket));
        let connect = || rustix::net::connect(&socket, &to).map_err(errno);
        let mut waiting = Waiting::of(&socket, Timeout::Send);
        let mut watched = None;
        loop {
            match without_waiting(&socket, connect) {
                Ok(()) => return trap.value(0),
                Err(Errno::EALREADY) if !waiting.is_nonblocking() => {}
                Err(error @ (Errno::EALREADY | Errno::EISCONN)) => return trap.error(error),
                Err(error) => {
                    // It has failed, and now the program knows.
                    self.is_unconnected(cookie);
                    return trap.error(error);
                }
            }
            let watched = match &mut watched {
                Some(watched) => watched,
                None => match socket
                    .try_clone()
                    .and_then(|socket| watched_for(socket, Interest::WRITABLE))
                {
                    Ok(begun) => watched.insert(begun),
                    Err(error) => return trap.error(errno(error)),
                },
            };
            let ends = Box::pin(async {
                let ready = watched.writable().await;
                ready.into_iter().for_each(|mut ready| ready.clear_ready());
            });
            trap = match waiting.wait(trap, ends).await {
                Ok((trap, ())) => trap,
                Err(Over::Late(trap)) => return trap.error(Errno::EALREADY),
                Err(over) => return over.answer(),
            };
        }
    }

    /// Nobody has decided yet, and the call is over.
    async fn undecided(self: Rc<Self>, over: Over, connecting: Connecting, mut dialing: Dialing) {
        let begun = async {
            let point = self.place.waiting_point().await.map_err(errno)?;
            let from = connecting.begins(point.at())?;
            Ok((point, from))
        };
        let (point, from) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                self.is_unconnected(connecting.cookie);
                return over.trap().error(error);
            }
        };
        match over {
            Over::Late(trap) => trap.error(Errno::EINPROGRESS),
            over => over.answer(),
        }
        let Connecting {
            socket,
            cookie,
            link,
            ..
        } = connecting;
        // Only the program keeps it, so that it can close it.
        drop(socket);
        let decided = tokio::select! {
            biased;
            () = link.gone() => return,
            decided = dialing.decided() => decided,
        };
        if !lonet::carried::settled(self.host()).await {
            return;
        }
        if decided.is_err() {
            // The program's next try finds nothing there, and the kernel knows of this one.
            return;
        }
        if let Ok(ours) = point.meet(from).await {
            self.joins(cookie, link, ours, dialing).await;
        }
    }

    /// The program's socket is connected; its dial may still be under way.
    async fn joins(
        self: Rc<Self>,
        cookie: Cookie,
        link: Rc<Link>,
        ours: TcpStream,
        dialing: Dialing,
    ) {
        // The program may be gone by then: what it has sent is accepted all the same.
        let _busy = self.busy();
        match dialing.done().await {
            Ok(stream) => self.carries(link, ours, stream),
            Err(_) => {
                self.is_unconnected(cookie);
                bytes::reset(ours);
            }
        }
    }
}

impl Connecting {
    /// Connects it to there, as the program's call would.
    fn to(&self, to: SocketAddrV4) -> Result<(), Errno> {
        let to = in_family(SocketAddr::V4(to), self.is_v6);
        self.may_be_at_v4();
        rustix::net::connect(&self.socket, &to).map_err(errno)
    }

    /// Begins to connect it to there; from where.
    fn begins(&self, to: SocketAddrV4) -> Result<SocketAddrV4, Errno> {
        let begun = without_waiting(&self.socket, || self.to(to));
        match begun {
            Ok(()) | Err(Errno::EINPROGRESS) => local(&self.socket).map_err(errno),
            Err(error) => Err(error),
        }
    }

    fn may_be_at_v4(&self) {
        if self.is_v6 {
            // It fails for one that is bound, which was allowed then.
            let _ = sockopt::set_ipv6_v6only(&self.socket, false);
        }
    }
}

/// Makes that call on a socket of a program, for which the carrier must not wait: all programs would.
fn without_waiting(
    socket: &OwnedFd,
    call: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
    let waits = !flags.contains(OFlag::O_NONBLOCK);
    if waits {
        fcntl(socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    let done = call();
    if waits {
        fcntl(socket, FcntlArg::F_SETFL(flags))?;
    }
    done
}

/// A dial under way. Dropped, it is given up.
struct Dialing {
    dial: JoinHandle<Result<Stream, Errno>>,
    /// Says that it has rung at a program of this carrier.
    rung: Option<oneshot::Receiver<()>>,
    done: Option<Result<Stream, Errno>>,
}

impl Dialing {
    fn begin(carried: &Rc<Carried>, connecting: &Connecting, to: String) -> Dialing {
        let (own, link, from) = (carried.clone(), connecting.link.clone(), connecting.from);
        let (rings, rung) = oneshot::channel();
        // A task of its own: nothing that the program has received comes before it.
        let dial = tokio::task::spawn_local(async move {
            let began = |src: &Addr| {
                let local = link.local.get();
                link.local.set(SocketAddr::new(local.ip(), src.port()));
                own.sockets.dials(&link);
                own.rings.expect(src, rings);
            };
            let dialed = lonet::carried::dial(own.host(), &to, from, began).await;
            dialed.map_err(|error| as_errno(error.cause()))
        });
        Dialing {
            dial,
            rung: Some(rung),
            done: None,
        }
    }

    /// Whether the program's socket may connect: the dial has rung at a program, or is accepted.
    /// Can be given up and asked again.
    async fn decided(&mut self) -> Result<(), Errno> {
        while self.done.is_none() {
            let Some(rung) = &mut self.rung else {
                self.done = Some(finished(&mut self.dial).await);
                break;
            };
            tokio::select! {
                biased;
                done = finished(&mut self.dial) => self.done = Some(done),
                rung = rung => match rung {
                    Ok(()) => return Ok(()),
                    // It rings nowhere.
                    Err(_) => self.rung = None,
                },
            }
        }
        match &self.done {
            Some(Err(error)) => Err(*error),
            _ => Ok(()),
        }
    }

    async fn done(mut self) -> Result<Stream, Errno> {
        match self.done.take() {
            Some(done) => done,
            None => finished(&mut self.dial).await,
        }
    }
}

async fn finished(dial: &mut JoinHandle<Result<Stream, Errno>>) -> Result<Stream, Errno> {
    dial.await.unwrap_or(Err(Errno::ECONNABORTED))
}

impl Drop for Dialing {
    fn drop(&mut self) {
        self.dial.abort();
    }
}
