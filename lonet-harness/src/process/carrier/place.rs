//! Where the sockets of carried programs really are: a range of loopback addresses of the carrier's
//! own.
//!
//! Owns the range and what the carrier listens on in it: the joint, where it meets the sockets of
//! programs that connect, the dead end, where connecting is refused, and waiting points, where it is
//! not decided yet. Knows nothing of the network that is carried.
//!
//! Programs of other users can reach these addresses, as all of loopback. What they connect is
//! closed: only what the carrier itself expects is taken.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The ports of which one is bound, exclusively, at the range's first address: the carrier that has
/// it has the range.
const CLAIMS: [u16; 4] = [39_017, 38_923, 37_831, 36_761];

/// So many ranges are tried.
const TRIES: u64 = 64;

/// The carrier's range, and what it has there.
pub(super) struct Place {
    range: (u8, u8),
    /// As long as it is open, the range is the carrier's.
    _claim: OwnedFd,
    /// Where each host is, by name: a host that comes again is where it was.
    hosts: RefCell<BTreeMap<String, Ipv4Addr>>,
    /// Bound, and not listening.
    dead_end: (OwnedFd, SocketAddrV4),
    joint: TcpListener,
    joint_at: SocketAddrV4,
    /// The connections that are expected at the joint, by where they come from.
    expected: RefCell<BTreeMap<SocketAddrV4, oneshot::Sender<TcpStream>>>,
}

impl Place {
    /// Claims a range that no other carrier has. Needs a runtime.
    pub(super) fn claim() -> io::Result<Rc<Place>> {
        let (range, claim) = claimed()?;
        let first = Ipv4Addr::new(127, range.0, range.1, 1);
        let dead_end = bound(SocketAddrV4::new(first, 0))?;
        let joint = bound(SocketAddrV4::new(first, 0))?;
        sockopt::set_tcp_nodelay(&joint.0, true)?;
        rustix::net::listen(&joint.0, 4096)?;
        Ok(Rc::new(Place {
            range,
            _claim: claim,
            hosts: RefCell::default(),
            dead_end,
            joint: TcpListener::from_std(joint.0.into())?,
            joint_at: joint.1,
            expected: RefCell::default(),
        }))
    }

    /// Where the sockets of that host are.
    ///
    /// # Errors
    ///
    /// The range is full.
    pub(super) fn of_host(&self, host: &str) -> Result<Ipv4Addr, String> {
        let mut hosts = self.hosts.borrow_mut();
        if let Some(&known) = hosts.get(host) {
            return Ok(known);
        }
        let next = u8::try_from(hosts.len() + 2)
            .ok()
            .filter(|&next| next < 255);
        let next = next.ok_or("a scenario has at most 253 hosts that are programs")?;
        let address = Ipv4Addr::new(127, self.range.0, self.range.1, next);
        hosts.insert(host.to_owned(), address);
        Ok(address)
    }

    /// Where connecting is refused.
    pub(super) fn dead_end(&self) -> SocketAddrV4 {
        self.dead_end.1
    }

    /// Where the carrier meets a socket that may connect.
    pub(super) fn joint(&self) -> SocketAddrV4 {
        self.joint_at
    }

    /// The carrier's end of the connection that a socket at this address has made, or is about to
    /// make, to the joint.
    pub(super) fn expect(&self, from: SocketAddrV4) -> oneshot::Receiver<TcpStream> {
        let (sender, receiver) = oneshot::channel();
        let mut expected = self.expected.borrow_mut();
        // What is not waited for any more will not come.
        expected.retain(|_, sender| !sender.is_closed());
        expected.insert(from, sender);
        drop(expected);
        // Usually it is there by now.
        while let Ok((socket, Some(peer))) =
            rustix::net::acceptfrom_with(&self.joint, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
        {
            if let (Ok(SocketAddr::V4(peer)), Ok(stream)) = (
                SocketAddr::try_from(peer),
                TcpStream::from_std(socket.into()),
            ) {
                self.met(stream, peer);
            }
        }
        receiver
    }

    fn met(&self, stream: TcpStream, peer: SocketAddrV4) {
        // What nobody expects is a stranger's.
        if let Some(sender) = self.expected.borrow_mut().remove(&peer) {
            let _ = sender.send(stream);
        }
    }

    /// Takes what connects to the joint; does not return.
    pub(super) async fn serve(self: Rc<Self>) {
        loop {
            match self.joint.accept().await {
                Ok((stream, SocketAddr::V4(peer))) => self.met(stream, peer),
                Ok(_) => {}
                // Without descriptors: until some are free again.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    }

    /// A place where connecting neither succeeds nor fails.
    pub(super) async fn waiting_point(&self) -> io::Result<WaitingPoint> {
        let first = Ipv4Addr::new(127, self.range.0, self.range.1, 1);
        let listener = reusing(SocketAddrV4::new(first, 0))?;
        rustix::net::listen(&listener.0, 0)?;
        // One connection fills its queue: what comes then is dropped, and comes again.
        let filler = TcpStream::connect(SocketAddr::V4(listener.1)).await?;
        Ok(WaitingPoint {
            at: listener.1,
            _listener: listener.0,
            _filler: filler,
        })
    }
}

/// A listener whose queue is full. A socket that connects here goes on trying, until the carrier
/// connects to it from this very address: then both have connected to each other. If it is closed,
/// the next try is refused.
pub(super) struct WaitingPoint {
    at: SocketAddrV4,
    _listener: OwnedFd,
    _filler: TcpStream,
}

impl WaitingPoint {
    /// Its address.
    pub(super) fn at(&self) -> SocketAddrV4 {
        self.at
    }

    /// Connects to the socket at this address, which is connecting to here.
    pub(super) async fn meet(self, other: SocketAddrV4) -> io::Result<TcpStream> {
        let (ours, _) = reusing(self.at)?;
        let stream = begun(ours, other)?;
        stream.writable().await?;
        match stream.take_error()? {
            None => Ok(stream),
            Some(error) => Err(error),
        }
    }
}

/// A connection to there that has begun, and from where.
pub(super) fn connecting(to: SocketAddrV4) -> io::Result<(TcpStream, SocketAddrV4)> {
    let stream = begun(stream_socket()?, to)?;
    let from = local(&stream)?;
    Ok((stream, from))
}

fn begun(socket: OwnedFd, to: SocketAddrV4) -> io::Result<TcpStream> {
    match rustix::net::connect(&socket, &SocketAddr::V4(to)) {
        Ok(()) | Err(Errno::INPROGRESS) => TcpStream::from_std(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// A range, and the socket that claims it.
fn claimed() -> io::Result<((u8, u8), OwnedFd)> {
    let mut last = None;
    for nth in 0..TRIES {
        let random = RandomState::new().hash_one(nth);
        // Never 127.0, where other programs are.
        let range = ((random % 254 + 1) as u8, (random >> 32) as u8);
        for port in CLAIMS {
            let first = Ipv4Addr::new(127, range.0, range.1, 1);
            match bound(SocketAddrV4::new(first, port)) {
                Ok((claim, _)) => return Ok((range, claim)),
                Err(error) => last = Some(error),
            }
        }
    }
    let last = last.map_or_else(String::new, |error| format!(": {error}"));
    Err(io::Error::other(format!(
        "no range of loopback addresses is free for programs{last}"
    )))
}

fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

fn bound(at: SocketAddrV4) -> io::Result<(OwnedFd, SocketAddrV4)> {
    let socket = stream_socket()?;
    rustix::net::bind(&socket, &SocketAddr::V4(at))?;
    let at = local(&socket)?;
    Ok((socket, at))
}

/// One whose address others of this carrier may have, too.
fn reusing(at: SocketAddrV4) -> io::Result<(OwnedFd, SocketAddrV4)> {
    let socket = stream_socket()?;
    sockopt::set_socket_reuseport(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddr::V4(at))?;
    let at = local(&socket)?;
    Ok((socket, at))
}

/// Whether a socket that was bound there is there still. Beside one that listened, another could be
/// only if it does so no more; what that one has accepted does not count.
pub(super) fn is_there(at: SocketAddrV4, listens: bool) -> bool {
    let bind = || {
        let socket = stream_socket().ok()?;
        sockopt::set_socket_reuseaddr(&socket, listens).ok()?;
        rustix::net::bind(&socket, &SocketAddr::V4(at)).ok()
    };
    bind().is_none()
}

/// Where a socket really is.
pub(super) fn local(socket: impl AsFd) -> io::Result<SocketAddrV4> {
    let address: SocketAddr = rustix::net::getsockname(socket)?
        .try_into()
        .map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
    as_v4(address).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// An IPv4 address, also one that is written as an IPv6 address.
pub(super) fn as_v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, address.port())),
        std::net::IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, test);
    }

    fn of_program(to: SocketAddrV4) -> OwnedFd {
        let socket = stream_socket().expect("a socket");
        let connected = rustix::net::connect(&socket, &SocketAddr::V4(to));
        assert_eq!(connected, Err(Errno::INPROGRESS));
        socket
    }

    fn is_writable(socket: &OwnedFd) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll") > 0
    }

    #[test]
    fn two_carriers_have_different_ranges() {
        run(async {
            let (a, b) = (Place::claim().expect("one"), Place::claim().expect("two"));
            assert_ne!(a.range, b.range);
            let again = Ipv4Addr::new(127, a.range.0, a.range.1, 1);
            let port = local(&a._claim).expect("bound").port();
            assert!(bound(SocketAddrV4::new(again, port)).is_err());
        });
    }

    #[test]
    fn a_host_stays_where_it_is() {
        run(async {
            let place = Place::claim().expect("a range");
            let first = place.of_host("db").expect("room");
            assert_ne!(place.of_host("app").expect("room"), first);
            assert_eq!(place.of_host("db").expect("room"), first);
        });
    }

    #[test]
    fn the_joint_takes_only_what_is_expected() {
        run(async {
            let place = Place::claim().expect("a range");
            tokio::task::spawn_local(place.clone().serve());
            let stranger = TcpStream::connect(SocketAddr::V4(place.joint())).await;
            let mut stranger = stranger.expect("it listens");
            let ours = of_program(place.joint());
            let expected = place.expect(local(&ours).expect("bound"));
            let met = expected.await.expect("it is served");
            assert_eq!(
                met.peer_addr().expect("connected"),
                SocketAddr::V4(local(&ours).expect("bound"))
            );
            let read = tokio::io::AsyncReadExt::read(&mut stranger, &mut [0]).await;
            assert!(!matches!(read, Ok(1..)), "{read:?}");
        });
    }

    #[test]
    fn a_dead_end_refuses() {
        run(async {
            let place = Place::claim().expect("a range");
            let socket = of_program(place.dead_end());
            let stream = TcpStream::from_std(socket.into()).expect("a stream");
            stream.writable().await.expect("it ends");
            let error = stream.take_error().expect("asked").expect("refused");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        });
    }

    #[test]
    fn at_a_waiting_point_nothing_is_decided_until_the_carrier_does() {
        run(async {
            let place = Place::claim().expect("a range");
            let point = place.waiting_point().await.expect("a point");
            let socket = of_program(point.at());
            // Long enough for an answer, if one came.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert!(!is_writable(&socket));
            let at = local(&socket).expect("bound");
            let peer = SocketAddr::V4(point.at());
            let met = point.meet(at).await.expect("they meet");
            let stream = TcpStream::from_std(socket.into()).expect("a stream");
            stream.writable().await.expect("it has connected");
            assert!(stream.take_error().expect("asked").is_none());
            assert_eq!(stream.peer_addr().expect("connected"), peer);
            met.writable().await.expect("it has connected");
            assert_eq!(met.try_write(b"x").expect("room"), 1);
            stream.readable().await.expect("it arrives");
            assert_eq!(stream.try_read(&mut [0; 2]).expect("it is there"), 1);
        });
    }

    #[test]
    fn at_a_closed_waiting_point_the_next_try_is_refused() {
        run(async {
            let place = Place::claim().expect("a range");
            let point = place.waiting_point().await.expect("a point");
            let socket = of_program(point.at());
            drop(point);
            let stream = TcpStream::from_std(socket.into()).expect("a stream");
            stream.writable().await.expect("it ends");
            let error = stream.take_error().expect("asked").expect("refused");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        });
    }
}
