//! A connection of any [`Networker`](crate::Networker), of a type for which other crates' traits
//! can be had: [`NetIo`]; and its two addresses: [`Ends`].
//!
//! Owns the delegation only.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::NetStream;

/// A connection of a [`Networker`](crate::Networker), as it is handed to hyper and tonic.
pub struct NetIo<S> {
    stream: S,
}

/// The two addresses of a connection, as `host:port`.
///
/// A handler of axum has it as `ConnectInfo<Ends>`, one of tonic among the request's extensions,
/// and a client of hyper among the response's. An address of a lonet host parses as
/// [`Addr`](crate::Addr).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    local: String,
    peer: String,
}

impl Ends {
    /// Those of that connection.
    pub(super) fn of(stream: &impl NetStream) -> Ends {
        Ends {
            local: stream.local_addr(),
            peer: stream.peer_addr(),
        }
    }

    /// The address of this process's end.
    pub fn local_addr(&self) -> &str {
        &self.local
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> &str {
        &self.peer
    }
}

impl<S: NetStream> NetIo<S> {
    pub(super) fn new(stream: S) -> NetIo<S> {
        NetIo { stream }
    }

    /// Its two addresses.
    pub fn ends(&self) -> Ends {
        Ends::of(&self.stream)
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The connection itself.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: NetStream> AsyncRead for NetIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: NetStream> AsyncWrite for NetIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: NetStream> fmt::Debug for NetIo<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ends { local, peer } = self.ends();
        write!(f, "NetIo({local}->{peer})")
    }
}
