//! The three things that are measured, behind one pair of types: raw tokio TCP, lonet, and raw TCP
//! that does what a lonet dial can't do without.
//!
//! Owns how each of them connects. What is measured is in the other files.

use std::net::SocketAddr;

use lonet::{Host, Listener, SubNetwork};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Net {
    /// Tokio's TCP, as it is.
    Raw,
    /// The floor: raw TCP and one line each way before the connection counts as made.
    Lines,
    /// lonet over loopback.
    Lonet,
}

/// What a dialer says on the floor, and what it is told: as long as lonet's own lines.
const REQUEST: &[u8] = b"> lonet \"lonetr-0123456789ab\" dial \"b:1\" \"a:60000\"\n";
const REPLY: &[u8] = b"< lonet \"lonetr-0123456789ab\" connected \"a:1\"\n";

/// A place to dial, and what dials it.
#[derive(Clone)]
pub(crate) enum Dialer {
    Raw(SocketAddr),
    Lines(SocketAddr),
    Lonet(Host, String),
}

pub(crate) enum Acceptor {
    Raw(TcpListener),
    Lines(TcpListener),
    Lonet(Listener),
}

pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

pub(crate) type Stream = Box<dyn Connection>;

/// A listener and who dials it, with what must live meanwhile.
pub(crate) async fn ends(net: Net) -> (Option<SubNetwork>, Acceptor, Dialer) {
    if net == Net::Lonet {
        let net = lonet::join("").await.unwrap();
        let alpha = net.new_host("α").await.unwrap();
        let beta = net.new_host("β").await.unwrap();
        let listener = alpha.listen(":60000").await.unwrap();
        let dialer = Dialer::Lonet(beta, "α:60000".to_owned());
        return (Some(net), Acceptor::Lonet(listener), dialer);
    }
    let socket = TcpSocket::new_v4().unwrap();
    // What is accepted inherits it.
    socket.set_nodelay(net == Net::Lines).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let addr = listener.local_addr().unwrap();
    match net {
        Net::Lines => (None, Acceptor::Lines(listener), Dialer::Lines(addr)),
        _ => (None, Acceptor::Raw(listener), Dialer::Raw(addr)),
    }
}

/// Reads one line. Its length is known here, so that nobody has to look first where it ends.
async fn expect(stream: &mut TcpStream, line: &[u8]) {
    let mut buf = [0; 64];
    let buf = &mut buf[..line.len()];
    stream.read_exact(buf).await.unwrap();
    assert_eq!(buf, line);
}

impl Acceptor {
    pub(crate) async fn accept(&self) -> Stream {
        match self {
            Acceptor::Raw(listener) => {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
            Acceptor::Lines(listener) => {
                let (mut stream, _) = listener.accept().await.unwrap();
                expect(&mut stream, REQUEST).await;
                stream.write_all(REPLY).await.unwrap();
                Box::new(stream)
            }
            Acceptor::Lonet(listener) => Box::new(listener.accept().await.unwrap()),
        }
    }

    /// Accepts and closes, for ever.
    pub(crate) async fn serve_cycles(self) {
        match self {
            // As in any server, without what `accept` adds.
            Acceptor::Raw(listener) => loop {
                drop(listener.accept().await.unwrap());
            },
            Acceptor::Lines(_) => loop {
                drop(self.accept().await);
            },
            Acceptor::Lonet(listener) => loop {
                drop(listener.accept().await.unwrap());
            },
        }
    }
}

impl Dialer {
    pub(crate) async fn dial(&self) -> Stream {
        match self {
            Dialer::Raw(addr) => {
                let stream = TcpStream::connect(addr).await.unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
            Dialer::Lines(addr) => Box::new(connect_with_lines(*addr).await),
            Dialer::Lonet(host, addr) => Box::new(host.dial(addr).await.unwrap()),
        }
    }

    /// Dials, reads EOF, closes.
    pub(crate) async fn cycle(&self) {
        async fn end(mut stream: impl AsyncRead + Unpin) {
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        }
        match self {
            Dialer::Raw(addr) => end(TcpStream::connect(addr).await.unwrap()).await,
            Dialer::Lines(addr) => end(connect_with_lines(*addr).await).await,
            Dialer::Lonet(host, addr) => end(host.dial(addr).await.unwrap()).await,
        }
    }
}

async fn connect_with_lines(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(REQUEST).await.unwrap();
    expect(&mut stream, REPLY).await;
    stream
}

/// Both ends of a fresh connection.
pub(crate) async fn pair(acceptor: &Acceptor, dialer: &Dialer) -> (Stream, Stream) {
    tokio::join!(acceptor.accept(), dialer.dial())
}
